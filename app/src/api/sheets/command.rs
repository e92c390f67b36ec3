//! Everything about one command.

use voltaxe_orchestrator::{authority::may, model::CommandRecord};
use voltaxe_protocol::CommandId;

use super::{fact, facts, table, text};
use crate::{
    api::caller::Caller,
    error::ApiError,
    model::{
        Command, Sheet,
        record::Form,
        sheet::{Part, Row},
        time,
    },
};

const LONGEST_DATA_CHARS: usize = 256 * 1024;

pub(super) async fn command(caller: &Caller, id: &str) -> Result<Sheet, ApiError> {
    let id = id.parse().map(CommandId).map_err(|_| ApiError::NotFound)?;
    let record = caller.strike.command(&caller.permit()?, id).await?;
    let seen = Command::from(&record);
    let mut parts = vec![facts("The command", about(&record, &seen)), steps(&seen)];
    if let Some(answer) = seen.recall_answer() {
        parts.insert(0, Part::Warning(answer.to_owned()));
    }
    if let Some(message) = &seen.message {
        let words = text::of_host(message);
        parts.push(Part::Heading("What the host said".to_owned()));
        parts.push(if seen.state == crate::model::State::Failed {
            Part::Error(words)
        } else {
            Part::Text(words)
        });
    }
    for (what, value) in [
        ("Parameters", Some(&record.params)),
        ("The host's data", record.result.as_ref().and_then(|result| result.get("data"))),
    ] {
        let Some(value) = value.filter(|value| !value.is_null() && **value != serde_json::json!({})) else {
            continue;
        };
        let shown = serde_json::to_string_pretty(value).unwrap_or_default();
        parts.push(Part::Fold(what.to_owned(), text::lines_of_host(&shown, LONGEST_DATA_CHARS)));
    }
    if seen.recall().is_some() && caller.permit::<may::CancelCommand>().is_ok() {
        parts.push(Part::Form(cancel(&seen)));
    }
    parts.extend(ways(&seen));
    Ok(Sheet {
        title: format!("{} #{id}", seen.title()),
        back: Some(("/commands".to_owned(), "Commands".to_owned())),
        endpoint_id: seen.endpoint_id,
        parts,
    })
}

fn about(record: &CommandRecord, seen: &Command) -> Vec<Row> {
    let mut rows = vec![
        fact("Host", text::of_host(&record.hostname)),
        fact("State", seen.state.word()),
        fact("Given by", record.created_by.clone()),
        fact("Reason", record.reason.clone()),
        fact("Kind", record.command.clone()),
        fact("Priority", record.priority.to_string()),
        fact("Handed out", format!("{} times", record.attempt)),
        fact("Receipt came by", seen.channel.clone().unwrap_or_else(|| "–".to_owned())),
        fact("Expires", text::at(record.expires_at)),
    ];
    let more = [
        ("Not before", record.not_before.map(text::at)),
        ("Asked back by", record.cancel_requested_by.clone()),
        ("Cancelled by", record.cancelled_by.clone()),
        ("Batch", seen.batch_id.clone()),
        ("Schedule", seen.schedule_id.clone()),
    ];
    rows.extend(more.into_iter().filter_map(|(name, value)| Some(fact(name, value?))));
    rows
}

fn steps(seen: &Command) -> Part {
    let rows = seen.steps().into_iter().map(|step| Row {
        cells: vec![
            step.name.to_owned(),
            step.at.map_or_else(|| "–".to_owned(), time::utc_words),
            step.took.unwrap_or_else(|| "–".to_owned()),
        ],
        ..Row::default()
    });
    table("What happened", &["Step", "When", "After the one before"], rows.collect())
}

fn cancel(seen: &Command) -> Form {
    Form {
        id: "cancel".to_owned(),
        about: if seen.was_handed_out() {
            "The host may have it: it is asked to give it back, and answers what came first.".to_owned()
        } else {
            "It was not handed out: nobody has it.".to_owned()
        },
        hidden: vec![
            ("action".to_owned(), "cancel_command".to_owned()),
            ("id".to_owned(), seen.id.to_string()),
        ],
        button: "Cancel this command".to_owned(),
        tone: "danger".to_owned(),
        ..Form::default()
    }
}

fn ways(seen: &Command) -> Vec<Part> {
    use crate::model::State::{Cancelled, Expired, Failed};

    let again = matches!(seen.state, Failed | Expired | Cancelled);
    let page = if again { "Give it again on the page of" } else { "The page of" };
    let mut ways = vec![Part::Link(
        format!("/endpoints/{}", seen.endpoint_id),
        format!("{page} {}", text::of_host(&seen.hostname)),
    )];
    if seen.kind == "collect_forensics" {
        ways.push(Part::Link(format!("/evidence/{}", seen.id), "Its evidence".to_owned()));
    }
    if let Some(batch) = &seen.batch_id {
        ways.push(Part::Link(format!("/batches/{batch}"), "Its batch".to_owned()));
    }
    if seen.schedule_id.is_some() {
        ways.push(Part::Link("/schedules".to_owned(), "Schedules".to_owned()));
    }
    ways
}
