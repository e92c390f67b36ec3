use leptos::prelude::*;

use super::{Icon, Shape, text, view};
use crate::{
    clock::Clock,
    live::Live,
    model::{Connection, Endpoint, Isolation, State, isolation::Assurance},
};

/// What the host observed of its isolation, against what was asked of it. Green only for what the host read from its
/// kernel lately.
#[component]
pub fn IsolationBadge(
    #[prop(into)] endpoint: Signal<Endpoint>,
    /// Without the words of a failure, which can be long.
    #[prop(optional)]
    short: bool,
) -> impl IntoView {
    let (now, live) = (Clock::now(), Live::expect());
    let isolation = Memo::new(move |_| endpoint.with(Isolation::of));
    let look = Memo::new(move |_| {
        isolation.with(|isolation| look(isolation, isolation.assurance(now.get(), live.is_paused())))
    });
    let note = Memo::new(move |_| {
        isolation.with(|isolation| {
            let long = matches!(
                isolation,
                Isolation::Failed { .. } | Isolation::Partial { .. } | Isolation::Unknown { .. }
            );
            if short && long { None } else { isolation.note(now.get(), live.is_paused()) }
        })
    });
    view! {
        <span class=move || format!("badge badge--{}", look.get().1)>
            <Icon shape=Signal::derive(move || look.get().0)/>
            <span class="badge__text">
                <b>{text(move || isolation.with(Isolation::word))}</b>
                <span class="badge__note">{text(move || note.get().map(|note| format!(" · {note}")).unwrap_or_default())}</span>
            </span>
        </span>
    }
}

fn look(isolation: &Isolation, assurance: Assurance) -> (Shape, &'static str) {
    match isolation {
        Isolation::Connected { .. } => (Shape::Ring, "plain"),
        Isolation::Isolating => (Shape::Arrows, "busy"),
        Isolation::Releasing => (Shape::LockOpen, "busy"),
        Isolation::IsolationQueued { .. } | Isolation::ReleaseQueued { .. } => (Shape::Clock, "wait"),
        Isolation::Isolated { .. } => match assurance {
            Assurance::Verified => (Shape::ShieldCheck, "ok"),
            Assurance::Stale => (Shape::Shield, "unsure"),
        },
        Isolation::Drift => (Shape::Triangle, "danger"),
        Isolation::Failed { .. } => (Shape::Octagon, "danger"),
        Isolation::NotOurs => (Shape::Shield, "warn"),
        Isolation::Partial { .. } => (Shape::Half, "warn"),
        Isolation::Unknown { .. } | Isolation::Unreported => (Shape::Question, "warn"),
    }
}

#[component]
pub fn ConnectionBadge(#[prop(into)] endpoint: Signal<Endpoint>) -> impl IntoView {
    let connection = Memo::new(move |_| endpoint.with(Connection::of));
    let shape = move || match connection.get() {
        Connection::Online => Shape::Dot,
        Connection::Offline => Shape::Hollow,
        Connection::AwaitingApproval => Shape::Question,
        Connection::Revoked => Shape::Slash,
    };
    let tone = move || match connection.get() {
        Connection::Online => "status status--online",
        Connection::Offline => "status status--offline",
        Connection::AwaitingApproval | Connection::Revoked => "status status--warn",
    };
    view! {
        <span class=tone>
            <Icon shape=Signal::derive(shape)/>
            {text(move || connection.get().word())}
        </span>
    }
}

/// A command's state.
#[component]
pub fn StateBadge(state: State) -> impl IntoView {
    let (shape, tone) = match state {
        State::Pending => (Shape::Clock, "wait"),
        State::Delivered => (Shape::Arrows, "busy"),
        State::Executed => (Shape::Check, "plain"),
        State::Failed => (Shape::Octagon, "danger"),
        State::Expired => (Shape::Clock, "warn"),
        State::Cancelled => (Shape::Slash, "plain"),
        State::Unknown => (Shape::Question, "warn"),
    };
    view! {
        <span class=format!("badge badge--small badge--{tone}")>
            <Icon shape/>
            <b>{state.word()}</b>
        </span>
    }
}
