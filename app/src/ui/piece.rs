//! Pieces of the console's code that are loaded when they are wanted, which may fail: the network is away, or the server is of
//! another version by now and has no such file.

use std::{cell::Cell, time::Duration};

use leptos::{prelude::*, wasm_split::SplitLoaderError};
use wasm_bindgen::JsValue;

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(15);
const NOTICE: &str = "unloaded";

thread_local! {
    /// How many are waited for that have failed.
    static MISSING: Cell<usize> = const { Cell::new(0) };
}

#[derive(Debug)]
pub struct NotLoaded;

impl From<SplitLoaderError> for NotLoaded {
    fn from(_: SplitLoaderError) -> Self {
        Self
    }
}

/// A function whose body is a piece. With it, it is `async` and its answer a `Result<_, NotLoaded>`.
macro_rules! piece {
    ($(#[$about:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty)?) -> $answer:ty $body:block) => {
        $(#[$about])*
        #[cfg(feature = "hydrate")]
        #[leptos::wasm_split::wasm_split($name, wasm_split_path = leptos::wasm_split, fallible)]
        $vis fn $name($($arg: $type)?) -> Result<$answer, $crate::ui::NotLoaded> {
            Ok($body)
        }

        $(#[$about])*
        #[cfg(not(feature = "hydrate"))]
        $vis async fn $name($($arg: $type)?) -> Result<$answer, $crate::ui::NotLoaded> {
            leptos::prefetch_lazy_fn_on_server(stringify!($name));
            Ok($body)
        }
    };
}
pub(crate) use piece;

/// What a piece gives, tried again until it comes; the tab says so meanwhile. `wait` lets this time pass before the next try, and
/// says whether it is still wanted.
pub async fn loaded<T, F>(load: impl Fn() -> F, wait: impl AsyncFn(Duration) -> bool) -> Option<T>
where
    F: Future<Output = Result<T, NotLoaded>>,
{
    if let Ok(loaded) = load().await {
        return Some(loaded);
    }
    let _missing = Missing::tell();
    let mut pause = FIRST_WAIT;
    while wait(pause).await {
        if let Ok(loaded) = load().await {
            return Some(loaded);
        }
        pause = (pause * 2).min(LONGEST_WAIT);
    }
    None
}

/// One that has failed and is waited for.
struct Missing;

impl Missing {
    fn tell() -> Self {
        if MISSING.replace(MISSING.get() + 1) == 0 {
            let _ = show_notice();
        }
        Self
    }
}

impl Drop for Missing {
    fn drop(&mut self) {
        MISSING.set(MISSING.get() - 1);
        if MISSING.get() == 0
            && let Some(notice) = document().get_element_by_id(NOTICE)
        {
            notice.remove();
        }
    }
}

/// Beside the page, which may have no code yet.
fn show_notice() -> Result<(), JsValue> {
    let document = document();
    let element = |tag: &str, attributes: &[(&str, &str)], text: &str| {
        let element = document.create_element(tag)?;
        for (name, value) in attributes {
            element.set_attribute(name, value)?;
        }
        element.set_text_content(Some(text));
        Ok::<_, JsValue>(element)
    };
    let about = "A part of this page could not be loaded and is tried again. If the server was updated, ";
    let notice = element("p", &[("id", NOTICE), ("class", "unloaded"), ("role", "alert")], about)?;
    // Not for the router.
    let reload = element("a", &[("href", ""), ("rel", "external")], "reload the page")?;
    notice.append_child(&reload)?;
    document.body().ok_or(JsValue::NULL)?.append_child(&notice)?;
    Ok(())
}
