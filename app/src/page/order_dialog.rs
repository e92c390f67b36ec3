//! The dialog for orders to one host, and for a batch's undo.

mod draft;
mod fields;

use std::time::Duration;

use leptos::{
    ev::{Event, SubmitEvent},
    prelude::*,
};
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlDialogElement};

pub use self::draft::{Draft, Target, new_key};
use self::fields::{FIELDS, order_fields};
use super::{
    asking::Asking,
    code::Extra,
    console::{Outgoing, UNDO_SECONDS, undo_seconds},
    problem,
};
use crate::{
    clock::Clock,
    error::ApiError,
    model::{Millis, Order, order::Sent, time},
    ui::{
        Icon, Moment, Shape,
        dom::{effect, element, keep, spawn},
        form, maybe, part, text, view,
    },
};

/// Characters.
const REASON: std::ops::RangeInclusive<usize> = 3..=500;
/// How long a command waits for its host.
const LIFETIME: Millis = 7 * time::DAY;
/// A dialog that is left at once asks the host for nothing.
const LOOK_AFTER: Duration = Duration::from_millis(500);

/// Asks for the reason and says what will happen. Open while there is a draft.
#[component]
pub fn OrderDialog(
    draft: RwSignal<Option<Draft>>,
    #[prop(into)] offline: Signal<bool>,
    on_sent: Callback<(Order, Sent)>,
) -> impl IntoView {
    Extra::OrderDialog { draft, offline, on_sent }.draw()
}

