mod next;

use leptos::{ev::SubmitEvent, prelude::*};

use crate::{
    api,
    error::ApiError,
    model::{NewSchedule, Order},
    page::{asking, order_dialog::new_key, problem},
    ui::{
        all,
        dom::{dialog_while, spawn},
        field::{Control, Field, fields},
        form::{self, Fields},
        view,
    },
};

/// Those of times come first.
const FIELDS: &Fields = &[
    ("not_before", "new-at"),
    ("expires_at", "new-end"),
    ("hostnames", "new-hosts"),
    ("cron", "new-cron"),
    ("time_zone", "new-zone"),
    ("reason", "new-reason"),
];

/// What to do, where and when. Open while `open`.
#[component]
pub fn CreateDialog(open: RwSignal<bool>, on_made: Callback<()>) -> impl IntoView {
    let key = RwSignal::new(String::new());
    let (error, busy) = (RwSignal::new(None::<ApiError>), RwSignal::new(false));
    let prepare = move || {
        form::reset("new-form", FIELDS);
        key.set(new_key());
        error.set(None);
        busy.set(false);
    };
    dialog_while("new", move || open.get(), prepare);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        if let Err(incomplete) = form::check_times(&FIELDS[..2]) {
            error.set(form::blame(FIELDS, Some(incomplete)));
            return;
        }
        busy.set(true);
        error.set(form::blame(FIELDS, None));
        let made = api::create_schedule(written(key.get_untracked()));
        spawn(async move {
            match made.await {
                Ok(_) => {
                    open.try_set(false);
                    on_made.try_run(());
                }
                Err(refused) => _ = error.try_set(form::blame(FIELDS, Some(refused))),
            }
            busy.try_set(false);
        });
    };
    view! {
        <dialog class="dialog" id="new" aria-labelledby="new-title" on:close=move |_| open.set(false)>
            <form class="dialog__body" id="new-form" on:submit=submit novalidate>
                <div class="dialog__content">
                    <h2 id="new-title">"New schedule"</h2>
                    {new_fields()}
                </div>
                {problem(error)}
                <div class="dialog__buttons">
                    <button class="button" type="button" on:click=move |_| open.set(false)>"Close"</button>
                    <button
                        class="button button--primary" type="submit" aria-disabled=move || busy.get().then_some("true")
                    >
                        "Create schedule"
                    </button>
                </div>
            </form>
        </dialog>
    }
}

fn new_fields() -> AnyView {
    let what = [
        Field {
            id: "new-order",
            name: "order",
            label: "Command",
            about: "",
            class: "field--grow",
            control: Control::Select(&[
                ("network_isolate", "Isolate"),
                ("network_restore", "Release"),
                ("agent_check", "Check"),
            ]),
        },
        Field {
            id: "new-runs",
            name: "runs",
            label: "Runs",
            about: "",
            class: "field--grow",
            control: Control::Select(&[("once", "Once"), ("cron", "Again and again")]),
        },
    ];
    let hosts = Field {
        id: "new-hosts",
        name: "hostnames",
        label: "Hosts",
        about: "Names, one a line",
        class: "",
        control: Control::Area(&[("rows", "3"), ("spellcheck", "false")]),
    };
    let at = Field {
        id: "new-at",
        name: "not_before",
        label: "At (UTC)",
        about: "The command is made then",
        class: "runs-once",
        control: Control::Input(&[("type", "datetime-local"), ("step", "1")]),
    };
    let again = [
        Field {
            id: "new-cron",
            name: "cron",
            label: "Cron",
            about: "Minute hour day month weekday, as in 30 2 * * 1-5",
            class: "field--grow",
            control: Control::Input(&[
                ("type", "text"),
                ("maxlength", "100"),
                ("autocomplete", "off"),
                ("spellcheck", "false"),
            ]),
        },
        Field {
            id: "new-zone",
            name: "time_zone",
            label: "Time zone",
            about: "As in Europe/Berlin",
            class: "field--grow",
            control: Control::Input(&[
                ("type", "text"),
                ("maxlength", "64"),
                ("autocomplete", "off"),
                ("spellcheck", "false"),
                ("value", "UTC"),
            ]),
        },
    ];
    let end = Field {
        id: "new-end",
        name: "expires_at",
        label: "Ends at (UTC, optional)",
        about: "After this there is no run, and no command waits any longer",
        class: "",
        control: Control::Input(&[("type", "datetime-local"), ("step", "1")]),
    };
    let reason =
        Field { about: "3 to 500 characters; kept with each command", ..asking::reason("new-reason") };
    all([
        fields("form form--row", &what),
        hosts.draw(),
        at.draw(),
        next::repetition(fields("form form--row", &again)),
        end.draw(),
        reason.draw(),
    ])
}

/// What is in the form.
fn written(idempotency_key: String) -> NewSchedule {
    let repeats = form::value("new-runs") == "cron";
    let of = |is_shown: bool, id: &str| if is_shown { form::value(id) } else { String::new() };
    NewSchedule {
        order: Order::of_kind(&form::value("new-order")).unwrap_or(Order::Check),
        hostnames: form::value("new-hosts"),
        endpoint_ids: Vec::new(),
        reason: form::value("new-reason"),
        not_before: of(!repeats, "new-at"),
        cron: of(repeats, "new-cron"),
        time_zone: of(repeats, "new-zone"),
        ends_at: form::value("new-end"),
        idempotency_key,
    }
}
