//! `/schedules`: commands that are made later.

mod create;

use std::time::Duration;

use leptos::prelude::*;
use leptos_meta::Title;

use self::create::CreateDialog;
use super::{
    Problem,
    ask::{Ask, Asked, Load, More},
    session,
    start::{Started, start},
};
use crate::{
    api,
    clock::{Clock, mounted},
    live::Mark,
    model::{
        Millis, Schedule, SchedulesPage,
        time::{MINUTE, SECOND},
    },
    ui::{
        Item, Moment, all, cell,
        dom::{every, spawn},
        list, maybe, row, table, text, view,
    },
};

/// Schedules of each list that are shown at first.
const SHOWN: i64 = 50;

#[component]
pub fn Schedules() -> impl IntoView {
    view! {
        <Title text="Schedules"/>
        {start(String::new, |_| api::schedules(SHOWN, SHOWN), draw)}
    }
}

fn draw(started: Started<SchedulesPage>, _mark: Mark) -> AnyView {
    match started {
        Ok(page) => view! { <Loaded page/> },
        Err(error) => view! {
            <h1>"Schedules"</h1>
            <Problem error/>
        },
    }
}

/// Both lists of the page. There are no events of schedules: they are asked for again.
#[derive(Clone, Copy)]
struct Lists {
    waiting: Part,
    ended: Part,
    /// When the next run is due.
    due_at: StoredValue<Option<Millis>>,
}

#[derive(Clone, Copy)]
struct Part {
    rows: RwSignal<Vec<Item>>,
    next: RwSignal<Option<i64>>,
}

impl Lists {
    fn new() -> Self {
        let part = || Part { rows: RwSignal::new(Vec::new()), next: RwSignal::new(None) };
        Self { waiting: part(), ended: part(), due_at: StoredValue::new(None) }
    }

    fn put(self, page: SchedulesPage) {
        self.due_at.try_set_value(page.waiting.rows.iter().filter_map(|schedule| schedule.next_run_at).min());
        for (part, listed) in [(self.waiting, page.waiting), (self.ended, page.ended)] {
            part.rows.try_set(self.items(listed.rows));
            part.next.try_set(listed.next);
        }
    }

    fn items(self, schedules: Vec<Schedule>) -> Vec<Item> {
        let item = |schedule: Schedule| Item::new(version(&schedule), move || line(&schedule, self));
        schedules.into_iter().map(item).collect()
    }

    /// As many as are shown.
    async fn reload(self) {
        let shown = |part: Part| {
            let rows = part.rows.try_with_untracked(Vec::len).unwrap_or_default();
            i64::try_from(rows).unwrap_or(SHOWN).clamp(SHOWN, 10 * SHOWN)
        };
        if let Ok(page) = api::schedules(shown(self.waiting), shown(self.ended)).await {
            self.put(page);
        }
    }
}

#[component]
fn Loaded(page: SchedulesPage) -> impl IntoView {
    let lists = Lists::new();
    lists.put(page);
    keep_fresh(lists);
    let (session, mounted) = (session(), mounted());
    let (may_create, refusal) = (session.check.yes, session.refusal(session.check));
    let open = RwSignal::new(false);
    let create = move |_| {
        if may_create {
            open.set(true);
        }
    };
    let made = move |()| spawn(lists.reload());
    view! {
        <div class="head">
            <h1>"Schedules"</h1>
            <button
                class="button button--primary head__action" type="button" on:click=create disabled=move || !mounted.get()
                aria-disabled=(!may_create).then_some("true")
            >
                "New schedule"
            </button>
        </div>
        {refusal.map(|refusal| view! { <p class="muted">{refusal}</p> })}
        <Section title="Waiting" empty="Nothing waits for its time." part=lists.waiting ended=false lists/>
        <Section title="Ended" empty="No schedule has ended yet." part=lists.ended ended=true lists/>
        <CreateDialog open on_made=Callback::new(made)/>
    }
}

#[component]
fn Section(title: &'static str, empty: &'static str, part: Part, ended: bool, lists: Lists) -> impl IntoView {
    let Part { rows, next } = part;
    let is_empty = Memo::new(move |_| rows.read().is_empty());
    let load: Load = Callback::new(move |before| {
        Box::pin(async move {
            let found = api::older_schedules(ended, before).await?;
            rows.try_update(|rows| rows.extend(lists.items(found.rows)));
            Ok(found.next)
        }) as _
    });
    let columns = &["What", "When", "Next run", "Last run", "By", "Reason", "Note"];
    view! {
        <h2>{title}</h2>
        {maybe(move || is_empty.get().then(|| view! { <p class="muted">{empty}</p> }))}
        {table(title, columns, list(move || rows.get()))}
        <More name="Load older schedules" next load/>
    }
}

/// Soon after something comes due, and now and then for what others do.
fn keep_fresh(lists: Lists) {
    let clock = Clock::expect();
    let asked_at = StoredValue::new(0);
    every(Duration::from_secs(1), move || {
        let now = clock.read();
        let is_close = lists.due_at.get_value().is_some_and(|at| (at - now).abs() < MINUTE);
        let pause = if is_close { SECOND } else { 10 * SECOND };
        if now - asked_at.get_value() >= pause {
            asked_at.set_value(now);
            spawn(lists.reload());
        }
    });
}

/// Changes with everything that is drawn.
fn version(schedule: &Schedule) -> String {
    let Schedule { id, runs, next_run_at, .. } = schedule;
    format!("{id} {runs} {next_run_at:?} {}", schedule.state_words())
}

fn line(schedule: &Schedule, lists: Lists) -> AnyView {
    row(
        schedule.title().into_any(),
        vec![
            cell("When", schedule.kind_words().into_any()),
            cell("Next run", view! { <Next schedule=schedule.clone()/> }),
            cell("Last run", last_run(schedule)),
            cell("By", schedule.created_by.clone().into_any()),
            cell("Reason", schedule.reason.clone().into_any()),
            cell("Note", all([note(schedule).into_any(), cancel(schedule, lists)])),
        ],
    )
}

#[component]
fn Next(schedule: Schedule) -> impl IntoView {
    let now = Clock::now();
    if schedule.is_waiting() {
        text(move || schedule.next_words(now.get())).into_any()
    } else {
        schedule.state_words().into_any()
    }
}

fn last_run(schedule: &Schedule) -> AnyView {
    let Some(at) = schedule.last_run_at else { return "–".into_any() };
    let words = view! { <Moment at/> };
    match &schedule.last_batch_id {
        Some(id) => all([words, view! { <a href=format!("/batches/{id}")>"Its batch"</a> }]),
        None => words,
    }
}

fn note(schedule: &Schedule) -> String {
    let ended = schedule.ended_by.as_ref().filter(|_| !schedule.is_waiting());
    let notes = [schedule.note.clone(), ended.map(|by| format!("ended by {by}"))];
    notes.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn cancel(schedule: &Schedule, lists: Lists) -> AnyView {
    if !schedule.is_waiting() {
        return ().into_any();
    }
    let session = session();
    let id = schedule.id.clone();
    let ask = Callback::new(move |()| {
        let id = id.clone();
        Box::pin(async move {
            api::cancel_schedule(id).await?;
            lists.reload().await;
            Ok(())
        }) as Asked
    });
    let name = format!("Cancel {}", schedule.title());
    view! { <Ask name may=session.cancel.yes ask/> }
}
