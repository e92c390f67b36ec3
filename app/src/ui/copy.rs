use std::time::Duration;

use js_sys::Reflect;
use leptos::prelude::*;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;

use super::{Icon, Shape, dom::spawn, text, view};

/// A line for a shell, and a button that copies it.
#[component]
pub fn CopyLine(
    #[prop(into)] line: String,
    /// What the button copies, for its name: `Copy the enrol command`.
    #[prop(into)]
    what: String,
) -> impl IntoView {
    let said = RwSignal::new(None::<&'static str>);
    let copy = {
        let line = line.clone();
        move |_| {
            let line = line.clone();
            spawn(async move {
                said.set(Some(if write_clipboard(&line).await {
                    "Copied"
                } else {
                    "Select the line and copy it"
                }));
                set_timeout(move || _ = said.try_set(None), Duration::from_secs(4));
            });
        }
    };
    let shape = Signal::derive(move || if said.get() == Some("Copied") { Shape::Check } else { Shape::Copy });
    view! {
        <div class="copyline">
            <pre class="copyline__line" tabindex="0" role="group" aria-label=what.clone()><code>{line}</code></pre>
            <button type="button" class="button button--small" aria-label=format!("Copy {what}") on:click=copy>
                <Icon shape/>
                "Copy"
            </button>
            <span class="copyline__said" role="status">{text(move || said.get().unwrap_or_default())}</span>
        </div>
    }
}

/// Pages of an insecure origin have no clipboard.
async fn write_clipboard(text: &str) -> bool {
    let navigator = window().navigator();
    let has_clipboard = Reflect::get(&navigator, &JsValue::from_str("clipboard"))
        .is_ok_and(|clipboard| clipboard.is_object());
    has_clipboard && JsFuture::from(navigator.clipboard().write_text(text)).await.is_ok()
}
