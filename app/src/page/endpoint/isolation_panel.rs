use leptos::prelude::*;

use super::order_dialog::{Draft, OrderDialog};
use crate::{
    clock::mounted,
    model::{
        Accepted, Direction, Endpoint, Isolation, Session, State,
        endpoint::{Admission, Desired, Observed},
        session::Allowed,
    },
    page::{console::Announcer, session},
    ui::{IsolationBadge, Moment, Notice, StateBadge, Tone},
};

/// The two facts, never one: what this server wants and what the host observes. And the buttons that change the first.
#[component]
pub fn IsolationPanel(#[prop(into)] endpoint: Signal<Endpoint>) -> impl IntoView {
    let session = StoredValue::new(session());
    let isolation = Memo::new(move |_| endpoint.with(Isolation::of));
    announce(endpoint, isolation);
    let mounted = mounted();
    let draft = RwSignal::new(None::<Draft>);
    let answer = RwSignal::new(None::<String>);
    let desired = Memo::new(move |_| endpoint.with(|endpoint| endpoint.desired.clone()));
    let observed = Memo::new(move |_| endpoint.with(|endpoint| endpoint.observed.clone()));
    let takes_orders = Memo::new(move |_| endpoint.with(|endpoint| endpoint.admission == Admission::Active));
    let main_action = Memo::new(move |_| isolation.with(Isolation::main_action));
    let other_action = Memo::new(move |_| isolation.with(Isolation::other_action));
    let may = move |direction| session.with_value(|session| allowed(session, direction).yes);
    let open = move |direction, reason: String| {
        answer.set(None);
        draft.set(Some(Draft::new(direction, reason)));
    };
    let press = move |_| {
        let (direction, enabled) = main_action.get_untracked();
        if enabled && may(direction) {
            open(direction, String::new());
        }
    };
    let disabled = move || {
        let (direction, enabled) = main_action.get();
        (!enabled || !may(direction)).then_some("true")
    };
    let accepted = move |(direction, accepted): (Direction, Accepted)| {
        let hostname = endpoint.with_untracked(|endpoint| endpoint.hostname.clone());
        answer.set(Some(accepted.sentence(direction, &hostname)));
    };
    // What was said about an order that is no more.
    Effect::new(move |_| {
        if desired
            .read()
            .as_ref()
            .is_some_and(|order| matches!(order.state, State::Cancelled | State::Expired))
        {
            answer.set(None);
        }
    });
    let retry = Memo::new(move |_| {
        let Isolation::Failed { direction, .. } = isolation.get() else { return None };
        desired.get().filter(|_| may(direction)).map(|desired| (direction, desired.reason))
    });

    view! {
        <section class="panel isolation" aria-labelledby="isolation-title">
            <h2 id="isolation-title">"Isolation"</h2>
            <p class="isolation__badge"><IsolationBadge endpoint/></p>
            <dl class="twofacts">
                <div class="twofacts__fact">
                    <dt>"Desired " <span class="muted">"by this server"</span></dt>
                    <dd>{move || view! { <DesiredFact desired=desired.get()/> }}</dd>
                </div>
                <div class="twofacts__fact">
                    <dt>"Observed " <span class="muted">"by the host"</span></dt>
                    <dd>{move || view! { <ObservedFact observed=observed.get()/> }}</dd>
                </div>
            </dl>
            <Show
                when=move || takes_orders.get()
                fallback=move || view! { <TakesNoOrders endpoint/> }
            >
                <div class="isolation__actions">
                    <button
                        class="button button--big" type="button" on:click=press disabled=move || !mounted.get()
                        aria-disabled=disabled
                        class:button--danger=move || main_action.get().0 == Direction::Isolate
                        class:button--primary=move || main_action.get().0 == Direction::Restore
                    >
                        {move || format!("{} Endpoint", main_action.get().0.verb())}
                    </button>
                    {move || {
                        other_action
                            .get()
                            .filter(|direction| may(*direction))
                            .map(|direction| {
                                view! {
                                    <button class="button" type="button" on:click=move |_| open(direction, String::new())>
                                        {format!("{} Endpoint", direction.verb())}
                                    </button>
                                }
                            })
                    }}
                    {move || {
                        retry
                            .get()
                            .map(|(direction, reason)| {
                                view! {
                                    <button class="button" type="button" on:click=move |_| open(direction, reason.clone())>
                                        "Retry"
                                    </button>
                                }
                            })
                    }}
                </div>
                {move || {
                    let direction = main_action.get().0;
                    session.with_value(|session| refusal(session, direction)).map(|words| view! { <p class="muted">{words}</p> })
                }}
            </Show>
            <p class="isolation__answer" role="status">{move || answer.get().unwrap_or_default()}</p>
            <OrderDialog endpoint draft on_accepted=Callback::new(accepted)/>
        </section>
    }
}

