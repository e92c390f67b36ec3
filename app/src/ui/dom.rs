//! What is done to the document directly. In the browser only: from event handlers and [`effect`]s.

use std::{pin::Pin, time::Duration};

use leptos::{prelude::*, task::spawn_local};
use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, HtmlInputElement};

/// Runs in the browser once the component is there, and again when what it read changes. As [`Effect`], which is
/// generic over its closure.
pub fn effect(run: impl FnMut() + 'static) {
    boxed(Box::new(run));
}

fn boxed(mut run: Box<dyn FnMut()>) {
    Effect::new(move |_: Option<()>| run());
}

/// As `spawn_local`, which is generic over its future.
pub fn spawn(run: impl Future<Output = ()> + 'static) {
    spawn_boxed(Box::pin(run));
}

fn spawn_boxed(run: Pin<Box<dyn Future<Output = ()>>>) {
    spawn_local(run);
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

/// Runs again and again in the browser, while somebody looks at the page and the current owner lives.
pub fn every(interval: Duration, run: impl Fn() + 'static) {
    let run: Box<dyn Fn()> = Box::new(run);
    let mut run = Some(run);
    effect(move || {
        let Some(run) = run.take() else { return };
        let tick = move || {
            if !document().hidden() {
                run();
            }
        };
        if let Ok(ticking) = set_interval_with_handle(tick, interval) {
            on_cleanup(move || ticking.clear());
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

pub fn input_value(id: &str) -> String {
    element(id).map(|input: HtmlInputElement| input.value()).unwrap_or_default()
}
