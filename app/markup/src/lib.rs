//! Leptos for the dashboard: the same, but that elements share one type and attributes another.
//!
//! Leptos has a type for every tag and for every attribute's name, and what draws, takes over and draws anew is in the wasm once a
//! type. Here a tag and a name are values. `view!` finds what it needs by paths that begin with `::leptos`, which is why the
//! dashboard depends on this crate under that name: what is defined here goes before what is handed on.

pub use ::leptos::*;

mod attributes;

pub mod prelude {
    pub use ::leptos::prelude::*;

    pub use crate::attributes::{AriaAttributes, CustomAttribute, GlobalAttributes};
}

pub mod tachys {
    pub use ::leptos::tachys::*;

    pub mod html {
        pub use ::leptos::tachys::html::*;

        pub mod element;
    }
}

pub use tachys::html::element as html;
