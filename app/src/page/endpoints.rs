//! `/`: the fleet.

mod fleet;
mod row;
mod selection;
mod strip;

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use self::{
    fleet::{Entry, Fleet, Part},
    row::Row,
    selection::SelectionBar,
    strip::Strip,
};
use super::{
    Problem,
    enrol::EnrolPanel,
    order_dialog::OrderDialog,
    problem,
    start::{Page, Start, Started, start},
};
use crate::{
    api,
    clock::mounted,
    live::{Change, Live, Mark},
    model::{Endpoint, order::Sent},
    ui::{
        Icon, Item, Shape,
        dom::{effect, go, spawn},
        list, maybe, text, view,
        zone::set_address,
    },
};

#[component]
pub fn Endpoints() -> impl IntoView {
    view! {
        <Title text="Endpoints"/>
        <div class="head">
            <h1>"Endpoints"</h1>
        </div>
        {start(|| Page::Endpoints, draw)}
    }
}

fn draw(started: Started, mark: Mark) -> AnyView {
    match started {
        Ok(Start::Endpoints(endpoints)) => view! { <Loaded endpoints mark/> },
        Ok(_) => ().into_any(),
        Err(error) => view! { <Problem error/> },
    }
}

#[component]
fn Loaded(endpoints: Vec<Endpoint>, mark: Mark) -> impl IntoView {
    let started_empty = endpoints.is_empty();
    let fleet = Fleet::new(endpoints);
    let reloading_failed = RwSignal::new(None);
    follow(fleet, mark, reloading_failed);

    let query = use_query_map();
    let filter = RwSignal::new(query.read_untracked().get("q").unwrap_or_default());
    let show = RwSignal::new(Part::from_word(query.read_untracked().get_str("show").unwrap_or_default()));
    let mut is_first = true;
    effect(move || {
        let wanted = address(&filter.read(), show.get());
        if !std::mem::take(&mut is_first) {
            set_address(&wanted);
        }
    });
    let is_empty = Memo::new(move |_| fleet.is_empty());

    view! {
        {problem(reloading_failed)}
        {maybe(move || (!is_empty.get()).then(|| view! { <FleetTable fleet show filter/> }))}
        {started_empty.then(|| view! { <EnrolPanel first=true/> })}
    }
}

#[component]
fn FleetTable(fleet: Fleet, show: RwSignal<Part>, filter: RwSignal<String>) -> impl IntoView {
    let mounted = mounted();
    let shown = Memo::new(move |_| fleet.matching(&filter.read(), show.get()));
    let none_shown = Memo::new(move |_| shown.read().is_empty());
    let clear = move |_| {
        filter.set(String::new());
        show.set(Part::All);
    };
    let draft = RwSignal::new(None);
    let on_sent = move |(_, sent): (_, Sent)| match sent {
        Sent::Batch(id) => go(&format!("/batches/{id}")),
        Sent::Schedule(_) => go("/schedules"),
        Sent::Command(_) => {}
    };
    let rows = move || {
        let row = |entry: Entry| Item::new(entry.id.clone(), move || view! { <Row entry=entry.clone()/> });
        shown.get().into_iter().map(row).collect()
    };
    view! {
            <Strip fleet show/>
            <div class="toolbar" role="search">
                <label class="search">
                    <Icon shape=Shape::Search/>
                    <span class="visually-hidden">"Filter endpoints"</span>
                    <input
                        class="input search__input" type="search" placeholder="Filter by host, address, system"
                        autocomplete="off" spellcheck="false" readonly=move || !mounted.get() prop:value=move || filter.get()
                        on:input=move |event| filter.set(event_target_value(&event))
                    />
                </label>
                <p class="toolbar__count" role="status">
                    {text(move || {
                        let (shown, all) = (shown.read().len(), fleet.len());
                        if shown == all { format!("{all} endpoints") } else { format!("{shown} of {all} endpoints") }
                    })}
                </p>
            </div>
            <SelectionBar fleet filter show draft/>
            <OrderDialog draft offline=Signal::derive(move || fleet.selected_offline()) on_sent=Callback::new(on_sent)/>
            <div class="tablebox">
                <table class="table" role="table">
                    <caption class="visually-hidden">"Endpoints"</caption>
                    <thead role="rowgroup">
                        <tr role="row">
                            <th scope="col" role="columnheader"><span class="visually-hidden">"Selected"</span></th>
                            <th scope="col" role="columnheader">"Host"</th>
                            <th scope="col" role="columnheader">"Isolation"</th>
                            <th scope="col" role="columnheader">"Status"</th>
                            <th scope="col" role="columnheader">"Last seen"</th>
                            <th scope="col" role="columnheader">"System"</th>
                            <th scope="col" role="columnheader">"Address"</th>
                            <th scope="col" role="columnheader">"Agent"</th>
                        </tr>
                    </thead>
                    <tbody role="rowgroup">
                        {list(rows)}
                    </tbody>
                </table>
                {maybe(move || {
                    none_shown
                        .get()
                        .then(|| {
                            view! {
                                <div class="empty">
                                    <p>"No endpoint matches."</p>
                                    <button class="button" type="button" on:click=clear>"Clear the filter"</button>
                                </div>
                            }
                        })
                })}
            </div>
    }
}

/// Lays what happens over what was loaded.
fn follow(fleet: Fleet, mark: Mark, failed: RwSignal<Option<crate::error::ApiError>>) {
    let live = Live::expect();
    effect(move || {
        live.follow(mark, move |change| match change {
            Change::Endpoint(endpoint) => fleet.put(*endpoint),
            Change::Command(_) | Change::Progress(_) => {}
            Change::Reset => {
                spawn(async move {
                    let mark = live.mark();
                    match api::endpoints().await {
                        Ok(endpoints) => {
                            fleet.replace(endpoints);
                            for change in live.since(mark) {
                                if let Change::Endpoint(endpoint) = change {
                                    fleet.put(*endpoint);
                                }
                            }
                            failed.try_set(None);
                        }
                        Err(error) => _ = failed.try_set(Some(error)),
                    }
                });
            }
        });
    });
}

fn address(filter: &str, show: Part) -> String {
    let mut pairs = Vec::new();
    if !filter.is_empty() {
        pairs.push(format!("q={}", leptos_router::location::Url::escape(filter)));
    }
    if show != Part::All {
        pairs.push(format!("show={}", show.word()));
    }
    if pairs.is_empty() { "/".to_owned() } else { format!("/?{}", pairs.join("&")) }
}
