use js_sys::{Date, Object, Reflect};
use leptos::prelude::*;
use wasm_bindgen::JsValue;

use super::{part, text, view};
use crate::{
    clock::Clock,
    model::{Millis, time},
};

/// A time, relative and absolute with its zone. The server renders UTC; the browser replaces it by its own zone.
#[component]
pub fn Moment(
    #[prop(into)] at: Signal<Millis>,
    /// With the distance from now in front.
    #[prop(default = true)]
    relative: bool,
) -> impl IntoView {
    let now = Clock::now();
    let ticking = Memo::new(move |_| now.get().is_some());
    let absolute = move || if ticking.get() { local_date_time(at.get()) } else { time::utc_words(at.get()) };
    let ago = Memo::new(move |_| relative.then(|| now.get().map(|now| time::ago(at.get(), now))).flatten());
    view! {
        <time class="moment" datetime=move || time::rfc3339(at.get())>
            <span class="moment__ago">{text(move || ago.get().unwrap_or_default())}</span>
            <span class="moment__at">{text(absolute)}</span>
        </time>
    }
}

/// The distance from now, with the absolute time below in small. Until the page has a clock, only the latter.
#[component]
pub fn Ago(#[prop(into)] at: Signal<Option<Millis>>) -> impl IntoView {
    part(move || match at.get() {
        None => view! { <span class="muted">"never"</span> },
        Some(at) => view! { <Moment at/> },
    })
}

/// `12:33:20 CET`. In the browser only.
pub fn local_time(at: Millis) -> String {
    format(at, false)
}

fn local_date_time(at: Millis) -> String {
    format(at, true)
}

#[expect(clippy::cast_precision_loss, reason = "dates are far below 2^53 ms")]
fn format(at: Millis, with_date: bool) -> String {
    let options = Object::new();
    let set = |name: &str, value: &str| {
        let _ = Reflect::set(&options, &JsValue::from_str(name), &JsValue::from_str(value));
    };
    if with_date {
        set("year", "numeric");
        set("month", "short");
        set("day", "2-digit");
    }
    set("hour", "2-digit");
    set("minute", "2-digit");
    set("second", "2-digit");
    set("hourCycle", "h23");
    set("timeZoneName", "short");
    // en-GB: the page is in English, and a day must not be taken for a month.
    Date::new(&JsValue::from_f64(at as f64)).to_locale_string("en-GB", &options).into()
}
