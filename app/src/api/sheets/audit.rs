//! The audit log as a page.

use chrono::SecondsFormat;
use url::form_urlencoded::Serializer;
use voltaxe_orchestrator::audit::{AuditFilter, AuditLine};

use super::{fact, facts, input, table, text};
use crate::{
    api::{
        caller::Caller,
        parse::{self, Form as Query},
    },
    error::ApiError,
    model::{
        Sheet,
        record::{Form, Input, Kind},
        sheet::{Part, Row},
    },
};

const ROWS: i64 = 100;

pub(super) async fn list(caller: &Caller, query: &str) -> Result<Sheet, ApiError> {
    let permit = caller.permit()?;
    let query = Query::of(query);
    let filter = filter(&query)?;
    let found = caller.strike.audit_log(&permit, filter.clone(), query.number("before")?, ROWS).await?;
    let mut parts = vec![Part::Form(form(&query))];
    if found.rows.is_empty() {
        parts.push(Part::Text("Nothing in the log fits.".to_owned()));
    } else {
        let columns = ["What", "Who", "Host", "When", "Result", "Reason"];
        parts.push(table("Audit log", &columns, found.rows.iter().map(line).collect()));
    }
    if let Some(next) = found.next {
        let is_full = i64::try_from(found.rows.len()).is_ok_and(|count| count >= ROWS);
        let words = if is_full { "Older rows" } else { "Search older rows" };
        if !is_full {
            parts.push(Part::Text(format!("The rows down to #{next} were searched.")));
        }
        let address = again(&query, &[("before", next.to_string())]);
        parts.push(Part::Link(format!("/audit?{address}"), words.to_owned()));
    }
    if !query.get("before").is_empty() {
        parts.push(Part::Link(format!("/audit?{}", again(&query, &[])), "Newest rows".to_owned()));
    }
    for (format, name) in
        [("csv", "Export as CSV"), ("ocsf", "Export as OCSF events"), ("json", "Export as JSON lines")]
    {
        let address = exported(&filter, format);
        parts.push(Part::Link(format!("/api/audit?{address}"), name.to_owned()));
    }
    Ok(Sheet { title: "Audit".to_owned(), parts, ..Sheet::default() })
}

pub(super) async fn row(caller: &Caller, id: &str) -> Result<Sheet, ApiError> {
    let id = id.parse().map_err(|_| ApiError::NotFound)?;
    let line = caller.strike.audit_line(&caller.permit()?, id).await?;
    let record = &line.record;
    let mut rows = vec![
        fact("What", record.action.clone()),
        fact("Who", record.actor.clone()),
        fact("When", text::at(record.at)),
        fact("Host", text::of_host(record.hostname.as_deref().unwrap_or("–"))),
        fact("Reason", record.reason.clone().unwrap_or_else(|| "–".to_owned())),
    ];
    if let Some(command) = record.command_id {
        rows.push(fact("Command", format!("#{command}")));
        rows.push(fact("Result", result(&line)));
    }
    if let Some(message) = line.outcome.as_ref().and_then(|outcome| outcome.message.as_ref()) {
        rows.push(fact("The host's words", text::of_host(message)));
    }
    let mut parts = vec![facts("The row", rows)];
    if let Some(detail) = &record.detail {
        let detail = serde_json::to_string_pretty(detail).unwrap_or_default();
        parts.push(Part::Heading("Details".to_owned()));
        parts.push(Part::Plain(text::lines_of_host(&detail, 64 * 1024)));
    }
    if let Some(command) = record.command_id {
        parts.push(Part::Link(format!("/commands/{command}"), format!("Command #{command}")));
    }
    if let Some(endpoint) = &record.endpoint_id {
        parts.push(Part::Link(format!("/endpoints/{endpoint}"), "The host's page".to_owned()));
    }
    Ok(Sheet {
        title: format!("Audit row {id}"),
        back: Some(("/audit".to_owned(), "Audit".to_owned())),
        parts,
        ..Sheet::default()
    })
}

fn filter(query: &Query) -> Result<AuditFilter, ApiError> {
    let text = |name: &str| Some(query.get(name).to_owned()).filter(|text| !text.is_empty());
    Ok(AuditFilter {
        actor: text("actor"),
        action: text("action"),
        host: text("host"),
        reason: text("reason"),
        from: parse::utc("from", query.get("from"))?,
        to: parse::utc("to", query.get("to"))?,
    })
}

const FIELDS: [&str; 6] = ["actor", "action", "host", "reason", "from", "to"];

fn form(query: &Query) -> Form {
    let fields = [
        input("actor", "Who", "A user name, server, agent or console", Kind::Text),
        input("action", "What", "As in operator, or operator.sign_in", Kind::Text),
        input("host", "Host", "Part of its name", Kind::Text),
        input("reason", "Reason", "Part of it", Kind::Text),
        input("from", "From (UTC)", "", Kind::Time),
        input("to", "Before (UTC)", "", Kind::Time),
    ];
    let fill = |field: Input| Input { value: query.get(&field.name).to_owned(), ..field };
    Form {
        id: "filters".to_owned(),
        finds: Some("/audit".to_owned()),
        fields: fields.map(fill).into(),
        button: "Show".to_owned(),
        tone: "primary".to_owned(),
        ..Form::default()
    }
}

/// The page's own query, with more.
fn again(query: &Query, more: &[(&str, String)]) -> String {
    let mut address = Serializer::new(String::new());
    for name in FIELDS.into_iter().filter(|name| !query.get(name).is_empty()) {
        address.append_pair(name, query.get(name));
    }
    for (name, value) in more {
        address.append_pair(name, value);
    }
    address.finish()
}

/// As the API reads it.
fn exported(filter: &AuditFilter, format: &str) -> String {
    let AuditFilter { actor, action, host, reason, from, to } = filter;
    let mut address = Serializer::new(String::new());
    address.append_pair("format", format);
    for (name, text) in [("actor", actor), ("action", action), ("host", host), ("reason", reason)] {
        if let Some(text) = text {
            address.append_pair(name, text);
        }
    }
    for (name, at) in [("from", from), ("to", to)] {
        if let Some(at) = at {
            address.append_pair(name, &at.to_rfc3339_opts(SecondsFormat::Millis, true));
        }
    }
    address.finish()
}

fn line(line: &AuditLine) -> Row {
    let record = &line.record;
    let or_dash = |text: Option<&String>| text.cloned().unwrap_or_else(|| "–".to_owned());
    Row {
        cells: vec![
            record.action.clone(),
            record.actor.clone(),
            text::of_host(&or_dash(record.hostname.as_ref())),
            text::at(record.at),
            result(line),
            or_dash(record.reason.as_ref()),
        ],
        href: Some(format!("/audit/{}", record.id)),
        ..Row::default()
    }
}

fn result(line: &AuditLine) -> String {
    line.result().map_or_else(|| "–".to_owned(), |state| state.to_string())
}
