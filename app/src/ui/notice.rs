use leptos::prelude::*;

use super::{Icon, Shape, view};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tone {
    Info,
    Warning,
    /// Announced at once.
    Error,
}

/// A sentence that stands out.
#[component]
pub fn Notice(tone: Tone, children: Children) -> impl IntoView {
    notice(tone, children())
}

pub fn notice(tone: Tone, content: AnyView) -> AnyView {
    let (class, shape, role) = match tone {
        Tone::Info => ("notice notice--info", Shape::Info, None),
        Tone::Warning => ("notice notice--warning", Shape::Triangle, None),
        Tone::Error => ("notice notice--error", Shape::Octagon, Some("alert")),
    };
    view! {
        <div class=class role=role>
            <Icon shape/>
            <div class="notice__text">{content}</div>
        </div>
    }
}
