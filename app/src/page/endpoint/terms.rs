use leptos::prelude::*;

use crate::{
    clock::Clock,
    model::{Direction, Endpoint, endpoint::Observed, time},
    page::{
        asking::{asking_form, exceptions, reason},
        session,
    },
    ui::{
        Tone, all,
        dom::effect,
        field::{Control, Field, fields},
        form, maybe, notice, said, tag, text, words,
    },
};

/// What the host says of its isolation besides that it is isolated.
#[component]
pub fn Said(#[prop(into)] endpoint: Signal<Endpoint>) -> impl IntoView {
    let observed = Memo::new(move |_| endpoint.with(|endpoint| endpoint.observed.clone()));
    let end = Memo::new(move |_| observed.with(|observed| observed.as_ref()?.auto_restore_at));
    let now = Clock::now();
    let end = maybe(move || {
        let end = end.get()?;
        let words = move || format!("The host's kernel ends it at {}", time::due(end, now.get()));
        Some(tag("p", "", text(words)))
    });
    all([maybe(move || observed.get().map(notes)), end])
}

fn notes(observed: Observed) -> AnyView {
    let provisional = observed.is_provisional.then(|| {
        let words =
            "Checking that the server is reached through the new rules. Unless it is, the host takes them back by itself.";
        notice(Tone::Info, words.into_any())
    });
    let drift = observed.drift.map(|words| notice(Tone::Warning, said(words)));
    let open = (!observed.open.is_empty()).then(|| {
        let lines = all(observed.open.into_iter().map(|line| words("li", "mono", line)));
        all([words("p", "", "Open in these rules:"), tag("ul", "openings", lines)])
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
        let (lines, allow_dns) = terms.get()?;
        let id = endpoint.with_untracked(|endpoint| endpoint.id.clone());
        let session = session();
        let change = (session.isolate, session.refusal(session.isolate));
        let ticket = (session.enrol, session.refusal(session.enrol));
        let change_fields = change_fields(allow_dns);
        let ticket_fields = reason("ticket-reason").draw();
        // The form stays when the terms change: what was in it is about the ones before.
        effect(move || {
            form::reset("change", &[]);
            form::set_value("change-exceptions", &lines);
            form::set_checked("change", "allow_dns", allow_dns);
        });
        let change = asking_form(
            "change",
            id.clone(),
            "action=change",
            ("Change isolation", "primary"),
            change,
            change_fields,
        );
        let ticket = asking_form(
            "ticket",
            id,
            "action=ticket",
            ("Issue a release ticket", "danger"),
            ticket,
            ticket_fields,
        );
        Some(all([fold("Change exceptions and end", change), fold("Release without this server", ticket)]))
    })
}

fn fold(name: &'static str, content: AnyView) -> AnyView {
    tag("details", "fold", all([words("summary", "", name), content]))
}

fn change_fields(allow_dns: bool) -> AnyView {
    let end = [
        Field {
            id: "change-ends",
            name: "ends",
            label: "Automatic release",
            about: "",
            class: "",
            control: Control::Select(&[("keep", "As it is"), ("never", "Never"), ("at", "At this time")]),
        },
        Field {
            id: "change-at",
            name: "auto_restore_at",
            label: "Time (UTC)",
            about: "",
            class: "field--grow",
            control: Control::Input(&[("type", "datetime-local"), ("step", "1")]),
        },
    ];
    all([
        exceptions("change-exceptions", allow_dns),
        fields("form form--row", &end),
        reason("change-reason").draw(),
    ])
}
