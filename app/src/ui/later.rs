//! Parts of a page that nobody needs at once: their code is loaded when they are wanted.

use std::{
    pin::Pin,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use leptos::prelude::*;

use super::{
    dom::{effect, sleep, spawn},
    maybe,
    piece::{NotLoaded, loaded as loaded_code},
};

/// Draws something, once its code is there.
pub type Drawn = Box<dyn FnOnce() -> AnyView + Send>;

/// What a piece is asked for, on its way.
pub type Code = Pin<Box<dyn Future<Output = Result<Drawn, NotLoaded>>>>;

/// Draws what `code`, a piece, gives: in the browser only, once it is wanted, and from then on. It is drawn in its place
/// and not where it is loaded, so that its effects find it in the document.
pub fn later<F>(
    is_wanted: impl Fn() -> bool + Send + Sync + 'static,
    code: impl Fn() -> F + Send + Sync + 'static,
) -> AnyView
where
    F: Future<Output = Result<Drawn, NotLoaded>> + 'static,
{
    drawn_later(Box::new(is_wanted), Box::new(move || Box::pin(code())))
}

fn drawn_later(
    is_wanted: Box<dyn Fn() -> bool + Send + Sync>,
    code: Box<dyn Fn() -> Code + Send + Sync>,
) -> AnyView {
    let (is_drawn, is_loaded) = (RwSignal::new(false), RwSignal::new(false));
    let loaded = StoredValue::new(Mutex::new(None::<Drawn>));
    let mut code = Some(code);
    effect(move || {
        if code.is_none() || !is_drawn.get() || !is_wanted() {
            return;
        }
        let Some(code) = code.take() else { return };
        // If the page is gone by then, so are these.
        spawn(async move {
            let drawn = loaded_code(&*code, async |wait| {
                sleep(wait).await;
                is_loaded.try_get_untracked().is_some()
            })
            .await;
            loaded.try_with_value(|loaded| *lock(loaded) = drawn);
            is_loaded.try_set(true);
        });
    });
    maybe(move || {
        // Effects run while the page's code still loads: without this it could be there when the page is taken over, which must find
        // what the server drew.
        if cfg!(not(feature = "ssr")) && !is_drawn.get_untracked() {
            set_timeout(move || _ = is_drawn.try_set(true), Duration::ZERO);
        }
        if !is_loaded.get() {
            return None;
        }
        let drawn = loaded.try_with_value(|loaded| lock(loaded).take()).flatten()?;
        Some(untrack(drawn))
    })
}

fn lock(loaded: &Mutex<Option<Drawn>>) -> std::sync::MutexGuard<'_, Option<Drawn>> {
    loaded.lock().unwrap_or_else(PoisonError::into_inner)
}
