//! Draws what the server wrote of a host's answer. All of it is text; each piece keeps its direction of writing to itself.

use leptos::prelude::*;

use super::{CopyLine, Tone, all, cell, notice, said, table, tag, tag_with, view, words};
use crate::model::sheet::{Part, Row, Table};

/// `filter`: rows without these words, which are in lower case, are hidden.
pub fn parts(parts: Vec<Part>, filter: Signal<String>) -> AnyView {
    all(parts.into_iter().map(|part| draw(part, filter)))
}

fn draw(part: Part, filter: Signal<String>) -> AnyView {
    match part {
        Part::Heading(words) => tag("h2", "", said(words)),
        Part::Text(words) => tag("p", "", said(words)),
        Part::Warning(words) => notice(Tone::Warning, said(words)),
        Part::Error(words) => notice(Tone::Error, said(words)),
        Part::Table(table) => rows(table, filter),
        Part::Fold(what, text) => {
            let summary = words("summary", "", what.clone());
            tag("details", "fold", all([summary, plain(what, text)]))
        }
        Part::Plain(text) => plain("Content".to_owned(), text),
        Part::Secret(what, line) => view! { <CopyLine line what/> },
        Part::Link(href, name) => {
            let class = ("class", "button button--small");
            // What is no page of the console is loaded by the browser.
            let link = if href.starts_with("/api/") {
                tag_with("a", &[class, ("href", &href), ("rel", "external")], name.into_any())
            } else {
                tag_with("a", &[class, ("href", &href)], name.into_any())
            };
            tag("p", "", link)
        }
        Part::Progress(words, percent) => progress(words, percent),
        // Forms need somebody to send them: `page::records` draws these.
        Part::Form(_) | Part::Figures(_) => ().into_any(),
    }
}

pub fn progress(words: String, percent: u8) -> AnyView {
    let value = percent.to_string();
    let attributes = [("max", "100"), ("value", value.as_str()), ("aria-label", words.as_str())];
    let bar = tag_with("progress", &attributes, ().into_any());
    tag("p", "onway", all([bar, said(words)]))
}

fn plain(what: String, text: String) -> AnyView {
    let code = tag_with("code", &[("dir", "ltr")], text.into_any());
    tag_with("pre", &[("class", "plain"), ("tabindex", "0"), ("role", "group"), ("aria-label", &what)], code)
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
        Some(href) => tag_with("a", &[("class", "row__host"), ("href", href)], said(head)),
        None => said(head),
    };
    let rest = all(cells.map(|(text, column)| cell(column, said(text))));
    view! {
        <tr class="row" role="row" hidden=move || !filter.with(|needle| row.matches(needle))>
            <th scope="row" role="rowheader">{ticked}{head}</th>
            {rest}
        </tr>
    }
}
