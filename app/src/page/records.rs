//! What the pages of records have in common: the server writes them as sheets, with forms and figures.

mod figures;
pub mod record_form;

use std::time::Duration;

use leptos::prelude::*;
use leptos_meta::Title;

use self::record_form::{Done, record_form};
use super::{
    Problem,
    sheet_head::sheet_head,
    start::{Started, start_sheet},
};
use crate::{
    api,
    live::{Change, Live, Mark},
    model::{Sheet, SheetOf, sheet::Part},
    ui::{
        all,
        dom::{effect, every, focus, spawn},
        part, sheet, tag_with, view,
    },
};

const HEALTH_EVERY: Duration = Duration::from_secs(5);
/// Where what came of a form is said.
pub const SAID: &str = "said";

/// Which sheet is shown, for what draws it.
#[derive(Clone, Copy)]
struct Shown(Signal<SheetOf>);

pub fn records(of: impl Fn() -> SheetOf + Send + Sync + 'static) -> AnyView {
    let shown = Signal::derive(of);
    provide_context(Shown(shown));
    start_sheet(move || shown.get(), draw)
}

fn draw(started: Started<Sheet>, mark: Mark) -> AnyView {
    match started {
        Ok(sheet) => loaded(sheet, mark),
        Err(error) => {
            let name = expect_context::<Shown>().0.with_untracked(name);
            view! {
                <Title text=name/>
                <h1>{name}</h1>
                <Problem error/>
            }
        }
    }
}

/// Of a page that cannot be shown.
fn name(of: &SheetOf) -> &'static str {
    match of {
        SheetOf::Audit(_) | SheetOf::AuditRow(_) => "Audit",
        SheetOf::Operators | SheetOf::Operator(_) => "Operators",
        SheetOf::Settings => "Settings",
        SheetOf::Health => "Health",
        SheetOf::Command(_) => "Command",
        SheetOf::Processes(_) => "Processes",
        SheetOf::EvidenceList(_) | SheetOf::Evidence(..) => "Evidence",
    }
}

fn loaded(sheet: Sheet, mark: Mark) -> AnyView {
    let Shown(shown) = expect_context();
    let head = head(&sheet);
    let parts = RwSignal::new(sheet.parts);
    let said = RwSignal::new(Vec::new());
    let reload = Callback::new(move |()| {
        let of = shown.get_untracked();
        spawn(async move {
            // What could not be loaded stays as it was; the connection's own sign says that it may be old.
            if let Ok(sheet) = api::sheet(of).await
                && parts.try_with_untracked(|parts| *parts != sheet.parts) == Some(true)
            {
                parts.try_set(sheet.parts);
            }
        });
    });
    match shown.get_untracked() {
        SheetOf::Health => every(HEALTH_EVERY, move || reload.run(())),
        SheetOf::Command(id) => follow(id, mark, reload),
        _ => {}
    }
    let done = Done::new(move |sheet: Sheet| {
        said.set(sheet.parts);
        reload.run(());
        focus(SAID);
    });
    let answer = part(move || sheet::parts(said.get(), Signal::stored(String::new())));
    let attributes = [("id", SAID), ("role", "status"), ("tabindex", "-1"), ("class", "said")];
    let answer = tag_with("div", &attributes, answer);
    all([head, answer, part(move || all(parts.get().into_iter().map(|part| draw_part(part, done))))])
}

/// Draws a command again when something happens to it.
fn follow(id: String, mark: Mark, reload: Callback<()>) {
    let live = Live::expect();
    effect(move || {
        let id = id.clone();
        live.follow(mark, move |change| match change {
            Change::Command(command) if command.id.to_string() == id => reload.run(()),
            Change::Reset => reload.run(()),
            Change::Command(_) | Change::Endpoint(_) | Change::Progress(_) => {}
        });
    });
}

fn head(sheet: &Sheet) -> AnyView {
    if sheet.back.is_some() {
        return sheet_head(sheet);
    }
    view! {
        <Title text=sheet.title.clone()/>
        <div class="head"><h1>{sheet.title.clone()}</h1></div>
    }
}

fn draw_part(part: Part, done: Done) -> AnyView {
    match part {
        Part::Form(form) => record_form(form, done),
        Part::Figures(figures) => figures::figures(figures),
        part => sheet::parts(vec![part], Signal::stored(String::new())),
    }
}
