//! An operator as the server sees one: signs in, orders, watches.

mod events;
mod pressure;

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use uuid::Uuid;
use voltaxe_protocol::CommandId;

pub use self::{
    events::{Event, Events},
    pressure::{Pressed, Pressure, Until},
};
use crate::{
    http::{self, Answer, Connection},
    target::Target,
};

/// A signed-in operator. `Debug` is left out: it holds a session.
#[derive(Clone)]
pub struct Operator {
    target: Target,
    cookie: String,
}

/// The answer to an order.
#[derive(Clone, Debug, Deserialize)]
pub struct Accepted {
    pub command_id: CommandId,
    pub method: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct AcceptedBatch {
    pub batch_id: Uuid,
    pub total: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct BatchProgress {
    pub total: u64,
    pub states: StateCounts,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct StateCounts {
    pub pending: u64,
    pub delivered: u64,
    pub executed: u64,
    pub failed: u64,
    pub expired: u64,
    pub cancelled: u64,
}

impl Operator {
    pub async fn sign_in(target: &Target, username: &str, password: &str) -> anyhow::Result<Self> {
        let body = json!({ "username": username, "password": password }).to_string();
        let headers = [("content-type", "application/json"), ("sec-fetch-site", "same-origin")];
        let request = http::request("POST", "/rpc/sign_in", target, &headers, body.as_bytes());
        let mut connection = Connection::open(target, None).await.context("cannot reach the server")?;
        let answer = connection.exchange(&request).await?;
        let cookie = answer.cookie.as_deref().and_then(|cookie| cookie.split(';').next()).map(str::to_owned);
        match cookie {
            Some(cookie) if answer.status == 200 => Ok(Self { target: target.clone(), cookie }),
            _ => bail!("signing in as {username} was answered with {}: {}", answer.status, answer.text()),
        }
    }

    /// A connection of this operator's own.
    pub async fn caller(&self) -> anyhow::Result<Caller> {
        let connection = Connection::open(&self.target, None).await.context("cannot reach the server")?;
        Ok(Caller { operator: self.clone(), connection, used_at: Instant::now() })
    }

    /// What the console tells of commands, from now on.
    pub async fn events(&self) -> anyhow::Result<Events> {
        let connection = Connection::open(&self.target, None).await.context("cannot reach the server")?;
        let request = self.request("GET", "/events?show=commands", &[("accept", "text/event-stream")], b"");
        Ok(Events::new(connection.follow(&request).await.context("/events was refused")?))
    }

    /// The bytes of an order that [`Caller::send_order`] sends.
    #[must_use]
    pub fn order_request(&self, command: &str, hostname: &str, reason: &str) -> Vec<u8> {
        let body = json!({ "command": command, "hostname": hostname, "reason": reason }).to_string();
        self.request("POST", "/api/commands", &[], body.as_bytes())
    }

    fn request(&self, method: &str, path: &str, more: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        let mut headers = vec![
            ("cookie", self.cookie.as_str()),
            ("sec-fetch-site", "same-origin"),
            ("content-type", "application/json"),
        ];
        headers.extend_from_slice(more);
        http::request(method, path, &self.target, &headers, body)
    }
}

/// One kept-alive connection of an operator; one request at a time.
pub struct Caller {
    operator: Operator,
    connection: Connection,
    used_at: Instant,
}

/// The server closes a connection that rests for 10 s; one that has rested this long is opened anew.
const RESTS_FOR: Duration = Duration::from_secs(5);

impl Caller {
    /// `command` is a word of the protocol: `agent_check`, `network_isolate`, `network_restore`.
    pub async fn order(&mut self, command: &str, hostname: &str, reason: &str) -> anyhow::Result<Accepted> {
        let request = self.operator.order_request(command, hostname, reason);
        self.send_order(&request).await
    }

    pub async fn send_order(&mut self, request: &[u8]) -> anyhow::Result<Accepted> {
        let answer = self.exchange(request).await?;
        expect(202, "an order", &answer)
    }

    /// One batch, accepted whole or not at all.
    pub async fn batch(
        &mut self,
        command: &str,
        hostnames: &[&str],
        reason: &str,
    ) -> anyhow::Result<AcceptedBatch> {
        let body = json!({ "command": command, "hostnames": hostnames, "reason": reason }).to_string();
        let key = Uuid::new_v4().to_string();
        let request =
            self.operator.request("POST", "/api/batches", &[("idempotency-key", &key)], body.as_bytes());
        let answer = self.exchange(&request).await?;
        expect(202, "a batch", &answer)
    }

    pub async fn batch_progress(&mut self, batch: Uuid) -> anyhow::Result<BatchProgress> {
        let answer = self.get(&format!("/api/batches/{batch}")).await?;
        expect(200, "a batch's progress", &answer)
    }

    pub async fn command(&mut self, id: CommandId) -> anyhow::Result<Value> {
        let answer = self.get(&format!("/api/commands/{id}")).await?;
        expect(200, "a command's record", &answer)
    }

    pub async fn cancel(&mut self, id: CommandId) -> anyhow::Result<Value> {
        let request = self.operator.request("POST", &format!("/api/commands/{id}/cancel"), &[], b"");
        let answer = self.exchange(&request).await?;
        expect(200, "a cancellation", &answer)
    }

    /// Prometheus's text form.
    pub async fn metrics(&mut self) -> anyhow::Result<String> {
        let answer = self.get("/metrics").await?;
        if answer.status != 200 {
            bail!("/metrics was answered with {}: {}", answer.status, answer.text());
        }
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    pub async fn get(&mut self, path_and_query: &str) -> anyhow::Result<Answer> {
        let request = self.operator.request("GET", path_and_query, &[], b"");
        self.exchange(&request).await
    }

    async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Answer> {
        if self.used_at.elapsed() > RESTS_FOR {
            self.connection = Connection::open(&self.operator.target, None).await?;
        }
        let answer = self.connection.exchange(request).await?;
        self.used_at = Instant::now();
        Ok(answer)
    }
}

fn expect<T: DeserializeOwned>(status: u16, what: &str, answer: &Answer) -> anyhow::Result<T> {
    if answer.status != status {
        bail!("{what} was answered with {} and not {status}: {}", answer.status, answer.text());
    }
    serde_json::from_slice(&answer.body).with_context(|| format!("the answer to {what} is not understood"))
}
