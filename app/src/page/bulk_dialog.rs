//! The dialog for orders to many hosts: who gets it, who is left out and why, and how many these are.

use leptos::{ev::SubmitEvent, prelude::*};
use web_sys::HtmlDialogElement;

use super::{asking, code::Extra, order_dialog::new_key, problem};
use crate::{
    api,
    error::ApiError,
    model::{
        bulk::{BulkOrder, CONFIRMED_ABOVE, Choice, Excluded, Resolved},
        order::{self, Sent},
    },
    ui::{
        Icon, Item, Shape, all,
        dom::{effect, element, go, input_value, spawn},
        field::{Control, Field, fields},
        form::{self, Fields},
        list, maybe, part, text, view, words,
    },
};

/// That of a time comes first.
const FIELDS: &Fields = &[
    ("not_before", "bulk-later"),
    ("auto_restore_after_seconds", "bulk-release"),
    ("exceptions", "bulk-exceptions"),
    ("notify_users", "bulk-notify"),
    ("profile", "bulk-profile"),
    ("excluded", "bulk-out"),
    ("hosts", "bulk-out"),
    ("confirmed", "bulk-confirmed"),
    ("reason", "bulk-reason"),
];

/// An order being written. Its key is made when the dialog opens: however often it is sent, it is one batch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BulkDraft {
    pub order: BulkOrder,
    pub choice: Choice,
    pub excluded: Vec<Excluded>,
    key: String,
}

impl BulkDraft {
    /// In the browser only.
    pub fn new(order: BulkOrder, choice: Choice, excluded: Vec<Excluded>) -> Self {
        Self { order, choice, excluded, key: new_key() }
    }

    /// The class of a form that shows what goes with the order.
    fn offers(&self) -> &'static str {
        match self.order {
            BulkOrder::Isolate => "dialog__body offers-time offers-terms",
            BulkOrder::Collect => "dialog__body offers-time offers-profile",
            BulkOrder::Restore | BulkOrder::Check => "dialog__body offers-time",
        }
    }
}

/// Open while there is a draft. Goes to the batch that it made.
#[component]
pub fn BulkDialog(draft: RwSignal<Option<BulkDraft>>) -> impl IntoView {
    Extra::BulkDialog(draft).draw()
}

pub fn bulk_dialog(draft: RwSignal<Option<BulkDraft>>) -> AnyView {
    let error = RwSignal::new(None::<ApiError>);
    let busy = RwSignal::new(false);
    let resolved = RwSignal::new(None::<Resolved>);
    // While it closes it keeps its words.
    let shown = RwSignal::new(None::<BulkDraft>);
    let excluded = RwSignal::new(Vec::<Excluded>::new());
    effect(move || {
        let draft = draft.get();
        let Some(dialog) = element::<HtmlDialogElement>("bulk") else { return };
        match draft {
            Some(draft) if !dialog.open() => {
                form::reset("bulk-form", FIELDS);
                excluded.set(draft.excluded.clone());
                error.set(None);
                busy.set(false);
                resolved.set(None);
                let choice = draft.choice.clone();
                shown.set(Some(draft));
                let _ = dialog.show_modal();
                spawn(async move {
                    match api::resolve_choice(choice).await {
                        Ok(found) => _ = resolved.try_set(Some(found)),
                        Err(refused) => _ = error.try_set(Some(refused)),
                    }
                });
            }
            None if dialog.open() => dialog.close(),
            Some(_) | None => {}
        }
    });
    // None until the server has said who is chosen.
    let count = Memo::new(move |_| {
        let out = i64::try_from(excluded.with(Vec::len)).unwrap_or(0);
        resolved.with(|resolved| resolved.as_ref().map(|resolved| (resolved.hosts - out).max(0)))
    });
    let must_type = Memo::new(move |_| count.get().is_some_and(|count| count > CONFIRMED_ABOVE));

    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let (Some(draft_sent), Some(confirmed)) = (draft.get_untracked(), count.get_untracked()) else {
            return;
        };
        if busy.get_untracked() {
            return;
        }
        let typed = input_value("bulk-confirmed");
        let wrong = |field: &str, problem: String| {
            error.set(form::blame(FIELDS, Some(ApiError::Invalid { field: field.to_owned(), problem })));
        };
        if must_type.get_untracked() && typed.trim() != confirmed.to_string() {
            return wrong("confirmed", format!("Type {confirmed} to confirm."));
        }
        if let Err(refused) = form::check_times(&FIELDS[..1]) {
            error.set(form::blame(FIELDS, Some(refused)));
            return;
        }
        busy.set(true);
        error.set(form::blame(FIELDS, None));
        let BulkDraft { order, choice, key, .. } = draft_sent;
        let out = excluded.get_untracked();
        let answer = api::bulk_order(order, choice, out, confirmed, form::encoded("bulk-form"), key);
        spawn(async move {
            match answer.await {
                Ok(sent) => {
                    draft.try_set(None);
                    match sent {
                        Sent::Batch(id) => go(&["/batches/", &id].concat()),
                        Sent::Schedule(_) => go("/schedules"),
                        Sent::Command(_) => {}
                    }
                }
                Err(refused) => _ = error.try_set(form::blame(FIELDS, Some(refused))),
            }
            busy.try_set(false);
        });
    };
    let verb = move || shown.read().as_ref().map_or("", |draft| draft.order.verb());
    let hosts = move || match count.get() {
        Some(1)
            if resolved.with(|resolved| resolved.as_ref().is_some_and(|found| found.names.len() == 1)) =>
        {
            resolved
                .with(|resolved| resolved.as_ref().and_then(|found| found.names.first().cloned()))
                .unwrap_or_default()
        }
        Some(count) => order::hosts(usize::try_from(count).unwrap_or(0)),
        None => "the chosen hosts".to_owned(),
    };
    view! {
        <dialog class="dialog" id="bulk" aria-labelledby="bulk-title" on:close=move |_| draft.set(None)>
            <form
                id="bulk-form" on:submit=submit novalidate
                class=move || shown.read().as_ref().map_or("dialog__body", BulkDraft::offers)
            >
                <div class="dialog__content">
                    <h2 id="bulk-title">{text(move || [verb(), " ", &hosts(), "?"].concat())}</h2>
                    {part(move || match resolved.get() {
                        None => words("p", "muted", "The chosen hosts are counted…"),
                        Some(found) => words("p", "muted", found.words()),
                    })}
                    <p>{text(move || shown.read().as_ref().map_or("", |draft| draft.order.consequence()))}</p>
                    {maybe(move || {
                        let who = resolved.with(|resolved| resolved.as_ref()?.offline_words())?;
                        Some(view! {
                            <p class="dialog__offline">
                                <Icon shape=Shape::Clock/>
                                <span>
                                    <b>{who}</b>
                                    "The command waits until the host connects and expires in 7 days."
                                </span>
                            </p>
                        })
                    })}
                    {order_fields()}
                    <Exclusions excluded/>
                    {maybe(move || must_type.get().then(|| {
                        let confirm = Field {
                            id: "bulk-confirmed",
                            name: "confirmed",
                            label: "Number of hosts, to confirm",
                            about: "Type how many hosts this order goes to; it is refused if there are more by then",
                            class: "",
                            control: Control::Input(&[("type", "text"), ("inputmode", "numeric"), ("autocomplete", "off")]),
                        };
                        confirm.draw()
                    }))}
                </div>
                {problem(error)}
                <div class="dialog__buttons">
                    <button class="button" type="button" on:click=move |_| draft.set(None)>"Keep as it is"</button>
                    <button
                        type="submit"
                        aria-disabled=move || (busy.get() || count.get().is_none_or(|count| count == 0)).then_some("true")
                        class=move || {
                            let tone = shown.read().as_ref().map_or("primary", |draft| draft.order.tone());
                            ["button button--", tone].concat()
                        }
                    >
                        {text(move || [verb(), " ", &hosts()].concat())}
                    </button>
                </div>
            </form>
        </dialog>
    }
}

