use leptos::prelude::*;

use super::super::{Desk, Overlay, places::PLACES};
use crate::ui::{
    all,
    dom::{dialog_while, storage},
    view,
};

const KEY: &str = "voltaxe-keys";

const KEYS: [(&str, &str); 9] = [
    ("Ctrl K or ⌘ K", "Find a host, a page or an action"),
    ("J, K", "The next row of a table, the one before"),
    ("X", "Tick the row"),
    ("Enter", "Open the row"),
    ("/", "Search on the page"),
    ("Esc", "Back to where you were"),
    ("?", "This sheet"),
    ("↑, ↓, Enter", "In the list of what was found: choose"),
    ("Tab", "Everything else: there is nothing that only a mouse can do"),
];

/// The keys, and whether those without Ctrl are on.
#[component]
pub fn KeySheet(off: RwSignal<bool>) -> impl IntoView {
    let overlay = expect_context::<Desk>().overlay;
    dialog_while("keys", move || overlay.get() == Some(Overlay::Keys), || {});
    let switch = move |event| {
        let is_off = !event_target_checked(&event);
        if let Some(storage) = storage() {
            let _ = storage.set_item(KEY, if is_off { "off" } else { "on" });
        }
        off.set(is_off);
    };
    let keys = KEYS.map(|(key, does)| line(key.to_owned(), does.to_owned()));
    let places = PLACES.iter().map(|place| {
        line(format!("G, then {}", place.key.to_ascii_uppercase()), format!("Go to {}", place.name))
    });
    view! {
        <dialog
            class="dialog" id="keys" aria-labelledby="keys-title"
            on:close=move |_| if overlay.get_untracked() == Some(Overlay::Keys) { overlay.set(None) }
        >
            <div class="dialog__body">
                // With the focus, so that the arrows scroll it.
                <div class="dialog__content" tabindex="0" role="group" aria-labelledby="keys-title" autofocus>
                    <h2 id="keys-title">"Keyboard shortcuts"</h2>
                    <dl class="keys">{all(keys.into_iter().chain(places))}</dl>
                    <label class="keys__switch">
                        <input class="tick" type="checkbox" prop:checked=move || !off.get() on:change=switch/>
                        "Keys without Ctrl work"
                    </label>
                </div>
                <div class="dialog__buttons">
                    <button class="button" type="button" on:click=move |_| overlay.set(None)>"Close"</button>
                </div>
            </div>
        </dialog>
    }
}

fn line(key: String, does: String) -> AnyView {
    view! { <div class="keys__line"><dt><kbd>{key}</kbd></dt><dd>{does}</dd></div> }
}

/// As chosen in this browser. In the browser only.
pub fn are_off() -> bool {
    storage().and_then(|storage| storage.get_item(KEY).ok().flatten()).as_deref() == Some("off")
}
