use leptos::prelude::*;

use super::{
    Host,
    asked::asked_by_address,
    put,
    rollback::RollbackNotice,
    terms::{Said, Terms},
};
use crate::{
    api,
    clock::mounted,
    model::{
        Direction, Endpoint, Isolation, Order, State,
        endpoint::{Admission, Desired, Observed},
        order::Sent,
    },
    page::{
        ask::{Ask, Asked},
        console::Announcer,
        order_dialog::{Draft, OrderDialog, Target},
        session,
    },
    ui::{IsolationBadge, Moment, Notice, StateBadge, Tone, all, dom::effect, maybe, part, text, view},
};

/// The two facts, never one: what this server wants and what the host observes. And the buttons that change the first.
#[component]
pub fn IsolationPanel(host: Host) -> impl IntoView {
    let (endpoint, rollback) = (Signal::from(host.endpoint), host.rollback);
    let isolation = Memo::new(move |_| endpoint.with(Isolation::of));
    announce(endpoint, isolation);
    let draft = RwSignal::new(None::<Draft>);
    let answer = RwSignal::new(None::<String>);
    let desired = Memo::new(move |_| endpoint.with(|endpoint| endpoint.desired.clone()));
    let takes_orders = Memo::new(move |_| endpoint.with(|endpoint| endpoint.admission == Admission::Active));
    let ask = move |order: Order, failed: Option<Desired>| {
        answer.set(None);
        let target = endpoint.with_untracked(|endpoint| Target::Host {
            id: endpoint.id.clone(),
            hostname: endpoint.hostname.clone(),
        });
        let reason = failed.as_ref().map(|failed| failed.reason.clone()).unwrap_or_default();
        let terms = failed.map(|failed| (failed.exceptions, failed.allow_dns));
        draft.set(Some(Draft::new(order, target, reason).on_terms(terms)));
    };
    let open = move |(direction, failed): (Direction, Option<Desired>)| ask(direction.into(), failed);
    let session = StoredValue::new(session());
    asked_by_address(move |order| {
        if takes_orders.get_untracked() && session.with_value(|session| session.may(order).yes) {
            ask(order, None);
        }
    });
    let on_sent = move |(order, sent): (Order, Sent)| {
        let hostname = endpoint.with_untracked(|endpoint| endpoint.hostname.clone());
        answer.set(Some(match sent {
            Sent::Command(accepted) => accepted.sentence(order, &hostname),
            Sent::Schedule(made) => format!("Scheduled: {made}. The page Schedules lists it."),
            Sent::Batch(_) => return,
        }));
    };
    let offline = Signal::derive(move || endpoint.with(|endpoint| !endpoint.live));
    // What was said about an order that is no more.
    effect(move || {
        if desired
            .read()
            .as_ref()
            .is_some_and(|order| matches!(order.state, State::Cancelled | State::Expired))
        {
            answer.set(None);
        }
    });
    view! {
        <section class="panel isolation" aria-labelledby="isolation-title">
            <h2 id="isolation-title">"Isolation"</h2>
            <p class="isolation__badge"><IsolationBadge endpoint/></p>
            {withdraw(host, desired)}
            <dl class="twofacts">
                <div class="twofacts__fact">
                    <dt>"Desired " <span class="muted">"by this server"</span></dt>
                    <dd>{part(move || view! { <DesiredFact desired=desired.get()/> })}</dd>
                </div>
                <div class="twofacts__fact">
                    <dt>"Observed " <span class="muted">"by the host"</span></dt>
                    <dd>{part(move || view! { <ObservedFact observed=endpoint.with(|endpoint| endpoint.observed.clone())/> })}</dd>
                </div>
            </dl>
            {part(move || {
                if takes_orders.get() {
                    view! { <Buttons isolation desired open=Callback::new(open)/> }
                } else {
                    view! { <TakesNoOrders endpoint/> }
                }
            })}
            <Said endpoint/>
            <RollbackNotice rollback/>
            <Terms endpoint/>
            <p class="isolation__answer" role="status">{text(move || answer.get().unwrap_or_default())}</p>
            <OrderDialog draft offline on_sent=Callback::new(on_sent)/>
        </section>
    }
}

/// Takes back the order that is under way, which is where one looks first.
fn withdraw(host: Host, desired: Memo<Option<Desired>>) -> AnyView {
    let open = Memo::new(move |_| {
        let desired = desired.read();
        let order = desired.as_ref().filter(|order| order.state.is_open())?;
        // Asked back already: the timeline says so.
        let is_asked = host.commands.with(|commands| {
            commands.iter().any(|one| one.id == order.command_id && one.cancel_requested_at.is_some())
        });
        (!is_asked).then_some((order.command_id, order.direction))
    });
    maybe(move || {
        let (id, direction) = open.get()?;
        let name = match direction {
            Direction::Isolate => "Cancel isolation",
            Direction::Restore => "Cancel release",
        };
        let ask = Callback::new(move |()| {
            Box::pin(async move {
                put(host.commands, host.older, api::cancel_command(id).await?);
                Ok(())
            }) as Asked
        });
        let may = session().cancel.yes;
        Some(view! { <div class="asks"><Ask name may ask/></div> })
    })
}

