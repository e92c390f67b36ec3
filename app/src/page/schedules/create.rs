use leptos::{ev::SubmitEvent, prelude::*};
use web_sys::{HtmlDialogElement, HtmlInputElement, HtmlTextAreaElement};

use crate::{
    api,
    error::ApiError,
    model::{NewSchedule, Order},
    page::{
        field::{Field, is_wrong},
        order_dialog::new_key,
        problem,
    },
    ui::{
        all,
        dom::{effect, element, focus, input_value, spawn},
        part, text,
    },
};

/// The server's names of the fields, and their elements, in the order of the form.
const FIELDS: [(&str, &str); 6] = [
    ("hostnames", "new-hosts"),
    ("not_before", "new-at"),
    ("cron", "new-cron"),
    ("time_zone", "new-zone"),
    ("expires_at", "new-end"),
    ("reason", "new-reason"),
];

/// What to do, where and when. Open while `open`.
#[component]
pub fn CreateDialog(open: RwSignal<bool>, on_made: Callback<()>) -> impl IntoView {
    let key = StoredValue::new(String::new());
    let order = RwSignal::new(Order::Isolate);
    let repeats = RwSignal::new(false);
    let (error, busy) = (RwSignal::new(None::<ApiError>), RwSignal::new(false));
    effect(move || {
        let is_wanted = open.get();
        let Some(dialog) = element::<HtmlDialogElement>("new") else { return };
        if is_wanted && !dialog.open() {
            key.set_value(new_key());
            error.set(None);
            busy.set(false);
            let _ = dialog.show_modal();
        } else if !is_wanted && dialog.open() {
            dialog.close();
        }
    });
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        let repeats = repeats.get_untracked();
        let incomplete = FIELDS.iter().find(|(_, id)| {
            element::<HtmlInputElement>(id).is_some_and(|input| !input.check_validity())
        });
        if let Some((field, id)) = incomplete {
            focus(id);
            let problem = "Complete the time, or clear it.".to_owned();
            error.set(Some(ApiError::Invalid { field: (*field).to_owned(), problem }));
            return;
        }
        let new = NewSchedule {
            order: order.get_untracked(),
            hostnames: element("new-hosts").map(|area: HtmlTextAreaElement| area.value()).unwrap_or_default(),
            endpoint_ids: Vec::new(),
            reason: input_value("new-reason"),
            not_before: if repeats { String::new() } else { input_value("new-at") },
            cron: if repeats { input_value("new-cron") } else { String::new() },
            time_zone: input_value("new-zone"),
            ends_at: input_value("new-end"),
            idempotency_key: key.get_value(),
        };
        busy.set(true);
        error.set(None);
        spawn(async move {
            match api::create_schedule(new).await {
                Ok(_) => {
                    open.try_set(false);
                    on_made.try_run(());
                }
                Err(refused) => {
                    if let Some((_, id)) = FIELDS.iter().find(|(field, _)| refused.of_field(field).is_some()) {
                        focus(id);
                    }
                    error.try_set(Some(refused));
                }
            }
            busy.try_set(false);
        });
    };
    let general = RwSignal::new(None::<ApiError>);
    effect(move || {
        let is_of_field = |error: &ApiError| FIELDS.iter().any(|(field, _)| error.of_field(field).is_some());
        general.set(error.get().filter(|error| !is_of_field(error)));
    });
    view! {
        <dialog class="dialog" id="new" aria-labelledby="new-title" on:close=move |_| open.set(false)>
            <form class="dialog__body" on:submit=submit novalidate>
                <h2 id="new-title">"New schedule"</h2>
                <div class="form form--row">
                    <Field id="new-order" of="order" label="Command" about="" error grow=true>
                        <select
                            class="select" id="new-order" autofocus
                            on:change=move |event| order.set(Order::of_kind(&event_target_value(&event)).unwrap_or(Order::Isolate))
                        >
                            {all(Order::ALL.map(|order| view! { <option value=order.kind()>{order.verb()}</option> }.into_any()))}
                        </select>
                    </Field>
                    <Field id="new-repeats" of="repeats" label="Runs" about="" error grow=true>
                        <select
                            class="select" id="new-repeats"
                            on:change=move |event| repeats.set(event_target_value(&event) == "cron")
                        >
                            <option value="once">"Once"</option>
                            <option value="cron">"Again and again"</option>
                        </select>
                    </Field>
                </div>
                <Field id="new-hosts" of="hostnames" label="Hosts" about="Names, one a line" error>
                    <textarea
                        class="input mono" id="new-hosts" rows="3" spellcheck="false" aria-describedby="new-hosts-about"
                        aria-invalid=move || is_wrong(error, "hostnames").then_some("true")
                    ></textarea>
                </Field>
                {part(move || if repeats.get() {
                    view! {
                        <div class="form form--row">
                            {line(error, "new-cron", "cron", "Cron", "Minute hour day month weekday, as in 30 2 * * 1-5", "")}
                            {line(error, "new-zone", "time_zone", "Time zone", "As in Europe/Berlin", "UTC")}
                        </div>
                    }
                    .into_any()
                } else {
                    moment(error, "new-at", "not_before", "At (UTC)", "The command is made then")
                })}
                {moment(error, "new-end", "expires_at", "Ends at (UTC, optional)", "No run, and no waiting, after this")}
                {line(error, "new-reason", "reason", "Reason", "", "")}
                {problem(general)}
                <div class="dialog__buttons">
                    <button class="button" type="button" on:click=move |_| open.set(false)>"Close"</button>
                    <button class="button button--primary" type="submit" aria-disabled=move || busy.get().then_some("true")>
                        {text(move || if busy.get() { "Saving…" } else { "Create schedule" })}
                    </button>
                </div>
            </form>
        </dialog>
    }
}

fn line(
    error: RwSignal<Option<ApiError>>,
    id: &'static str,
    of: &'static str,
    label: &'static str,
    about: &'static str,
    value: &'static str,
) -> AnyView {
    view! {
        <Field id of label about error grow=true>
            <input
                class="input" id=id type="text" maxlength="500" autocomplete="off" value=value
                aria-describedby=format!("{id}-about")
                aria-invalid=move || is_wrong(error, of).then_some("true")
            />
        </Field>
    }
    .into_any()
}

fn moment(
    error: RwSignal<Option<ApiError>>,
    id: &'static str,
    of: &'static str,
    label: &'static str,
    about: &'static str,
) -> AnyView {
    view! {
        <Field id of label about error>
            <input
                class="input" id=id type="datetime-local" step="1" aria-describedby=format!("{id}-about")
                aria-invalid=move || is_wrong(error, of).then_some("true")
            />
        </Field>
    }
    .into_any()
}
