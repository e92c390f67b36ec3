use leptos::prelude::*;

use crate::{
    model::record::Figure,
    ui::{all, tag, view, words},
};

/// Each with its last hour as a line. The line says nothing that the words do not: who cannot see it misses its shape.
pub fn figures(figures: Vec<Figure>) -> AnyView {
    tag("ul", "figures", all(figures.into_iter().map(figure)))
}

fn figure(figure: Figure) -> AnyView {
    let line = figure.line();
    let Figure { name, words: now, about, points } = figure;
    let most = points.iter().max().copied().unwrap_or_default();
    let drawn = (most > 0 && points.len() > 1).then(|| {
        view! {
            <svg
                class="figure__line" viewBox="0 0 60 20" preserveAspectRatio="none" aria-hidden="true" focusable="false"
            >
                <polyline points=line></polyline>
            </svg>
        }
    });
    let parts = [
        Some(words("h2", "figure__name", name)),
        Some(words("p", "figure__now", now)),
        drawn,
        Some(words("p", "figure__about", about)),
    ];
    tag("li", "figure", all(parts.into_iter().flatten()))
}
