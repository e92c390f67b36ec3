//! `/endpoints/:id/processes`: what runs on a host, and ending, stopping and continuing it.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;
use web_sys::HtmlDialogElement;

use super::{
    Problem,
    asking::{Asking, reason},
    session,
    sheet_head::sheet_head,
    start::{Started, start_sheet},
};
use crate::{
    clock::mounted,
    live::Mark,
    model::{Sheet, SheetOf},
    ui::{
        all,
        dom::{effect, element},
        field::{Control, Field, choice, fields},
        form, text, view, words,
    },
};

#[component]
pub fn Processes() -> impl IntoView {
    let params = use_params_map();
    start_sheet(move || SheetOf::Processes(params.read().get("id").unwrap_or_default()), draw)
}

fn draw(started: Started<Sheet>, _mark: Mark) -> AnyView {
    match started {
        Ok(sheet) => view! { <Loaded sheet/> },
        Err(error) => view! {
            <Title text="Processes"/>
            <h1>"Processes"</h1>
            <Problem error/>
        },
    }
}

/// The field `verb`, its word, and the class of its button.
const VERBS: [(&str, &str, &str); 3] =
    [("kill", "Kill", "danger"), ("suspend", "Suspend", "primary"), ("resume", "Resume", "primary")];

#[component]
fn Loaded(sheet: Sheet) -> impl IntoView {
    let id = StoredValue::new(sheet.endpoint_id.clone());
    let (list, review, outcome) = (Asking::new(), Asking::new(), Asking::new());
    let filter = RwSignal::new(String::new());
    let verb = RwSignal::new(0_usize);
    let mounted = mounted();
    let session = session();
    let refresh = move || list.send(id.get_value(), "action=list".to_owned(), || {});
    effect(refresh);
    let look = move |index: usize| {
        verb.set(index);
        let form = format!("action=review&verb={}&{}", VERBS[index].0, form::encoded("processes-form"));
        review.answer.set(None);
        review.send(id.get_value(), form, || show_review(true));
    };
    let act = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        let form = format!(
            "action=act&verb={}&{}&{}",
            VERBS[verb.get_untracked()].0,
            form::encoded("processes-form"),
            form::encoded("review-form")
        );
        outcome.send(id.get_value(), form, move || {
            show_review(false);
            refresh();
        });
    };
    let buttons = VERBS.iter().enumerate().map(|(index, (_, name, tone))| {
        view! {
            <button
                class=format!("button button--{tone}") type="button" on:click=move |_| look(index)
                disabled=move || !mounted.get() aria-disabled=move || review.busy.get().then_some("true")
            >
                {format!("{name}…")}
            </button>
        }
    });
    let verb_word = move || text(move || VERBS[verb.get()].1);
    view! {
        {sheet_head(&sheet)}
        <form
            class="panel form" id="processes-form" on:submit=|event| event.prevent_default()
            on:input=move |_| filter.set(form::value("filter").trim().to_ascii_lowercase())
        >
            {process_fields()}
            <div class="asks">
                {buttons.collect::<Vec<_>>()}
                <button class="button" type="button" on:click=move |_| refresh() disabled=move || !mounted.get()>
                    "List again"
                </button>
                {session.refusal(session.check).map(|refusal| words("span", "muted", refusal))}
            </div>
            {review.draw_problem()}
            {outcome.draw(Signal::stored(String::new()))}
            {list.draw(filter.into())}
        </form>
        <dialog class="dialog dialog--wide" id="review" aria-labelledby="review-title">
            <form class="dialog__body" id="review-form" on:submit=act novalidate>
                <div class="dialog__content">
                    <h2 id="review-title">{verb_word()}" these processes?"</h2>
                    {review.draw_answer(Signal::stored(String::new()))}
                    {reason("review-reason").draw()}
                </div>
                {outcome.draw_problem()}
                <div class="dialog__buttons">
                    <button class="button" type="button" on:click=|_| show_review(false)>"Leave them"</button>
                    <button
                        type="submit" class=move || format!("button button--{}", VERBS[verb.get()].2)
                        aria-disabled=move || outcome.busy.get().then_some("true")
                    >
                        {verb_word()}
                    </button>
                </div>
            </form>
        </dialog>
    }
}

fn process_fields() -> AnyView {
    let which = [
        Field {
            id: "filter",
            name: "filter",
            label: "Filter",
            about: "",
            class: "field--grow",
            control: Control::Input(&[("type", "search"), ("autocomplete", "off")]),
        },
        Field {
            id: "target-kind",
            name: "target_kind",
            label: "Choose all by",
            about: "",
            class: "",
            control: Control::Select(&[
                ("name", "Name"),
                ("executable", "Executable"),
                ("sha256", "SHA-256"),
            ]),
        },
        Field {
            id: "target",
            name: "target",
            label: "Value (instead of ticks)",
            about: "",
            class: "field--grow",
            control: Control::Input(&[("type", "text"), ("autocomplete", "off"), ("spellcheck", "false")]),
        },
        Field {
            id: "grace",
            name: "grace_seconds",
            label: "Seconds until SIGKILL",
            about: "",
            class: "",
            control: Control::Input(&[("type", "number"), ("min", "0"), ("max", "60"), ("value", "5")]),
        },
    ];
    all([
        fields("form form--row", &which),
        choice("tree", "And all that descend from them", false),
        choice("force", "Even sshd, by which people may be logged in", false),
    ])
}

fn show_review(shown: bool) {
    if let Some(dialog) = element::<HtmlDialogElement>("review") {
        if !shown {
            dialog.close();
        } else if !dialog.open() {
            let _ = dialog.show_modal();
        }
    }
}
