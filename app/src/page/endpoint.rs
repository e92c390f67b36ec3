//! `/endpoints/:id`: one host.

mod asked;
mod channels;
mod charts;
mod facts;
mod isolation_panel;
mod notes;
mod resources;
mod rollback;
mod terms;
mod timeline;

use std::time::Duration;

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;

pub use self::charts::charts;
use self::{
    channels::ChannelsPanel, facts::Facts, isolation_panel::IsolationPanel, notes::NotesPanel,
    resources::Resources, timeline::Timeline,
};
use super::{
    Problem,
    code::Extra,
    start::{Started, start},
};
use crate::{
    api,
    error::ApiError,
    live::{Change, Live, Mark},
    model::{
        Command, Direction, Endpoint, EndpointLog, EndpointPage as Page, Notes, Rollback, log::Event,
        sheet::Progress,
    },
    ui::{
        ConnectionBadge, Icon, Shape, all,
        dom::{Gathered, effect, spawn},
        tag_with, view,
    },
};

#[component]
pub fn EndpointPage() -> impl IntoView {
    let params = use_params_map();
    start(move || params.read().get("id").unwrap_or_default(), api::endpoint, draw)
}

fn draw(started: Started<Page>, mark: Mark) -> AnyView {
    match started {
        Ok(page) => view! { <Loaded page mark/> },
        Err(ApiError::NotFound) => view! { <Unknown/> },
        Err(error) => view! {
            <Title text="Endpoint"/>
            <h1>"Endpoint"</h1>
            <Problem error/>
        },
    }
}

#[component]
fn Unknown() -> impl IntoView {
    view! {
        <Title text="No such endpoint"/>
        <h1>"There is no such endpoint"</h1>
        <p>"It was removed, or the link is wrong."</p>
        <p><a class="button" href="/">"All endpoints"</a></p>
    }
}

/// What changes on the page.
#[derive(Clone, Copy)]
struct Host {
    endpoint: RwSignal<Endpoint>,
    /// Newest first.
    commands: RwSignal<Vec<Command>>,
    /// Where older commands begin.
    older: RwSignal<Option<i64>>,
    rollback: RwSignal<Option<Rollback>>,
    notes: RwSignal<Notes>,
    /// Newest first.
    events: RwSignal<Vec<Event>>,
    /// Where older events begin.
    older_events: RwSignal<Option<i64>>,
    /// Of the command that told of it last.
    progress: RwSignal<Option<Progress>>,
}

#[component]
fn Loaded(page: Page, mark: Mark) -> impl IntoView {
    let host = Host {
        endpoint: RwSignal::new(page.endpoint),
        commands: RwSignal::new(page.commands.rows),
        older: RwSignal::new(page.commands.next),
        rollback: RwSignal::new(page.rollback),
        notes: RwSignal::new(page.log.notes),
        events: RwSignal::new(page.log.events.rows),
        older_events: RwSignal::new(page.log.events.next),
        progress: RwSignal::new(None),
    };
    let Host { endpoint, notes, .. } = host;
    follow(host, mark);
    let hostname = Memo::new(move |_| endpoint.with(|endpoint| endpoint.hostname.clone()));
    let (id, name) = endpoint.with_untracked(|endpoint| (endpoint.id.clone(), endpoint.hostname.clone()));
    view! {
        // The server writes the title last, when the page's own signals may be gone.
        <Title text=move || hostname.try_get().unwrap_or_else(|| name.clone())/>
        <nav class="crumbs" aria-label="Breadcrumb">
            <a href="/"><Icon shape=Shape::Back/>"Endpoints"</a>
        </nav>
        <div class="head">
            <h1>{hostname}</h1>
            <ConnectionBadge endpoint/>
            <span class="head__id mono">{id.clone()}</span>
            {more_pages(&id)}
        </div>
        <div class="columns">
            <div class="columns__main">
                <IsolationPanel host/>
                <Timeline host endpoint_id=id.clone()/>
            </div>
            <div class="columns__side">
                <ChannelsPanel endpoint/>
                <Facts endpoint/>
                <Resources endpoint/>
                <NotesPanel notes endpoint_id=id.clone()/>
                <section class="panel charts" aria-labelledby="charts-title">
                    <h2 id="charts-title">"Telemetry"</h2>
                    {Extra::Charts(id).draw()}
                </section>
            </div>
        </div>
    }
}