#[component]
fn TakesNoOrders(endpoint: Signal<Endpoint>) -> impl IntoView {
    let admission = Memo::new(move |_| endpoint.with(|endpoint| endpoint.admission));
    let id = endpoint.with_untracked(|endpoint| endpoint.id.clone());
    view! {
        <Notice tone=Tone::Warning>
            {move || match admission.get() {
                Admission::Revoked => "The enrolment of this endpoint was revoked: it takes no commands.".into_any(),
                Admission::Active | Admission::AwaitingApproval => view! {
                    "This machine or its name is enrolled with another key, so this endpoint takes no commands until an administrator approves it, on the server: "
                    <code>{format!("voltaxe-server admin approve-endpoint {id}")}</code>
                }.into_any(),
            }}
        </Notice>
    }
}

#[component]
fn DesiredFact(desired: Option<Desired>) -> impl IntoView {
    match desired {
        None => view! { <b>"Not isolated"</b> <p class="muted">"No order was given yet."</p> }.into_any(),
        Some(desired) => view! {
            <span class="twofacts__word"><b>{desired.word()}</b> <StateBadge state=desired.state/></span>
            <p>
                <span class="mono">{format!("#{} ", desired.command_id)}</span>
                {desired.order()} <Moment at=desired.created_at/>
            </p>
            <p class="twofacts__reason"><q>{desired.reason}</q></p>
        }
        .into_any(),
    }
}

#[component]
fn ObservedFact(observed: Option<Observed>) -> impl IntoView {
    match observed {
        None => view! { <b>"Nothing yet"</b> <p class="muted">"The host has not reported."</p> }.into_any(),
        Some(observed) => view! {
            <b>{observed.state.word()}</b>
            <p>"Read from the kernel, received " <Moment at=observed.received_at/></p>
            {observed.generation.map(|id| view! { <p>"Rules of command " <span class="mono">{format!("#{id}")}</span></p> })}
            {observed.detail.map(|detail| view! { <p>{detail}</p> })}
        }
        .into_any(),
    }
}

fn allowed(session: &Session, direction: Direction) -> Allowed {
    match direction {
        Direction::Isolate => session.isolate,
        Direction::Restore => session.restore,
    }
}

fn refusal(session: &Session, direction: Direction) -> Option<String> {
    let Allowed { yes, needs } = allowed(session, direction);
    (!yes).then(|| format!("This needs the role {needs}; you are signed in as {}.", session.role))
}

/// Says the new state, not each tick of its age.
fn announce(endpoint: Signal<Endpoint>, isolation: Memo<Isolation>) {
    let announcer = Announcer::expect();
    let word = Memo::new(move |_| isolation.with(Isolation::word));
    Effect::new(move |before: Option<&'static str>| {
        let word = word.get();
        if before.is_some_and(|before| before != word) {
            let hostname = endpoint.with_untracked(|endpoint| endpoint.hostname.clone());
            announcer.say(format!("{hostname}: {word}"));
        }
        word
    });
}
