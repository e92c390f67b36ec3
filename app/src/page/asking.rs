use leptos::{ev::SubmitEvent, prelude::*};

use super::{order_dialog::new_key, problem};
use crate::{
    api,
    error::ApiError,
    model::{Sheet, session::Allowed},
    ui::{
        all,
        dom::spawn,
        field::{Control, Field, choice},
        form, maybe, sheet, tag, tag_with, view, words,
    },
};

/// Something asked of one host, once at a time, and what came of it.
#[derive(Clone, Copy)]
pub struct Asking {
    pub answer: RwSignal<Option<Sheet>>,
    pub error: RwSignal<Option<ApiError>>,
    pub busy: RwSignal<bool>,
}

impl Asking {
    pub fn new() -> Self {
        Self { answer: RwSignal::new(None), error: RwSignal::new(None), busy: RwSignal::new(false) }
    }

    /// `form`: encoded, with its `action`. In the browser only.
    pub fn send(self, endpoint_id: String, form: String, then: impl FnOnce() + 'static) {
        if self.busy.get_untracked() {
            return;
        }
        self.busy.set(true);
        self.error.set(None);
        self.post(endpoint_id, form, Box::new(then));
    }

    fn post(self, endpoint_id: String, form: String, then: Box<dyn FnOnce()>) {
        spawn(async move {
            match api::respond(endpoint_id, form, new_key()).await {
                Ok(sheet) => {
                    self.answer.try_set(Some(sheet));
                    then();
                }
                Err(refused) => _ = self.error.try_set(Some(refused)),
            }
            self.busy.try_set(false);
        });
    }

    pub fn draw(self, filter: Signal<String>) -> AnyView {
        all([self.draw_problem(), self.draw_answer(filter)])
    }

    /// That an answer is waited for, or why there is none.
    pub fn draw_problem(self) -> AnyView {
        let busy = maybe(move || self.busy.get().then(|| words("p", "muted", "The host is asked…")));
        all([busy, problem(self.error).into_any()])
    }

    pub fn draw_answer(self, filter: Signal<String>) -> AnyView {
        let answer = maybe(move || Some(sheet::parts(self.answer.get()?.parts, filter)));
        tag_with("div", &[("role", "status")], answer)
    }
}

/// A form that asks one thing of a host, with its answer below. `action`: the field of that name, encoded. `button`: its name,
/// and its class after `button--`.
pub fn asking_form(
    id: &'static str,
    endpoint_id: String,
    action: &'static str,
    button: (&'static str, &'static str),
    allowed: (Allowed, Option<String>),
    fields: AnyView,
) -> AnyView {
    let asking = Asking::new();
    let (allowed, refusal) = allowed;
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        if allowed.yes {
            asking.send(endpoint_id.clone(), format!("{action}&{}", form::encoded(id)), || {});
        }
    };
    let (name, tone) = button;
    view! {
        <form class="form" id=id on:submit=submit novalidate>
            {fields}
            <div class="asks">
                <button
                    class=format!("button button--{tone}") type="submit"
                    aria-disabled=move || (!allowed.yes || asking.busy.get()).then_some("true")
                >
                    {name}
                </button>
                {refusal.map(|refusal| words("span", "muted", refusal))}
            </div>
            {asking.draw(Signal::stored(String::new()))}
        </form>
    }
}

pub fn reason(id: &'static str) -> Field {
    Field {
        id,
        name: "reason",
        label: "Reason",
        about: "3 to 500 characters; kept with the command",
        class: "",
        control: Control::Input(&[("type", "text"), ("maxlength", "500"), ("autocomplete", "off")]),
    }
}

/// Of a dialog that begins with it.
pub fn long_reason(id: &'static str) -> Field {
    Field {
        control: Control::Area(&[("rows", "3"), ("maxlength", "500"), ("required", ""), ("autofocus", "")]),
        ..reason(id)
    }
}

pub fn release_after(id: &'static str) -> Field {
    Field {
        id,
        name: "auto_restore_after_seconds",
        label: "Release automatically after",
        about: "Counts from when it takes effect",
        class: "field--grow dialog__release",
        control: Control::Select(&[
            ("", "Never"),
            ("3600", "1 h"),
            ("14400", "4 h"),
            ("28800", "8 h"),
            ("86400", "24 h"),
        ]),
    }
}

pub fn later(id: &'static str) -> Field {
    Field {
        id,
        name: "not_before",
        label: "Not before (UTC)",
        about: "Empty: at once. Does not go with an automatic release",
        class: "field--grow",
        control: Control::Input(&[("type", "datetime-local"), ("step", "1")]),
    }
}

/// What an isolation leaves open, and what is said to whoever is logged in.
pub fn isolation_terms(exceptions_id: &'static str, notify_id: &'static str) -> AnyView {
    let notify = Field {
        id: notify_id,
        name: "notify_users",
        label: "Message to users who are logged in",
        about: "Shown on their terminals; empty: nothing is said",
        class: "",
        control: Control::Input(&[("type", "text"), ("maxlength", "500"), ("autocomplete", "off")]),
    };
    let summary = words("summary", "", "Exceptions and a message to users");
    let terms = all([summary, exceptions(exceptions_id, false), notify.draw()]);
    tag("details", "fold dialog__terms", terms)
}

/// What stays open although a host is isolated.
pub fn exceptions(id: &'static str, allow_dns: bool) -> AnyView {
    let lines = Field {
        id,
        name: "exceptions",
        label: "Stays open",
        about: "One a line, as in: tcp 10.0.0.5:22 in until 18:00Z",
        class: "",
        control: Control::Area(&[("rows", "3"), ("spellcheck", "false")]),
    };
    all([lines.draw(), choice("allow_dns", "DNS as well: data can leave through it", allow_dns)])
}
