//! What everybody may set for themselves, and what the server is set to.

use voltaxe_orchestrator::{authority::may, delivery::Strategy, model::RateLimit};
use voltaxe_protocol::Command;

use super::{
    fact, facts, input,
    operators::{hidden, sessions},
    table, text,
};
use crate::{
    api::caller::Caller,
    error::ApiError,
    model::{
        Sheet,
        record::{Form, Kind},
        sheet::{Part, Row},
        time,
    },
};

pub(super) async fn settings(caller: &Caller) -> Result<Sheet, ApiError> {
    let operator = caller.operator()?;
    let own = caller.session.as_ref();
    let found = caller.operators.own_sessions(operator, own, caller.now).await?;
    let you = vec![fact("User name", operator.username.clone()), fact("Role", operator.role.to_string())];
    let mut parts = vec![
        facts("You", you),
        Part::Text("Light or dark is chosen in the bar above, and kept by this browser.".to_owned()),
        Part::Form(password()),
    ];
    parts.extend(sessions(&found, None));
    parts.extend(server(caller).await?);
    Ok(Sheet { title: "Settings".to_owned(), parts, ..Sheet::default() })
}

fn password() -> Form {
    Form {
        id: "password".to_owned(),
        title: "Change your password".to_owned(),
        about: "Your other sessions end.".to_owned(),
        hidden: hidden("change_password", None),
        fields: vec![
            input("old_password", "Old password", "", Kind::Password),
            input("password", "New password", "12 characters or more", Kind::NewPassword),
            input("password_again", "New password again", "", Kind::NewPassword),
        ],
        button: "Change password".to_owned(),
        tone: "primary".to_owned(),
        ..Form::default()
    }
}

async fn server(caller: &Caller) -> Result<Vec<Part>, ApiError> {
    let permit = caller.permit()?;
    let config = caller.strike.config();
    let deployment = &config.deployment;
    let database = caller.strike.health(&permit, caller.now).await?.now.database;
    let strategy = match config.delivery.strategy {
        Strategy::Priority => "isolate and restore first, then by age (priority)",
        Strategy::Fifo => "by age alone (fifo)",
    };
    let evidence = config.evidence.as_ref();
    let quota =
        evidence.map_or_else(|| "none is kept".to_owned(), |evidence| time::bytes(evidence.quota_bytes));
    let days = |days: u64| format!("{days} days");
    let own = if deployment.embedded_postgres { "the server's own" } else { "an external one" };
    let rows = vec![
        fact("History is kept", days(deployment.history_days)),
        fact("Telemetry is kept", days(deployment.samples_days)),
        fact("Telemetry comes every", format!("{} s", config.telemetry_interval_seconds)),
        fact("Commands go out", strategy),
        fact("A command waits for its host", format!("{} days", config.command_lifetime.num_days())),
        fact("Evidence, at most", quota),
        fact("Agents reach the server at", config.agent_url.clone()),
        fact("Server", deployment.version),
        fact("PostgreSQL", format!("{}, {own}", database.version)),
    ];
    let about = "Set by flags, variables or the configuration file when the server starts.";
    let mut parts = vec![
        Part::Heading("Server".to_owned()),
        Part::Text(about.to_owned()),
        facts("Server", rows),
        Part::Heading("Rate limits".to_owned()),
    ];
    let limits = caller.strike.rate_limits(&permit, caller.now).await?;
    if limits.is_empty() {
        parts.push(Part::Text("None is set: commands go out as they come.".to_owned()));
    } else {
        let columns = ["Commands", "A minute", "At once", "Left now"];
        parts.push(table("Rate limits", &columns, limits.iter().map(limit).collect()));
    }
    if caller.permit::<may::ManageRateLimits>().is_ok() {
        parts.extend(limit_forms(&limits).into_iter().map(Part::Form));
    }
    parts.push(Part::Text(format!("This page was made at {}.", text::at(caller.now))));
    Ok(parts)
}

fn limit(limit: &RateLimit) -> Row {
    let cells = [
        kind_words(&limit.kind),
        limit.per_minute.to_string(),
        limit.burst.to_string(),
        format!("{:.0}", limit.tokens.floor()),
    ];
    Row { cells: cells.into(), ..Row::default() }
}

fn kind_words(kind: &str) -> String {
    if kind == "*" { "all together".to_owned() } else { kind.to_owned() }
}

fn limit_forms(limits: &[RateLimit]) -> Vec<Form> {
    let choices = |kinds: Vec<&str>| {
        Kind::Choice(kinds.into_iter().map(|kind| (kind.to_owned(), kind_words(kind))).collect())
    };
    let kinds = std::iter::once("*").chain(Command::KINDS).collect();
    let mut forms = vec![Form {
        id: "limit".to_owned(),
        title: "Set a rate limit".to_owned(),
        hidden: hidden("set_rate_limit", None),
        fields: vec![
            input("kind", "Commands", "", choices(kinds)),
            input("per_minute", "A minute", "0.1 to 1000000", Kind::Text),
            input("burst", "At once", "1 to 1000000", Kind::Number),
        ],
        button: "Set limit".to_owned(),
        tone: "primary".to_owned(),
        ..Form::default()
    }];
    if !limits.is_empty() {
        let kinds = limits.iter().map(|limit| limit.kind.as_str()).collect();
        forms.push(Form {
            id: "unlimit".to_owned(),
            title: "Remove a rate limit".to_owned(),
            hidden: hidden("remove_rate_limit", None),
            fields: vec![input("kind", "Commands", "", choices(kinds))],
            button: "Remove limit".to_owned(),
            tone: "danger".to_owned(),
            ..Form::default()
        });
    }
    forms
}
