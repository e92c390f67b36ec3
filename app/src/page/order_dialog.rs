//! The one dialog for orders to hosts: of the page of an endpoint, of the selection in the list, and of a batch's undo.

mod draft;

use leptos::{ev::SubmitEvent, prelude::*};
use web_sys::{HtmlDialogElement, HtmlInputElement};

pub use self::draft::{Draft, Sent, Target, new_key};
use super::{
    field::{Field, is_wrong},
    problem,
};
use crate::{
    error::ApiError,
    model::{Order, order},
    ui::{
        Icon, Shape, all,
        dom::{effect, element, focus, spawn},
        maybe, part, text,
    },
};

/// Characters.
const REASON: std::ops::RangeInclusive<usize> = 3..=500;
const NEVER: &str = "0";
/// Seconds after which an isolation ends by itself, and their words.
const RELEASE: [(&str, &str); 5] =
    [(NEVER, "Never"), ("3600", "1 h"), ("14400", "4 h"), ("28800", "8 h"), ("86400", "24 h")];
/// Fields that show their own problems.
const FIELDS: [&str; 3] = ["reason", "not_before", "auto_restore_after_seconds"];

/// Asks for the reason and says what will happen. Open while there is a draft.
#[component]
pub fn OrderDialog(
    draft: RwSignal<Option<Draft>>,
    /// How many of the hosts are offline.
    #[prop(into)]
    offline: Signal<usize>,
    on_sent: Callback<Sent>,
) -> impl IntoView {
    let reason = RwSignal::new(String::new());
    let release = RwSignal::new(NEVER.to_owned());
    let later = RwSignal::new(String::new());
    let error = RwSignal::new(None::<ApiError>);
    let busy = RwSignal::new(false);
    let shown = Memo::new(move |before: Option<&Option<Draft>>| {
        // While it closes it keeps its words.
        draft.get().or_else(|| before.cloned().flatten())
    });
    effect(move || {
        let draft = draft.get();
        let Some(dialog) = element::<HtmlDialogElement>("order") else { return };
        match draft {
            Some(draft) if !dialog.open() => {
                reason.set(draft.reason);
                release.set(NEVER.to_owned());
                later.set(String::new());
                error.set(None);
                busy.set(false);
                let _ = dialog.show_modal();
            }
            None if dialog.open() => dialog.close(),
            Some(_) | None => {}
        }
    });

    let order = Memo::new(move |_| shown.read().as_ref().map_or(Order::Isolate, |draft| draft.order));
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let Some(mut sent) = draft.get_untracked() else { return };
        if busy.get_untracked() {
            return;
        }
        reason.read_untracked().trim().clone_into(&mut sent.reason);
        let filled = check(&sent.reason);
        error.set(filled.clone().err());
        if filled.is_err() {
            return;
        }
        busy.set(true);
        let release = release.with_untracked(|seconds| seconds.parse().ok().filter(|seconds| *seconds > 0));
        let answer = sent.send(release, later.get_untracked());
        spawn(async move {
            match answer.await {
                Ok(sent) => {
                    draft.try_set(None);
                    on_sent.try_run(sent);
                }
                Err(refused) => _ = error.try_set(Some(refused)),
            }
            busy.try_set(false);
        });
    };
    let general = RwSignal::new(None::<ApiError>);
    effect(move || {
        let is_of_field =
            |error: &ApiError| FIELDS.iter().any(|field| error.of_field(field).is_some());
        general.set(error.get().filter(|error| !is_of_field(error)));
    });
    let count = move || format!("{} of {} characters", reason.read().trim().chars().count(), REASON.end());
    let words = move |get: fn(&Draft) -> String| {
        text(move || shown.read().as_ref().map(get).unwrap_or_default())
    };

    view! {
        <dialog class="dialog" id="order" aria-labelledby="order-title" on:close=move |_| draft.set(None)>
            <form class="dialog__body" on:submit=submit novalidate>
                <h2 id="order-title">{words(|draft| draft.target.question(draft.order))}</h2>
                {part(move || shown.read().as_ref().map_or_else(|| ().into_any(), consequence))}
                {maybe(move || offline_note(offline.get(), shown.read().as_ref()?))}
                <Field id="order-reason" of="reason" label="Reason" about="" error>
                    <textarea
                        class="input" id="order-reason" name="reason" rows="3" maxlength="500" required autofocus
                        prop:value=move || reason.get()
                        on:input=move |event| reason.set(event_target_value(&event))
                        aria-describedby="order-reason-about order-reason-count"
                        aria-invalid=move || is_wrong(error, "reason").then_some("true")
                    ></textarea>
                    <p class="field__about" id="order-reason-count"><span class="field__count">{text(count)}</span></p>
                </Field>
                {maybe(move || {
                    let takes_time = shown.read().as_ref()?.target.takes_time();
                    takes_time.then(|| view! { <Options order release later error/> }.into_any())
                })}
                {problem(general)}
                <div class="dialog__buttons">
                    <button class="button" type="button" on:click=move |_| draft.set(None)>"Keep as it is"</button>
                    <button
                        type="submit" aria-disabled=move || busy.get().then_some("true")
                        class=move || format!("button button--{}", order.get().tone())
                    >
                        {words(|draft| format!("{} {}", draft.order.verb(), draft.target.words()))}
                    </button>
                </div>
            </form>
        </dialog>
    }
}

