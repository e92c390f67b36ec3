//! `/endpoints/:id`: one host.

mod facts;
mod isolation_panel;
mod order_dialog;
mod resources;
mod timeline;

use leptos::{prelude::*, task::spawn_local};
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;

use self::{facts::Facts, isolation_panel::IsolationPanel, resources::Resources, timeline::Timeline};
use super::Problem;
use crate::{
    api,
    codec::PageJson,
    error::ApiError,
    live::{Change, Live, Mark},
    model::{Command, Endpoint, EndpointPage as Page},
    ui::{ConnectionBadge, Icon, Shape, dom::effect, loaded},
};

#[component]
pub fn EndpointPage() -> impl IntoView {
    let live = Live::expect();
    let params = use_params_map();
    let id = Memo::new(move |_| params.read().get("id").unwrap_or_default());
    let mark = StoredValue::new(live.mark());
    let page = Resource::<_, PageJson>::new_with_options(
        move || id.get(),
        move |id| {
            mark.set_value(live.mark());
            api::endpoint(id)
        },
        true,
    );
    view! {
        <Suspense fallback=|| view! { <p class="muted" role="status">"Loading the endpoint…"</p> }>
            {loaded(move || async move {
                match page.await {
                    Ok(page) => view! { <Loaded page mark=mark.get_value()/> }.into_any(),
                    Err(ApiError::NotFound) => view! { <Unknown/> }.into_any(),
                    Err(error) => view! {
                        <Title text="Endpoint"/>
                        <h1>"Endpoint"</h1>
                        <Problem error/>
                    }
                    .into_any(),
                }
            })}
        </Suspense>
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

#[component]
fn Loaded(page: Page, mark: Mark) -> impl IntoView {
    let endpoint = RwSignal::new(page.endpoint);
    let commands = RwSignal::new(page.commands);
    follow(endpoint, commands, mark);
    let hostname = Memo::new(move |_| endpoint.with(|endpoint| endpoint.hostname.clone()));
    let id = endpoint.with_untracked(|endpoint| endpoint.id.clone());
    view! {
        <Title text=move || hostname.get()/>
        <nav class="crumbs" aria-label="Breadcrumb">
            <a href="/"><Icon shape=Shape::Back/>"Endpoints"</a>
        </nav>
        <div class="head">
            <h1>{hostname}</h1>
            <ConnectionBadge endpoint/>
            <span class="head__id mono">{id}</span>
        </div>
        <div class="columns">
            <div class="columns__main">
                <IsolationPanel endpoint/>
                <Timeline commands/>
            </div>
            <div class="columns__side">
                <Facts endpoint/>
                <Resources endpoint/>
            </div>
        </div>
    }
}

fn follow(endpoint: RwSignal<Endpoint>, commands: RwSignal<Vec<Command>>, mark: Mark) {
    let live = Live::expect();
    let id = endpoint.with_untracked(|endpoint| endpoint.id.clone());
    effect(move || {
        let id = id.clone();
        live.follow(mark, move |change| match change {
            Change::Reset => {
                let id = id.clone();
                spawn_local(async move {
                    let mark = live.mark();
                    // On failure the next event or reset brings the page up to date.
                    let Ok(page) = api::endpoint(id.clone()).await else { return };
                    endpoint.try_set(page.endpoint);
                    commands.try_set(page.commands);
                    for change in live.since(mark) {
                        apply(endpoint, commands, &id, change);
                    }
                });
            }
            change => apply(endpoint, commands, &id, change),
        });
    });
}

fn apply(endpoint: RwSignal<Endpoint>, commands: RwSignal<Vec<Command>>, id: &str, change: Change) {
    match change {
        Change::Endpoint(new) if new.id == id => _ = endpoint.try_set(*new),
        Change::Command(new) if new.endpoint_id == id => put(commands, *new),
        Change::Endpoint(_) | Change::Command(_) | Change::Reset => {}
    }
}

/// Newest first.
fn put(commands: RwSignal<Vec<Command>>, new: Command) {
    commands.try_update(|commands| match commands.iter_mut().find(|command| command.id == new.id) {
        Some(known) => *known = new,
        None => {
            let place = commands.partition_point(|command| command.id > new.id);
            commands.insert(place, new);
        }
    });
}
