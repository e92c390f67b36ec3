//! One file a figure. Each has a server of its own, so that none sees what another has left.

pub(super) mod batch;
pub(super) mod click;
mod clicks;
pub(super) mod enqueue;
pub(super) mod history;
pub(super) mod idle;
pub(super) mod lifecycle;
pub(super) mod list;
pub(super) mod polls;
pub(super) mod snapshot;

use std::{sync::Arc, time::Duration};

use super::{
    Settings,
    lab::Lab,
    meters::Meters,
    postgres::{Commits, Postgres},
    table::{Row, Verdict},
};
use crate::{
    agent::Verify,
    fleet::{Connected, Fleet, FleetFile, Habits, Unwatched, Watch},
};

pub(super) struct Outcome {
    pub(super) rows: Vec<Row>,
    pub(super) commits: Commits,
}

/// One of so many signatures is checked by the fleet where it shares the cores of the server at full load.
const VERIFY_ONE_OF: u32 = 64;
const JOIN_WITHIN: Duration = Duration::from_secs(180);
const COMMITS_AT_ONCE: u32 = 200;

/// A fleet with all its streams open.
async fn connected(
    lab: &Lab,
    file: &FleetFile,
    verify: Verify,
    watch: Option<Arc<dyn Watch>>,
) -> anyhow::Result<(Fleet, Connected)> {
    let habits = Habits { telemetry: false, verify, ..Habits::default() };
    let fleet =
        Fleet::new(&lab.target, file, file.len(), habits, watch.unwrap_or_else(|| Arc::new(Unwatched)))?;
    let connected = fleet.connect(0..file.len());
    fleet.joined(file.len(), JOIN_WITHIN).await?;
    Ok((fleet, connected))
}

async fn commits(postgres: &Postgres) -> anyhow::Result<Commits> {
    postgres.one_by_one(COMMITS_AT_ONCE).await
}

/// A sentence with the mean of what the server's histogram has seen; empty where it has none.
fn mean_note(
    before: &Meters,
    after: &Meters,
    histogram: &str,
    label: &str,
    scale: f64,
    what: &str,
) -> String {
    let mean = after.mean_since(before, histogram, label);
    mean.map(|mean| format!(" {what}: {:.2} on average.", mean * scale)).unwrap_or_default()
}
