//! The one dialog for orders to hosts: of the page of an endpoint, of the selection in the list, and of a batch's undo.

mod draft;

use leptos::{ev::SubmitEvent, prelude::*};
use web_sys::HtmlDialogElement;

pub use self::draft::{Draft, Target, new_key};
use super::{
    asking::{self, Asking},
    problem,
};
use crate::{
    error::ApiError,
    model::{
        Order,
        order::{self, Sent},
    },
    ui::{
        Icon, Shape, all,
        dom::{effect, element, spawn},
        field::{Control, Field, fields},
        form::{self, Fields},
        maybe, part, tag, text, view, words,
    },
};

/// Characters.
const REASON: std::ops::RangeInclusive<usize> = 3..=500;
/// That of a time comes first.
const FIELDS: &Fields = &[
    ("not_before", "order-later"),
    ("auto_restore_after_seconds", "order-release"),
    ("exceptions", "order-exceptions"),
    ("notify_users", "order-notify"),
    ("reason", "order-reason"),
];

/// Asks for the reason and says what will happen. Open while there is a draft.
#[component]
pub fn OrderDialog(
    draft: RwSignal<Option<Draft>>,
    /// How many of the hosts are offline.
    #[prop(into)]
    offline: Signal<usize>,
    on_sent: Callback<(Order, Sent)>,
) -> impl IntoView {
    let error = RwSignal::new(None::<ApiError>);
    let busy = RwSignal::new(false);
    let preview = Asking::new();
    // While it closes it keeps its words.
    let shown = RwSignal::new(None::<Draft>);
    effect(move || {
        let draft = draft.get();
        let Some(dialog) = element::<HtmlDialogElement>("order") else { return };
        match draft {
            Some(draft) if !dialog.open() => {
                form::reset("order-form", FIELDS);
                form::set_value("order-reason", &draft.reason);
                shown.set(Some(draft));
                error.set(None);
                busy.set(false);
                preview.answer.set(None);
                preview.error.set(None);
                let _ = dialog.show_modal();
            }
            None if dialog.open() => dialog.close(),
            Some(_) | None => {}
        }
    });

    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let Some(mut sent) = draft.get_untracked() else { return };
        if busy.get_untracked() {
            return;
        }
        form::value("order-reason").trim().clone_into(&mut sent.reason);
        if let Err(wrong) = form::check_times(&FIELDS[..1]).and_then(|()| check_reason(&sent.reason)) {
            error.set(form::blame(FIELDS, Some(wrong)));
            return;
        }
        busy.set(true);
        error.set(form::blame(FIELDS, None));
        let order = sent.order;
        let answer = sent.send(form::encoded("order-form"));
        spawn(async move {
            match answer.await {
                Ok(sent) => {
                    draft.try_set(None);
                    on_sent.try_run((order, sent));
                }
                Err(refused) => _ = error.try_set(form::blame(FIELDS, Some(refused))),
            }
            busy.try_set(false);
        });
    };
    let look = move |_| {
        if let Some(Target::Host { id, .. }) = draft.get_untracked().map(|draft| draft.target) {
            preview.send(id, format!("action=preview&{}", form::encoded("order-form")), || {});
        }
    };
    let words =
        move |get: fn(&Draft) -> String| text(move || shown.read().as_ref().map(get).unwrap_or_default());

    view! {
        <dialog class="dialog" id="order" aria-labelledby="order-title" on:close=move |_| draft.set(None)>
            <form
                id="order-form" on:submit=submit novalidate
                class=move || format!("dialog__body {}", shown.read().as_ref().map_or("", Draft::offers))
            >
                <h2 id="order-title">{words(|draft| draft.target.question(draft.order))}</h2>
                {part(move || shown.read().as_ref().map_or_else(|| ().into_any(), consequence))}
                {maybe(move || offline_note(offline.get(), shown.read().as_ref()?))}
                {order_fields()}
                <div class="dialog__preview">
                    <button
                        class="button button--small" type="button" on:click=look
                        aria-disabled=move || (preview.busy.get() || offline.get() > 0).then_some("true")
                    >
                        "What will happen"
                    </button>
                    {preview.draw(Signal::stored(String::new()))}
                </div>
                {problem(error)}
                <div class="dialog__buttons">
                    <button class="button" type="button" on:click=move |_| draft.set(None)>"Keep as it is"</button>
                    <button
                        type="submit" aria-disabled=move || busy.get().then_some("true")
                        class=move || format!("button button--{}", shown.read().as_ref().map_or("", Draft::tone))
                    >
                        {words(|draft| format!("{} {}", draft.order.verb(), draft.target.words()))}
                    </button>
                </div>
            </form>
        </dialog>
    }
}

