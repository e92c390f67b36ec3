//! The parts of a view that change. A view is generic over every closure in it, and each closure of a type of its own
//! costs the wasm about 1 kB brotli; these three share theirs.

use std::{borrow::Cow, sync::Arc};

use leptos::prelude::*;

pub type Part = Box<dyn FnMut() -> AnyView + Send>;
pub type Text = Box<dyn FnMut() -> Cow<'static, str> + Send>;

/// A piece of the page that is drawn anew when what it read changes.
pub fn part(draw: impl FnMut() -> AnyView + Send + 'static) -> Part {
    Box::new(draw)
}

/// As [`part`], where there may be nothing to draw.
pub fn maybe(mut draw: impl FnMut() -> Option<AnyView> + Send + 'static) -> Part {
    Box::new(move || draw().unwrap_or_else(|| ().into_any()))
}

/// Words that change.
pub fn text<Words: Into<Cow<'static, str>>>(mut words: impl FnMut() -> Words + Send + 'static) -> Text {
    Box::new(move || words().into())
}

/// Views one after the other.
pub fn all(views: impl IntoIterator<Item = AnyView>) -> AnyView {
    views.into_iter().collect::<Vec<_>>().into_any()
}

/// One of a list's items: drawn once for as long as its key stays in the list.
#[derive(Clone)]
pub struct Item {
    key: String,
    draw: Arc<dyn Fn() -> AnyView + Send + Sync>,
}

impl Item {
    pub fn new(key: String, draw: impl Fn() -> AnyView + Send + Sync + 'static) -> Self {
        Self { key, draw: Arc::new(draw) }
    }
}

/// Items by their keys.
pub fn list(items: impl Fn() -> Vec<Item> + Send + Sync + 'static) -> AnyView {
    keyed(Box::new(items))
}

fn keyed(items: Box<dyn Fn() -> Vec<Item> + Send + Sync>) -> AnyView {
    view! { <For each=items key=|item| item.key.clone() children=|item| (item.draw)()/> }.into_any()
}

/// What is drawn when its data has come; until then the nearest `Suspense` draws something else.
pub fn loaded<Fut>(mut load: impl FnMut() -> Fut + Send + 'static) -> AnyView
where
    Fut: Future<Output = AnyView> + Send + 'static,
{
    let draw: Box<dyn FnMut() -> Suspend<AnyView> + Send> = Box::new(move || Suspend::new(load()));
    draw.into_any()
}
