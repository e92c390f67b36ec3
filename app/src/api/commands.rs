use leptos::prelude::*;

use super::Rpc;
use crate::{
    error::ApiError,
    model::{Command, CommandPage, Listed, command::Of},
};

/// What the page of commands starts with, by what its address asks for.
#[server(name = LoadCommandPage, prefix = "/rpc", endpoint = "command_page", protocol = Rpc)]
pub async fn command_page(query: String) -> Result<CommandPage, ApiError> {
    super::caller::answer(ssr::command_page(&query).await)
}

/// Some commands: an endpoint's and everybody's newest first, a batch's by id. `from` is a list's `next`.
#[server(prefix = "/rpc", endpoint = "commands", protocol = Rpc)]
pub async fn commands(of: Of, from: Option<i64>) -> Result<Listed<Command>, ApiError> {
    super::caller::answer(ssr::commands(of, from).await)
}

#[cfg(feature = "ssr")]
pub(super) mod ssr {
    use voltaxe_orchestrator::model::{BatchId, CommandFilter as Wanted, CommandRecord, Found};
    use voltaxe_protocol::{Command as Ordered, CommandId, CommandState};

    use super::{
        super::{
            caller::Caller,
            parse::{self, Form as Query},
        },
        ApiError, Command, CommandPage, Listed, Of,
    };
    use crate::model::{
        CommandFilter, order,
        record::{Form, Input, Kind},
    };

    const AT_ONCE: i64 = 50;

    pub async fn commands(of: Of, from: Option<i64>) -> Result<Listed<Command>, ApiError> {
        let caller = Caller::expect()?;
        let (permit, from) = (caller.permit()?, from.map(CommandId));
        let found = match of {
            Of::All => caller.strike.commands(&permit, from, AT_ONCE).await?,
            Of::Matching(query) => {
                let wanted = wanted(&Query::of(&query))?;
                let Found { rows, next } =
                    caller.strike.find_commands(&permit, wanted, from, AT_ONCE).await?;
                return Ok(Listed { rows: rows.iter().map(Into::into).collect(), next });
            }
            Of::Endpoint(id) => {
                let id = id.parse().map_err(|_| ApiError::NotFound)?;
                caller.strike.commands_of(&permit, &id, from, AT_ONCE).await?
            }
            Of::Batch(id) => {
                let id = id.parse().map_err(|_| ApiError::NotFound)?;
                caller.strike.commands_of_batch(&permit, id, from, AT_ONCE).await?
            }
        };
        Ok(listed(&found))
    }

    pub async fn command_page(query: &str) -> Result<CommandPage, ApiError> {
        let asked = Query::of(query);
        let wanted = wanted(&asked)?;
        let filter = CommandFilter {
            state: wanted.state.map(Into::into),
            kind: wanted.kind.unwrap_or_default(),
            operator: wanted.operator.unwrap_or_default().to_lowercase(),
            host: wanted.host.unwrap_or_default().to_lowercase(),
            batch: wanted.batch.map(|batch| batch.to_string()).unwrap_or_default(),
            from: wanted.from.map(|at| at.timestamp_millis()),
            to: wanted.to.map(|at| at.timestamp_millis()),
        };
        let commands = commands(Of::Matching(query.to_owned()), None).await?;
        Ok(CommandPage { form: form(&asked), filter, commands })
    }

    fn wanted(query: &Query) -> Result<Wanted, ApiError> {
        let text = |name: &str| Some(query.get(name).to_owned()).filter(|text| !text.is_empty());
        let state = text("state").map(|state| state.parse::<CommandState>());
        let state = state.transpose().map_err(|_| parse::invalid("state", "is no state of a command"))?;
        let batch = text("batch").map(|batch| batch.parse::<BatchId>());
        Ok(Wanted {
            state,
            kind: text("kind"),
            operator: text("operator"),
            host: text("host"),
            batch: batch.transpose().map_err(|_| parse::invalid("batch", "is no batch's id"))?,
            from: parse::utc("from", query.get("from"))?,
            to: parse::utc("to", query.get("to"))?,
        })
    }

    const STATES: [(&str, &str); 7] = [
        ("", "Any"),
        ("pending", "Pending"),
        ("delivered", "Delivered"),
        ("executed", "Executed"),
        ("failed", "Failed"),
        ("expired", "Expired"),
        ("cancelled", "Cancelled"),
    ];

    fn form(query: &Query) -> Form {
        let states = STATES.map(|(value, words)| (value.to_owned(), words.to_owned())).into();
        let kinds = Ordered::KINDS.map(|kind| (kind.to_owned(), order::title(kind).to_owned()));
        let kinds = std::iter::once((String::new(), "Any".to_owned())).chain(kinds).collect();
        let fields = [
            ("state", "State", Kind::Choice(states)),
            ("kind", "Command", Kind::Choice(kinds)),
            ("host", "Host", Kind::Text),
            ("operator", "By", Kind::Text),
            ("batch", "Batch", Kind::Text),
            ("from", "From (UTC)", Kind::Time),
            ("to", "Before (UTC)", Kind::Time),
        ];
        let field = |(name, label, kind): (&str, &str, Kind)| Input {
            name: name.to_owned(),
            label: label.to_owned(),
            about: String::new(),
            value: query.get(name).to_owned(),
            kind,
        };
        Form {
            id: "filters".to_owned(),
            finds: Some("/commands".to_owned()),
            fields: fields.map(field).into(),
            button: "Show".to_owned(),
            tone: "primary".to_owned(),
            ..Form::default()
        }
    }

    /// A full part may be the last one; then the next is empty.
    fn listed(records: &[CommandRecord]) -> Listed<Command> {
        let is_full = i64::try_from(records.len()).is_ok_and(|count| count >= AT_ONCE);
        Listed {
            rows: records.iter().map(Into::into).collect(),
            next: records.last().filter(|_| is_full).map(|record| record.id.0),
        }
    }
}
