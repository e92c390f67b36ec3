use std::time::{Duration, Instant};

use super::{
    Lab, Outcome, Row, Settings, VERIFY_ONE_OF, Verdict, commits, connected,
    lifecycle::{PRESSURE, check, throughput},
};
use crate::{
    agent::Verify,
    fleet::{Counters, Fleet},
    operator::{Operator, Pressure, Until},
};

const AGENTS: usize = 2_000;
const PROMISED_SHARE: f64 = 0.95;
const WARM_UP: u64 = 20_000;
const CLEAN: u64 = 60;

pub(in crate::bench) async fn measure(settings: &Settings) -> anyhow::Result<Outcome> {
    let lab = Lab::start(settings).await?;
    let file = lab.enrol(settings.agents(AGENTS)).await?;
    let (fleet, _connected) = connected(&lab, &file, Verify::OneOf(VERIFY_ONE_OF), None).await?;
    let mut commits_seen = commits(&lab.postgres).await?;
    throughput(&fleet, &lab.operator, settings.scaled(WARM_UP)).await?;

    let clean = rate(&fleet, &lab.operator, settings.scaled(CLEAN)).await?;
    let snapshot = lab.postgres.hold_snapshot().await?;
    let fifth = (settings.snapshot_seconds / 5).max(1);
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(rate(&fleet, &lab.operator, fifth).await?);
    }
    drop(snapshot);
    let again = rate(&fleet, &lab.operator, settings.scaled(CLEAN) / 2).await?;
    commits_seen.merge(&commits(&lab.postgres).await?);
    check(&lab, &fleet).await?;

    let mean = held.iter().sum::<f64>() / held.len() as f64;
    let row = Row {
        figure: "lifecycle throughput while a snapshot is held",
        target: format!(">= {PROMISED_SHARE} x clean"),
        measured: mean,
        floor: Some(clean),
        unit: "/s",
        verdict: Verdict::of(mean >= PROMISED_SHARE * clean),
        note: format!(
            "REPEATABLE READ, held {} s under full load; by fifths of that time: {}. Floor: the same load before; afterwards \
             {again:.0}/s.",
            fifth * 5,
            held.iter().map(|rate| format!("{rate:.0}/s")).collect::<Vec<_>>().join(", ")
        ),
    };
    Ok(Outcome { rows: vec![row], commits: commits_seen })
}

/// Results a second under full load.
async fn rate(fleet: &Fleet, operator: &Operator, seconds: u64) -> anyhow::Result<f64> {
    let counters = fleet.counters();
    let before = Counters::read(&counters.recorded);
    let began = Instant::now();
    let until = Until::Time(began + Duration::from_secs(seconds));
    let pressed = Pressure { until, ..PRESSURE }.put_on(fleet, operator).await?;
    fleet.recorded(before + pressed.ordered, Duration::from_secs(120)).await?;
    Ok(pressed.ordered as f64 / began.elapsed().as_secs_f64())
}
