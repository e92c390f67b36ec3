//! What is done to the document directly. In the browser only: from event handlers and [`effect`]s.

use std::{cell::RefCell, pin::Pin, rc::Rc, time::Duration};

use js_sys::{Function, Promise, Reflect};
use leptos::{prelude::*, task::spawn_local};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{HtmlDialogElement, HtmlElement, HtmlInputElement};

/// Runs in the browser once the component is there, and again when what it read changes. As [`Effect`], which is
/// generic over its closure.
pub fn effect(run: impl FnMut() + 'static) {
    boxed(Box::new(run));
}

/// A boxed `FnMut` has code for being called as `FnOnce` too.
trait Run {
    fn run(&mut self);
}

impl<F: FnMut()> Run for F {
    fn run(&mut self) {
        self();
    }
}

fn boxed(mut run: Box<dyn Run>) {
    Effect::new(move |_: Option<()>| run.run());
}

/// As `spawn_local`, which is generic over its future.
pub fn spawn(run: impl Future<Output = ()> + 'static) {
    spawn_boxed(Box::pin(run));
}

fn spawn_boxed(run: Pin<Box<dyn Future<Output = ()>>>) {
    spawn_local(run);
}

pub async fn sleep(wait: Duration) {
    let due = Promise::new(&mut |resolve: Function, _| {
        set_timeout(move || _ = resolve.call0(&JsValue::NULL), wait);
    });
    let _ = JsFuture::from(due).await;
}

/// Runs once for many calls, a moment after the first of them.
#[derive(Clone, Copy)]
pub struct Gathered {
    run: Callback<()>,
    wait: Duration,
    is_due: StoredValue<bool>,
}

impl Gathered {
    pub fn new(wait: Duration, run: impl Fn() + Send + Sync + 'static) -> Self {
        Self { run: Callback::new(move |()| run()), wait, is_due: StoredValue::new(false) }
    }

    pub fn call(self) {
        if self.is_due.try_get_value() != Some(false) {
            return;
        }
        self.is_due.set_value(true);
        let due = move || {
            if self.is_due.try_set_value(false).is_none() {
                self.run.run(());
            }
        };
        set_timeout(due, self.wait);
    }
}

/// Runs again and again in the browser, while somebody looks at the page and the current owner lives; at once when somebody
/// looks again.
pub fn every(interval: Duration, run: impl FnMut() + 'static) {
    ticking(interval, Box::new(run));
}

fn ticking(interval: Duration, run: Box<dyn Run>) {
    let run = Rc::new(RefCell::new(run));
    effect(move || {
        let timer = StoredValue::new(None::<IntervalHandle>);
        let start = {
            let run = run.clone();
            move || {
                let run = run.clone();
                let started = set_interval_with_handle(move || run.borrow_mut().run(), interval);
                timer.try_set_value(started.ok());
            }
        };
        if !document().hidden() {
            start();
        }
        let run = run.clone();
        let listener = window_event_listener_untyped("visibilitychange", move |_| {
            let ticks = timer.try_update_value(Option::take).flatten();
            if let Some(ticks) = ticks {
                ticks.clear();
            }
            if !document().hidden() {
                if ticks.is_none() {
                    run.borrow_mut().run();
                }
                start();
            }
        });
        on_cleanup(move || {
            if let Some(ticks) = timer.try_get_value().flatten() {
                ticks.clear();
            }
            listener.remove();
        });
    });
}

/// Keeps a dialog open for as long as it is wanted; `prepare` runs each time before it opens.
pub fn dialog_while(
    id: &'static str,
    mut is_wanted: impl FnMut() -> bool + 'static,
    mut prepare: impl FnMut() + 'static,
) {
    effect(move || {
        let is_wanted = is_wanted();
        let Some(dialog) = element::<HtmlDialogElement>(id) else { return };
        if is_wanted && !dialog.open() {
            prepare();
            let _ = dialog.show_modal();
        } else if !is_wanted && dialog.open() {
            dialog.close();
        }
    });
}

/// The element of this id, if it is there and a `T`.
pub fn element<T: JsCast>(id: &str) -> Option<T> {
    document().get_element_by_id(id)?.dyn_into().ok()
}

pub fn focus(id: &str) {
    if let Some(element) = element::<HtmlElement>(id) {
        let _ = element.focus();
    }
}

/// Goes to a page of the console as a press on a link to it would.
pub fn go(path: &str) {
    follow(path, false);
}

/// The same, in the place of this page.
pub fn go_instead(path: &str) {
    follow(path, true);
}

fn follow(path: &str, replace: bool) {
    let Ok(link) = document().create_element("a") else { return };
    let _ = link.set_attribute("href", path);
    if replace {
        let _ = link.set_attribute("data-noscroll", "");
        // The router reads it as a property.
        let _ = Reflect::set(&link, &JsValue::from_str("replace"), &JsValue::TRUE);
    }
    if let (Some(body), Some(link)) = (document().body(), link.dyn_ref::<HtmlElement>()) {
        let _ = body.append_child(link);
        link.click();
        link.remove();
    }
}

pub fn input_value(id: &str) -> String {
    element(id).map(|input: HtmlInputElement| input.value()).unwrap_or_default()
}

/// What is kept in this browser. None where the browser forbids it.
pub fn storage() -> Option<web_sys::Storage> {
    window().local_storage().ok().flatten()
}

/// What this browser keeps under a name. None where it forbids that.
pub fn kept(name: &str) -> Option<String> {
    window().local_storage().ok().flatten()?.get_item(name).ok().flatten()
}

pub fn keep(name: &str, value: &str) {
    if let Ok(Some(storage)) = window().local_storage() {
        let _ = storage.set_item(name, value);
    }
}
