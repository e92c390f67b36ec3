//! Signed requests sent again, byte for byte: each signature is good once, also after the server was started anew.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context as _, bail};
use serde_json::json;
use tokio::task::JoinSet;
use voltaxe_protocol::{CommandId, CommandReceipt, CommandResult};

use super::server::Server;
use crate::{
    agent::Identity,
    fleet::{FleetFile, signed_poll, signed_request},
    http::Connection,
    profile::say,
    seed,
    target::Target,
};

const ATTACKERS: usize = 8;
/// Each request is sent again so often: all of them within the minute for which its signature is fresh.
const TIMES: u64 = 20;
/// Of each attacker's newest requests, so many are sent again to a server that has just been started.
const KEPT: usize = 25;

#[derive(Debug, Default)]
pub(super) struct Replayed {
    sent: AtomicU64,
    refused: AtomicU64,
    accepted: AtomicU64,
}

impl Replayed {
    pub(super) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// 401: seen before. 503: made before this server was started, so that it cannot know.
    fn count(&self, status: u16) {
        self.sent.fetch_add(1, Ordering::Relaxed);
        let count = if matches!(status, 401 | 503) { &self.refused } else { &self.accepted };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [sent, refused] = [&self.sent, &self.refused].map(|count| count.load(Ordering::Relaxed));
        write!(f, "{sent} done, {refused} refused, {} accepted", self.accepted())
    }
}

/// Sends `replays` requests that were sent before; kills the server once.
pub(super) async fn run(
    server: &Server,
    file: &FleetFile,
    seed: u64,
    replays: u64,
) -> anyhow::Result<Arc<Replayed>> {
    let target = server.target();
    let replayed = Arc::<Replayed>::default();
    let mut attackers = JoinSet::new();
    for number in 0..ATTACKERS {
        let originals = replays.div_ceil(ATTACKERS as u64 * TIMES);
        let (target, file, replayed) = (target.clone(), file.clone(), replayed.clone());
        let random = seed::generator(seed, "replays", number);
        attackers.spawn(attack(target, file, originals, random, replayed));
    }
    let mut newest = Vec::new();
    while let Some(ended) = attackers.join_next().await {
        newest.extend(ended.context("an attacker panicked")??);
    }
    server.kill()?;
    server.start().await?;
    let mut connection = Connection::open(target, None).await?;
    for request in newest {
        replayed.count(connection.exchange(&request).await?.status);
    }
    say(&format!("replayed requests: {replayed}"));
    Ok(replayed)
}

async fn attack(
    target: Target,
    file: FleetFile,
    originals: u64,
    mut random: fastrand::Rng,
    replayed: Arc<Replayed>,
) -> anyhow::Result<VecDeque<Vec<u8>>> {
    let mut connection = Connection::open(&target, None).await?;
    let mut newest = VecDeque::new();
    for _ in 0..originals {
        let request = original(&target, &file, &mut random)?;
        let first = connection.exchange(&request).await?;
        if first.status == 401 {
            bail!("a request with a new signature was refused: {}", first.text());
        }
        for _ in 0..TIMES {
            replayed.count(connection.exchange(&request).await?.status);
        }
        if newest.len() == KEPT {
            newest.pop_front();
        }
        newest.push_back(request);
    }
    Ok(newest)
}

/// A poll (by either algorithm), a receipt or a result, as an agent sends it.
fn original(target: &Target, file: &FleetFile, random: &mut fastrand::Rng) -> anyhow::Result<Vec<u8>> {
    let index = random.usize(..file.len());
    let identity = &Identity::derive(file.seed, index);
    let poll = format!("/command/poll?host={}", identity.hostname);
    let command_id = CommandId(random.i64(1_000_000_000..2_000_000_000));
    Ok(match random.u8(..4) {
        0 => signed_request(target, identity, "GET", &poll, b""),
        1 => signed_poll(target, identity, &file.enrolment(index)?.poll_key(identity), &poll),
        2 => {
            let body = serde_json::to_vec(&CommandReceipt { command_id, attempt: 1 })?;
            signed_request(target, identity, "POST", "/command/receipt", &body)
        }
        _ => {
            let message = "the host says".to_owned();
            let result = CommandResult { command_id, success: true, message, data: Some(json!({})) };
            signed_request(target, identity, "POST", "/command/result", &serde_json::to_vec(&result)?)
        }
    })
}
