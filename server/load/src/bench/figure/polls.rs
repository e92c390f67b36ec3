use std::{sync::Arc, time::Instant};

use anyhow::{Context as _, bail};
use tokio::task::JoinSet;

use super::{Lab, Outcome, Row, Settings, Verdict, commits};
use crate::{
    agent::Identity,
    bench::{bare::Bare, lab::SEED},
    fleet::{FleetFile, signed_poll},
    http::Connection,
    target::Target,
};

const CONNECTIONS: usize = 64;
/// Signed within seconds, and good for 60.
const POLLS: u64 = 100_000;

pub(in crate::bench) async fn measure(settings: &Settings) -> anyhow::Result<Outcome> {
    let lab = Lab::start(settings).await?;
    let fleet = Arc::new(lab.enrol(CONNECTIONS).await?);
    let bare = Bare::start().await?;
    let mut commits_seen = commits(&lab.postgres).await?;
    let each = usize::try_from(settings.scaled(POLLS))? / CONNECTIONS;

    run(&lab.target, sign(&lab.target, &fleet, each / 10).await?).await?;
    let before = run(&bare.target, sign(&lab.target, &fleet, each).await?).await?;
    let transactions = transactions(&lab).await?;
    let rate = run(&lab.target, sign(&lab.target, &fleet, each).await?).await?;
    let transactions = self::transactions(&lab).await?.saturating_sub(transactions);
    let after = run(&bare.target, sign(&lab.target, &fleet, each).await?).await?;
    commits_seen.merge(&commits(&lab.postgres).await?);

    let floor = f64::midpoint(before, after);
    let polls = each * CONNECTIONS;
    let row = Row {
        figure: "empty polls over HTTP, signatures verified",
        target: ">= 0.5 x bare 204 route".to_owned(),
        measured: rate,
        floor: Some(floor),
        unit: "/s",
        verdict: Verdict::of(rate >= 0.5 * floor),
        note: format!(
            "{polls} polls on {CONNECTIONS} kept-alive connections, an agent each; signed just before the clock starts, every \
             one with a nonce of its own. {transactions} transactions in the database meanwhile, of the server's own upkeep \
             and of this question. Floor: the same bytes to a bare axum route in a process of its own, before ({before:.0}/s) \
             and after ({after:.0}/s)."
        ),
    };
    Ok(Outcome { rows: vec![row], commits: commits_seen })
}

/// The requests of each connection.
async fn sign(target: &Target, fleet: &Arc<FleetFile>, each: usize) -> anyhow::Result<Vec<Vec<Vec<u8>>>> {
    let target = Arc::new(target.clone());
    let mut tasks = JoinSet::new();
    for index in 0..CONNECTIONS {
        let (target, fleet) = (target.clone(), fleet.clone());
        tasks.spawn_blocking(move || {
            let identity = Identity::derive(SEED, index);
            let key = fleet.enrolment(index)?.poll_key(&identity);
            let path = format!("/command/poll?host={}", identity.hostname);
            anyhow::Ok((0..each).map(|_| signed_poll(&target, &identity, &key, &path)).collect::<Vec<_>>())
        });
    }
    let mut all = Vec::with_capacity(CONNECTIONS);
    while let Some(signed) = tasks.join_next().await {
        all.push(signed.context("signing panicked")??);
    }
    Ok(all)
}

/// Sends them all and answers with the rate.
async fn run(target: &Target, requests: Vec<Vec<Vec<u8>>>) -> anyhow::Result<f64> {
    let total: usize = requests.iter().map(Vec::len).sum();
    let mut tasks = JoinSet::new();
    let mut connections = Vec::with_capacity(requests.len());
    for _ in &requests {
        connections.push(Connection::open(target, None).await?);
    }
    let began = Instant::now();
    for (mut connection, requests) in connections.into_iter().zip(requests) {
        tasks.spawn(async move {
            for request in &requests {
                let answer = connection.exchange(request).await?;
                if !matches!(answer.status, 200 | 204) {
                    bail!("a poll was answered with {}: {}", answer.status, answer.text());
                }
            }
            Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.context("a caller panicked")??;
    }
    Ok(total as f64 / began.elapsed().as_secs_f64())
}

async fn transactions(lab: &Lab) -> anyhow::Result<u64> {
    // Backends tell their counts with a delay of up to a second.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let count =
        lab.postgres.ask("SELECT xact_commit FROM pg_stat_database WHERE datname = 'voltaxe'").await?;
    count.parse().context("pg_stat_database has no count")
}
