use std::{cell::RefCell, rc::Rc};

use leptos::prelude::*;
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{Element, HtmlElement, MutationObserver, MutationObserverInit};

use crate::ui::dom::focus;

/// Where the focus is, was and should be.
#[derive(Default)]
pub struct Focus(RefCell<Kept>);

#[derive(Default)]
struct Kept {
    /// What had it last, outside of dialogs, and the page and the row that this is in.
    last: Option<HtmlElement>,
    main: Option<HtmlElement>,
    row: Option<usize>,
    before_search: Option<HtmlElement>,
    /// By the path of a page: where the link leads to that had the focus there last.
    left: Vec<(String, String)>,
    path: String,
    /// Pages that were shown since the first one.
    steps: usize,
    is_going_back: bool,
    /// The link that is to have the focus once it is there.
    returning: Option<String>,
}

/// Listens for as long as the tab is there.
pub fn watch(focus: &Rc<Focus>) {
    focus.0.borrow_mut().path = path();
    let on = |event: &str, run: fn(&Focus, Option<Element>)| {
        let focus = focus.clone();
        let listener = Closure::<dyn Fn(web_sys::Event)>::new(move |event: web_sys::Event| {
            run(&focus, event.target().and_then(|target| target.dyn_into().ok()));
        });
        let listener = listener.into_js_value();
        // In the capturing phase: a dialog's `close` does not bubble.
        let _ = document().add_event_listener_with_callback_and_bool(event, listener.unchecked_ref(), true);
    };
    on("focusin", |focus, target| {
        if let Some(target) = target {
            focus.note(target);
        }
    });
    on("pointerdown", |focus, target| focus.point(target.as_ref()));
    on("close", |focus, _| focus.restore());
    let going_back = {
        let focus = focus.clone();
        move |_| focus.0.borrow_mut().is_going_back = true
    };
    let _ = window_event_listener_untyped("popstate", going_back);
    let changed = {
        let focus = focus.clone();
        Closure::<dyn Fn()>::new(move || focus.page_changed()).into_js_value()
    };
    if let (Ok(observer), Some(body)) = (MutationObserver::new(changed.unchecked_ref()), document().body()) {
        let what = MutationObserverInit::new();
        what.set_child_list(true);
        what.set_subtree(true);
        let _ = observer.observe_with_options(&body, &what);
    }
}

impl Focus {
    fn note(&self, target: Element) {
        if closest(&target, "dialog").is_some() {
            return;
        }
        let rows = rows();
        let row = closest(&target, ROW);
        let mut kept = self.0.borrow_mut();
        kept.row = row.as_ref().and_then(|row| rows.iter().position(|other| other == row));
        kept.main = closest(&target, "main");
        if let Some(href) = row.and_then(|row| link_of(&row)?.get_attribute("href")) {
            let path = path();
            kept.left.retain(|(other, _)| *other != path);
            kept.left.push((path, href));
        }
        kept.last = target.dyn_into().ok();
    }

    /// A press beside everything leaves the focus nowhere, as it should.
    fn point(&self, target: Option<&Element>) {
        for menu in all("details.menu[open]") {
            if !menu.contains(target.map(AsRef::as_ref)) {
                let _ = menu.remove_attribute("open");
            }
        }
        let mut kept = self.0.borrow_mut();
        if !kept.last.as_ref().is_some_and(|last| last.contains(target.map(AsRef::as_ref))) {
            kept.last = None;
        }
    }

    fn page_changed(&self) {
        let path = path();
        let mut kept = self.0.borrow_mut();
        if kept.path != path {
            let is_going_back = std::mem::take(&mut kept.is_going_back);
            let left = kept.left.iter().find(|(other, _)| *other == path).map(|(_, href)| href.clone());
            kept.returning = left.filter(|_| is_going_back);
            kept.path = path;
            kept.steps += 1;
        }
        let returning = kept.returning.clone();
        drop(kept);
        if let Some(href) = returning {
            self.return_to(&href);
        }
        let is_lost = self.0.borrow().last.as_ref().is_some_and(|last| !last.is_connected());
        if is_lost {
            self.restore();
        }
    }

    /// Unless the operator has gone elsewhere in the meantime.
    fn return_to(&self, href: &str) {
        let is_waiting = active().is_none_or(|active| active.id() == "main");
        let links = rows().into_iter().filter_map(|row| link_of(&row));
        let link = links.into_iter().find(|link| link.get_attribute("href").as_deref() == Some(href));
        if !is_waiting || link.is_some() {
            self.0.borrow_mut().returning = None;
        }
        if let Some(link) = link.filter(|_| is_waiting) {
            let _ = link.focus();
        }
    }

    /// What had the focus is gone, or lies under a dialog that has closed.
    fn restore(&self) {
        if active().is_some() {
            return;
        }
        let (last, main, row) = {
            let mut kept = self.0.borrow_mut();
            (kept.last.take(), kept.main.clone(), kept.row)
        };
        // Another page takes the focus itself.
        if main.is_some_and(|main| !main.is_connected()) {
            return;
        }
        if let Some(last) = last.filter(|last| last.is_connected()) {
            let _ = last.focus();
        } else if let Some(row) = row {
            let rows = rows();
            if let Some(row) = rows.get(row).or(rows.last()) {
                enter(row);
            }
        }
        if active().is_none() {
            focus("main");
        }
    }