fn more_pages(id: &str) -> AnyView {
    let page = |name: &'static str, path: &str| {
        let href = format!("/endpoints/{id}/{path}");
        tag_with("a", &[("class", "button button--small"), ("href", &href)], name.into_any())
    };
    let pages = all([page("Processes", "processes"), page("Evidence", "evidence")]);
    tag_with("nav", &[("class", "asks"), ("aria-label", "More about this host")], pages)
}

fn follow(host: Host, mark: Mark) {
    let live = Live::expect();
    let id = host.endpoint.with_untracked(|endpoint| endpoint.id.clone());
    let look_again = Gathered::new(Duration::from_millis(200), {
        let id = id.clone();
        move || spawn(load_rollback(host, id.clone()))
    });
    // Neither has what is written about it: an endpoint tells something every 15 s.
    let read_log = Gathered::new(Duration::from_secs(1), {
        let id = id.clone();
        move || spawn(load_log(host, id.clone()))
    });
    effect(move || {
        let id = id.clone();
        live.follow(mark, move |change| match change {
            Change::Reset => spawn(reload(live, host, id.clone())),
            change => {
                let is_endpoint = matches!(change, Change::Endpoint(_));
                // What ends an isolation has no events of its own: the endpoint is told anew when it changes.
                if apply(host, &id, change) && is_endpoint {
                    read_log.call();
                    if may_end_by_itself(host) {
                        look_again.call();
                    }
                }
            }
        });
    });
}

/// On failure the next event or reset brings the page up to date.
async fn reload(live: Live, host: Host, id: String) {
    let (Ok(page), since) = live.load(api::endpoint(id.clone())).await else { return };
    host.endpoint.try_set(page.endpoint);
    host.commands.try_set(page.commands.rows);
    host.older.try_set(page.commands.next);
    host.rollback.try_set(page.rollback);
    put_log(host, page.log);
    for change in since {
        apply(host, &id, change);
    }
}

async fn load_rollback(host: Host, id: String) {
    if let Ok(found) = api::rollback_of(id).await
        && host.rollback.try_get_untracked().is_some_and(|known| known != found)
    {
        host.rollback.set(found);
    }
}

async fn load_log(host: Host, id: String) {
    if let Ok(found) = api::endpoint_log(id, None).await {
        put_log(host, found);
    }
}

/// What was loaded of older events stays.
fn put_log(host: Host, log: EndpointLog) {
    if host.notes.try_with_untracked(|known| *known != log.notes) == Some(true) {
        host.notes.set(log.notes);
    }
    let newest = |events: &Vec<Event>| events.first().map_or(0, |event| event.id);
    let Some(known) = host.events.try_with_untracked(newest) else { return };
    let new: Vec<Event> = log.events.rows.into_iter().filter(|event| event.id > known).collect();
    if !new.is_empty() {
        host.events.update(|events| _ = events.splice(0..0, new));
    }
}

fn may_end_by_itself(host: Host) -> bool {
    let isolated = |endpoint: &Endpoint| {
        endpoint.desired.as_ref().is_some_and(|desired| desired.direction == Direction::Isolate)
    };
    host.rollback.try_with_untracked(Option::is_some) == Some(true)
        || host.endpoint.try_with_untracked(isolated) == Some(true)
}

/// Whether the change was about this host.
fn apply(host: Host, id: &str, change: Change) -> bool {
    match change {
        Change::Endpoint(new) if new.id == id => _ = host.endpoint.try_set(*new),
        Change::Command(new) if new.endpoint_id == id => put(host.commands, host.older, *new),
        Change::Progress(now) if now.endpoint_id == id && !now.step.is_empty() => {
            host.progress.try_set(Some(*now));
        }
        Change::Endpoint(_) | Change::Command(_) | Change::Progress(_) | Change::Reset => return false,
    }
    true
}

/// Newest first. What is older than what was loaded comes with the rest.
fn put(commands: RwSignal<Vec<Command>>, older: RwSignal<Option<i64>>, new: Command) {
    let older = older.try_get_untracked().flatten();
    commands.try_update(|commands| match commands.iter_mut().find(|command| command.id == new.id) {
        Some(known) => *known = new,
        None if older.is_some_and(|older| new.id < older) => {}
        None => {
            let place = commands.partition_point(|command| command.id > new.id);
            commands.insert(place, new);
        }
    });
}
