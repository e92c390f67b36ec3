//! Bundles of evidence: an endpoint's list, a bundle's files, and who had it in hands.

use voltaxe_orchestrator::{
    authority::may,
    evidence::{EvidenceFilter, EvidenceRecord, EvidenceStatus, Visit},
};
use voltaxe_protocol::CommandId;

use super::{json, text};
use crate::{
    api::{caller::Caller, parse::Form as Query},
    error::ApiError,
    model::{
        Sheet,
        record::{Form, Input, Kind},
        sheet::{Part, Row, Table},
        time,
    },
    ui::percent,
};

const BUNDLES: i64 = 100;
const FILES: u32 = 200;
const LONGEST_TEXT_CHARS: usize = 256 * 1024;

pub(super) async fn list(caller: &Caller, endpoint: &str) -> Result<Vec<Part>, ApiError> {
    let endpoint = endpoint.parse().map_err(|_| ApiError::NotFound)?;
    let filter = EvidenceFilter { endpoint: Some(endpoint), command: None };
    let bundles = caller.strike.evidence_list(&caller.permit()?, &filter, None, BUNDLES).await?;
    if bundles.is_empty() {
        return Ok(vec![Part::Text("Nothing was collected from this host yet.".to_owned())]);
    }
    let rows = bundles.iter().map(|bundle| Row {
        cells: vec![
            format!("#{}", bundle.command_id),
            bundle.profile.clone(),
            state(bundle),
            time::bytes(bundle.size_bytes),
            bundle.files.map_or_else(|| "–".to_owned(), |files| files.to_string()),
            bundle.requested_by.clone(),
            text::at(bundle.requested_at),
            bundle.reason.clone(),
        ],
        href: Some(format!("/evidence/{}", bundle.command_id)),
        ..Row::default()
    });
    let columns = ["Bundle", "Profile", "State", "Size", "Files", "By", "When", "Reason"];
    Ok(vec![table("Evidence", &columns, rows.collect())])
}

pub(super) async fn bundle(caller: &Caller, id: &str, query: &str) -> Result<Sheet, ApiError> {
    let id: CommandId = id.parse().map_err(|_| ApiError::NotFound)?;
    let query = Query::of(query);
    let record = caller.strike.evidence(&caller.permit()?, id).await?;
    let visit = Visit { from: Some(caller.client), at: caller.now };
    let mut parts = facts(&record);
    if record.state == EvidenceStatus::Stored {
        parts.push(Part::Link(format!("/api/evidence/{id}/bundle"), "Download the bundle".to_owned()));
        match query.number("file")? {
            Some(index) => parts.extend(file(caller, id, index, visit).await?),
            None => parts.extend(files(caller, id, query.number("from")?.unwrap_or(0), visit).await?),
        }
    }
    parts.extend(custody(caller, id, query.number("before")?).await?);
    if record.discarded.is_none() && caller.permit::<may::DiscardEvidence>().is_ok() {
        parts.push(Part::Form(discard(id)));
    }
    Ok(Sheet {
        title: format!("Evidence {id}"),
        back: Some((format!("/endpoints/{}/evidence", record.endpoint_id), record.hostname)),
        endpoint_id: record.endpoint_id.to_string(),
        parts,
    })
}

fn discard(id: CommandId) -> Form {
    Form {
        id: "discard".to_owned(),
        title: "Discard this bundle".to_owned(),
        about: "Its bytes are removed for good. That it was there, who discarded it, when and why stays, and its chain of custody."
            .to_owned(),
        hidden: vec![
            ("action".to_owned(), "discard_evidence".to_owned()),
            ("id".to_owned(), id.to_string()),
        ],
        fields: vec![Input {
            name: "reason".to_owned(),
            label: "Reason".to_owned(),
            about: "3 to 500 characters; kept with the bundle's record".to_owned(),
            value: String::new(),
            kind: Kind::Text,
        }],
        button: "Discard".to_owned(),
        tone: "danger".to_owned(),
        ..Form::default()
    }
}

fn facts(record: &EvidenceRecord) -> Vec<Part> {
    let fact = |name: &str, value: String| Row { cells: vec![name.to_owned(), value], ..Row::default() };
    let mut rows = vec![
        fact("Host", record.hostname.clone()),
        fact("Ordered", format!("{}, by {}", text::at(record.requested_at), record.requested_by)),
        fact("Reason", record.reason.clone()),
        fact("Profile", record.profile.clone()),
        fact("State", state(record)),
        fact("Size", format!("{} ({} bytes)", time::bytes(record.size_bytes), record.size_bytes)),
        fact("SHA-256", record.sha256.clone()),
    ];
    if let Some(partial) = &record.partial {
        rows.push(fact("Ended early", text::of_host(partial)));
    }
    let mut parts = vec![table("The bundle", &["Fact", "Value"], rows)];
    if let Some(problems) = &record.problems {
        parts.extend(problems.iter().map(|problem| Part::Error(text::of_host(problem))));
    }
    if matches!(record.state, EvidenceStatus::Announced | EvidenceStatus::Uploading) {
        let words = format!(
            "{} of {} have arrived",
            time::bytes(record.received_bytes),
            time::bytes(record.size_bytes)
        );
        parts.push(Part::Progress(words, percent(record.received_bytes, record.size_bytes)));
    }
    parts
}

