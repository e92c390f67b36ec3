//! `voltaxe-server ctl`: orders and looks from a shell or a script, by the HTTP API of a server anywhere.
//!
//! Standard output has the answer and nothing else; standard error has the rest. The exit code says what became of it.

mod arguments;
mod client;
mod output;

use std::{
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
    time::Duration,
};

use serde_json::{Value, json};
use uuid::Uuid;

pub use self::arguments::Arguments;
use self::{
    arguments::{Batch, BatchOrder, Command, Order},
    client::Client,
    output::Output,
};

/// What became of what was asked for.
#[derive(Debug)]
enum Outcome {
    /// Carried out; or, without `--wait`, on the server's disk.
    Done,
    Failed,
    Lapsed,
    StillWaiting,
}

impl Outcome {
    fn code(&self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Lapsed => 3,
            Self::StillWaiting => 6,
        }
    }

    fn of_state(state: &str) -> Self {
        match state {
            "executed" => Self::Done,
            "failed" => Self::Failed,
            "expired" | "cancelled" => Self::Lapsed,
            _ => Self::StillWaiting,
        }
    }
}

/// Why nothing came of it. The text names the fix.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Usage(String),
    /// The state of things does not allow it.
    #[error("{0}")]
    Impossible(String),
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Unreachable(String),
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Impossible(_) => 1,
            Self::Usage(_) => 2,
            Self::Refused(_) => 4,
            Self::Unreachable(_) => 5,
        }
    }
}

/// 0 done, 1 failed, 2 wrong usage, 3 expired or cancelled, 4 refused, 5 server not reached, 6 still waiting.
#[must_use]
pub fn run(arguments: Arguments) -> ExitCode {
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Unreachable(format!("no runtime could be started: {error}")))
        .and_then(|runtime| runtime.block_on(execute(arguments)));
    let code = match outcome {
        Ok(outcome) => outcome.code(),
        Err(failure) => {
            tell(&format!("error: {failure}"));
            failure.code()
        }
    };
    ExitCode::from(code)
}

async fn execute(arguments: Arguments) -> Result<Outcome, Failure> {
    let (client, output) = (Client::new(&arguments)?, arguments.output);
    match arguments.command {
        Command::Isolate { host, auto_restore, allow_dns, notify, order } => {
            let mut body = json!({ "command": "network_isolate", "hostname": host });
            if let Some(seconds) = auto_restore {
                body["auto_restore_after_seconds"] = json!(seconds);
            }
            if allow_dns {
                body["allow_dns"] = json!(true);
            }
            if let Some(message) = notify {
                body["notify_users"] = json!(message);
            }
            give(&client, output, body, order).await
        }
        Command::Release { host, order } => {
            give(&client, output, json!({ "command": "network_restore", "hostname": host }), order).await
        }
        Command::Check { host, order } => {
            give(&client, output, json!({ "command": "agent_check", "hostname": host }), order).await
        }
        Command::Kill { host, target, grace, order } => {
            let params = json!({ "target": target.as_json(), "grace_seconds": grace });
            let body = json!({ "command": "kill_process", "hostname": host, "params": params });
            give(&client, output, body, order).await
        }
        Command::Collect { host, profile, order } => {
            let params = json!({ "profile": profile.as_str() });
            let body = json!({ "command": "collect_forensics", "hostname": host, "params": params });
            give(&client, output, body, order).await
        }
        Command::List => print(output, &client.get("/telemetry").await?, output::ENDPOINTS),
        Command::Commands { limit } => {
            print(output, &client.get(&format!("/api/commands?limit={limit}")).await?, output::COMMANDS)
        }
        Command::Show { id, wait } => {
            let record = settled(&client, id, wait.wait.then_some(wait.timeout)).await?;
            print(output, &record, output::COMMANDS)?;
            Ok(if wait.wait { Outcome::of_state(text(&record, "status")) } else { Outcome::Done })
        }
        Command::Cancel { id } => {
            let record = client.post(&format!("/api/commands/{id}/cancel"), None, &json!({})).await?;
            if text(&record, "status") != "cancelled" {
                tell(
                    "the host has it already and was asked to give it back; `ctl command --wait` shows what it did",
                );
            }
            print(output, &record, output::COMMANDS)
        }
        Command::Batch(batch) => execute_batch(&client, output, batch).await,
    }
}

async fn execute_batch(client: &Client, output: Output, batch: Batch) -> Result<Outcome, Failure> {
    match batch {
        Batch::Isolate(order) => give_batch(client, output, "network_isolate", json!({}), order).await,
        Batch::Release(order) => give_batch(client, output, "network_restore", json!({}), order).await,
        Batch::Check(order) => give_batch(client, output, "agent_check", json!({}), order).await,
        Batch::Collect { profile, order } => {
            let params = json!({ "profile": profile.as_str() });
            give_batch(client, output, "collect_forensics", params, order).await
        }
        Batch::List { limit } => {
            print(output, &client.get(&format!("/api/batches?limit={limit}")).await?, output::BATCHES)
        }
        Batch::Show { id, wait } => follow_batch(client, output, id, wait.wait.then_some(wait.timeout)).await,
        Batch::Cancel { id } => {
            let batch = client.post(&format!("/api/batches/{id}/cancel"), None, &json!({})).await?;
            print(output, &batch, output::BATCHES)
        }
        Batch::Undo { id, reason } => {
            let body = json!({ "reason": reason });
            let batch = client.post(&format!("/api/batches/{id}/undo"), Some(Uuid::new_v4()), &body).await?;
            print(output, &batch, output::BATCHES)
        }
    }
}

