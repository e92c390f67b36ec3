//! Parts of a page that nobody needs at once: their code is loaded when they are wanted.

use std::{
    mem,
    pin::Pin,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use leptos::{prelude::*, reactive::computed::ScopedFuture};

use super::{
    dom::{effect, spawn},
    maybe,
};

type Code = Pin<Box<dyn Future<Output = AnyView>>>;

/// Draws what `code`, a `#[lazy]` function, gives: in the browser only, once it is wanted, and from then on. It has the contexts of
/// where this is called.
pub fn later<F>(
    is_wanted: impl Fn() -> bool + Send + Sync + 'static,
    code: impl Fn() -> F + Send + Sync + 'static,
) -> AnyView
where
    F: Future<Output = AnyView> + 'static,
{
    drawn_later(Box::new(is_wanted), Box::new(move || Box::pin(code())))
}

fn drawn_later(
    is_wanted: Box<dyn Fn() -> bool + Send + Sync>,
    code: Box<dyn Fn() -> Code + Send + Sync>,
) -> AnyView {
    let (is_drawn, is_loaded) = (RwSignal::new(false), RwSignal::new(false));
    // A view can be sent and not shared.
    let view = StoredValue::new(Mutex::new(None::<AnyView>));
    let owner = Owner::current();
    let mut is_asked = false;
    effect(move || {
        if is_asked || !is_drawn.get() || !is_wanted() {
            return;
        }
        is_asked = true;
        let load = || {
            let code = ScopedFuture::new_untracked(code());
            spawn(async move {
                let code = code.await;
                view.try_with_value(|view| put(view, Some(code)));
                is_loaded.try_set(true);
            });
        };
        // Not of this effect, which ends when what it reads changes.
        match &owner {
            Some(owner) => owner.with(load),
            None => load(),
        }
    });
    maybe(move || {
        // Effects run while the page's code still loads: without this it could be there when the page is taken over, which must find
        // what the server drew.
        if cfg!(not(feature = "ssr")) && !is_drawn.get_untracked() {
            set_timeout(move || _ = is_drawn.try_set(true), Duration::ZERO);
        }
        if is_loaded.get() { view.try_with_value(|view| put(view, None)).flatten() } else { None }
    })
}

/// What was there before.
fn put(view: &Mutex<Option<AnyView>>, new: Option<AnyView>) -> Option<AnyView> {
    mem::replace(&mut *view.lock().unwrap_or_else(PoisonError::into_inner), new)
}