/// The time of the order, and the end of what it does.
#[component]
fn Options(
    order: Memo<Order>,
    release: RwSignal<String>,
    later: RwSignal<String>,
    error: RwSignal<Option<ApiError>>,
) -> impl IntoView {
    let is_isolate = Memo::new(move |_| order.get() == Order::Isolate);
    let is_later = Memo::new(move |_| !later.read().is_empty());
    view! {
        <div class="form form--row">
            {maybe(move || {
                (is_isolate.get() && !is_later.get()).then(|| {
                    view! {
                        <Field
                            id="order-release" of="auto_restore_after_seconds" label="Release automatically after"
                            about="Counts from when it takes effect" error grow=true
                        >
                            <select
                                class="select" id="order-release" aria-describedby="order-release-about"
                                prop:value=move || release.get()
                                on:change=move |event| release.set(event_target_value(&event))
                            >
                                {all(RELEASE.map(|(seconds, words)| view! { <option value=seconds>{words}</option> }.into_any()))}
                            </select>
                        </Field>
                    }
                    .into_any()
                })
            })}
            <Field
                id="order-later" of="not_before" label="Not before (UTC)" about="Empty: at once" error grow=true
            >
                <input
                    class="input" id="order-later" type="datetime-local" step="1" aria-describedby="order-later-about"
                    prop:value=move || later.get()
                    on:input=move |event| later.set(event_target_value(&event))
                    aria-invalid=move || is_wrong(error, "not_before").then_some("true")
                />
            </Field>
        </div>
    }
}

/// What can be seen to be wrong before anything is sent; the field gets the focus.
fn check(reason: &str) -> Result<(), ApiError> {
    let invalid = |id, field: &str, problem: String| {
        focus(id);
        Err(ApiError::Invalid { field: field.to_owned(), problem })
    };
    if !REASON.contains(&reason.chars().count()) {
        let problem = format!("Write {} to {} characters.", REASON.start(), REASON.end());
        return invalid("order-reason", "reason", problem);
    }
    // A time that is written in part has no value, and must not mean "at once".
    if element::<HtmlInputElement>("order-later").is_some_and(|input| !input.check_validity()) {
        return invalid("order-later", "not_before", "Complete the time, or clear it.".to_owned());
    }
    Ok(())
}

fn offline_note(offline: usize, draft: &Draft) -> Option<AnyView> {
    let who = match (offline, &draft.target) {
        (0, _) | (_, Target::Undo(_)) => return None,
        (_, Target::Host { hostname, .. }) => format!("{hostname} is offline. "),
        (1, Target::Hosts(_)) => "1 host is offline. ".to_owned(),
        (more, Target::Hosts(_)) => format!("{} are offline. ", order::hosts(more)),
    };
    Some(
        view! {
            <p class="dialog__offline">
                <Icon shape=Shape::Clock/>
                <span><b>{who}</b> "The command waits until the host connects and expires in 7 days."</span>
            </p>
        }
        .into_any(),
    )
}

fn consequence(draft: &Draft) -> AnyView {
    let hosts = match &draft.target {
        Target::Hosts(_) => view! { <p class="muted">{draft.target.names()}</p> }.into_any(),
        Target::Host { .. } | Target::Undo(_) => ().into_any(),
    };
    let what = match (draft.order, &draft.target) {
        (Order::Isolate, _) => view! { <Isolation/> }.into_any(),
        (Order::Restore, Target::Undo(_)) => view! {
            <p>
                "Releases exactly the hosts that this batch isolated and that are isolated by it still. Others are left as they are."
            </p>
        }
        .into_any(),
        (Order::Restore, _) => view! {
            <p>
                "The host gets its network back exactly as it was: the isolation rules are deleted, its own firewall was never touched."
            </p>
        }
        .into_any(),
        (Order::Check, _) => view! {
            <p>"The agent reports how it is, which shows that commands arrive. Nothing changes on the host."</p>
        }
        .into_any(),
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
                <span><b>"Stays: "</b> "the connection to this server, and the host's loopback. Nothing else."</span>
            </li>
        </ul>
    }
}
