use leptos::{ev::SubmitEvent, prelude::*, task::spawn_local};
use web_sys::HtmlDialogElement;

use crate::{
    api,
    error::ApiError,
    model::{Accepted, Direction, Endpoint, key},
    page::problem as shown_problem,
    ui::{
        Icon, Shape,
        dom::{effect, element, focus},
        maybe, part, text,
    },
};

/// Characters.
const REASON: std::ops::RangeInclusive<usize> = 3..=500;

/// An order being written. Its key is made when the dialog opens: however often it is sent, it is one command.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Draft {
    direction: Direction,
    reason: String,
    key: String,
}

impl Draft {
    pub fn new(direction: Direction, reason: String) -> Self {
        let mut random = [0; 16];
        if let Ok(crypto) = window().crypto() {
            let _ = crypto.get_random_values_with_u8_array(&mut random);
        }
        Self { direction, reason, key: key::uuid_v4(random) }
    }
}

/// Asks for the reason and says what will happen. Open while there is a draft.
#[component]
pub fn OrderDialog(
    endpoint: Signal<Endpoint>,
    draft: RwSignal<Option<Draft>>,
    on_accepted: Callback<(Direction, Accepted)>,
) -> impl IntoView {
    let reason = RwSignal::new(String::new());
    let problem = RwSignal::new(None::<String>);
    let error = RwSignal::new(None::<ApiError>);
    let busy = RwSignal::new(false);
    let direction = Memo::new(move |before: Option<&Direction>| {
        // While it closes it keeps its words.
        draft.read().as_ref().map(|draft| draft.direction).or(before.copied()).unwrap_or(Direction::Isolate)
    });
    effect(move || {
        let draft = draft.get();
        let Some(dialog) = element::<HtmlDialogElement>("order") else { return };
        match draft {
            Some(draft) if !dialog.open() => {
                reason.set(draft.reason);
                problem.set(None);
                error.set(None);
                busy.set(false);
                let _ = dialog.show_modal();
            }
            None if dialog.open() => dialog.close(),
            Some(_) | None => {}
        }
    });

    let hostname = Memo::new(move |_| endpoint.with(|endpoint| endpoint.hostname.clone()));
    let live = Memo::new(move |_| endpoint.with(|endpoint| endpoint.live));
    let name = move || format!("{} {}", direction.get().verb(), hostname.get());
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let Some(Draft { direction, key, .. }) = draft.get_untracked() else { return };
        if busy.get_untracked() {
            return;
        }
        let written = reason.read_untracked().trim().to_owned();
        if !REASON.contains(&written.chars().count()) {
            problem.set(Some(format!("Write {} to {} characters.", REASON.start(), REASON.end())));
            focus("order-reason");
            return;
        }
        busy.set(true);
        problem.set(None);
        error.set(None);
        let id = endpoint.with_untracked(|endpoint| endpoint.id.clone());
        spawn_local(async move {
            let answer = match direction {
                Direction::Isolate => api::isolate(id, written, key).await,
                Direction::Restore => api::restore(id, written, key).await,
            };
            match answer {
                Ok(accepted) => {
                    on_accepted.run((direction, accepted));
                    draft.try_set(None);
                }
                Err(refused) => {
                    problem.try_set(refused.of_field("reason"));
                    error.try_set(Some(refused).filter(|refused| refused.of_field("reason").is_none()));
                }
            }
            busy.try_set(false);
        });
    };
    let count = move || format!("{} of {} characters", reason.read().trim().chars().count(), REASON.end());

    view! {
        <dialog class="dialog" id="order" aria-labelledby="order-title" on:close=move |_| draft.set(None)>
            <form class="dialog__body" on:submit=submit novalidate>
                <h2 id="order-title">{text(move || format!("{}?", name()))}</h2>
                {part(move || match direction.get() {
                    Direction::Isolate => view! { <Consequence/> }.into_any(),
                    Direction::Restore => view! {
                        <p>
                            "The host gets its network back exactly as it was: the isolation rules are deleted, its own firewall was never touched."
                        </p>
                    }.into_any(),
                })}
                {maybe(move || {
                    (!live.get())
                        .then(|| {
                            view! {
                                <p class="dialog__offline">
                                    <Icon shape=Shape::Clock/>
                                    <span>
                                        <b>{text(move || format!("{} is offline. ", hostname.get()))}</b>
                                        "The command waits until the host connects and expires in 7 days."
                                    </span>
                                </p>
                            }
                                .into_any()
                        })
                })}
                <div class="field">
                    <label for="order-reason">"Reason"</label>
                    <textarea
                        class="input" id="order-reason" name="reason" rows="3" maxlength="500" required autofocus
                        prop:value=move || reason.get()
                        on:input=move |event| reason.set(event_target_value(&event))
                        aria-describedby="order-reason-problem order-reason-count"
                        aria-invalid=move || problem.read().is_some().then_some("true")
                    ></textarea>
                    <p class="field__about">
                        <span class="field__about--wrong" id="order-reason-problem" role="alert">
                            {text(move || problem.get().unwrap_or_default())}
                        </span>
                        <span class="field__count" id="order-reason-count">{count}</span>
                    </p>
                </div>
                {shown_problem(error)}
                <div class="dialog__buttons">
                    <button class="button" type="button" on:click=move |_| draft.set(None)>"Keep as it is"</button>
                    <button
                        type="submit" aria-disabled=move || busy.get().then_some("true")
                        class=move || format!("button button--{}", direction.get().tone())
                    >
                        {text(name)}
                    </button>
                </div>
            </form>
        </dialog>
    }
}

#[component]
fn Consequence() -> impl IntoView {
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
