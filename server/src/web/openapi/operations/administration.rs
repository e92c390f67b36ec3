//! What administrators do.

use serde_json::json;

use super::{command_id, moment, uuid, words};
use crate::web::{
    api::{operators, tokens, webhooks},
    openapi::operation::{Operation, delete, get, patch, post, put},
    records::words::AuditRow,
};

pub(super) fn of_webhooks() -> [Operation; 11] {
    let id = |operation: Operation| operation.path("id", "The webhook's id.", uuid()).refuses([404]);
    let example = json!({
        "name": "soar", "url": "https://soar.example.com/voltaxe", "events": ["command.failed", "isolation.drift"],
    });
    [
        get("/api/webhooks", "Webhooks").lists::<webhooks::Webhook>("Without their secrets."),
        post("/api/webhooks", "Make a webhook")
            .about(
                "It is told of what happens from now on. What is sent is signed as Standard Webhooks has it.",
            )
            .takes::<webhooks::Body>(example.clone())
            .answers::<webhooks::Secret>(201, "With its secret, this once.")
            .refuses([409]),
        id(get("/api/webhooks/{id}", "One webhook")).answers::<webhooks::Webhook>(200, "Without its secret."),
        id(put("/api/webhooks/{id}", "Change a webhook"))
            .takes::<webhooks::Body>(example)
            .answers::<webhooks::Webhook>(200, "As it is now."),
        id(delete("/api/webhooks/{id}", "Delete a webhook"))
            .answers_nothing("It is gone, with its deliveries."),
        id(post("/api/webhooks/{id}/pause", "Pause a webhook")).answers_nothing("It is paused."),
        id(post("/api/webhooks/{id}/resume", "Resume a webhook"))
            .answers_nothing("It is active; it is not told of what happened in between."),
        id(post("/api/webhooks/{id}/rotate", "Give a webhook a new secret"))
            .answers::<webhooks::Secret>(200, "With the new secret, this once."),
        id(post("/api/webhooks/{id}/test", "Send a test to a webhook"))
            .accepts::<webhooks::Test>("A `webhook.test` is on its way.")
            .refuses([409]),
        id(get("/api/webhooks/{id}/deliveries", "What was sent to a webhook, newest first"))
            .pages("before", "Those made before.", moment())
            .lists::<webhooks::Delivery>("The deliveries."),
        post("/api/webhooks/deliveries/{id}/retry", "Try a delivery again now")
            .path("id", "The delivery's id.", uuid())
            .answers_nothing("It is attempted now.")
            .refuses([404]),
    ]
}

pub(super) fn of_the_audit_log() -> [Operation; 2] {
    [
        get("/api/audit", "Who did what, newest first")
            .about("A search that would take long ends early: whether there may be more is said by `Link`, and not by how many there are.")
            .query("actor", "Only what this operator or API token did.", words(200))
            .query("action", "Only this: `command.create`, or the kind of a command.", words(200))
            .query("host", "Only what was done to hosts with this in their names.", words(200))
            .query("reason", "Only what has this in its reason.", words(200))
            .query("from", "Then or later.", moment())
            .query("to", "Before.", moment())
            .query(
                "format",
                "Not a page but all that fits, at most 100000 rows, as a download with a line a row: CSV, JSON, or events of \
                 OCSF 1.3 (class 7001). The log keeps who took it.",
                json!({ "type": "string", "enum": ["csv", "ocsf", "json"] }),
            )
            .pages("before", "Those with smaller ids.", command_id())
            .lists::<AuditRow>("A page, or with `format` the download.")
            .answers_with(200, "", "text/csv")
            .answers_with(200, "", "application/x-ndjson"),
        get("/api/audit/{id}", "One row of the audit log")
            .path("id", "The row's id.", command_id())
            .answers::<AuditRow>(200, "The row.")
            .refuses([404]),
    ]
}

pub(super) fn of_operators() -> [Operation; 7] {
    let id = |operation: Operation| operation.path("id", "The operator's id.", uuid()).refuses([404]);
    [
        get("/api/operators", "Operators").lists::<operators::Operator>("All of them, by name."),
        post("/api/operators", "Make an operator")
            .takes::<operators::New>(json!({
                "username": "bo", "role": "responder", "password": "five different words, at least",
            }))
            .answers::<operators::MadeOperator>(201, "They can sign in."),
        id(patch("/api/operators/{id}", "Change an operator's role, or disable them"))
            .about("Holds at once for their sessions. Nobody changes themselves, and the last administrator stays one.")
            .takes::<operators::Change>(json!({ "role": "viewer" }))
            .answers_nothing("It is changed.")
            .refuses([409]),
        id(put("/api/operators/{id}/password", "Set an operator's password"))
            .about("Their sessions end.")
            .takes::<operators::Password>(json!({ "password": "five different words, at least" }))
            .answers_nothing("It is set.")
            .refuses([409]),
        id(get("/api/operators/{id}/sessions", "An operator's sessions"))
            .lists::<operators::Session>("Those that hold, newest first."),
        id(delete("/api/operators/{id}/sessions", "End an operator's sessions"))
            .answers::<operators::EndedSessions>(200, "All but the one that asks."),
        id(delete("/api/operators/{id}/sessions/{session}", "End one session"))
            .path("session", "The session's id.", uuid())
            .answers_nothing("It is ended."),
    ]
}

pub(super) fn of_tokens() -> [Operation; 3] {
    [
        get("/api/tokens", "API tokens")
            .lists::<tokens::ApiToken>("Without their secrets; those that hold first."),
        post("/api/tokens", "Make an API token")
            .takes::<tokens::Body>(json!({ "name": "soar", "role": "responder", "days": 90 }))
            .answers::<tokens::MadeToken>(201, "With the token itself, this once."),
        delete("/api/tokens/{id}", "Revoke an API token")
            .about("Effective at once. Its line stays, with who revoked it.")
            .path("id", "The token's id.", uuid())
            .answers::<tokens::ApiToken>(200, "As it is now.")
            .refuses([404]),
    ]
}
