//! What time and other tasks must drive: telling of changes, the sweep, the housekeeping.

use std::sync::PoisonError;

use chrono::{DateTime, Utc};
use voltaxe_protocol::EndpointId;

use super::{ANSWER_GRACE, Strike};
use crate::{StrikeError, events::Change};

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
        self.inner.dirt_came.notified().await;
        loop {
            let next = self.dirty_set().pop_first();
            let Some(endpoint) = next else { return Ok(()) };
            match self.inner.store.endpoint(&endpoint).await {
                Ok(Some(record)) => {
                    let view = self.view(record, clock());
                    self.inner.events.publish(Change::Endpoint(std::sync::Arc::new(view)));
                }
                Ok(None) => {}
                Err(error) if !error.is_unavailable() => {
                    tracing::error!(%endpoint, %error, "the new state of {endpoint} cannot be told: {error}");
                }
                Err(error) => {
                    // Told once the database is back: the caller waits and calls again.
                    self.changed(&endpoint);
                    return Err(error.into());
                }
            }
        }
    }

    /// Ends what ran out and offers again what nobody has confirmed. Safe to run at any time.
    pub async fn sweep(&self, now: DateTime<Utc>) -> Result<(), StrikeError> {
        for record in self.inner.store.expire(now, now - ANSWER_GRACE).await? {
            let (id, hostname) = (record.id, &record.hostname);
            tracing::info!(command_id = id.0, "command {id} for {hostname} expired without an answer");
            self.announce(&record);
        }
        let connected = self.inner.registry.connected();
        // Revoked by the console while its stream was open.
        for endpoint in self.inner.store.inactive_of(&connected).await? {
            self.inner.registry.drop_stream(&endpoint);
            self.changed(&endpoint);
        }
        for endpoint in self.inner.store.overdue_endpoints(&connected, now).await? {
            self.offer_on_stream(&endpoint, false, now).await?;
        }
        for endpoint in self.inner.registry.take_lapsed_polls(now) {
            self.changed(&endpoint);
        }
        Ok(())
    }

    /// Writes last-seen times in one statement.
    pub async fn flush_seen(&self) -> Result<(), StrikeError> {
        let seen = self.inner.registry.take_seen();
        if seen.is_empty() { Ok(()) } else { Ok(self.inner.store.flush_seen(&seen).await?) }
    }

    /// Partitions, retention and leftovers.
    pub async fn maintain(&self, retention: Retention, now: DateTime<Utc>) -> Result<(), StrikeError> {
        Ok(self.inner.store.maintain(now, retention.history_days, retention.samples_days).await?)
    }

    /// One round trip to the database.
    pub async fn ready(&self) -> Result<(), StrikeError> {
        Ok(self.inner.store.ping().await?)
    }

    fn dirty_set(&self) -> std::sync::MutexGuard<'_, std::collections::BTreeSet<EndpointId>> {
        self.inner.dirty.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
