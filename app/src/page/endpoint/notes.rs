use leptos::{ev::SubmitEvent, prelude::*};
use leptos_router::location::Url;

use crate::{
    api,
    error::ApiError,
    model::{Notes, log::Annotated},
    page::{problem, session},
    ui::{
        Moment, Tone, all,
        dom::{effect, focus, spawn},
        field::{Control, Field},
        form::{self, Fields},
        maybe, notice, part, said, tag, tag_with, view, words,
    },
};

const FIELDS: &Fields = &[("labels", "notes-labels"), ("note", "notes-note")];

/// What operators have written about the host. Nobody writes over what somebody else has written meanwhile.
#[component]
pub fn NotesPanel(notes: RwSignal<Notes>, endpoint_id: String) -> impl IntoView {
    let is_editing = RwSignal::new(false);
    // The revision that the form began with.
    let read = StoredValue::new(0);
    let theirs = RwSignal::new(None::<Notes>);
    let error = RwSignal::new(None::<ApiError>);
    let busy = RwSignal::new(false);
    let fill = move |from: &Notes| {
        read.set_value(from.revision);
        form::set_value("notes-labels", &from.labels.join(" "));
        form::set_value("notes-note", &from.note);
    };
    effect(move || {
        if is_editing.get() {
            notes.with_untracked(fill);
            focus("notes-labels");
        }
    });
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        error.set(form::blame(FIELDS, None));
        let answer = api::annotate(endpoint_id.clone(), form::encoded("notes-form"), read.get_value());
        spawn(async move {
            match answer.await {
                Ok(Annotated::Saved(saved)) => {
                    notes.try_set(saved);
                    theirs.try_set(None);
                    is_editing.try_set(false);
                    focus("notes-edit");
                }
                Ok(Annotated::ChangedMeanwhile(newer)) => {
                    // Whoever has seen theirs may write over it.
                    read.try_set_value(newer.revision);
                    notes.try_set(newer.clone());
                    theirs.try_set(Some(newer));
                }
                Err(refused) => _ = error.try_set(form::blame(FIELDS, Some(refused))),
            }
            busy.try_set(false);
        });
    };
    let leave = move || {
        theirs.set(None);
        error.set(form::blame(FIELDS, None));
        is_editing.set(false);
    };
    let session = session();
    let (may, refusal) = (session.annotate.yes, session.refusal(session.annotate));
    view! {
        <section class="panel" aria-labelledby="notes-title">
            <h2 id="notes-title">"Labels and note"</h2>
            {part(move || shown(&notes.read()))}
            <form class="form" id="notes-form" on:submit=submit novalidate hidden=move || !is_editing.get()>
                {fields()}
                {maybe(move || theirs.get().map(conflict))}
                {problem(error)}
                <div class="asks">
                    <button
                        class="button button--primary" type="submit"
                        aria-disabled=move || busy.get().then_some("true")
                    >
                        {part(move || (if theirs.read().is_some() { "Write mine instead" } else { "Save" }).into_any())}
                    </button>
                    <button class="button" type="button" on:click=move |_| leave()>"Leave as it is"</button>
                </div>
            </form>
            <div class="asks" hidden=move || is_editing.get()>
                <button
                    class="button button--small" type="button" id="notes-edit"
                    on:click=move |_| if may { is_editing.set(true) } aria-disabled=(!may).then_some("true")
                >
                    "Edit"
                </button>
                {refusal.map(|refusal| words("span", "muted", refusal))}
            </div>
        </section>
    }
}

fn shown(notes: &Notes) -> AnyView {
    let label = |label: &String| {
        let href = format!("/?label={}", Url::escape(label));
        tag("li", "", tag_with("a", &[("class", "label"), ("href", &href)], label.clone().into_any()))
    };
    let labels = if notes.labels.is_empty() {
        words("p", "muted", "No labels.")
    } else {
        tag_with("ul", &[("class", "labels"), ("aria-label", "Labels")], all(notes.labels.iter().map(label)))
    };
    let note = (!notes.note.is_empty()).then(|| tag("p", "note", said(notes.note.clone())));
    let by = notes.changed_at.map(|at| {
        let who = format!("Written by {} ", notes.changed_by.as_deref().unwrap_or_default());
        view! { <p class="muted">{who}<Moment at/></p> }
    });
    all([Some(labels), note, by].into_iter().flatten())
}

fn conflict(theirs: Notes) -> AnyView {
    let who = theirs.changed_by.unwrap_or_default();
    let content = all([
        words("p", "", format!("{who} has changed this meanwhile. Nothing of yours was written. Theirs:")),
        words(
            "p",
            "mono",
            if theirs.labels.is_empty() { "no labels".to_owned() } else { theirs.labels.join(" ") },
        ),
        tag("p", "note", said(theirs.note)),
    ]);
    notice(Tone::Warning, content)
}

fn fields() -> AnyView {
    let fields = [
        Field {
            id: "notes-labels",
            name: "labels",
            label: "Labels",
            about: "Apart by spaces; a-z, 0-9 and . _ : = / -",
            class: "",
            control: Control::Input(&[("type", "text"), ("autocomplete", "off"), ("spellcheck", "false")]),
        },
        Field {
            id: "notes-note",
            name: "note",
            label: "Note",
            about: "For whoever is on duty next; at most 4000 characters",
            class: "",
            control: Control::Area(&[("rows", "5"), ("maxlength", "4000")]),
        },
    ];
    all(fields.iter().map(Field::draw))
}
