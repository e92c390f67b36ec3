//! `/commands`: what was asked of all hosts.

use leptos::prelude::*;
use leptos_meta::Title;

use super::{
    Problem,
    ask::{Load, More},
    command_table::{CommandTable, follow},
    start::{Page, Start, Started, start},
};
use crate::{
    api,
    live::{Change, Live, Mark},
    model::{Command, Listed, command::Of},
    ui::{
        dom::{effect, spawn},
        maybe, view,
    },
};

#[component]
pub fn Commands() -> impl IntoView {
    view! {
        <Title text="Commands"/>
        <div class="head">
            <h1>"Commands"</h1>
        </div>
        {start(|| Page::Commands, draw)}
    }
}

fn draw(started: Started, mark: Mark) -> AnyView {
    match started {
        Ok(Start::Commands(commands)) => view! { <Loaded commands mark/> },
        Ok(_) => ().into_any(),
        Err(error) => view! { <Problem error/> },
    }
}

#[component]
fn Loaded(commands: Listed<Command>, mark: Mark) -> impl IntoView {
    let live = Live::expect();
    let (rows, older) = (RwSignal::new(commands.rows), RwSignal::new(commands.next));
    follow(rows, older, mark, true);
    effect(move || {
        live.follow(mark, move |change| {
            if let Change::Reset = change {
                spawn(async move {
                    if let Ok(newest) = api::commands(Of::All, None).await {
                        rows.try_set(newest.rows);
                        older.try_set(newest.next);
                    }
                });
            }
        });
    });
    let load: Load = Callback::new(move |before| {
        Box::pin(async move {
            let found = api::commands(Of::All, Some(before)).await?;
            rows.try_update(|rows| rows.extend(found.rows));
            Ok(found.next)
        }) as _
    });
    let is_empty = Memo::new(move |_| rows.read().is_empty());
    view! {
        {maybe(move || {
            is_empty.get().then(|| view! { <p class="muted">"No command was given yet."</p> })
        })}
        <CommandTable commands=rows/>
        <More name="Load older commands" next=older load/>
    }
}
