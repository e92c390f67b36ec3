use leptos::{ev::SubmitEvent, prelude::*};
use web_sys::HtmlDialogElement;

use super::Shown;
use crate::{
    error::ApiError,
    model::Webhook,
    page::problem,
    ui::{
        all,
        dom::{effect, element, spawn},
        field::{Control, Field, choice},
        form::{self, Fields},
        maybe, tag, tag_with, text, view, words,
    },
};

const FIELDS: &Fields = &[
    ("name", "webhook-name"),
    ("url", "webhook-url"),
    ("preset", "webhook-preset"),
    ("events", "webhook-events"),
    ("kinds", "webhook-kinds"),
];

/// As the server names them, and what they mean.
const EVENTS: [(&str, &str); 7] = [
    ("command.executed", "A host has carried out a command"),
    ("command.failed", "A host has failed to carry one out"),
    ("command.expired", "A command has expired without an answer"),
    ("command.cancelled", "A command was cancelled"),
    ("isolation.drift", "Somebody else has changed an isolation"),
    ("endpoint.enrolled", "A host has enrolled"),
    ("endpoint.awaiting_approval", "A host waits for approval"),
];

/// The field's name behind `kind.` is the command's.
const KINDS: [(&str, &str); 10] = [
    ("kind.network_isolate", "Isolate"),
    ("kind.network_restore", "Release"),
    ("kind.isolation_change", "Change of an isolation"),
    ("kind.isolation_preview", "Preview of an isolation"),
    ("kind.kill_process", "Kill"),
    ("kind.suspend_process", "Suspend"),
    ("kind.resume_process", "Resume"),
    ("kind.list_processes", "List of processes"),
    ("kind.collect_forensics", "Collection of evidence"),
    ("kind.agent_check", "Check"),
];

/// What the dialog starts with for a new one.
pub fn new() -> Webhook {
    let usual = ["command.failed", "command.expired", "isolation.drift", "endpoint.awaiting_approval"];
    Webhook {
        id: String::new(),
        name: String::new(),
        url: String::new(),
        preset: "generic".to_owned(),
        events: usual.map(str::to_owned).to_vec(),
        kinds: Vec::new(),
        state: String::new(),
        both_until: None,
        created_by: String::new(),
        created_at: 0,
    }
}

/// Open while there is something that is edited.
#[component]
pub fn EditDialog(shown: Shown) -> impl IntoView {
    let (error, busy) = (RwSignal::new(None::<ApiError>), RwSignal::new(false));
    effect(move || {
        let edited = shown.edited.get();
        let Some(dialog) = element::<HtmlDialogElement>("webhook") else { return };
        if let Some(webhook) = edited {
            error.set(form::blame(FIELDS, None));
            busy.set(false);
            if !dialog.open() {
                let _ = dialog.show_modal();
            }
            form::set_value("webhook-name", &webhook.name);
            form::set_value("webhook-url", &webhook.url);
            form::set_value("webhook-preset", &webhook.preset);
        } else if dialog.open() {
            dialog.close();
        }
    });
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let Some(webhook) = shown.edited.get_untracked().filter(|_| !busy.get_untracked()) else { return };
        busy.set(true);
        error.set(form::blame(FIELDS, None));
        let form = ["action=save&id=", &webhook.id, "&", &form::encoded("webhook-form")].concat();
        let saved = shown.change(form::value("webhook-name"), form);
        spawn(async move {
            match saved.await {
                Ok(()) => _ = shown.edited.try_set(None),
                Err(refused) => _ = error.try_set(form::blame(FIELDS, Some(refused))),
            }
            busy.try_set(false);
        });
    };
    let close = move |_| shown.edited.set(None);
    view! {
        <dialog class="dialog dialog--wide" id="webhook" aria-labelledby="webhook-title" on:close=move |_| shown.edited.set(None)>
            <form class="dialog__body" id="webhook-form" on:submit=submit novalidate>
                <div class="dialog__content">
                    <h2 id="webhook-title">
                        {text(move || {
                            let is_new = shown.edited.read().as_ref().is_none_or(|webhook| webhook.id.is_empty());
                            if is_new { "New webhook" } else { "Edit webhook" }
                        })}
                    </h2>
                    {text_fields()}
                    {maybe(move || shown.edited.get().map(|webhook| ticks(&webhook)))}
                </div>
                {problem(error)}
                <div class="dialog__buttons">
                    <button class="button" type="button" on:click=close>"Close"</button>
                    <button
                        class="button button--primary" type="submit" aria-disabled=move || busy.get().then_some("true")
                    >
                        "Save webhook"
                    </button>
                </div>
            </form>
        </dialog>
    }
}

fn text_fields() -> AnyView {
    let line = |id, name, label, about, kind, most| Field {
        id,
        name,
        label,
        about,
        class: "",
        control: Control::Input(match (kind, most) {
            ("url", _) => {
                &[("type", "url"), ("maxlength", "2000"), ("autocomplete", "off"), ("spellcheck", "false")]
            }
            _ => &[("type", "text"), ("maxlength", "100"), ("autocomplete", "off")],
        }),
    };
    let preset = Field {
        id: "webhook-preset",
        name: "preset",
        label: "Form",
        about: "",
        class: "",
        control: Control::Select(&[
            ("generic", "Generic: JSON with type, timestamp and data"),
            ("slack", "Slack: a message for an incoming webhook"),
        ]),
    };
    all([
        line("webhook-name", "name", "Name", "", "text", 100).draw(),
        line(
            "webhook-url",
            "url",
            "Address",
            "https; never a private address, unless the server allows its network",
            "url",
            2000,
        )
        .draw(),
        preset.draw(),
    ])
}

fn ticks(webhook: &Webhook) -> AnyView {
    let events =
        EVENTS.map(|(name, words)| choice(name, words, webhook.events.iter().any(|one| one == name)));
    let kinds = KINDS.map(|(name, words)| {
        choice(name, words, webhook.kinds.iter().any(|one| name.strip_prefix("kind.") == Some(one)))
    });
    all([
        group("webhook-events", "Told of", all(events)),
        group("webhook-kinds", "Of commands only these; without a tick all", all(kinds)),
    ])
}

fn group(id: &'static str, legend: &'static str, choices: AnyView) -> AnyView {
    let problem = tag_with(
        "p",
        &[
            ("class", "field__problem"),
            ("id", if id == "webhook-events" { "webhook-events-problem" } else { "webhook-kinds-problem" }),
        ],
        ().into_any(),
    );
    let content = all([words("legend", "", legend), tag("div", "webhook__ticks", choices), problem]);
    tag_with("fieldset", &[("class", "field"), ("id", id), ("tabindex", "-1")], content)
}
