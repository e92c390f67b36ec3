use leptos::prelude::*;

use super::{part, text, view};
use crate::{
    clock::Clock,
    model::{Millis, time},
};

/// A time, relative and absolute with its zone; its date when that is not today. The server renders UTC; the browser replaces
/// it by the zone that was chosen.
#[component]
pub fn Moment(
    #[prop(into)] at: Signal<Millis>,
    /// With the distance from now in front. Without, only what is to come has it, behind.
    #[prop(default = true)]
    relative: bool,
) -> impl IntoView {
    let (now, clock) = (Clock::now(), Clock::expect());
    let ticking = Memo::new(move |_| now.get().is_some());
    let is_today = Memo::new(move |_| {
        now.get().is_some_and(|now| time::is_same_day(at.get(), now, clock.minutes_east(at.get())))
    });
    let whole = move || if ticking.get() { words(clock, at.get(), true) } else { time::utc_words(at.get()) };
    let distance = Memo::new(move |_| {
        let (at, now) = (at.get(), now.get()?);
        (relative || at > now).then(|| time::distance(at, now))
    });
    let in_front = move || if relative { distance.get().unwrap_or_default() } else { String::new() };
    let absolute = move || {
        let mut absolute = if is_today.get() { words(clock, at.get(), false) } else { whole() };
        if let Some(distance) = distance.get().filter(|_| !relative) {
            absolute.push_str(", ");
            absolute.push_str(&distance);
        }
        absolute
    };
    view! {
        <time class="moment" datetime=move || time::rfc3339(at.get()) title=whole>
            <span class="moment__ago">{text(in_front)}</span> " "
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

/// In the browser only. Reactive.
fn words(clock: Clock, at: Millis, with_date: bool) -> String {
    time::zoned_words(at, clock.minutes_east(at), with_date)
}
