//! What is asked in the dialog. Which of it is shown depends on the order: see [`super::Draft::offers`].

use leptos::prelude::*;

use crate::{
    page::asking,
    ui::{
        all,
        field::{Control, Field, choice, fields},
        form::Fields,
        tag, words,
    },
};

/// That of a time comes first.
pub const FIELDS: &Fields = &[
    ("not_before", "order-later"),
    ("auto_restore_after_seconds", "order-release"),
    ("exceptions", "order-exceptions"),
    ("notify_users", "order-notify"),
    ("ticket", "order-ticket"),
    ("reason", "order-reason"),
];

pub fn order_fields() -> AnyView {
    let template = Field {
        id: "order-template",
        name: "template",
        label: "Why",
        about: "Writes the reason for you to complete",
        class: "field--grow dialog__template",
        control: Control::Select(&[
            ("", "In my own words"),
            ("Suspected ransomware: ", "Suspected ransomware"),
            ("Suspected credential theft: ", "Credential theft"),
            ("Suspected lateral movement: ", "Lateral movement"),
            ("Exercise: ", "Exercise"),
            ("Other: ", "Other"),
        ]),
    };
    let ticket = Field {
        id: "order-ticket",
        name: "ticket",
        label: "Ticket",
        about: "Stands before the reason, in brackets",
        class: "field--grow dialog__ticket",
        control: Control::Input(&[("type", "text"), ("maxlength", "40"), ("autocomplete", "off")]),
    };
    let snapshot = all([
        choice("snapshot", "Collect a snapshot first", true),
        words(
            "p",
            "muted",
            "Processes, sockets and logins. It is ordered first, and the isolation follows at once without waiting for it: \
             connections that are cut meanwhile mostly still stand in the kernel's tables. The bundle arrives over the \
             connection to this server, which stays open. A host that is offline now is isolated first when it connects. \
             There is no snapshot with a later start.",
        ),
    ]);
    all([
        fields("form form--row dialog__why", &[template, ticket]),
        asking::long_reason("order-reason").draw(),
        tag("div", "dialog__snapshot", snapshot),
        fields("form form--row dialog__options", &times()),
        asking::isolation_terms("order-exceptions", "order-notify"),
    ])
}

fn times() -> [Field; 3] {
    [
        asking::release_after("order-release"),
        asking::later("order-later"),
        Field {
            id: "order-undo",
            name: "undo",
            label: "Time to undo",
            about: "Nothing is sent before it is over; kept in this browser",
            class: "field--grow dialog__release",
            control: Control::Select(&[("0", "None"), ("5", "5 s"), ("10", "10 s"), ("30", "30 s")]),
        },
    ]
}