/// Hosts that are left out, each with a reason.
#[component]
fn Exclusions(excluded: RwSignal<Vec<Excluded>>) -> impl IntoView {
    let take_out = move |_| {
        let hostname = input_value("bulk-out").trim().to_owned();
        let is_new = excluded.with_untracked(|excluded| excluded.iter().all(|one| one.hostname != hostname));
        if !hostname.is_empty() && is_new {
            excluded.update(|excluded| excluded.push(Excluded { hostname, reason: String::new() }));
        }
        form::set_value("bulk-out", "");
    };
    let line = move |one: Excluded| {
        let name = one.hostname.clone();
        Item::new(name.clone(), move || {
            let (typed, back) = (name.clone(), name.clone());
            let write = move |event| {
                let reason = event_target_value(&event);
                excluded.update(|excluded| {
                    if let Some(one) = excluded.iter_mut().find(|one| one.hostname == typed) {
                        one.reason = reason;
                    }
                });
            };
            let put_back = move |_| excluded.update(|excluded| excluded.retain(|one| one.hostname != back));
            view! {
                <li>
                    <b>{name.clone()}</b>
                    <input
                        class="input" type="text" maxlength="500" autocomplete="off" placeholder="Why"
                        aria-label=["Why ", &name, " is taken out"].concat() on:input=write
                    />
                    <button
                        class="button button--small button--quiet" type="button" on:click=put_back
                        aria-label=["Put ", &name, " back"].concat()
                    >
                        "Put back"
                    </button>
                </li>
            }
        })
    };
    let host = Field {
        id: "bulk-out",
        name: "out",
        label: "Take a host out",
        about: "By its name; each needs a reason, which is kept with the batch",
        class: "field--grow",
        control: Control::Input(&[("type", "text"), ("autocomplete", "off"), ("spellcheck", "false")]),
    };
    view! {
        <div class="exclusions" role="group" aria-label="Hosts that are taken out">
            <div class="form form--row">
                {host.draw()}
                <button class="button" type="button" on:click=take_out>"Take out"</button>
            </div>
            <ul class="exclusions__list">{list(move || excluded.get().into_iter().map(line).collect())}</ul>
        </div>
    }
}

fn order_fields() -> AnyView {
    let profile = Field {
        id: "bulk-profile",
        name: "profile",
        label: "What is collected",
        about: "A standard collection takes a minute or so",
        class: "dialog__profile",
        control: Control::Select(&[("quick", "Quick"), ("standard", "Standard"), ("full", "Full")]),
    };
    all([
        asking::long_reason("bulk-reason").draw(),
        fields(
            "form form--row dialog__options",
            &[asking::release_after("bulk-release"), asking::later("bulk-later")],
        ),
        profile.draw(),
        asking::isolation_terms("bulk-exceptions", "bulk-notify"),
    ])
}
