//! How this server does: what it measures of itself now and over the last hour, and what somebody should look at.

mod alerts;

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
pub use voltaxe_store::DatabaseFacts;

pub use self::alerts::{Alert, alerts};
use crate::{
    Strike, StrikeError,
    authority::{Permit, may},
    meters::{Counts, Timed},
};

/// One sample a minute is kept for so long.
pub const MINUTES: usize = 60;
/// What was measured so short a time ago is answered again.
const FRESH: TimeDelta = TimeDelta::seconds(4);

/// What a deployment is, for the pages that tell it.
#[derive(Clone, Debug, Default)]
pub struct Deployment {
    pub version: &'static str,
    pub history_days: u64,
    pub samples_days: u64,
    /// The database is the server's own.
    pub embedded_postgres: bool,
    pub state_dir: Option<PathBuf>,
}

/// What was measured at one time. Counts are since the start of this server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    pub at: DateTime<Utc>,
    pub pending: u64,
    pub delivered: u64,
    pub oldest_pending_seconds: u64,
    pub oldest_delivered_seconds: u64,
    pub asked_back: u64,
    pub schedules_waiting: u64,
    pub schedule_lag_seconds: u64,
    /// Of the commits of new commands in the last minute or two; `None`: there was none.
    pub commit_p50_micros: Option<u64>,
    pub commit_p99_micros: Option<u64>,
    /// From an order's arrival to its frame in the agent's outbox, likewise.
    pub push_p99_micros: Option<u64>,
    pub streams: u64,
    pub polling: u64,
    pub counts: Counts,
    pub evidence_bytes: u64,
    /// 0: this server keeps no evidence.
    pub evidence_allowed_bytes: u64,
    pub database: DatabaseFacts,
    /// Of the file system that the state directory is on, if it could be asked.
    pub disk_free_bytes: Option<u64>,
    pub disk_bytes: Option<u64>,
}

/// What the page of the server's health tells.
#[derive(Clone, Debug)]
pub struct Health {
    pub now: Sample,
    /// The last hour, a sample a minute, the oldest first.
    pub past: Vec<Sample>,
    pub started_at: DateTime<Utc>,
    pub alerts: Vec<Alert>,
}

/// The last hour.
pub(crate) struct Recent {
    started_at: DateTime<Utc>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    past: VecDeque<Sample>,
    /// What the timers had counted at the last two samples: percentiles are of what came since the older one.
    timed: VecDeque<(Timed, Timed)>,
    newest: Option<Sample>,
}

impl Recent {
    pub(crate) fn since(started_at: DateTime<Utc>) -> Self {
        Self { started_at, kept: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Strike {
    /// What is measured now, the last hour, and what of it somebody should look at.
    pub async fn health(
        &self,
        _permit: &Permit<may::View>,
        now: DateTime<Utc>,
    ) -> Result<Health, StrikeError> {
        let recent = self.recent();
        let fresh = recent
            .lock()
            .newest
            .clone()
            .filter(|sample| (TimeDelta::zero()..FRESH).contains(&(now - sample.at)));
        let sample = match fresh {
            Some(sample) => sample,
            None => self.take_sample(now).await?,
        };
        let mut kept = recent.lock();
        kept.newest = Some(sample.clone());
        let past: Vec<Sample> = kept.past.iter().cloned().collect();
        drop(kept);
        let alerts = alerts(&sample, &past);
        Ok(Health { now: sample, past, started_at: recent.started_at, alerts })
    }

    /// To be called once a minute.
    pub async fn keep_sample(&self, now: DateTime<Utc>) -> Result<(), StrikeError> {
        let sample = self.take_sample(now).await?;
        let timed = self.meters().timed();
        let mut kept = self.recent().lock();
        kept.past.push_back(sample);
        kept.timed.push_back(timed);
        while kept.past.len() > MINUTES {
            kept.past.pop_front();
        }
        while kept.timed.len() > 2 {
            kept.timed.pop_front();
        }
        Ok(())
    }

    async fn take_sample(&self, now: DateTime<Utc>) -> Result<Sample, StrikeError> {
        let depth = self.store().queue_depth(now).await?;
        let database = self.store().database_facts().await?;
        let (streams, polling) = self.delivery().shared().registry.counts(now);
        let evidence = match self.evidence_store() {
            Some(evidence) => (self.store().evidence_bytes().await?, evidence.quota_bytes()),
            None => (0, 0),
        };
        let disk =
            self.config().deployment.state_dir.as_deref().and_then(|path| rustix::fs::statvfs(path).ok());
        let before = self.recent().lock().timed.front().copied().unwrap_or_default();
        let (commits, pushes) = self.meters().timed();
        Ok(Sample {
            at: now,
            pending: amount(depth.pending),
            delivered: amount(depth.delivered),
            oldest_pending_seconds: whole(depth.oldest_pending_seconds),
            oldest_delivered_seconds: whole(depth.oldest_delivered_seconds),
            asked_back: amount(depth.asked_back),
            schedules_waiting: amount(depth.schedules_waiting),
            schedule_lag_seconds: whole(depth.schedule_lag_seconds),
            commit_p50_micros: commits.percentile_since(&before.0, 50),
            commit_p99_micros: commits.percentile_since(&before.0, 99),
            push_p99_micros: pushes.percentile_since(&before.1, 99),
            streams: streams.try_into().unwrap_or(u64::MAX),
            polling: polling.try_into().unwrap_or(u64::MAX),
            counts: self.meters().counts(),
            evidence_bytes: evidence.0,
            evidence_allowed_bytes: evidence.1,
            database,
            disk_free_bytes: disk.as_ref().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize)),
            disk_bytes: disk.as_ref().map(|disk| disk.f_blocks.saturating_mul(disk.f_frsize)),
        })
    }
}

fn amount(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, which is meant")]
fn whole(seconds: f64) -> u64 {
    seconds as u64
}
