//! What is done to the document directly. In the browser only: from event handlers and [`effect`]s.

use leptos::prelude::*;
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