fn order_fields() -> AnyView {
    let reason = Field {
        control: Control::Area(&[("rows", "3"), ("maxlength", "500"), ("required", ""), ("autofocus", "")]),
        ..asking::reason("order-reason")
    };
    let times = [
        Field {
            id: "order-release",
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
        },
        Field {
            id: "order-later",
            name: "not_before",
            label: "Not before (UTC)",
            about: "Empty: at once. Does not go with an automatic release",
            class: "field--grow",
            control: Control::Input(&[("type", "datetime-local"), ("step", "1")]),
        },
    ];
    let notify = Field {
        id: "order-notify",
        name: "notify_users",
        label: "Message to users who are logged in",
        about: "Shown on their terminals; empty: nothing is said",
        class: "",
        control: Control::Input(&[("type", "text"), ("maxlength", "500"), ("autocomplete", "off")]),
    };
    let terms = all([
        words("summary", "", "Exceptions and a message to users"),
        asking::exceptions("order-exceptions", false),
        notify.draw(),
    ]);
    all([
        reason.draw(),
        fields("form form--row dialog__options", &times),
        tag("details", "fold dialog__terms", terms),
    ])
}

fn check_reason(reason: &str) -> Result<(), ApiError> {
    if REASON.contains(&reason.chars().count()) {
        return Ok(());
    }
    let problem = format!("Write {} to {} characters.", REASON.start(), REASON.end());
    Err(ApiError::Invalid { field: "reason".to_owned(), problem })
}

fn offline_note(offline: usize, draft: &Draft) -> Option<AnyView> {
    let who = match (offline, &draft.target) {
        (0, _) | (_, Target::Undo(_)) => return None,
        (_, Target::Host { hostname, .. }) => format!("{hostname} is offline. "),
        (1, Target::Hosts(_)) => "1 host is offline. ".to_owned(),
        (more, Target::Hosts(_)) => format!("{} are offline. ", order::hosts(more)),
    };
    Some(view! {
        <p class="dialog__offline">
            <Icon shape=Shape::Clock/>
            <span><b>{who}</b> "The command waits until the host connects and expires in 7 days."</span>
        </p>
    })
}

fn consequence(draft: &Draft) -> AnyView {
    let hosts = match &draft.target {
        Target::Hosts(_) => view! { <p class="muted">{draft.target.names()}</p> },
        Target::Host { .. } | Target::Undo(_) => ().into_any(),
    };
    let what = match (draft.order, &draft.target) {
        (Order::Isolate, _) => view! { <Isolation/> },
        (Order::Restore, Target::Undo(_)) => view! {
            <p>
                "Releases exactly the hosts that this batch isolated and that are isolated by it still. Others are left as they are."
            </p>
        },
        (Order::Restore, _) => view! {
            <p>
                "The host gets its network back exactly as it was: the isolation rules are deleted, its own firewall was never touched."
            </p>
        },
        (Order::Check, _) => view! {
            <p>"The agent reports how it is, which shows that commands arrive. Nothing changes on the host."</p>
        },
    };
    all([hosts, what])
}

#[component]
fn Isolation() -> impl IntoView {
    view! {
        <ul class="consequence">
            <li class="consequence__drops">
                <Icon shape=Shape::Cross/>
                <span><b>"Drops: "</b> "every other connection, IPv4 and IPv6, in and out, including those open now."</span>
            </li>
            <li class="consequence__stays">
                <Icon shape=Shape::Check/>
                <span>
                    <b>"Stays: "</b> "the connection to this server, the host's loopback, and the exceptions below. Nothing else."
                </span>
            </li>
        </ul>
    }
}
