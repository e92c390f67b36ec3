//! The sheets that pages draw, from what the orchestrator knows and what hosts said.

mod audit;
mod command;
pub(super) mod evidence;
mod health;
mod json;
pub(super) mod operators;
pub(super) mod outcome;
pub(super) mod preview;
pub(super) mod processes;
mod settings;
pub(crate) mod text;

use voltaxe_orchestrator::authority::may;

use super::caller::Caller;
use crate::{
    error::ApiError,
    model::{
        Sheet, SheetOf,
        record::{Input, Kind},
        sheet::{Part, Row, Table},
    },
};

pub(super) async fn sheet(of: SheetOf) -> Result<Sheet, ApiError> {
    let caller = Caller::expect()?;
    match of {
        SheetOf::Processes(id) => {
            caller.permit::<may::ListProcesses>()?;
            of_endpoint(&caller, &id, "Processes of").await
        }
        SheetOf::EvidenceList(id) => {
            let mut sheet = of_endpoint(&caller, &id, "Evidence from").await?;
            sheet.parts = evidence::list(&caller, &id).await?;
            Ok(sheet)
        }
        SheetOf::Evidence(id, query) => evidence::bundle(&caller, &id, &query).await,
        SheetOf::Audit(query) => audit::list(&caller, &query).await,
        SheetOf::AuditRow(id) => audit::row(&caller, &id).await,
        SheetOf::Operators => operators::list(&caller).await,
        SheetOf::Operator(id) => operators::one(&caller, &id).await,
        SheetOf::Settings => settings::settings(&caller).await,
        SheetOf::Health => health::health(&caller).await,
        SheetOf::Command(id) => command::command(&caller, &id).await,
    }
}

/// A name and its value, a row.
fn fact(name: &str, value: impl Into<String>) -> Row {
    Row { cells: vec![name.to_owned(), value.into()], ..Row::default() }
}

fn facts(caption: &str, rows: Vec<Row>) -> Part {
    table(caption, &["Fact", "Value"], rows)
}

fn table(caption: &str, columns: &[&str], rows: Vec<Row>) -> Part {
    Part::Table(Table {
        caption: caption.to_owned(),
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
        rows,
        tick: String::new(),
    })
}

/// An input with nothing in it.
fn input(name: &str, label: &str, about: &str, kind: Kind) -> Input {
    let [name, label, about] = [name, label, about].map(str::to_owned);
    Input { name, label, about, value: String::new(), kind }
}

fn choice(name: &str, label: &str, chosen: &str, choices: &[(&str, &str)]) -> Input {
    let choices = choices.iter().map(|(value, words)| ((*value).to_owned(), (*words).to_owned())).collect();
    Input { value: chosen.to_owned(), ..input(name, label, "", Kind::Choice(choices)) }
}

async fn of_endpoint(caller: &Caller, id: &str, what: &str) -> Result<Sheet, ApiError> {
    let endpoint = id.parse().map_err(|_| ApiError::NotFound)?;
    let permit = caller.permit()?;
    let view = caller.strike.endpoint(&permit, &endpoint, caller.now).await?.ok_or(ApiError::NotFound)?;
    let hostname = view.record.hostname;
    Ok(Sheet {
        title: format!("{what} {hostname}"),
        back: Some((format!("/endpoints/{id}"), hostname)),
        endpoint_id: id.to_owned(),
        parts: Vec::new(),
    })
}
