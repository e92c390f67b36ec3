//! `/`: the fleet. What is shown is in the address; a change of that loads another page of the list, and nothing else is drawn
//! anew.

mod columns;
mod filters;
mod list;
mod row;
mod selection;
mod strip;
mod views;

use std::time::Duration;

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_location;

use self::{
    columns::ColumnChooser, filters::Filters, list::Entry, row::Row, selection::SelectionBar, strip::Strip,
    views::SavedViews,
};
pub use self::{list::List, views::saved_views};
use super::{
    Problem,
    bulk_dialog::BulkDialog,
    code::{Access, access},
    problem,
    start::{Started, start},
};
use crate::{
    api,
    clock::mounted,
    live::Mark,
    model::{
        endpoint_query::{Column, EndpointQuery, Sort},
        fleet::FleetPage,
    },
    ui::{
        Icon, Item, Shape, all,
        dom::{Gathered, effect},
        later, list as items, maybe, part, text, view,
    },
};

const TYPING: Duration = Duration::from_millis(250);

#[component]
pub fn Endpoints() -> impl IntoView {
    let query = use_location().search.get_untracked();
    view! {
        <Title text="Endpoints"/>
        <div class="head">
            <h1>"Endpoints"</h1>
        </div>
        {start(move || query.clone(), api::endpoints, draw)}
    }
}

fn draw(started: Started<FleetPage>, mark: Mark) -> AnyView {
    match started {
        Ok(page) => view! { <Loaded page mark/> },
        Err(error) => view! { <Problem error/> },
    }
}

#[component]
fn Loaded(page: FleetPage, mark: Mark) -> impl IntoView {
    let started_empty = page.counts.all == 0;
    let list = List::new(page);
    list.follow(mark);
    let is_empty = Memo::new(move |_| list.counts.with(|counts| counts.all == 0));
    view! {
        {problem(list.failed)}
        {maybe(move || (!is_empty.get()).then(|| view! { <Fleet list/> }))}
        {started_empty.then(|| later(|| true, || access(Access::FirstEnrolment)))}
    }
}

#[component]
fn Fleet(list: List) -> impl IntoView {
    let draft = RwSignal::new(None);
    let hidden = move || {
        let query = list.query.read();
        let shown = query.columns();
        let hidden = Column::ALL.iter().filter(|column| !shown.contains(column));
        hidden.fold("table table--fleet".to_owned(), |class, column| [&class, " no-", column.word()].concat())
    };
    let rows = move || {
        let row =
            |entry: Entry| Item::new(entry.id.clone(), move || view! { <Row list entry=entry.clone()/> });
        list.rows.get().into_iter().map(row).collect()
    };
    let none_shown = Memo::new(move |_| list.rows.read().is_empty());
    view! {
        <Strip list/>
        <div class="toolbar">
            <div class="toolbar__search" role="search"><SearchField list/></div>
            <p class="toolbar__count" role="status">{text(move || list.count_words())}</p>
            <div class="toolbar__menus">
                <SavedViews list/>
                <ColumnChooser list/>
            </div>
        </div>
        <Filters list/>
        <SelectionBar list draft/>
        <BulkDialog draft/>
        {maybe(move || {
            let changed = list.changed.with(std::collections::BTreeSet::len);
            (changed > 0).then(|| {
                let words = if changed == 1 { "1 change, show".to_owned() } else { format!("{changed} changes, show") };
                view! {
                    <p class="news" role="status">
                        <button class="button button--small" type="button" on:click=move |_| list.load()>{words}</button>
                    </p>
                }
            })
        })}
        <div class="tablebox" on:pointermove=move |_| list.touch() on:focusin=move |_| list.touch()>
            <table class=hidden role="table">
                <caption class="visually-hidden">"Endpoints"</caption>
                <thead role="rowgroup">
                    <tr role="row">
                        <th scope="col" role="columnheader"><span class="visually-hidden">"Selected"</span></th>
                        {head(list, "host", "Host", Some(Sort::Host))}
                        {all(Column::ALL.iter().map(|column| head(list, column.word(), column.name(), column.sort())))}
                    </tr>
                </thead>
                <tbody role="rowgroup">{items(rows)}</tbody>
            </table>
            {maybe(move || {
                none_shown.get().then(|| view! {
                    <div class="empty">
                        <p>"No endpoint matches."</p>
                        <a class="button" href="/">"Clear the filter"</a>
                    </div>
                })
            })}
        </div>
        <nav class="pager" aria-label="Pages">
            {part(move || turn(list, "Previous page", list.previous.get()))}
            {part(move || turn(list, "Next page", list.next.get()))}
        </nav>
    }
}

fn turn(list: List, name: &'static str, cursor: Option<String>) -> AnyView {
    let Some(cursor) = cursor else { return ().into_any() };
    let query = EndpointQuery { cursor: Some(cursor), ..list.query.get() };
    view! { <a class="button" href=query.path()>{name}</a> }
}

fn head(list: List, word: &'static str, name: &'static str, sort: Option<Sort>) -> AnyView {
    let Some(sort) = sort else {
        return view! { <th scope="col" role="columnheader" data-column=word>{name}</th> };
    };
    let direction = move || {
        list.query.with(|query| match (query.sort == sort, query.descending) {
            (false, _) => None,
            (true, false) => Some("ascending"),
            (true, true) => Some("descending"),
        })
    };
    view! {
        <th scope="col" role="columnheader" data-column=word aria-sort=direction>
            <a class="sort" href=move || list.query.with(|query| query.sorted_by(sort).path())>{name}</a>
        </th>
    }
}

#[component]
fn SearchField(list: List) -> impl IntoView {
    let mounted = mounted();
    let typed = RwSignal::new(list.query.with_untracked(|query| query.text.clone()));
    // What was typed is ahead of the address for a moment; going back in the history is not.
    let sent = StoredValue::new(typed.get_untracked());
    effect(move || {
        let text = list.query.with(|query| query.text.clone());
        if sent.with_value(|sent| *sent != text) {
            sent.set_value(text.clone());
            typed.set(text);
        }
    });
    let search = Gathered::new(TYPING, move || {
        let text = typed.get_untracked().trim().to_owned();
        sent.set_value(text.clone());
        list.visit(EndpointQuery { text, ..list.query.get_untracked().from_start() }, true);
    });
    view! {
        <label class="search">
            <Icon shape=Shape::Search/>
            <span class="visually-hidden">"Filter endpoints"</span>
            <input
                class="input search__input" type="search" placeholder="Filter by host, address, system, label"
                autocomplete="off" spellcheck="false" maxlength="100" readonly=move || !mounted.get()
                prop:value=move || typed.get()
                on:input=move |event| {
                    typed.set(event_target_value(&event));
                    search.call();
                }
            />
        </label>
    }
}
