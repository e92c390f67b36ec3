use leptos::prelude::*;

use super::view;

/// Every status has a shape of its own, so that none is told by colour alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shape {
    Ring,
    ShieldCheck,
    Shield,
    Clock,
    Arrows,
    LockOpen,
    Triangle,
    Octagon,
    Question,
    Half,
    Dot,
    Hollow,
    Check,
    Cross,
    Slash,
    Copy,
    Pause,
    Info,
    Search,
    Back,
}

impl Shape {
    /// In a box of 16 by 16, drawn with a stroke of 1.5.
    fn path(self) -> &'static str {
        match self {
            Self::Ring => "M8 2.25a5.75 5.75 0 1 1 0 11.5a5.75 5.75 0 0 1 0-11.5zM8 7v2M7 8h2",
            Self::ShieldCheck => {
                "M8 1.75l5.25 2v4c0 3.2-2.2 5.6-5.25 6.5C4.95 13.35 2.75 10.95 2.75 7.75v-4zM5.6 8l1.7 1.7L10.6 6.4"
            }
            Self::Shield => "M8 1.75l5.25 2v4c0 3.2-2.2 5.6-5.25 6.5C4.95 13.35 2.75 10.95 2.75 7.75v-4z",
            Self::Clock => "M8 2.25a5.75 5.75 0 1 1 0 11.5a5.75 5.75 0 0 1 0-11.5zM8 4.75V8l2.25 1.5",
            Self::Arrows => {
                "M2.5 6.5A5.75 5.75 0 0 1 13 5M13.5 9.5A5.75 5.75 0 0 1 3 11M13.25 2v3.25H10M2.75 14v-3.25H6"
            }
            Self::LockOpen => "M3.25 7.25h9.5v6.5h-9.5zM5.25 7V4.75a2.75 2.75 0 0 1 5.3-1M8 9.75v1.5",
            Self::Triangle => "M8 2L14.5 13.5H1.5zM8 6.25v3.5M8 11.4v.2",
            Self::Octagon => {
                "M5.4 1.75h5.2l3.65 3.65v5.2l-3.65 3.65H5.4L1.75 10.6V5.4zM5.9 5.9l4.2 4.2M10.1 5.9l-4.2 4.2"
            }
            Self::Question => {
                "M8 2.25a5.75 5.75 0 1 1 0 11.5a5.75 5.75 0 0 1 0-11.5zM6.4 6.4a1.65 1.65 0 1 1 2.3 1.55c-.5.2-.7.5-.7 1M8 11v.2"
            }
            Self::Half => {
                "M8 1.75l5.25 2v4c0 3.2-2.2 5.6-5.25 6.5C4.95 13.35 2.75 10.95 2.75 7.75v-4zM8 1.75v12.5M8 5l4.5 0M8 8h4.9M8 11h3.5"
            }
            Self::Dot => "M8 5.5a2.5 2.5 0 1 1 0 5a2.5 2.5 0 0 1 0-5zM8 7.25v1.5",
            Self::Hollow => "M8 4.5a3.5 3.5 0 1 1 0 7a3.5 3.5 0 0 1 0-7z",
            Self::Check => "M3 8.5l3.25 3.25L13 5",
            Self::Cross => "M4 4l8 8M12 4l-8 8",
            Self::Slash => "M8 2.25a5.75 5.75 0 1 1 0 11.5a5.75 5.75 0 0 1 0-11.5zM4 12l8-8",
            Self::Copy => "M5.75 5.75h7.5v7.5h-7.5zM10.25 5.5V2.75h-7.5v7.5H5.5",
            Self::Pause => "M5.5 3.5v9M10.5 3.5v9",
            Self::Info => "M8 2.25a5.75 5.75 0 1 1 0 11.5a5.75 5.75 0 0 1 0-11.5zM8 7.25v3.75M8 5v.2",
            Self::Search => "M7 2.5a4.5 4.5 0 1 1 0 9a4.5 4.5 0 0 1 0-9zM10.4 10.4l3.35 3.35",
            Self::Back => "M9.5 3.5L5 8l4.5 4.5",
        }
    }
}

/// For the eye only; the word beside it says the same.
#[component]
pub fn Icon(#[prop(into)] shape: Signal<Shape>) -> impl IntoView {
    view! {
        <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
            <path d=move || shape.get().path()/>
        </svg>
    }
}
