//! An operator whose server dies under the hands: every request is made again, with the same key, until it is answered.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;
use uuid::Uuid;
use voltaxe_protocol::{CommandId, CommandState};

use super::server::Server;
use crate::{
    http::{self, Answer, Connection},
    target::Target,
};

const USERNAME: &str = "chaos";
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const AGAIN_AFTER: Duration = Duration::from_millis(50);
/// The longest page of a list.
const PAGE: usize = 500;

/// A signed-in operator. `Debug` is left out: it holds a session.
#[derive(Clone)]
pub(super) struct Console {
    target: Target,
    cookie: String,
}

/// One of its connections; opened anew after each loss.
pub(super) struct Line {
    console: Console,
    connection: Option<Connection>,
}

/// What the server says of a command.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) id: CommandId,
    pub(super) state: CommandState,
    pub(super) row: Value,
}

#[derive(Deserialize)]
struct Batch {
    batch_id: Uuid,
    queued: usize,
}

impl Console {
    pub(super) async fn sign_in(server: &Server) -> anyhow::Result<Self> {
        let password = Uuid::new_v4().to_string();
        let words = ["create-operator", "--username", USERNAME, "--role", "admin", "--password-file", "-"];
        server.admin(&words, &password).await?;
        let target = server.target().clone();
        let body = json!({ "username": USERNAME, "password": password }).to_string();
        let headers = [("content-type", "application/json"), ("sec-fetch-site", "same-origin")];
        let request = http::request("POST", "/rpc/sign_in", &target, &headers, body.as_bytes());
        let answer = Connection::open(&target, None).await?.exchange(&request).await?;
        let cookie = answer.cookie.as_deref().and_then(|cookie| cookie.split(';').next());
        let cookie =
            cookie.with_context(|| format!("signing in was answered with {}", answer.status))?.to_owned();
        Ok(Self { target, cookie })
    }

    pub(super) fn line(&self) -> Line {
        Line { console: self.clone(), connection: None }
    }

    fn request(&self, method: &str, path: &str, key: Option<Uuid>, body: &[u8]) -> Vec<u8> {
        let key = key.map(|key| key.to_string());
        let mut headers = vec![
            ("cookie", self.cookie.as_str()),
            ("sec-fetch-site", "same-origin"),
            ("content-type", "application/json"),
        ];
        headers.extend(key.as_deref().map(|key| ("idempotency-key", key)));
        http::request(method, path, &self.target, &headers, body)
    }
}

impl Line {
    /// Answered with the command's id.
    pub(super) async fn order(
        &mut self,
        command: &str,
        hostname: &str,
        key: Uuid,
    ) -> anyhow::Result<CommandId> {
        let body = json!({ "command": command, "hostname": hostname, "reason": "chaos" }).to_string();
        let request = self.console.request("POST", "/api/commands", Some(key), body.as_bytes());
        let answer = parsed("an order", 202, &self.until_answered(&request).await)?;
        id_of(&answer, "command_id")
    }

    /// Answered with the batch's id, and how many commands it made.
    pub(super) async fn batch(
        &mut self,
        command: &str,
        hostnames: &[&str],
        key: Uuid,
    ) -> anyhow::Result<(Uuid, usize)> {
        let body = json!({ "command": command, "hostnames": hostnames, "reason": "chaos" }).to_string();
        let request = self.console.request("POST", "/api/batches", Some(key), body.as_bytes());
        let answer = parsed("a batch", 202, &self.until_answered(&request).await)?;
        let Batch { batch_id, queued } = serde_json::from_value(answer)?;
        Ok((batch_id, queued))
    }

    /// `None` when it is final already.
    pub(super) async fn cancel(&mut self, id: CommandId) -> anyhow::Result<Option<Told>> {
        let path = format!("/api/commands/{id}/cancel");
        let request = self.console.request("POST", &path, None, b"");
        let answer = self.until_answered(&request).await;
        if answer.status == 409 {
            return Ok(None);
        }
        told(parsed("a cancellation", 200, &answer)?).map(Some)
    }

    /// `None`: there is no such command.
    pub(super) async fn command(&mut self, id: CommandId) -> anyhow::Result<Option<Told>> {
        let request = self.console.request("GET", &format!("/api/commands/{id}"), None, b"");
        let answer = self.until_answered(&request).await;
        if answer.status == 404 {
            return Ok(None);
        }
        told(parsed("a command's record", 200, &answer)?).map(Some)
    }

    pub(super) async fn commands_of_batch(&mut self, batch: Uuid) -> anyhow::Result<Vec<Told>> {
        self.pages(|last| {
            let after = last.map_or(0, |id| id.0);
            format!("/api/batches/{batch}/commands?after={after}&limit={PAGE}")
        })
        .await
    }

    /// Everybody's, newest first.
    pub(super) async fn all_commands(&mut self) -> anyhow::Result<Vec<Told>> {
        self.pages(|last| match last {
            None => format!("/api/commands?limit={PAGE}"),
            Some(id) => format!("/api/commands?before={id}&limit={PAGE}"),
        })
        .await
    }

    async fn pages(&mut self, path_after: impl Fn(Option<CommandId>) -> String) -> anyhow::Result<Vec<Told>> {
        let mut all: Vec<Told> = Vec::new();
        loop {
            let path = path_after(all.last().map(|told| told.id));
            let request = self.console.request("GET", &path, None, b"");
            let page = parsed("a list of commands", 200, &self.until_answered(&request).await)?;
            let Value::Array(rows) = page else { bail!("a list of commands is no list") };
            let is_last = rows.len() < PAGE;
            for row in rows {
                all.push(told(row)?);
            }
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Until there is an answer that is about the request, and not about a server or database that is away.
    async fn until_answered(&mut self, request: &[u8]) -> Answer {
        loop {
            if let Some(answer) = self.exchange(request).await
                && answer.status < 500
                && answer.status != 429
            {
                return answer;
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    async fn exchange(&mut self, request: &[u8]) -> Option<Answer> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.console.target, None).await.ok()?,
        };
        let answer = timeout(ANSWER_WITHIN, connection.exchange(request)).await.ok()?.ok()?;
        self.connection = Some(connection);
        Some(answer)
    }
}

fn parsed(what: &str, status: u16, answer: &Answer) -> anyhow::Result<Value> {
    if answer.status != status {
        bail!("{what} was answered with {} and not {status}: {}", answer.status, answer.text());
    }
    serde_json::from_slice(&answer.body).with_context(|| format!("the answer to {what} is not understood"))
}

fn told(row: Value) -> anyhow::Result<Told> {
    let state = row.get("status").and_then(Value::as_str).context("a command without a status")?;
    Ok(Told { id: id_of(&row, "id")?, state: state.parse()?, row })
}

fn id_of(row: &Value, field: &str) -> anyhow::Result<CommandId> {
    Ok(CommandId(
        row.get(field).and_then(Value::as_i64).with_context(|| format!("an answer without {field}"))?,
    ))
}
