//! The parts of a view that change. A view is generic over every closure in it, and each closure of a type of its own
//! costs the wasm about 1 kB brotli; these share theirs. Boxed as traits of our own: a boxed `FnMut` has code for being
//! called as `FnOnce` too.

use std::{borrow::Cow, sync::Arc};

use leptos::prelude::*;

use super::view;

type Words = Cow<'static, str>;

/// A piece of the page that is drawn anew when what it read changes.
pub fn part(draw: impl FnMut() -> AnyView + Send + 'static) -> AnyView {
    drawn(Box::new(draw))
}

/// As [`part`], where there may be nothing to draw.
pub fn maybe(mut draw: impl FnMut() -> Option<AnyView> + Send + 'static) -> AnyView {
    part(move || or_nothing(draw()))
}

/// Words that change.
pub fn text<W: Into<Words>>(mut words: impl FnMut() -> W + Send + 'static) -> AnyView {
    written(Box::new(move || words().into()))
}

fn or_nothing(view: Option<AnyView>) -> AnyView {
    view.unwrap_or_else(|| ().into_any())
}

trait Draw: Send {
    fn draw(&mut self) -> AnyView;
}

impl<F: FnMut() -> AnyView + Send> Draw for F {
    fn draw(&mut self) -> AnyView {
        self()
    }
}

fn drawn(mut part: Box<dyn Draw>) -> AnyView {
    (move || part.draw()).into_any()
}

trait Write: Send {
    fn write(&mut self) -> Words;
}

impl<F: FnMut() -> Words + Send> Write for F {
    fn write(&mut self) -> Words {
        self()
    }
}

fn written(mut text: Box<dyn Write>) -> AnyView {
    (move || text.write()).into_any()
}

/// What the `view!` of this crate gives.
pub fn erased(view: View<impl RenderHtml>) -> AnyView {
    view.into_inner().into_any()
}

/// Views one after the other.
pub fn all(views: impl IntoIterator<Item = AnyView>) -> AnyView {
    views.into_iter().collect::<Vec<_>>().into_any()
}

/// One of a list's items: drawn once for as long as its key stays in the list.
#[derive(Clone)]
pub struct Item {
    key: String,
    draw: Arc<dyn DrawAgain>,
}

trait DrawAgain: Send + Sync {
    fn draw(&self) -> AnyView;
}

impl<F: Fn() -> AnyView + Send + Sync> DrawAgain for F {
    fn draw(&self) -> AnyView {
        self()
    }
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
    view! { <For each=items key=|item| item.key.clone() children=|item| item.draw.draw()/> }
}

/// What is drawn when its data has come; until then the nearest `Suspense` draws something else.
pub fn loaded<Fut>(mut load: impl FnMut() -> Fut + Send + 'static) -> AnyView
where
    Fut: Future<Output = AnyView> + Send + 'static,
{
    let draw: Box<dyn FnMut() -> Suspend<AnyView> + Send> = Box::new(move || Suspend::new(load()));
    draw.into_any()
}
