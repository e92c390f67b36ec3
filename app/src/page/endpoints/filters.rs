use leptos::prelude::*;

use super::list::List;
use crate::{
    model::{
        endpoint_query::EndpointQuery,
        fleet::{Counts, Filter},
    },
    ui::{all, maybe, part, text, view},
};

/// What the list can be narrowed down by, with how many endpoints each value would leave; and what it is narrowed down by.
#[component]
pub fn Filters(list: List) -> impl IntoView {
    let chosen = Memo::new(move |_| {
        let (query, counts) = (list.query.read(), list.filters.read());
        let mut chosen = Vec::new();
        for filter in counts.filters.iter().map(|filter| filter.word.as_str()) {
            chosen.extend(values(&query, filter).into_iter().map(|value| (filter.to_owned(), value)));
        }
        chosen
    });
    let chip = move |(word, value): (String, String)| {
        let filter = Filter { word, values: Vec::new() };
        let words = format!("{}: {}", filter.title(), filter.name(&value));
        let without = list.query.with(|query| query.toggled(&filter.word, &value).path());
        view! {
            <a class="chip" href=without>
                <bdi>{words}</bdi>
                <span class="visually-hidden">", remove"</span>
                <span aria-hidden="true">" ×"</span>
            </a>
        }
    };
    view! {
        <details class="fold filters">
            <summary>
                {text(move || match chosen.read().len() { 0 => "Filters".to_owned(), count => format!("Filters ({count})") })}
            </summary>
            <div class="filters__all">
                {part(move || {
                    let query = list.query.get();
                    list.filters.with(|counts| all(groups(&query, counts)))
                })}
            </div>
        </details>
        {maybe(move || {
            let chosen = chosen.get();
            (!chosen.is_empty()).then(|| view! {
                <p class="chips">
                    {all(chosen.into_iter().map(chip))}
                    <a class="chip chip--quiet" href="/">"Clear all"</a>
                </p>
            })
        })}
    }
}

/// Those that are chosen.
fn values(query: &EndpointQuery, filter: &str) -> Vec<String> {
    let words = |words: Vec<&'static str>| words.into_iter().map(str::to_owned).collect();
    match filter {
        "label" => query.labels.clone(),
        "os" => query.os.clone(),
        "version" => query.versions.clone(),
        "status" => words(query.status.iter().map(|one| one.word()).collect()),
        "isolation" => words(query.isolation.iter().map(|one| one.word()).collect()),
        "seen" => words(query.seen.iter().map(|one| one.word()).collect()),
        _ => Vec::new(),
    }
}

fn groups(query: &EndpointQuery, counts: &Counts) -> Vec<AnyView> {
    let group = |filter: &Filter| {
        let value = |one: &crate::model::fleet::FilterValue| {
            let is_on = query.has(&filter.word, &one.value);
            let href = query.toggled(&filter.word, &one.value).path();
            view! {
                <li>
                    <a class="filter" href=href aria-current=is_on.then_some("true")>
                        <bdi>{filter.name(&one.value).to_owned()}</bdi>
                        <span class="filter__count">{one.count.to_string()}</span>
                    </a>
                </li>
            }
        };
        let shown = filter.values.iter().filter(|one| one.count > 0 || query.has(&filter.word, &one.value));
        view! {
            <section class="filters__group" aria-label=filter.title()>
                <h2>{filter.title()}</h2>
                <ul>{all(shown.map(value))}</ul>
            </section>
        }
    };
    counts.filters.iter().filter(|filter| !filter.values.is_empty()).map(group).collect()
}