pub fn order_dialog(
    draft: RwSignal<Option<Draft>>,
    offline: Signal<bool>,
    on_sent: Callback<(Order, Sent)>,
) -> AnyView {
    let error = RwSignal::new(None::<ApiError>);
    let busy = RwSignal::new(false);
    let preview = Asking::new();
    let previewed_at = RwSignal::new(None::<Millis>);
    // While it closes it keeps its words.
    let shown = RwSignal::new(None::<Draft>);
    let clock = Clock::expect();
    let outgoing = Outgoing::expect();
    outgoing.prepare();
    let look = move || {
        if offline.get_untracked() {
            return;
        }
        if let Some(Target::Host { id, .. }) = draft.get_untracked().map(|draft| draft.target) {
            let form = format!("action=preview&{}", form::encoded("order-form"));
            preview.send(id, form, move || _ = previewed_at.try_set(Some(clock.read())));
        }
    };
    effect(move || {
        let draft_now = draft.get();
        let Some(dialog) = element::<HtmlDialogElement>("order") else { return };
        match draft_now {
            Some(opened) if !dialog.open() => {
                busy.set(false);
                if let Some(refusal) = opened.refusal.clone() {
                    shown.set(Some(opened));
                    error.set(form::blame(FIELDS, Some(refusal)));
                    let _ = dialog.show_modal();
                    return;
                }
                form::reset("order-form", FIELDS);
                form::set_value("order-reason", &opened.reason);
                if let Some((exceptions, allow_dns)) = &opened.terms {
                    form::set_value("order-exceptions", exceptions);
                    form::set_checked("order-form", "allow_dns", *allow_dns);
                    if *allow_dns || !exceptions.is_empty() {
                        form::unfold("order-exceptions");
                    }
                }
                form::set_value("order-undo", &undo_seconds().to_string());
                error.set(None);
                preview.answer.set(None);
                preview.error.set(None);
                previewed_at.set(None);
                let has_preview = opened.has_preview();
                shown.set(Some(opened.clone()));
                let _ = dialog.show_modal();
                if has_preview {
                    let is_open = move || draft.try_get_untracked().flatten().as_ref() == Some(&opened);
                    set_timeout(
                        move || {
                            if is_open() {
                                look()
                            }
                        },
                        LOOK_AFTER,
                    );
                }
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
        sent.refusal = None;
        form::value("order-reason").trim().clone_into(&mut sent.reason);
        if let Err(wrong) = form::check_times(&FIELDS[..1]).and_then(|()| check_reason(&sent.reason)) {
            error.set(form::blame(FIELDS, Some(wrong)));
            return;
        }
        error.set(form::blame(FIELDS, None));
        let written = form::encoded("order-form");
        let seconds = if sent.order == Order::Isolate { undo_seconds() } else { 0 };
        if seconds > 0 {
            draft.set(None);
            outgoing.leave_in(seconds, sent, written, draft, on_sent);
            return;
        }
        busy.set(true);
        let order = sent.order;
        let answer = sent.send(written);
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
    let changed = move |event: Event| {
        let field = event.target().and_then(|target| target.dyn_into::<Element>().ok());
        match field.map(|field| field.id()).unwrap_or_default().as_str() {
            "order-template" => write_reason(&form::value("order-template")),
            "order-undo" => keep(UNDO_SECONDS, &form::value("order-undo")),
            "order-exceptions" if previewed_at.get_untracked().is_some() => look(),
            _ => {}
        }
    };
    let words =
        move |get: fn(&Draft) -> String| text(move || shown.read().as_ref().map(get).unwrap_or_default());

    view! {
        <dialog class="dialog" id="order" aria-labelledby="order-title" on:close=move |_| draft.set(None)>
            <form
                id="order-form" on:submit=submit on:change=changed novalidate
                class=move || format!("dialog__body {}", shown.read().as_ref().map_or("", Draft::offers))
            >
                <div class="dialog__content">
                    <h2 id="order-title">{words(|draft| draft.target.question(draft.order))}</h2>
                    {part(move || shown.read().as_ref().map_or_else(|| ().into_any(), consequence))}
                    {maybe(move || offline_note(offline.get(), shown.read().as_ref()?, clock.read()))}
                    {order_fields()}
                    <div class="dialog__preview">
                        {preview_head(preview, previewed_at, offline, Callback::new(move |()| look()))}
                        {preview.draw(Signal::stored(String::new()))}
                    </div>
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

/// What is being looked at, how old it is, and the button that looks again.
fn preview_head(
    preview: Asking,
    at: RwSignal<Option<Millis>>,
    offline: Signal<bool>,
    look: Callback<()>,
) -> AnyView {
    let now = Clock::now();
    let age = move || match (offline.get(), at.get(), now.get()) {
        (true, ..) => "The host is offline: it cannot be asked what will drop.".to_owned(),
        (false, Some(at), Some(now)) => format!("As the host saw it {}.", time::ago(at, now)),
        (false, ..) => String::new(),
    };
    view! {
        <div class="dialog__look">
            <b>"What will happen"</b>
            <span class="muted">{text(age)}</span>
            <button
                class="button button--small" type="button" on:click=move |_| look.run(())
                aria-disabled=move || (preview.busy.get() || offline.get()).then_some("true")
            >
                "Look again"
            </button>
        </div>
    }
}

/// The template's words, unless somebody has begun to write own ones.
fn write_reason(template: &str) {
    let written = form::value("order-reason");
    let is_untouched = written.trim().is_empty() || written.ends_with(": ");
    if is_untouched {
        form::set_value("order-reason", template);
        crate::ui::dom::focus("order-reason");
    }
}

fn check_reason(reason: &str) -> Result<(), ApiError> {
    if REASON.contains(&reason.chars().count()) {
        return Ok(());
    }
    let problem = format!("Write {} to {} characters.", REASON.start(), REASON.end());
    Err(ApiError::Invalid { field: "reason".to_owned(), problem })
}

fn offline_note(offline: bool, draft: &Draft, now: Millis) -> Option<AnyView> {
    let Target::Host { hostname, .. } = &draft.target else { return None };
    if !offline {
        return None;
    }
    let who = format!("{hostname} is offline. ");
    Some(view! {
        <p class="dialog__offline">
            <Icon shape=Shape::Clock/>
            <span>
                <b>{who}</b>
                "The command waits on this server until the host connects. Unless it does, it expires in 7 days, at "
                <Moment at=now + LIFETIME relative=false/> ", and nothing happens."
            </span>
        </p>
    })
}

fn consequence(draft: &Draft) -> AnyView {
    match (draft.order, &draft.target) {
        (Order::Isolate, _) => isolation(),
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
    }
}

fn isolation() -> AnyView {
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
