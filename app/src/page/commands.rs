//! `/commands`: what was asked of all hosts.

use leptos::prelude::*;
use leptos_meta::Title;

use super::{
    Problem,
    ask::{Load, More},
    asked_of_page,
    command_table::{CommandTable, follow_matching, lay_since},
    records::record_form::{Done, record_form},
    start::{Started, start},
};
use crate::{
    api,
    live::{Change, Live, Mark},
    model::{CommandPage, command::Of},
    ui::{
        dom::{effect, spawn},
        maybe, view,
    },
};

/// What the address asks for.
#[derive(Clone, Copy)]
struct Asked(Signal<String>);

#[component]
pub fn Commands() -> impl IntoView {
    let asked = asked_of_page();
    provide_context(Asked(asked));
    view! {
        <Title text="Commands"/>
        <div class="head">
            <h1>"Commands"</h1>
        </div>
        {start(move || asked.get(), api::command_page, draw)}
    }
}

fn draw(started: Started<CommandPage>, mark: Mark) -> AnyView {
    match started {
        Ok(page) => view! { <Loaded page mark/> },
        Err(error) => view! { <Problem error/> },
    }
}

#[component]
fn Loaded(page: CommandPage, mark: Mark) -> impl IntoView {
    let live = Live::expect();
    // The page is drawn anew for another address.
    let query = StoredValue::new(expect_context::<Asked>().0.get_untracked());
    let CommandPage { form, filter, commands } = page;
    let is_filtered = filter != Default::default();
    let (rows, older) = (RwSignal::new(commands.rows), RwSignal::new(commands.next));
    follow_matching(rows, older, mark, Some(filter.clone()));
    let filter = StoredValue::new(filter);
    effect(move || {
        live.follow(mark, move |change| {
            if let Change::Reset = change {
                spawn(async move {
                    let asked = api::commands(Of::Matching(query.get_value()), None);
                    if let (Ok(newest), since) = live.load(asked).await {
                        rows.try_set(newest.rows);
                        older.try_set(newest.next);
                        filter.try_with_value(|filter| lay_since(since, rows, newest.next, Some(filter)));
                    }
                });
            }
        });
    });
    let load: Load = Callback::new(move |before| {
        Box::pin(async move {
            let found = api::commands(Of::Matching(query.get_value()), Some(before)).await?;
            rows.try_update(|rows| rows.extend(found.rows));
            Ok(found.next)
        }) as _
    });
    let is_empty = Memo::new(move |_| rows.read().is_empty());
    let nothing = if is_filtered { "No command fits." } else { "No command was given yet." };
    let searched = move || {
        let so_far = older.get().filter(|_| is_empty.get());
        so_far.map(|id| {
            let words = format!("The commands down to #{id} were searched; older ones may fit.");
            view! { <p class="muted">{words}</p> }
        })
    };
    view! {
        {record_form(form, Done::new(|_| {}))}
        {maybe(move || {
            (is_empty.get() && older.get().is_none()).then(|| view! { <p class="muted">{nothing}</p> })
        })}
        {maybe(searched)}
        <CommandTable commands=rows/>
        <More name="Load older commands" next=older load/>
    }
}