#[component]
fn Buttons(
    isolation: Memo<Isolation>,
    desired: Memo<Option<Desired>>,
    open: Callback<(Direction, Option<Desired>)>,
) -> impl IntoView {
    let session = StoredValue::new(session());
    let may = move |direction| session.with_value(|session| session.may(Order::from(direction)).yes);
    let mounted = mounted();
    let main_action = Memo::new(move |_| isolation.with(Isolation::main_action));
    let press = move |_| {
        let (direction, enabled) = main_action.get_untracked();
        if enabled && may(direction) {
            open.run((direction, None));
        }
    };
    let disabled = move || {
        let (direction, enabled) = main_action.get();
        (!enabled || !may(direction)).then_some("true")
    };
    // The other order, and the failed one again with its reason and terms.
    let others = Memo::new(move |_| {
        let other = isolation.with(Isolation::other_action).map(|direction| (direction, None));
        let failed = match isolation.get() {
            Isolation::Failed { direction, .. } => desired.get().map(|failed| (direction, Some(failed))),
            _ => None,
        };
        other.into_iter().chain(failed).filter(|(direction, _)| may(*direction)).collect::<Vec<_>>()
    });
    let other = move |(direction, failed): (Direction, Option<Desired>)| {
        let name = match failed {
            Some(_) => "Retry".to_owned(),
            None => format!("{} Endpoint", direction.verb()),
        };
        view! {
            <button class="button" type="button" on:click=move |_| open.run((direction, failed.clone()))>
                {name}
            </button>
        }
    };
    view! {
        <div class="isolation__actions">
            <button
                type="button" on:click=press disabled=move || !mounted.get()
                aria-disabled=disabled
                class=move || format!("button button--big button--{}", Order::from(main_action.get().0).tone())
            >
                {text(move || format!("{} Endpoint", main_action.get().0.verb()))}
            </button>
            {part(move || all(others.get().into_iter().map(other)))}
        </div>
        <p class="muted isolation__refusal">
            {text(move || {
                let direction = main_action.get().0;
                session.with_value(|session| session.refusal(session.may(direction.into()))).unwrap_or_default()
            })}
        </p>
    }
}

#[component]
fn TakesNoOrders(endpoint: Signal<Endpoint>) -> impl IntoView {
    let admission = Memo::new(move |_| endpoint.with(|endpoint| endpoint.admission));
    let id = endpoint.with_untracked(|endpoint| endpoint.id.clone());
    view! {
        <Notice tone=Tone::Warning>
            {part(move || match admission.get() {
                Admission::Revoked => "The enrolment of this endpoint was revoked: it takes no commands.".into_any(),
                Admission::Active | Admission::AwaitingApproval => view! {
                    "This machine or its name is enrolled with another key, so this endpoint takes no commands until an administrator approves it, on the server: "
                    <code>{format!("voltaxe-server admin approve-endpoint {id}")}</code>
                },
            })}
        </Notice>
    }
}

#[component]
fn DesiredFact(desired: Option<Desired>) -> impl IntoView {
    match desired {
        None => view! { <b>"Not isolated"</b> <p class="muted">"No order was given yet."</p> },
        Some(desired) => view! {
            <span class="twofacts__word"><b>{desired.word()}</b> <StateBadge state=desired.state/></span>
            <p>
                <span class="mono">{format!("#{} ", desired.command_id)}</span>
                {desired.order()} <Moment at=desired.created_at/>
            </p>
            {desired.change_id.map(|id| view! { <p>"On the terms of command " <span class="mono">{format!("#{id}")}</span></p> })}
            <p class="twofacts__reason"><q>{desired.reason}</q></p>
        },
    }
}

#[component]
fn ObservedFact(observed: Option<Observed>) -> impl IntoView {
    match observed {
        None => view! { <b>"Nothing yet"</b> <p class="muted">"The host has not reported."</p> },
        Some(observed) => view! {
            <b>{observed.state.word()}</b>
            <p>"Verified " <Moment at=observed.received_at/> ", read from the host's kernel"</p>
            {observed.generation.map(|id| view! { <p>"Rules of command " <span class="mono">{format!("#{id}")}</span></p> })}
            {observed.detail.map(|detail| view! { <p>{detail}</p> })}
        },
    }
}

/// Says the new state, not each tick of its age.
fn announce(endpoint: Signal<Endpoint>, isolation: Memo<Isolation>) {
    let announcer = Announcer::expect();
    let word = Memo::new(move |_| isolation.with(Isolation::word));
    let mut before = None;
    effect(move || {
        let word = word.get();
        if before.is_some_and(|before| before != word) {
            let hostname = endpoint.with_untracked(|endpoint| endpoint.hostname.clone());
            announcer.say(format!("{hostname}: {word}"));
        }
        before = Some(word);
    });
}