    pub fn step(&self, by: isize) -> bool {
        let rows = rows();
        let Some(last) = rows.len().checked_sub(1) else { return false };
        let here = active().and_then(|active| closest(&active, ROW));
        let here = here.and_then(|here| rows.iter().position(|row| *row == here));
        let next = match here {
            Some(here) => here.saturating_add_signed(by),
            None => self.0.borrow().row.unwrap_or(if by < 0 { last } else { 0 }),
        };
        enter(&rows[next.min(last)]);
        true
    }

    /// Goes to the page's own search, if it has one.
    pub fn search(&self) -> bool {
        let Some(field) = all("main input[type=search]").into_iter().next() else { return false };
        self.0.borrow_mut().before_search = active();
        field.focus().is_ok()
    }

    pub fn leave_search(&self) -> bool {
        let Some(field) = active().filter(|active| active.matches("input[type=search]").unwrap_or(false))
        else {
            return false;
        };
        let before = self.0.borrow_mut().before_search.take().filter(|before| before.is_connected());
        let _ = match before {
            Some(before) => before.focus(),
            None => field.blur(),
        };
        true
    }

    /// Closes a menu; else leaves the page of one thing for the list that it was opened from.
    pub fn back(&self) -> bool {
        if let Some(menu) = all("details.menu[open]").into_iter().next() {
            let _ = menu.remove_attribute("open");
            if let Ok(Some(summary)) = menu.query_selector("summary") {
                let _ = summary.unchecked_into::<HtmlElement>().focus();
            }
            return true;
        }
        let Some(up) = all("main .crumbs a").into_iter().next() else { return false };
        let mut kept = self.0.borrow_mut();
        kept.is_going_back = true;
        let has_come_from_here = kept.steps > 0;
        drop(kept);
        match window().history() {
            Ok(history) if has_come_from_here => _ = history.back(),
            _ => up.click(),
        }
        true
    }
}

const ROW: &str = "[role=row]";

/// Those of the page's tables that can be seen.
fn rows() -> Vec<HtmlElement> {
    let mut rows = all("main [role=table] tbody [role=row]");
    rows.retain(|row| row.offset_height() > 0);
    rows
}

fn all(selector: &str) -> Vec<HtmlElement> {
    let Ok(found) = document().query_selector_all(selector) else { return Vec::new() };
    (0..found.length()).filter_map(|index| found.item(index)?.dyn_into().ok()).collect()
}

fn closest(element: &Element, selector: &str) -> Option<HtmlElement> {
    element.closest(selector).ok()??.dyn_into().ok()
}

fn first(within: &Element, selector: &str) -> Option<HtmlElement> {
    within.query_selector(selector).ok()??.dyn_into().ok()
}

fn link_of(row: &Element) -> Option<HtmlElement> {
    first(row, "a[href]")
}

/// Puts the focus into a row: on its link, or what else can be acted on there, or itself.
fn enter(row: &HtmlElement) {
    let target = link_of(row).or_else(|| first(row, "button:not([disabled]), input:not([disabled])"));
    let target = target.unwrap_or_else(|| {
        let _ = row.set_attribute("tabindex", "-1");
        row.clone()
    });
    let _ = target.focus();
}

/// What has the focus; None: nothing in particular.
fn active() -> Option<HtmlElement> {
    let active = document().active_element().filter(|active| active.tag_name() != "BODY")?;
    // A closed dialog keeps it in some browsers.
    active.dyn_into().ok().filter(|active: &HtmlElement| closest(active, "dialog:not([open])").is_none())
}

fn path() -> String {
    window().location().pathname().unwrap_or_default()
}

pub fn is_typing() -> bool {
    const TYPING: &str = "textarea, select, [contenteditable], \
                          input:not([type=checkbox]):not([type=radio]):not([type=button]):not([type=submit])";
    active().is_some_and(|active| active.matches(TYPING).unwrap_or(false))
}

pub fn dialog_is_open() -> bool {
    matches!(document().query_selector("dialog[open]"), Ok(Some(_)))
}

/// Ticks the row that has the focus.
pub fn tick() -> bool {
    let row = active().and_then(|active| closest(&active, ROW));
    let tick = row.and_then(|row| first(&row, "input[type=checkbox]:not([disabled])"));
    tick.map(|tick| tick.click()).is_some()
}

/// On a tick: follows the link of its row. Everything else has its own meaning for the key.
pub fn open_row() -> bool {
    let tick = active().filter(|active| active.matches("input[type=checkbox]").unwrap_or(false));
    let row = tick.and_then(|tick| closest(&tick, ROW));
    let link = row.and_then(|row| link_of(&row));
    link.map(|link| link.click()).is_some()
}
