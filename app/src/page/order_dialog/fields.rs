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
    let reason = Field {
        control: Control::Area(&[("rows", "3"), ("maxlength", "500"), ("required", ""), ("autofocus", "")]),
        ..asking::reason("order-reason")
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
        fields("form form--row dialog__why", &[template, ticket]),
        reason.draw(),
        tag("div", "dialog__snapshot", snapshot),
        fields("form form--row dialog__options", &times()),
        tag("details", "fold dialog__terms", terms),
    ])
}

fn times() -> [Field; 3] {
    [
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
