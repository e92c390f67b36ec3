//! The console without a mouse: keys, the palette, and where the focus goes.

mod entries;
mod focus;
mod key_sheet;
mod palette;
mod shortcuts;

use std::{cell::RefCell, rc::Rc};

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::KeyboardEvent;

use self::{
    focus::Focus,
    key_sheet::KeySheet,
    palette::Palette,
    shortcuts::{Act, Press, Shortcuts},
};
use super::{Desk, Overlay};
use crate::{
    clock::Clock,
    ui::{dom::go, view},
};

pub fn keys_and_palette() -> AnyView {
    let (desk, clock) = (expect_context::<Desk>(), Clock::expect());
    let focus = Rc::new(Focus::default());
    focus::watch(&focus);
    let off = RwSignal::new(key_sheet::are_off());
    let shortcuts = RefCell::new(Shortcuts::default());
    let listener = window_event_listener_untyped("keydown", move |event| {
        let Some(event) = event.dyn_ref::<KeyboardEvent>() else { return };
        if event.default_prevented() || event.is_composing() {
            return;
        }
        let press = Press {
            key: &event.key(),
            has_command: event.ctrl_key() || event.meta_key(),
            has_alt: event.alt_key(),
            is_typing: focus::is_typing(),
            in_dialog: focus::dialog_is_open(),
        };
        let act = shortcuts.borrow_mut().press(&press, off.get_untracked(), clock.read());
        if act.is_some_and(|act| perform(act, &focus, desk)) {
            event.prevent_default();
        }
    });
    on_cleanup(move || listener.remove());
    view! {
        <Palette/>
        <KeySheet off/>
    }
}

/// Whether there was anything to do.
fn perform(act: Act, focus: &Focus, desk: Desk) -> bool {
    match act {
        Act::Palette => desk.overlay.set(Some(Overlay::Palette)),
        Act::Keys => desk.overlay.set(Some(Overlay::Keys)),
        Act::Search if focus.search() => {}
        Act::Search => desk.overlay.set(Some(Overlay::Palette)),
        Act::Go(path) => go(path),
        Act::Move(step) => return focus.step(step),
        Act::Tick => return focus::tick(),
        Act::Open => return focus::open_row(),
        Act::Leave => return focus.leave_search(),
        Act::Back => return focus.back(),
    }
    true
}
