//! What the document says of each route. A new route needs an entry here; its method, path and role stand in the routes' table.

mod administration;

use serde_json::{Value, json};

use super::operation::{Operation, delete, get, patch, post, put};
use crate::web::{
    api::{batches, commands, endpoints, evidence, limits, schedules},
    records::{Command, Telemetry},
};

#[must_use]
pub fn operations() -> Vec<Operation> {
    let mut all = Vec::new();
    all.extend(of_commands());
    all.extend(of_batches());
    all.extend(of_schedules());
    all.extend(of_evidence());
    all.extend(of_endpoints());
    all.extend(of_the_server());
    all.extend(administration::of_webhooks());
    all.extend(administration::of_the_audit_log());
    all.extend(administration::of_operators());
    all.extend(administration::of_tokens());
    all
}

fn command_id() -> Value {
    json!({ "type": "integer", "format": "int64", "minimum": 1, "maximum": i64::MAX })
}

fn uuid() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

fn moment() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn words(longest: u32) -> Value {
    json!({ "type": "string", "maxLength": longest })
}

fn endpoint_id() -> Value {
    json!({ "type": "string", "pattern": "^ep_[0-9a-f]{32}$" })
}

fn of_commands() -> [Operation; 6] {
    [
        post("/api/isolate", "Isolate a host")
            .about("On disk when this is answered, whether the host is there or not. A schedule when `not_before` is given.")
            .idempotent()
            .takes::<commands::Body>(json!({ "hostname": "web-01", "reason": "Beacon to 198.51.100.7" }))
            .accepts::<commands::Answer>("The command, or the schedule.")
            .refuses([404, 409]),
        post("/api/restore", "Release a host")
            .idempotent()
            .takes::<commands::Body>(json!({ "hostname": "web-01", "reason": "Cleaned and checked" }))
            .accepts::<commands::Answer>("The command, or the schedule.")
            .refuses([404, 409]),
        post("/api/commands", "Order any command")
            .about("Each kind of command needs the role of what it does. `params` are those of the kind.")
            .idempotent()
            .query(
                "wait",
                "Seconds for which the answer waits for the command to be final; more than 20 counts as 20.",
                json!({ "type": "integer", "minimum": 0, "maximum": 20, "default": 0 }),
            )
            .takes::<commands::Body>(json!({
                "command": "kill_process", "hostname": "web-01", "reason": "Miner",
                "params": { "target": { "name": "xmrig" }, "grace_seconds": 5 },
            }))
            .accepts::<commands::Answer>("The command, with its record when `wait` was given; or the schedule.")
            .refuses([404, 409]),
        get("/api/commands", "Commands, newest first")
            .about("A search that would take long ends early: whether there may be more is said by `Link`, and not by how many there are.")
            .query("state", "Only those in this state.", state())
            .query("kind", "Only those of this kind.", words(200))
            .query("operator", "Only those ordered by this operator.", words(200))
            .query("host", "Only those to hosts with this in their names.", words(200))
            .query("batch", "Only those of this batch.", uuid())
            .query("from", "Made then or later.", moment())
            .query("to", "Made before.", moment())
            .pages("before", "Those with smaller ids.", command_id())
            .lists::<Command>("Without the results' data."),
        get("/api/commands/{id}", "One command")
            .path("id", "The command's id.", command_id())
            .answers::<Command>(200, "With the result's data.")
            .refuses([404]),
        post("/api/commands/{id}/cancel", "Take a command back")
            .about("Final at once when no host has it; else the host is asked and `cancel_requested_at` is set.")
            .path("id", "The command's id.", command_id())
            .answers::<Command>(200, "The command as it is now.")
            .refuses([404, 409]),
    ]
}

fn state() -> Value {
    json!({ "type": "string", "enum": ["pending", "delivered", "executed", "failed", "expired", "cancelled"] })
}

