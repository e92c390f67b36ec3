//! `/endpoints/:id/processes`: what runs on a host, and ending, stopping and continuing it.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;
use web_sys::HtmlDialogElement;

use super::{
    Problem,
    asking::{Asking, reason_field},
    session,
    sheet_head::sheet_head,
    start::{self, Start, Started, start},
};
use crate::{
    clock::mounted,
    live::Mark,
    model::{Sheet, SheetOf},
    ui::{
        dom::{effect, element},
        form, text, view,
    },
};

#[component]
pub fn Processes() -> impl IntoView {
    let params = use_params_map();
    start(move || start::Page::Sheet(SheetOf::Processes(params.read().get("id").unwrap_or_default())), draw)
}

fn draw(started: Started, _mark: Mark) -> AnyView {
    match started {
        Ok(Start::Sheet(sheet)) => view! { <Loaded sheet/> },
        Ok(_) => ().into_any(),
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
        <form class="panel form" id="processes-form" on:submit=|event| event.prevent_default()>
            <div class="form form--row">
                <div class="field field--grow">
                    <label for="filter">"Filter"</label>
                    <input
                        class="input" id="filter" type="search" autocomplete="off"
                        on:input=move |event| filter.set(event_target_value(&event).trim().to_ascii_lowercase())
                    />
                </div>
                <div class="field">
                    <label for="target-kind">"Or all of this"</label>
                    <select class="select" id="target-kind" name="target_kind">
                        <option value="name" selected>"Name"</option>
                        <option value="executable">"Executable"</option>
                        <option value="sha256">"SHA-256"</option>
                    </select>
                </div>
                <div class="field field--grow">
                    <label for="target">"Instead of the ticks"</label>
                    <input class="input mono" id="target" name="target" type="text" autocomplete="off" spellcheck="false"/>
                </div>
                <div class="field">
                    <label for="grace">"Seconds until SIGKILL"</label>
                    <input class="input" id="grace" name="grace_seconds" type="number" min="0" max="60" value="5"/>
                </div>
            </div>
            <label class="choice"><input class="tick" type="checkbox" name="tree"/>"And all that descend from them"</label>
            <label class="choice"><input class="tick" type="checkbox" name="force"/>"Even sshd, by which people may be logged in"</label>
            <div class="asks">
                {buttons.collect::<Vec<_>>()}
                <button class="button" type="button" on:click=move |_| refresh() disabled=move || !mounted.get()>
                    "List again"
                </button>
                {session.refusal(session.check).map(|refusal| view! { <span class="muted">{refusal}</span> })}
            </div>
            {review.draw_problem()}
            {outcome.draw(Signal::stored(String::new()))}
            {list.draw(filter.into())}
        </form>
        <dialog class="dialog dialog--wide" id="review" aria-labelledby="review-title">
            <form class="dialog__body" id="review-form" on:submit=act novalidate>
                <h2 id="review-title">{verb_word()}" these processes?"</h2>
                {review.draw_answer(Signal::stored(String::new()))}
                {reason_field("review-reason")}
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

fn show_review(shown: bool) {
    if let Some(dialog) = element::<HtmlDialogElement>("review") {
        if !shown {
            dialog.close();
        } else if !dialog.open() {
            let _ = dialog.show_modal();
        }
    }
}
