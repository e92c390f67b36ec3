use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::task::JoinSet;

use super::{Lab, Meters, Outcome, Row, Settings, Verdict, commits, mean_note};
use crate::{agent, bench::lab::SEED, operator::Caller, report::Recorder};

const CALLERS: u32 = 64;
const HOSTS: usize = 4_000;
const SECONDS: u64 = 10;

pub(in crate::bench) async fn measure(settings: &Settings) -> anyhow::Result<Outcome> {
    let lab = Lab::start(settings).await?;
    let hosts = settings.agents(HOSTS);
    lab.enrol(hosts).await?;
    let requests: Arc<[Vec<u8>]> = (0..hosts)
        .map(|index| lab.operator.order_request("agent_check", &agent::hostname(SEED, index), "bench"))
        .collect();
    let seconds = settings.scaled(SECONDS);
    let mut commits_seen = commits(&lab.postgres).await?;
    let before = lab.postgres.side_by_side(CALLERS, seconds).await?;
    let mut callers = Vec::new();
    for _ in 0..CALLERS {
        callers.push(lab.operator.caller().await?);
    }
    let (callers, _, _) = press(callers, &requests, Duration::from_secs(1)).await?;
    let meters = Meters::read(&lab.operator).await?;
    let (_, rate, latency) = press(callers, &requests, Duration::from_secs(seconds)).await?;
    let now = Meters::read(&lab.operator).await?;
    let grouped = mean_note(
        &meters,
        &now,
        "voltaxe_commit_group_size",
        "Enqueue",
        1.0,
        "Orders that shared one commit",
    );
    let after = lab.postgres.side_by_side(CALLERS, seconds).await?;
    commits_seen.merge(&commits(&lab.postgres).await?);

    let floor = f64::midpoint(before.rate, after.rate);
    let latency = latency.spread();
    let row = Row {
        figure: "single durable enqueues, 64 callers over HTTP",
        target: ">= 1.0 x raw INSERT".to_owned(),
        measured: rate,
        floor: Some(floor),
        unit: "/s",
        verdict: Verdict::of(rate >= floor),
        note: format!(
            "{seconds} s, kept-alive connections, POST /api/commands for {hosts} hosts that are offline; p50 {:.1} ms, p99 \
             {:.1} ms. Floor: pgbench -c {} -j 2 (64 clients, or as many as the server leaves connections for), one row of \
             400 bytes and a bigserial key, before ({:.0}/s) and after ({:.0}/s).{grouped}",
            latency.p50, latency.p99, before.clients, before.rate, after.rate
        ),
    };
    Ok(Outcome { rows: vec![row], commits: commits_seen })
}

async fn press(
    callers: Vec<Caller>,
    requests: &Arc<[Vec<u8>]>,
    time: Duration,
) -> anyhow::Result<(Vec<Caller>, f64, Recorder)> {
    let mut tasks = JoinSet::new();
    let began = Instant::now();
    let step = callers.len();
    for (first, mut caller) in callers.into_iter().enumerate() {
        let requests = requests.clone();
        tasks.spawn(async move {
            let mut latency = Recorder::default();
            let mut next = first;
            while began.elapsed() < time {
                let sent = Instant::now();
                caller.send_order(&requests[next % requests.len()]).await?;
                latency.record(sent.elapsed());
                next += step;
            }
            anyhow::Ok((caller, latency))
        });
    }
    let mut callers = Vec::with_capacity(step);
    let mut latency = Recorder::default();
    while let Some(ended) = tasks.join_next().await {
        let (caller, of_one) = ended.context("a caller panicked")??;
        callers.push(caller);
        latency.merge(&of_one);
    }
    let rate = latency.spread().count as f64 / began.elapsed().as_secs_f64();
    Ok((callers, rate, latency))
}