fn of_batches() -> [Operation; 6] {
    let id = |operation: Operation| operation.path("id", "The batch's id.", uuid()).refuses([404]);
    [
        post("/api/batches", "Order one command to many hosts")
            .about("All of it or nothing: an unknown host is named, and nothing is queued.")
            .idempotent()
            .takes::<batches::Body>(json!({
                "command": "network_isolate", "hostnames": ["web-01", "web-02"], "reason": "Worm in the web tier",
            }))
            .accepts::<batches::Batch>("All its commands are on disk.")
            .refuses([404, 409]),
        get("/api/batches", "Batches, newest first")
            .pages("before", "Those made before.", moment())
            .lists::<batches::Batch>("Without the states of their commands."),
        id(get("/api/batches/{id}", "One batch")).answers::<batches::Progress>(200, "With its commands' states."),
        id(get("/api/batches/{id}/commands", "A batch's commands, by id"))
            .pages("after", "Those with greater ids.", command_id())
            .lists::<Command>("Without the results' data."),
        id(post("/api/batches/{id}/cancel", "Take the rest of a batch back"))
            .answers::<batches::Progress>(200, "As it is now.")
            .refuses([409]),
        id(post("/api/batches/{id}/undo", "Release what a batch isolated"))
            .about("Exactly the hosts that it isolated and that are isolated by it still.")
            .idempotent()
            .takes::<batches::Undo>(json!({ "reason": "False alarm" }))
            .accepts::<batches::Batch>("The batch that releases them.")
            .refuses([409]),
    ]
}

fn of_schedules() -> [Operation; 5] {
    let id = |operation: Operation| operation.path("id", "The schedule's id.", uuid()).refuses([404]);
    [
        post("/api/schedules", "Order a command for later")
            .idempotent()
            .takes::<schedules::Body>(json!({
                "command": "agent_check", "hostnames": ["web-01"], "reason": "Weekly look", "cron": "0 3 * * 1",
                "time_zone": "Europe/Berlin",
            }))
            .accepts::<schedules::Schedule>("The schedule.")
            .refuses([404, 409]),
        get("/api/schedules", "Schedules, newest first")
            .query("waiting", "Only those that have not ended.", json!({ "type": "boolean", "default": false }))
            .pages("before", "Those made before.", moment())
            .lists::<schedules::Schedule>("The schedules."),
        id(get("/api/schedules/{id}", "One schedule")).answers::<schedules::Schedule>(200, "The schedule."),
        id(post("/api/schedules/{id}/cancel", "End a schedule"))
            .answers::<schedules::Schedule>(200, "As it is now.")
            .refuses([409]),
        id(post("/api/schedules/{id}/extend", "Let an isolation last longer"))
            .about("Of the schedule that takes an isolation back: it comes so much later.")
            .takes::<schedules::Extend>(json!({ "seconds": 3600 }))
            .answers::<schedules::Schedule>(200, "As it is now.")
            .refuses([409]),
    ]
}

fn of_evidence() -> [Operation; 7] {
    let id = |operation: Operation| {
        operation.path("id", "The id of the command that collected it.", command_id()).refuses([404, 409])
    };
    [
        get("/api/evidence", "Evidence, newest first")
            .query("endpoint", "Only of this endpoint.", endpoint_id())
            .query("command", "Only of this command.", command_id())
            .pages("before", "Those of commands with smaller ids.", command_id())
            .lists::<evidence::Bundle>("The bundles."),
        id(get("/api/evidence/{id}", "One bundle")).answers::<evidence::Bundle>(200, "The bundle."),
        id(get("/api/evidence/{id}/files", "What a bundle holds"))
            .query(
                "from",
                "The number of the first file.",
                json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }),
            )
            .query(
                "limit",
                "Files of the answer, 100 when not given. More than 500 counts as 500.",
                json!({ "type": "integer", "minimum": 1, "maximum": 500, "default": 100 }),
            )
            .answers::<evidence::Contents>(200, "What the manifest says, and a page of its files."),
        id(get("/api/evidence/{id}/files/{index}", "A file of a bundle, as text"))
            .path(
                "index",
                "The file's number.",
                json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }),
            )
            .answers::<evidence::FileText>(200, "Its beginning, at most 1 MiB."),
        id(get("/api/evidence/{id}/custody", "Who had to do with a bundle"))
            .about("Signed by the server; `voltaxe-server admin verify-evidence` checks it.")
            .answers_json(200, "A chain of hashes."),
        id(get("/api/evidence/{id}/bundle", "A bundle, as a zip"))
            .header("Range", "One range of bytes (RFC 9110).", json!({ "type": "string" }))
            .answers_with(200, "All of it.", "application/zip")
            .answers_with(206, "The range.", "application/zip")
            .refuses([416]),
        id(post("/api/evidence/{id}/discard", "Remove a bundle's bytes"))
            .about("For good; its line and its custody stay, with who did it and why.")
            .takes::<evidence::Discard>(json!({ "reason": "Collected from the wrong host" }))
            .answers::<evidence::Bundle>(200, "As it is now."),
    ]
}

/// May be given several times.
fn choices(of: &[&str]) -> Value {
    json!({ "type": "array", "maxItems": 20, "items": { "type": "string", "enum": of } })
}

