//! Draws what the server wrote of a host's answer. All of it is text; each piece keeps its direction of writing to itself.

use leptos::prelude::*;

use super::{CopyLine, Notice, Tone, all, cell, table, view};
use crate::model::sheet::{Part, Row, Table};

/// `filter`: rows without these words, which are in lower case, are hidden.
pub fn parts(parts: Vec<Part>, filter: Signal<String>) -> AnyView {
    all(parts.into_iter().map(|part| draw(part, filter)))
}

fn draw(part: Part, filter: Signal<String>) -> AnyView {
    match part {
        Part::Heading(words) => view! { <h2><bdi>{words}</bdi></h2> },
        Part::Text(words) => view! { <p><bdi>{words}</bdi></p> },
        Part::Warning(words) => view! { <Notice tone=Tone::Warning><bdi>{words}</bdi></Notice> },
        Part::Error(words) => view! { <Notice tone=Tone::Error><bdi>{words}</bdi></Notice> },
        Part::Table(table) => rows(table, filter),
        Part::Fold(what, text) => view! {
            <details class="fold">
                <summary>{what.clone()}</summary>
                {plain(what, text)}
            </details>
        },
        Part::Plain(text) => plain("Content".to_owned(), text),
        Part::Secret(what, line) => view! { <CopyLine line what/> },
        // Never a page of the console's own but for those that this page could have linked to itself.
        Part::Link(href, name) => {
            let is_page = !href.starts_with("/api/");
            view! { <p><a class="button button--small" href=href rel=(!is_page).then_some("external")>{name}</a></p> }
        }
        Part::Progress(words, percent) => progress(words, percent),
    }
}

pub fn progress(words: String, percent: u8) -> AnyView {
    view! {
        <p class="onway">
            <progress max="100" value=percent.to_string() aria-label=words.clone()></progress>
            <bdi>{words}</bdi>
        </p>
    }
}

fn plain(what: String, text: String) -> AnyView {
    view! { <pre class="plain" tabindex="0" role="group" aria-label=what><code dir="ltr">{text}</code></pre> }
}

fn rows(Table { caption, columns, rows, tick }: Table, filter: Signal<String>) -> AnyView {
    let names: Vec<&str> = columns.iter().map(String::as_str).collect();
    let drawn = all(rows.into_iter().map(|one| row(one, &names, &tick, filter)));
    table(&caption, &names, drawn)
}

fn row(row: Row, columns: &[&str], tick: &str, filter: Signal<String>) -> AnyView {
    let mut cells = row.cells.iter().cloned().zip(columns);
    let head = cells.next().map(|(name, _)| name).unwrap_or_default();
    let ticked = row.value.clone().map(|value| {
        view! {
            <input
                class="tick" type="checkbox" name=tick.to_owned() value=value checked=row.is_ticked
                aria-label=row.cells[..row.cells.len().min(2)].join(" ")
            />
        }
    });
    let head = match &row.href {
        Some(href) => view! { <a class="row__host" href=href.clone()><bdi>{head}</bdi></a> },
        None => view! { <bdi>{head}</bdi> },
    };
    let rest = all(cells.map(|(text, column)| cell(column, view! { <bdi>{text}</bdi> })));
    view! {
        <tr class="row" role="row" hidden=move || !filter.with(|needle| row.matches(needle))>
            <th scope="row" role="rowheader">{ticked}{head}</th>
            {rest}
        </tr>
    }
}
