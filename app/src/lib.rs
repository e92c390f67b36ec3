//! The dashboard. Compiled twice: with `ssr` into the server, which renders the first HTML and runs the functions in
//! [`api`], and with `hydrate` into the wasm that takes the page over in the browser.

// A view's type nests as deep as its elements do.
#![recursion_limit = "256"]

pub mod api;
mod app;
mod clock;
mod codec;
pub mod error;
mod json;
mod live;
pub mod model;
mod page;
#[cfg(feature = "ssr")]
mod shell;
mod ui;

pub use app::App;
#[cfg(feature = "ssr")]
pub use shell::shell;
