//! Light, dark, or as the system has it. The choice is kept in this browser; the page's head applies it before the
//! first paint.

use leptos::prelude::*;

use super::{
    dom::{effect, storage},
    view,
};

const KEY: &str = "voltaxe-theme";
/// The event that tells of another choice.
const CHOSEN: &str = "voltaxe-theme";

#[component]
pub fn ThemeSwitch() -> impl IntoView {
    let chosen = RwSignal::new("auto".to_owned());
    effect(move || {
        if let Some(kept) = storage().and_then(|storage| storage.get_item(KEY).ok().flatten())
            && matches!(kept.as_str(), "light" | "dark")
        {
            chosen.set(kept);
        }
    });
    // The palette chooses as well.
    effect(move || {
        let listener = window_event_listener_untyped(CHOSEN, move |_| {
            let root = document().document_element();
            chosen.set(
                root.and_then(|root| root.get_attribute("data-theme")).unwrap_or_else(|| "auto".to_owned()),
            );
        });
        on_cleanup(move || listener.remove());
    });
    view! {
        <label class="theme">
            <span class="visually-hidden">"Theme"</span>
            <select
                class="select select--small"
                prop:value=move || chosen.get()
                on:change=move |event| choose(&event_target_value(&event))
            >
                <option value="auto">"Auto"</option>
                <option value="light">"Light"</option>
                <option value="dark">"Dark"</option>
            </select>
        </label>
    }
}

/// `light`, `dark` or `auto`. In the browser only.
pub fn choose(choice: &str) {
    if let Some(storage) = storage() {
        let _ = storage.set_item(KEY, choice);
    }
    if let Some(root) = document().document_element() {
        let _ = if choice == "auto" {
            root.remove_attribute("data-theme")
        } else {
            root.set_attribute("data-theme", choice)
        };
    }
    if let Ok(event) = web_sys::Event::new(CHOSEN) {
        let _ = window().dispatch_event(&event);
    }
}
