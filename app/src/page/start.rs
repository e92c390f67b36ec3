//! The data that a page starts with: in the server's HTML on the first page of a tab, else fetched.

use std::{any::Any, pin::Pin, sync::Arc};

use leptos::{prelude::*, server::codee};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    api,
    error::ApiError,
    json,
    live::{Live, Mark},
    model::{Sheet, SheetOf},
    ui::{loaded, view},
};

/// What a page draws.
pub type Started<T> = Result<T, ApiError>;

pub type Draw<T> = fn(Started<T>, Mark) -> AnyView;

/// What a page can start with.
pub trait Data: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<T: Clone + Serialize + DeserializeOwned + Send + Sync + 'static> Data for T {}

/// Draws the page once its data is there, and anew when something else is asked for. The mark is from before the data was made.
pub fn start<T: Data, L>(
    asked: impl Fn() -> String + Send + Sync + 'static,
    load: impl Fn(String) -> L + Send + Sync + 'static,
    draw: Draw<T>,
) -> AnyView
where
    L: Future<Output = Started<T>> + Send + 'static,
{
    let load = move |asked| match asked {
        Asked::Text(text) => boxed(load(text)),
        Asked::Sheet(_) => boxed(async { Err::<T, _>(ApiError::Internal) }),
    };
    begin(Box::new(move || Asked::Text(asked())), Box::new(load), drawn(draw))
}

/// As [`start`], of a page that the server writes as a sheet.
pub fn start_sheet(of: impl Fn() -> SheetOf + Send + Sync + 'static, draw: Draw<Sheet>) -> AnyView {
    let load = |asked| match asked {
        Asked::Sheet(of) => boxed(api::sheet(of)),
        Asked::Text(_) => boxed(async { Err::<Sheet, _>(ApiError::Internal) }),
    };
    begin(Box::new(move || Asked::Sheet(of())), Box::new(load), drawn(draw))
}

// Below, all pages are of one type: what waits for their data is in the wasm once, and what reads it with its page.

#[derive(Clone, PartialEq)]
enum Asked {
    Text(String),
    Sheet(SheetOf),
}

type Loading = Pin<Box<dyn Future<Output = Started<Start>> + Send>>;

fn boxed<T: Data>(loading: impl Future<Output = Started<T>> + Send + 'static) -> Loading {
    Box::pin(async move { loading.await.map(Start::new) })
}

fn drawn<T: Data>(draw: Draw<T>) -> Box<dyn Fn(Started<Start>, Mark) -> AnyView + Send + Sync> {
    Box::new(move |started, mark| draw(started.and_then(Start::read), mark))
}

fn begin(
    asked: Box<dyn Fn() -> Asked + Send + Sync>,
    load: Box<dyn Fn(Asked) -> Loading + Send + Sync>,
    draw: Box<dyn Fn(Started<Start>, Mark) -> AnyView + Send + Sync>,
) -> AnyView {
    let live = Live::expect();
    // What is fetched has a mark of its own. What came with the page is older than its code, which may load for a while.
    let mark = StoredValue::new(Mark::START);
    let started = Resource::<Started<Start>, InPage>::new_with_options(
        asked,
        move |asked| {
            let loading = load(asked);
            // This is called for what came with the page too, and what it makes is not awaited then.
            async move {
                mark.try_set_value(live.mark());
                loading.await
            }
        },
        true,
    );
    let draw = Arc::new(draw);
    view! {
        <Suspense fallback=|| view! { <p class="muted" role="status">"Loading…"</p> }>
            {loaded(move || {
                let draw = draw.clone();
                async move { draw(started.await, mark.get_value()) }
            })}
        </Suspense>
    }
}

/// A page's data.
#[derive(Clone)]
enum Start {
    Loaded {
        value: Arc<dyn Any + Send + Sync>,
        #[cfg(feature = "ssr")]
        write: fn(&(dyn Any + Send + Sync)) -> serde_json::Result<String>,
    },
    /// As it stood in the page.
    Text(Arc<str>),
}

impl Start {
    fn new<T: Data>(value: T) -> Self {
        Self::Loaded {
            value: Arc::new(value),
            #[cfg(feature = "ssr")]
            write: |value| serde_json::to_string(&value.downcast_ref::<T>()),
        }
    }

    fn read<T: Data>(self) -> Started<T> {
        match self {
            Self::Loaded { value, .. } => {
                value.downcast().map(Arc::unwrap_or_clone).map_err(|_| ApiError::Internal)
            }
            Self::Text(text) => json::read(text.as_bytes()).map_err(|_| ApiError::Internal),
        }
    }
}

/// How it stands in the page: the data after a `+`, or what went wrong after a `-`.
enum InPage {}

impl codee::Encoder<Started<Start>> for InPage {
    type Error = serde_json::Error;
    type Encoded = String;

    #[cfg(feature = "ssr")]
    fn encode(started: &Started<Start>) -> serde_json::Result<String> {
        Ok(match started {
            Ok(Start::Loaded { value, write }) => ["+", &write(value.as_ref())?].concat(),
            Ok(Start::Text(text)) => ["+", text].concat(),
            Err(error) => ["-", &serde_json::to_string(error)?].concat(),
        })
    }

    /// Nobody reads a page that was written here.
    #[cfg(not(feature = "ssr"))]
    fn encode(_: &Started<Start>) -> serde_json::Result<String> {
        Ok(String::new())
    }
}

impl codee::Decoder<Started<Start>> for InPage {
    type Error = json::Malformed;
    type Encoded = str;

    fn decode(text: &str) -> Result<Started<Start>, json::Malformed> {
        if let Some(value) = text.strip_prefix('+') {
            return Ok(Ok(Start::Text(value.into())));
        }
        json::read(text.strip_prefix('-').ok_or(json::Malformed)?.as_bytes()).map(Err)
    }
}
