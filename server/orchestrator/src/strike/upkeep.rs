//! What time and other tasks must drive: telling of changes, measuring, the housekeeping.

use std::{collections::HashSet, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use voltaxe_protocol::EndpointId;

use super::Strike;
use crate::{StrikeError, events::Change};

/// Endpoints whose new state is read in one statement.
const TOLD_AT_ONCE: usize = 500;
/// More than so many changes at once are a storm: they are told at most four times a second.
const STORM: usize = 64;
const STORM_PAUSE: Duration = Duration::from_millis(250);
/// An agent that acknowledged a command and has been silent about it for this long is asked.
const SILENT_FOR: TimeDelta = TimeDelta::minutes(2);

/// How long history and telemetry samples are kept, in days.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Retention {
    pub history_days: u64,
    pub samples_days: u64,
}

impl Strike {
    /// Waits until an endpoint has changed, then tells everybody who watches what it looks like now. Many changes of
    /// one endpoint become one. Call it in a loop, from one task: that keeps what is told in order.
    pub async fn tell_changes(&self, clock: impl Fn() -> DateTime<Utc>) -> Result<(), StrikeError> {
        let shared = self.delivery().shared();
        shared.dirt().await;
        loop {
            let told = self.take_changed();
            if told.is_empty() {
                return Ok(());
            }
            if !self.events().has_watchers(clock()) {
                self.events().skip();
                continue;
            }
            match self.store().endpoints_of(&told).await {
                Ok(records) => {
                    for record in records {
                        let view = self.view(record, clock());
                        self.events().publish(Change::Endpoint(Arc::new(view)));
                    }
                }
                Err(error) if !error.is_unavailable() => {
                    tracing::error!(endpoints = told.len(), %error, "the new state of {} endpoints cannot be told: {error}", told.len());
                }
                Err(error) => {
                    // Told once the database is back: the caller waits and calls again.
                    told.iter().for_each(|endpoint| self.changed(endpoint));
                    return Err(error.into());
                }
            }
            if told.len() >= STORM {
                tokio::time::sleep(STORM_PAUSE).await;
            }
        }
    }

    /// Ends what ran out, offers again what nobody has confirmed, and turns away agents that were revoked: every few seconds.
    pub async fn look_after(&self, now: DateTime<Utc>) -> Result<(), StrikeError> {
        self.recheck_agents(now).await?;
        self.delivery().look_after(now).await
    }

    /// The same, with a look at the whole queue: once a minute. Safe to run at any time.
    pub async fn sweep(&self, now: DateTime<Utc>) -> Result<(), StrikeError> {
        self.recheck_agents(now).await?;
        self.delivery().sweep(now).await
    }

    /// Asks about what agents have been silent about. They tell by themselves; this heals what one of them lost.
    pub async fn ask_about_silent(&self, now: DateTime<Utc>) -> Result<(), StrikeError> {
        self.delivery().ask_about_silent(now - SILENT_FOR, now).await
    }

    /// Writes last-seen times in one statement.
    pub async fn flush_seen(&self) -> Result<(), StrikeError> {
        let seen = self.delivery().shared().registry.take_seen();
        if seen.is_empty() { Ok(()) } else { Ok(self.store().flush_seen(&seen).await?) }
    }

    /// Renews the gauges.
    pub async fn measure(&self, now: DateTime<Utc>) -> Result<(), StrikeError> {
        let (streams, polling) = self.delivery().shared().registry.counts(now);
        self.meters().agents(streams, polling);
        self.meters().depth(&self.store().queue_depth(now).await?);
        self.measure_evidence().await
    }

    /// Partitions, retention and leftovers.
    pub async fn maintain(&self, retention: Retention, now: DateTime<Utc>) -> Result<(), StrikeError> {
        Ok(self.store().maintain(now, retention.history_days, retention.samples_days).await?)
    }

    /// One round trip to the database.
    pub async fn ready(&self) -> Result<(), StrikeError> {
        Ok(self.store().ping().await?)
    }

    fn take_changed(&self) -> Vec<EndpointId> {
        let mut dirty = self.delivery().shared().dirty_set();
        let mut told = HashSet::new();
        while told.len() < TOLD_AT_ONCE {
            let Some(endpoint) = dirty.pop_first() else { break };
            told.insert(endpoint);
        }
        told.into_iter().collect()
    }
}