/// Orders a command, and waits for its end if asked to.
async fn give(client: &Client, output: Output, mut body: Value, order: Order) -> Result<Outcome, Failure> {
    body["reason"] = json!(order.reason);
    let key = order.idempotency_key.unwrap_or_else(Uuid::new_v4);
    let answer = client.post("/api/commands", Some(key), &body).await?;
    let Some(id) = answer["command_id"].as_i64() else {
        return Err(Failure::Unreachable(
            "the server's answer names no command; is it a Voltaxe server?".to_owned(),
        ));
    };
    let record = settled(client, id, order.wait.wait.then_some(order.wait.timeout)).await?;
    print(output, &record, output::COMMANDS)?;
    if !order.wait.wait {
        return Ok(Outcome::Done);
    }
    let outcome = Outcome::of_state(text(&record, "status"));
    match outcome {
        Outcome::Done => {}
        Outcome::StillWaiting => {
            tell(&format!(
                "the host has not answered yet; `voltaxe-server ctl command {id} --wait` goes on waiting"
            ));
        }
        Outcome::Failed | Outcome::Lapsed => {
            let message = record["result"]["message"].as_str().unwrap_or("no result came");
            tell(&format!("command {id} {}: {}", text(&record, "status"), output::plain(message)));
        }
    }
    Ok(outcome)
}

async fn give_batch(
    client: &Client,
    output: Output,
    command: &str,
    params: Value,
    order: BatchOrder,
) -> Result<Outcome, Failure> {
    let BatchOrder { hosts, order } = order;
    let body = json!({ "command": command, "hostnames": hosts, "reason": order.reason, "params": params });
    let key = order.idempotency_key.unwrap_or_else(Uuid::new_v4);
    let batch = client.post("/api/batches", Some(key), &body).await?;
    let Some(id) = batch["batch_id"].as_str().and_then(|id| id.parse().ok()) else {
        return Err(Failure::Unreachable(
            "the server's answer names no batch; is it a Voltaxe server?".to_owned(),
        ));
    };
    if order.wait.wait {
        follow_batch(client, output, id, Some(order.wait.timeout)).await
    } else {
        print(output, &batch, output::BATCHES)
    }
}

/// The command's record, final if it is so within that time.
async fn settled(client: &Client, id: i64, within: Option<Duration>) -> Result<Value, Failure> {
    let address = format!("/api/commands/{id}");
    watch(client, &address, within, |record| {
        let state = text(record, "status");
        (!matches!(Outcome::of_state(state), Outcome::StillWaiting), format!("command {id} is {state}"))
    })
    .await
}

async fn follow_batch(
    client: &Client,
    output: Output,
    id: Uuid,
    within: Option<Duration>,
) -> Result<Outcome, Failure> {
    let count = |batch: &Value, state: &str| batch["states"][state].as_i64().unwrap_or(0);
    let open = |batch: &Value| count(batch, "pending") + count(batch, "delivered");
    let batch = watch(client, &format!("/api/batches/{id}"), within, |batch| {
        (open(batch) == 0, format!("batch {id}: {} to go, {} done", open(batch), count(batch, "executed")))
    })
    .await?;
    print(output, &batch, output::BATCHES)?;
    Ok(if within.is_none() {
        Outcome::Done
    } else if open(&batch) > 0 {
        Outcome::StillWaiting
    } else if count(&batch, "failed") > 0 {
        Outcome::Failed
    } else if count(&batch, "expired") + count(&batch, "cancelled") > 0 {
        Outcome::Lapsed
    } else {
        Outcome::Done
    })
}

/// Asks until `look` says that it is over, or the time is; says how it goes where somebody watches.
async fn watch(
    client: &Client,
    address: &str,
    within: Option<Duration>,
    look: impl Fn(&Value) -> (bool, String),
) -> Result<Value, Failure> {
    const EVERY: Duration = Duration::from_millis(500);

    let deadline = tokio::time::Instant::now() + within.unwrap_or_default();
    let mut told = String::new();
    loop {
        let record = client.get(address).await?;
        let (over, words) = look(&record);
        if within.is_none() || over || tokio::time::Instant::now() >= deadline {
            return Ok(record);
        }
        if words != told && std::io::stderr().is_terminal() {
            tell(&words);
            told = words;
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn print(output: Output, answer: &Value, columns: output::Columns) -> Result<Outcome, Failure> {
    let written = output::write(&mut std::io::stdout().lock(), output, answer, columns);
    written.map_err(|error| Failure::Usage(format!("cannot write to standard output: {error}")))?;
    Ok(Outcome::Done)
}

/// To whoever watches; a closed standard error stops nothing.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn text<'a>(record: &'a Value, field: &str) -> &'a str {
    record[field].as_str().unwrap_or_default()
}
