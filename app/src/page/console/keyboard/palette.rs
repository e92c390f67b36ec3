use std::time::Duration;

use leptos::{ev::KeyboardEvent, prelude::*};
use web_sys::Element;

use super::{
    super::{Desk, Overlay},
    entries::{Does, Entry, entries, host_text},
};
use crate::{
    api,
    page::session,
    ui::{
        all,
        dom::{Gathered, dialog_while, effect, element, go, spawn},
        form, part, text, theme, view, zone,
    },
};

const FIELD: &str = "palette-text";

/// Hosts, pages and actions by their names. What changes a host asks in the same dialog as its page.
#[component]
pub fn Palette() -> impl IntoView {
    let overlay = expect_context::<Desk>().overlay;
    let session = StoredValue::new(session());
    let written = RwSignal::new(String::new());
    let found = RwSignal::new(Vec::new());
    let chosen = RwSignal::new(0_usize);
    let shown = Memo::new(move |_| {
        if overlay.get() != Some(Overlay::Palette) {
            return Vec::new();
        }
        session.with_value(|session| entries(&written.read(), &found.read(), session))
    });
    let look = Gathered::new(Duration::from_millis(80), move || {
        let asked = written.get_untracked();
        let Some(name) = host_text(&asked).map(str::to_owned) else { return found.set(Vec::new()) };
        spawn(async move {
            let hosts = api::find_hosts(name).await.unwrap_or_default();
            // An answer to what is no longer asked is none.
            if written.try_get_untracked().as_ref() == Some(&asked) {
                found.set(hosts);
            }
        });
    });
    let write = move |words: String| {
        written.set(words);
        chosen.set(0);
        look.call();
    };
    let prepare = move || {
        form::set_value(FIELD, "");
        found.set(Vec::new());
        write(String::new());
    };
    dialog_while("palette", move || overlay.get() == Some(Overlay::Palette), prepare);
    let act = move |entry: Entry| {
        if let Does::Write(words) = entry.does {
            form::set_value(FIELD, words);
            crate::ui::dom::focus(FIELD);
            return write(words.to_owned());
        }
        overlay.set(None);
        match entry.does {
            Does::Go(path) => go(&path),
            Does::Theme(choice) => theme::choose(choice),
            Does::Zone(choice) => zone::choose(Some(choice)),
            Does::Keys => overlay.set(Some(Overlay::Keys)),
            Does::SignOut => {
                if let Some(button) = element::<web_sys::HtmlElement>("sign-out") {
                    button.click();
                }
            }
            Does::Write(_) => {}
        }
    };
    let key = move |event: KeyboardEvent| {
        let count = shown.with_untracked(Vec::len);
        if event.is_composing() || count == 0 {
            return;
        }
        let here = chosen.get_untracked().min(count - 1);
        match event.key().as_str() {
            "ArrowDown" => chosen.set((here + 1) % count),
            "ArrowUp" => chosen.set((here + count - 1) % count),
            "PageDown" => chosen.set(count - 1),
            "PageUp" => chosen.set(0),
            "Enter" => act(shown.with_untracked(|shown| shown[here].clone())),
            _ => return,
        }
        event.prevent_default();
    };
    // Below the edge of the list.
    effect(move || {
        if let Some(line) = element::<Element>(&id(chosen.get())) {
            line.scroll_into_view_with_bool(false);
        }
    });
    let line = move |(index, entry): (usize, Entry)| {
        let (title, about) = (entry.title.clone(), entry.about);
        view! {
            <li
                class="palette__line" role="option" id=id(index) on:click=move |_| act(entry.clone())
                aria-selected=move || if chosen.get() == index { "true" } else { "false" }
            >
                <span class="palette__title">{title}</span>
                <span class="palette__about">{about}</span>
            </li>
        }
    };
    let count = move || match shown.with(Vec::len) {
        0 => "Nothing has this in its name".to_owned(),
        1 => "1 result".to_owned(),
        count => format!("{count} results"),
    };
    view! {
        <dialog
            class="dialog palette" id="palette" aria-label="Hosts, pages and actions"
            on:close=move |_| if overlay.get_untracked() == Some(Overlay::Palette) { overlay.set(None) }
        >
            <input
                class="palette__text" id=FIELD type="text" role="combobox" autocomplete="off" spellcheck="false"
                maxlength="200" placeholder="isolate web-01, Schedules, UTC" aria-label="Host, page or action"
                aria-expanded="true" aria-controls="palette-list" aria-autocomplete="list"
                aria-activedescendant=move || shown.with(|shown| (!shown.is_empty()).then(|| id(chosen.get())))
                on:input=move |event| write(event_target_value(&event)) on:keydown=key
            />
            <ul class="palette__list" id="palette-list" role="listbox" aria-label="Results">
                {part(move || all(shown.get().into_iter().enumerate().map(line)))}
            </ul>
            <p class="palette__count" role="status">{text(count)}</p>
        </dialog>
    }
}

fn id(index: usize) -> String {
    format!("palette-{index}")
}
