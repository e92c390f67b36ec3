//! `/batches/:id`: one order to many hosts, and how far it is.

mod grid;
mod progress;

use std::time::Duration;

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;

use self::{grid::Grid, progress::ProgressPanel};
use super::{
    Problem,
    ask::{Load, More},
    bulk_dialog::BulkDialog,
    command_table::{self, CommandTable},
    order_dialog::OrderDialog,
    start::{Started, start},
};
use crate::{
    api,
    error::ApiError,
    live::{Change, Live, Mark},
    model::{BatchPage as Page, Command, Progress, bulk::Excluded, command::Of, order::Sent},
    ui::{
        Icon, Moment, Shape, all,
        dom::{Gathered, effect, every, go, spawn},
        view,
    },
};

#[component]
pub fn BatchPage() -> impl IntoView {
    let params = use_params_map();
    start(move || params.read().get("id").unwrap_or_default(), api::batch, draw)
}

fn draw(started: Started<Page>, mark: Mark) -> AnyView {
    match started {
        Ok(page) => view! { <Loaded page mark/> },
        Err(ApiError::NotFound) => view! {
            <Title text="No such batch"/>
            <h1>"There is no such batch"</h1>
            <p><a class="button" href="/batches">"All batches"</a></p>
        },
        Err(error) => view! {
            <Title text="Batch"/>
            <h1>"Batch"</h1>
            <Problem error/>
        },
    }
}

#[component]
fn Loaded(page: Page, mark: Mark) -> impl IntoView {
    let batch = page.progress.batch.clone();
    let progress = RwSignal::new(page.progress);
    let (commands, more) = (RwSignal::new(page.commands.rows), RwSignal::new(page.commands.next));
    command_table::follow(commands, RwSignal::new(None), mark, false);
    follow(progress, commands, mark);
    let id = batch.id.clone();
    let load: Load = Callback::new(move |after| {
        let id = id.clone();
        Box::pin(async move {
            let found = api::commands(Of::Batch(id), Some(after)).await?;
            commands.try_update(|commands| commands.extend(found.rows));
            Ok(found.next)
        }) as _
    });
    let draft = RwSignal::new(None);
    let bulk = RwSignal::new(None);
    let on_sent = move |(_, sent)| {
        if let Sent::Batch(id) = sent {
            go(&format!("/batches/{id}"));
        }
    };
    view! {
        <Title text=batch.title()/>
        <nav class="crumbs" aria-label="Breadcrumb">
            <a href="/batches"><Icon shape=Shape::Back/>"Batches"</a>
        </nav>
        <div class="head">
            <h1>{batch.title()}</h1>
            <span class="head__id mono">{batch.id.clone()}</span>
        </div>
        <p class="entry__why">
            <b>{batch.created_by.clone()}</b> ", " <Moment at=batch.created_at/> ": " <q>{batch.reason.clone()}</q>
            {batch.undo_of.clone().map(|id| view! { " " <a href=format!("/batches/{id}")>"The batch that it undoes"</a> })}
            {batch.schedule_id.is_some().then(|| view! { " " <a href="/schedules">"Made by a schedule"</a> })}
        </p>
        <ProgressPanel progress draft/>
        {excluded(&batch.excluded)}
        <Grid batch_id=batch.id.clone() queued=batch.queued mark bulk/>
        <CommandTable commands/>
        <More name="Load more commands" next=more load/>
        <OrderDialog draft offline=Signal::stored(false) on_sent=Callback::new(on_sent)/>
        <BulkDialog draft=bulk/>
    }
}

fn excluded(hosts: &[Excluded]) -> AnyView {
    if hosts.is_empty() {
        return ().into_any();
    }
    let line = |host: &Excluded| {
        view! { <li><b>{host.hostname.clone()}</b> ": " <q>{host.reason.clone()}</q></li> }
    };
    view! {
        <section class="panel" aria-labelledby="excluded-title">
            <h2 id="excluded-title">"Taken out before it was sent"</h2>
            <ul class="excluded">{all(hosts.iter().map(line))}</ul>
        </section>
    }
}

/// The counts are asked for again after a change of one of the commands, and every second while there is anything left.
fn follow(progress: RwSignal<Progress>, commands: RwSignal<Vec<Command>>, mark: Mark) {
    let live = Live::expect();
    let id = progress.with_untracked(|progress| progress.batch.id.clone());
    let asking = StoredValue::new(false);
    let look_again = Gathered::new(Duration::from_millis(300), {
        let id = id.clone();
        move || {
            if asking.try_get_value() != Some(false) {
                return;
            }
            asking.set_value(true);
            let id = id.clone();
            spawn(async move {
                if let Ok(found) = api::batch_progress(id).await {
                    progress.try_set(found);
                }
                asking.try_set_value(false);
            });
        }
    });
    every(Duration::from_secs(1), move || {
        if progress.try_with_untracked(|progress| progress.open() > 0) == Some(true) {
            look_again.call();
        }
    });
    effect(move || {
        let id = id.clone();
        live.follow(mark, move |change| match change {
            Change::Command(command) if command.batch_id.as_deref() == Some(&id) => look_again.call(),
            Change::Command(_) | Change::Endpoint(_) | Change::Progress(_) => {}
            Change::Reset => {
                let id = id.clone();
                look_again.call();
                spawn(async move {
                    // Those that were loaded beyond the first part keep what they were.
                    if let (Ok(first), since) = live.load(api::commands(Of::Batch(id), None)).await {
                        commands.try_update(|commands| {
                            let known = first.rows.len().min(commands.len());
                            commands.splice(..known, first.rows);
                        });
                        command_table::lay_since(since, commands, None, None);
                    }
                });
            }
        });
    });
}