async fn files(caller: &Caller, id: CommandId, from: u32, visit: Visit) -> Result<Vec<Part>, ApiError> {
    let found = caller.strike.evidence_files(&caller.permit()?, id, from, FILES, visit).await?;
    let rows = found.files.iter().map(|file| Row {
        cells: vec![
            text::of_host(&file.entry.path),
            text::of_host(&file.entry.collector),
            time::bytes(file.entry.size_bytes),
            text::at(file.entry.collected_at),
            file.entry.source.as_deref().map_or_else(|| "–".to_owned(), text::of_host),
            text::of_host(&file.entry.sha256),
        ],
        href: Some(format!("/evidence/{id}?file={}", file.index)),
        ..Row::default()
    });
    let columns = ["File", "Collector", "Size", "Collected", "From", "SHA-256"];
    let mut parts =
        vec![Part::Heading(format!("{} files", found.total)), table("Files", &columns, rows.collect())];
    if from > 0 {
        let before = from.saturating_sub(FILES);
        parts.push(Part::Link(format!("/evidence/{id}?from={before}"), "Files before these".to_owned()));
    }
    if from.saturating_add(FILES) < found.total {
        parts.push(Part::Link(format!("/evidence/{id}?from={}", from + FILES), "More files".to_owned()));
    }
    if !found.errors.is_empty() {
        let rows = found.errors.iter().map(|error| Row {
            cells: vec![text::of_host(&error.collector), text::of_host(&error.message)],
            ..Row::default()
        });
        parts.push(Part::Heading("What was not collected".to_owned()));
        parts.push(table("What was not collected", &["Collector", "Why"], rows.collect()));
    }
    Ok(parts)
}

async fn file(caller: &Caller, id: CommandId, index: u32, visit: Visit) -> Result<Vec<Part>, ApiError> {
    let found = caller.strike.evidence_text(&caller.permit()?, id, index, visit).await?;
    let mut parts = vec![
        Part::Link(format!("/evidence/{id}"), "All files of the bundle".to_owned()),
        Part::Heading(text::of_host(&found.file.entry.path)),
    ];
    if found.is_binary {
        parts.push(Part::Warning("This is no text: what cannot be shown stands as �.".to_owned()));
    }
    let shown = text::lines_of_host(&found.text, LONGEST_TEXT_CHARS);
    if found.is_cut || shown.ends_with('…') {
        let size = time::bytes(found.file.entry.size_bytes);
        parts.push(Part::Warning(format!(
            "Only the beginning is shown; the file has {size}. Download the bundle for all of it."
        )));
    }
    match (!found.is_binary).then(|| json::table(&found.text)).flatten() {
        Some((table, is_cut)) => {
            if is_cut {
                parts.push(Part::Warning("The table has the beginning of it; below stands more.".to_owned()));
            }
            parts.push(Part::Table(table));
            parts.push(Part::Fold("As it stands in the file".to_owned(), shown));
        }
        None => parts.push(Part::Plain(shown)),
    }
    Ok(parts)
}

async fn custody(caller: &Caller, id: CommandId, before: Option<u32>) -> Result<Vec<Part>, ApiError> {
    let before = before.and_then(|before| i32::try_from(before).ok());
    let entries = caller.strike.evidence_custody(&caller.permit()?, id, before).await?;
    let earlier = entries.first().map(|entry| entry.sequence).filter(|first| *first > 1);
    let rows = entries.iter().map(|entry| {
        let action =
            serde_json::to_value(entry.action).ok().and_then(|word| word.as_str().map(str::to_owned));
        Row {
            cells: vec![
                format!("#{}", entry.sequence),
                text::at(entry.at),
                action.unwrap_or_default(),
                text::of_host(&entry.actor.name),
                text::of_host(&entry.detail.to_string()),
            ],
            ..Row::default()
        }
    });
    let mut parts = vec![
        Part::Heading("Chain of custody".to_owned()),
        table("Chain of custody", &["Entry", "When", "What", "Who", "Details"], rows.collect()),
    ];
    if let Some(first) = earlier {
        parts.push(Part::Link(format!("/evidence/{id}?before={first}"), "Earlier entries".to_owned()));
    }
    parts.push(Part::Link(format!("/api/evidence/{id}/custody"), "Export the record, signed".to_owned()));
    Ok(parts)
}

fn state(record: &EvidenceRecord) -> String {
    match record.state {
        EvidenceStatus::Announced => "Collected, on its way".to_owned(),
        EvidenceStatus::Uploading => {
            format!("Arriving, {} %", percent(record.received_bytes, record.size_bytes))
        }
        EvidenceStatus::Stored => match &record.problems {
            None => "Stored, being verified".to_owned(),
            Some(problems) if problems.is_empty() => "Stored, verified".to_owned(),
            Some(problems) => format!("Stored, {} problems", problems.len()),
        },
        EvidenceStatus::Abandoned => "Did not arrive".to_owned(),
        EvidenceStatus::Discarded => record.discarded.as_ref().map_or_else(String::new, |discarded| {
            format!("Discarded by {}, {}: {}", discarded.by, text::at(discarded.at), discarded.reason)
        }),
    }
}

fn table(caption: &str, columns: &[&str], rows: Vec<Row>) -> Part {
    Part::Table(Table {
        caption: caption.to_owned(),
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
        rows,
        tick: String::new(),
    })
}
