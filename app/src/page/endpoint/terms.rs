use leptos::prelude::*;

use crate::{
    clock::Clock,
    model::{Direction, Endpoint, endpoint::Observed, time},
    page::{
        asking::{asking_form, exceptions_field, reason_field},
        session,
    },
    ui::{Notice, Tone, all, maybe, text, view},
};

/// What the host says of its isolation besides that it is isolated.
#[component]
pub fn Said(#[prop(into)] endpoint: Signal<Endpoint>) -> impl IntoView {
    let observed = Memo::new(move |_| endpoint.with(|endpoint| endpoint.observed.clone()));
    let end = Memo::new(move |_| observed.with(|observed| observed.as_ref()?.auto_restore_at));
    let now = Clock::now();
    view! {
        {maybe(move || observed.get().map(said))}
        {maybe(move || {
            let end = end.get()?;
            let words = move || format!("The host's kernel ends it at {}", time::due(end, now.get()));
            Some(view! { <p>{text(words)}</p> })
        })}
    }
}

fn said(observed: Observed) -> AnyView {
    let provisional = observed.is_provisional.then(|| {
        view! {
            <Notice tone=Tone::Info>
                "Checking that the server is reached through the new rules. Unless it is, the host takes them back by itself."
            </Notice>
        }
    });
    let drift = observed.drift.map(|words| view! { <Notice tone=Tone::Warning><bdi>{words}</bdi></Notice> });
    let open = (!observed.open.is_empty()).then(|| {
        let lines = observed.open.into_iter().map(|line| view! { <li class="mono">{line}</li> });
        view! { <div><p>"Open in these rules:"</p><ul class="openings">{all(lines)}</ul></div> }
    });
    all([provisional, drift, open].into_iter().flatten())
}

/// What can be done about an isolation that is wanted: its terms, and the ticket that ends it without this server.
#[component]
pub fn Terms(#[prop(into)] endpoint: Signal<Endpoint>) -> impl IntoView {
    let terms = Memo::new(move |_| {
        endpoint.with(|endpoint| {
            let desired = endpoint.desired.as_ref()?;
            (desired.direction == Direction::Isolate && desired.holds())
                .then(|| (desired.exceptions.clone(), desired.allow_dns))
        })
    });
    maybe(move || {
        let (exceptions, allow_dns) = terms.get()?;
        let id = endpoint.with_untracked(|endpoint| endpoint.id.clone());
        let session = session();
        let change = (session.isolate, session.refusal(session.isolate));
        let ticket = (session.enrol, session.refusal(session.enrol));
        let fields = view! {
            {exceptions_field("change-exceptions", exceptions, allow_dns)}
            <div class="form form--row">
                <div class="field">
                    <label for="change-ends">"Automatic release"</label>
                    <select class="select" id="change-ends" name="ends">
                        <option value="keep" selected>"As it is"</option>
                        <option value="never">"Never"</option>
                        <option value="at">"At this time"</option>
                    </select>
                </div>
                <div class="field field--grow">
                    <label for="change-at">"Time (UTC)"</label>
                    <input class="input" id="change-at" name="auto_restore_at" type="datetime-local" step="1"/>
                </div>
            </div>
            {reason_field("change-reason")}
        };
        Some(view! {
            <details class="fold">
                <summary>"Change exceptions and end"</summary>
                {asking_form("change", id.clone(), "action=change", ("Change isolation", "primary"), change, fields)}
            </details>
            <details class="fold">
                <summary>"Release without this server"</summary>
                {asking_form(
                    "ticket", id, "action=ticket", ("Issue a release ticket", "danger"), ticket, reason_field("ticket-reason"),
                )}
            </details>
        })
    })
}