/// May be given several times.
fn values() -> Value {
    json!({ "type": "array", "maxItems": 20, "items": { "type": "string", "maxLength": 200 } })
}

fn of_endpoints() -> [Operation; 5] {
    [
        get("/api/endpoints", "Endpoints, as the dashboard's list shows them")
            .about("A filter that is given several times lets through what one of its values fits; labels must all be there.")
            .query("q", "Each word of it is in the name, an address, the system or a label.", words(100))
            .query("label", "Only those with this label.", values())
            .query("os", "Only those with this system.", values())
            .query("version", "Only those with this version of the agent.", values())
            .query("status", "Only those.", choices(&["connected", "offline", "awaiting-approval"]))
            .query(
                "isolation",
                "Only those, as the fleet is counted.",
                choices(&["attention", "failed", "pending", "isolated", "connected"]),
            )
            .query("seen", "Only those seen last so long ago.", choices(&["15m", "1h", "1d", "7d", "older"]))
            .query(
                "sort",
                "By this; with `-` before it, backwards.",
                json!({ "type": "string", "pattern": "^-?(host|seen|isolation|os|version|load)$", "default": "host" }),
            )
            .query("cursor", "`next` or `previous` of another page.", words(2000))
            .query(
                "limit",
                "Rows of the answer, 100 when not given. More than 500 counts as 500.",
                json!({ "type": "integer", "minimum": 1, "maximum": 500, "default": 100 }),
            )
            .answers::<endpoints::EndpointPage>(200, "A page; `next` and `previous` are `null` where there is no more."),
        patch("/api/endpoints/{id}", "Write an endpoint's labels, or the note about it")
            .about("What is not named stays. With `revision`, 409 when somebody has changed them since.")
            .path("id", "The endpoint's id.", endpoint_id())
            .takes::<endpoints::AnnotateRequest>(
                json!({ "labels": ["web", "site:berlin"], "note": "Behind the old switch.", "revision": 3 }),
            )
            .answers::<endpoints::Notes>(200, "What is kept from now on.")
            .refuses([404, 409]),
        get("/api/endpoints/{id}/notes", "An endpoint's labels, and the note about it")
            .path("id", "The endpoint's id.", endpoint_id())
            .answers::<endpoints::Notes>(200, "With their revision.")
            .refuses([404]),
        post(
            "/api/endpoints/{id}/release-ticket",
            "A ticket that ends an isolation at the host's own console",
        )
        .about("For a host that the server does not reach. The audit log keeps who asked, and why.")
        .path("id", "The endpoint's id.", endpoint_id())
        .takes::<endpoints::TicketRequest>(json!({ "reason": "On the phone with the site" }))
        .answers::<endpoints::ReleaseTicket>(200, "Shown this once.")
        .refuses([404, 409]),
        get("/telemetry", "What each host reported last")
            .lists::<Telemetry>("All endpoints that are not revoked."),
    ]
}

fn of_the_server() -> [Operation; 6] {
    let kind = |operation: Operation| {
        operation.path(
            "kind",
            "A command's kind, or * for all together.",
            json!({ "type": "string", "maxLength": 40 }),
        )
    };
    [
        get("/api/rate-limits", "How fast commands go out")
            .lists::<limits::RateLimit>("The limits that are set."),
        kind(put("/api/rate-limits/{kind}", "Set a rate limit"))
            .takes::<limits::Body>(json!({ "per_minute": 60, "burst": 10 }))
            .answers::<limits::Limit>(200, "In force within 5 s."),
        kind(delete("/api/rate-limits/{kind}", "Lift a rate limit"))
            .answers_nothing("It is lifted.")
            .refuses([404]),
        get("/api/openapi.json", "This document").answers_json(200, "OpenAPI 3.1."),
        get("/metrics", "What the server measures of itself").answers_with(
            200,
            "OpenMetrics text.",
            "application/openmetrics-text",
        ),
        get("/events", "What changes, as it changes")
            .about("Server-sent events; it goes on until one side ends it.")
            .query(
                "show",
                "What is told of, as the pages name it, with commas between; all when not given.",
                words(2000),
            )
            .query(
                "after",
                "The last event that was seen, where the header cannot be set.",
                json!({ "type": "integer", "format": "int64", "minimum": 0 }),
            )
            .header(
                "Last-Event-ID",
                "The last event that was seen: what came after it is told first.",
                json!({ "type": "string" }),
            )
            .answers_with(200, "The stream.", "text/event-stream"),
    ]
}
