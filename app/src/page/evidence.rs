//! `/endpoints/:id/evidence`: what was collected from a host. `/evidence/:id`: one bundle.

use std::time::Duration;

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::{use_location, use_params_map};

use super::{
    Problem,
    asking::{asking_form, reason},
    records::{
        SAID,
        record_form::{Done, record_form},
    },
    session,
    sheet_head::sheet_head,
    start::{Started, start_sheet},
};
use crate::{
    api,
    clock::mounted,
    live::{Change, Live, Mark},
    model::{Sheet, SheetOf, sheet::Part},
    ui::{
        Icon, Shape, all,
        dom::{Gathered, effect, focus, spawn},
        field::{Control, Field, fields},
        maybe, part,
        sheet::{self, progress},
        tag, tag_with, view, words,
    },
};

#[component]
pub fn EvidenceList() -> impl IntoView {
    let params = use_params_map();
    start_sheet(
        move || SheetOf::EvidenceList(params.read().get("id").unwrap_or_default()),
        |started, mark| draw(started, mark, true),
    )
}

#[component]
pub fn Evidence() -> impl IntoView {
    let asked = bundle_asked();
    start_sheet(move || asked.get(), |started, mark| draw(started, mark, false))
}

fn bundle_asked() -> Signal<SheetOf> {
    let (params, location) = (use_params_map(), use_location());
    Signal::derive(move || {
        let id = params.read().get("id").unwrap_or_default();
        SheetOf::Evidence(id, location.search.get().trim_start_matches('?').to_owned())
    })
}

fn draw(started: Started<Sheet>, mark: Mark, is_list: bool) -> AnyView {
    match started {
        Ok(sheet) => view! { <Loaded sheet mark is_list/> },
        Err(error) => view! {
            <Title text="Evidence"/>
            <h1>"Evidence"</h1>
            <Problem error/>
        },
    }
}

#[component]
fn Loaded(sheet: Sheet, mark: Mark, is_list: bool) -> impl IntoView {
    let head = sheet_head(&sheet);
    let endpoint_id = sheet.endpoint_id.clone();
    let under_way = RwSignal::new(None::<(String, u8)>);
    let parts = RwSignal::new(sheet.parts);
    if is_list {
        follow(endpoint_id.clone(), parts, under_way, mark);
    }
    let said = RwSignal::new(Vec::new());
    let asked = bundle_asked();
    let done = Done::new(move |answer: Sheet| {
        said.set(answer.parts);
        focus(SAID);
        let of = asked.get_untracked();
        spawn(async move {
            if let Ok(sheet) = api::sheet(of).await {
                parts.try_set(sheet.parts);
            }
        });
    });
    let form = is_list.then(|| collect(endpoint_id));
    let progress = maybe(move || under_way.get().map(|(words, percent)| progress(words, percent)));
    let filter = RwSignal::new(String::new());
    let drawn = part(move || {
        all(parts.get().into_iter().map(|part| match part {
            Part::Form(form) => record_form(form, done),
            part => sheet::parts(vec![part], filter.into()),
        }))
    });
    let answer = part(move || sheet::parts(said.get(), Signal::stored(String::new())));
    let attributes = [("id", SAID), ("role", "status"), ("tabindex", "-1"), ("class", "said")];
    let answer = tag_with("div", &attributes, answer);
    let parts = [Some(head), Some(answer), form, Some(progress), Some(filter_field(filter)), Some(drawn)];
    all(parts.into_iter().flatten())
}

/// Hides the rows of all tables without its words.
fn filter_field(filter: RwSignal<String>) -> AnyView {
    let mounted = mounted();
    view! {
        <div class="toolbar" role="search">
            <label class="search">
                <Icon shape=Shape::Search/>
                <span class="visually-hidden">"Filter the tables"</span>
                <input
                    class="input search__input" type="search" placeholder="Filter by any word of a row" autocomplete="off"
                    spellcheck="false" readonly=move || !mounted.get()
                    on:input=move |event| filter.set(event_target_value(&event).trim().to_ascii_lowercase())
                />
            </label>
        </div>
    }
}

/// Draws the list again when a bundle comes, and how far a collection is.
fn follow(id: String, parts: RwSignal<Vec<Part>>, under_way: RwSignal<Option<(String, u8)>>, mark: Mark) {
    let live = Live::expect();
    let look_again = Gathered::new(Duration::from_millis(500), {
        let id = id.clone();
        move || {
            let id = id.clone();
            spawn(async move {
                if let Ok(sheet) = api::sheet(SheetOf::EvidenceList(id)).await {
                    parts.try_set(sheet.parts);
                }
            });
        }
    });
    effect(move || {
        let id = id.clone();
        live.follow(mark, move |change| match change {
            Change::Progress(now) if now.endpoint_id == id && !now.step.is_empty() => {
                under_way.try_set(Some((now.words(), now.percent())));
            }
            Change::Progress(now) if now.endpoint_id == id => look_again.call(),
            Change::Command(command) if command.endpoint_id == id && !command.state.is_open() => {
                under_way.try_set(None);
                look_again.call();
            }
            Change::Reset => look_again.call(),
            Change::Progress(_) | Change::Command(_) | Change::Endpoint(_) => {}
        });
    });
}

fn collect(endpoint_id: String) -> AnyView {
    let session = session();
    let allowed = (session.check, session.refusal(session.check));
    let limit = |id, name, label, control| Field { id, name, label, about: "", class: "", control };
    let what = [
        Field {
            id: "profile",
            name: "profile",
            label: "Profile",
            about: "",
            class: "field--grow",
            control: Control::Select(&[
                ("quick", "Quick: what is gone at the next reboot, in seconds"),
                ("standard", "Standard: also persistence and the last days of logs"),
                ("full", "Full: everything there is"),
            ]),
        },
        limit(
            "max-mib",
            "max_mib",
            "At most MiB",
            Control::Input(&[("type", "number"), ("min", "1"), ("max", "4096"), ("value", "512")]),
        ),
        limit(
            "max-minutes",
            "max_minutes",
            "At most minutes",
            Control::Input(&[("type", "number"), ("min", "1"), ("max", "240"), ("value", "15")]),
        ),
        limit(
            "cpu",
            "cpu_percent",
            "CPU share in %",
            Control::Input(&[("type", "number"), ("min", "1"), ("max", "100"), ("value", "50")]),
        ),
    ];
    let fields = all([fields("form form--row", &what), reason("collect-reason").draw()]);
    let form = asking_form("collect", endpoint_id, "action=collect", ("Collect", "primary"), allowed, fields);
    tag("details", "panel fold", all([words("summary", "", "Collect evidence"), form]))
}
