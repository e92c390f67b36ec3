use leptos::{ev::SubmitEvent, prelude::*};
use web_sys::HtmlDialogElement;

use crate::{
    api,
    error::ApiError,
    model::{NewSchedule, Order},
    page::{order_dialog::new_key, problem},
    ui::{
        dom::{effect, element, spawn},
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
    effect(move || {
        let is_wanted = open.get();
        let Some(dialog) = element::<HtmlDialogElement>("new") else { return };
        if is_wanted && !dialog.open() {
            form::reset("new-form", FIELDS);
            key.set(new_key());
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
                <h2 id="new-title">"New schedule"</h2>
                <div class="form form--row">
                    <div class="field field--grow">
                        <label for="new-order">"Command"</label>
                        <select class="select" id="new-order" autofocus>
                            <option value="network_isolate" selected>"Isolate"</option>
                            <option value="network_restore">"Release"</option>
                            <option value="agent_check">"Check"</option>
                        </select>
                    </div>
                    <div class="field field--grow">
                        <label for="new-runs">"Runs"</label>
                        <select class="select" id="new-runs">
                            <option value="once" selected>"Once"</option>
                            <option value="cron">"Again and again"</option>
                        </select>
                    </div>
                </div>
                <div class="field">
                    <label for="new-hosts">"Hosts"</label>
                    <textarea
                        class="input mono" id="new-hosts" rows="3" spellcheck="false"
                        aria-describedby="new-hosts-problem new-hosts-about"
                    ></textarea>
                    <p class="field__about">
                        <span class="field__problem" id="new-hosts-problem"></span>
                        <span id="new-hosts-about">"Names, one a line"</span>
                    </p>
                </div>
                <div class="field runs-once">
                    <label for="new-at">"At (UTC)"</label>
                    <input
                        class="input" id="new-at" type="datetime-local" step="1"
                        aria-describedby="new-at-problem new-at-about"
                    />
                    <p class="field__about">
                        <span class="field__problem" id="new-at-problem"></span>
                        <span id="new-at-about">"The command is made then"</span>
                    </p>
                </div>
                <div class="form form--row runs-again">
                    <div class="field field--grow">
                        <label for="new-cron">"Cron"</label>
                        <input
                            class="input mono" id="new-cron" type="text" maxlength="100" autocomplete="off" spellcheck="false"
                            aria-describedby="new-cron-problem new-cron-about"
                        />
                        <p class="field__about">
                            <span class="field__problem" id="new-cron-problem"></span>
                            <span id="new-cron-about">"Minute hour day month weekday, as in 30 2 * * 1-5"</span>
                        </p>
                    </div>
                    <div class="field field--grow">
                        <label for="new-zone">"Time zone"</label>
                        <input
                            class="input" id="new-zone" type="text" maxlength="64" autocomplete="off" spellcheck="false" value="UTC"
                            aria-describedby="new-zone-problem new-zone-about"
                        />
                        <p class="field__about">
                            <span class="field__problem" id="new-zone-problem"></span>
                            <span id="new-zone-about">"As in Europe/Berlin"</span>
                        </p>
                    </div>
                </div>
                <div class="field">
                    <label for="new-end">"Ends at (UTC, optional)"</label>
                    <input
                        class="input" id="new-end" type="datetime-local" step="1"
                        aria-describedby="new-end-problem new-end-about"
                    />
                    <p class="field__about">
                        <span class="field__problem" id="new-end-problem"></span>
                        <span id="new-end-about">"After this there is no run, and no command waits any longer"</span>
                    </p>
                </div>
                <div class="field">
                    <label for="new-reason">"Reason"</label>
                    <input
                        class="input" id="new-reason" type="text" maxlength="500" autocomplete="off"
                        aria-describedby="new-reason-problem new-reason-about"
                    />
                    <p class="field__about">
                        <span class="field__problem" id="new-reason-problem"></span>
                        <span id="new-reason-about">"3 to 500 characters; kept with each command"</span>
                    </p>
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
