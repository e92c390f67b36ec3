//! What changed, for everybody who watches: numbered, so that a lost connection resumes without a gap.

mod coalesce;
mod show;

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::broadcast;
use voltaxe_protocol::{CommandId, EndpointId};

pub use self::{
    coalesce::Coalescer,
    show::{Show, ShowError},
};
use crate::{
    evidence::EvidenceProgress,
    model::{CommandRecord, DriftNote, EndpointView, ProgressNote},
};

/// How many events a watcher may be behind and still resume; a page that was away longer loads anew.
const KEPT: usize = 4096;
/// After the last watcher has left, changes are told on for this long: it may be a page that reconnects.
const REMEMBERED_FOR: TimeDelta = TimeDelta::minutes(1);

/// Rises by one an event while the server runs. A restarted server counts on from the start time in microseconds, so an
/// id from an earlier run is never taken for one of this run.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct EventId(pub u64);

#[derive(Clone, Debug)]
pub struct Event {
    pub id: EventId,
    pub change: Change,
}

#[derive(Clone, Debug)]
pub enum Change {
    /// The endpoint as it is now; new endpoints come this way too.
    Endpoint(Arc<EndpointView>),
    /// Without its result's `data`.
    Command(Arc<CommandRecord>),
    Drift(Arc<DriftNote>),
    Progress(Arc<ProgressNote>),
    Evidence(Arc<EvidenceProgress>),
}

impl Change {
    /// Whom it is about.
    #[must_use]
    pub fn endpoint_id(&self) -> &EndpointId {
        match self {
            Self::Endpoint(view) => &view.record.id,
            Self::Command(record) => &record.endpoint_id,
            Self::Drift(note) => &note.endpoint_id,
            Self::Progress(note) => &note.endpoint_id,
            Self::Evidence(progress) => &progress.endpoint_id,
        }
    }

    #[must_use]
    pub fn command_id(&self) -> Option<CommandId> {
        match self {
            Self::Command(record) => Some(record.id),
            Self::Progress(note) => Some(note.command_id),
            Self::Evidence(progress) => Some(progress.command_id),
            Self::Endpoint(_) | Self::Drift(_) => None,
        }
    }
}

/// The bus. Cheap to clone.
#[derive(Clone)]
pub struct Events {
    inner: Arc<Inner>,
}

struct Inner {
    /// Somebody watches or did a moment ago; looked at with every change, so it is no lock.
    is_watched: AtomicBool,
    log: Mutex<Log>,
    live: broadcast::Sender<Event>,
}

struct Log {
    next: u64,
    kept: VecDeque<Event>,
    watched_at: Option<DateTime<Utc>>,
}

/// A watcher's place: first what it missed, then what comes.
pub struct Subscription {
    pub missed: Missed,
    pub live: broadcast::Receiver<Event>,
    /// The newest event's id at the time of subscribing.
    pub at: EventId,
}

pub enum Missed {
    Nothing,
    Events(Vec<Event>),
    /// Too long ago, or of an earlier run: load the page's data anew.
    Unknown,
}

impl Events {
    /// `first`: where the numbers start, in microseconds of Unix time.
    #[must_use]
    pub fn new(first: u64) -> Self {
        let (live, _) = broadcast::channel(KEPT);
        Self {
            inner: Arc::new(Inner {
                is_watched: AtomicBool::new(false),
                log: Mutex::new(Log { next: first, kept: VecDeque::new(), watched_at: None }),
                live,
            }),
        }
    }

    pub fn publish(&self, change: Change) {
        let mut log = self.inner.log.lock().unwrap_or_else(PoisonError::into_inner);
        let event = Event { id: EventId(log.next), change };
        log.next += 1;
        if log.kept.len() == KEPT {
            log.kept.pop_front();
        }
        log.kept.push_back(event.clone());
        // Sent under the lock, so that watchers see the ids in order. Nobody watching is no error.
        let _ = self.inner.live.send(event);
    }

    /// Whether anybody hears of it now, or was here a moment ago and will want to know what it missed.
    #[must_use]
    pub fn has_watchers(&self, now: DateTime<Utc>) -> bool {
        let mut log = self.inner.log.lock().unwrap_or_else(PoisonError::into_inner);
        if self.inner.live.receiver_count() > 0 {
            log.watched_at = Some(now);
        }
        let watched = log.watched_at.is_some_and(|at| now - at < REMEMBERED_FOR);
        self.inner.is_watched.store(watched, Ordering::Relaxed);
        watched
    }

    /// As of the last [`Events::has_watchers`] or [`Events::subscribe`].
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.inner.is_watched.load(Ordering::Relaxed)
    }

    /// Something happened that is not told in detail, as nobody watches: who resumes later loads anew.
    pub fn skip(&self) {
        let mut log = self.inner.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.next += 1;
        log.kept.clear();
    }

    /// `after`: the last event the watcher has seen.
    #[must_use]
    pub fn subscribe(&self, after: Option<EventId>) -> Subscription {
        let log = self.inner.log.lock().unwrap_or_else(PoisonError::into_inner);
        let live = self.inner.live.subscribe();
        self.inner.is_watched.store(true, Ordering::Relaxed);
        let at = EventId(log.next - 1);
        let missed = match after {
            None => Missed::Nothing,
            Some(after) if after == at => Missed::Nothing,
            Some(after) => match log.kept.front() {
                Some(first) if after < at && after.0 + 1 >= first.id.0 => {
                    Missed::Events(log.kept.iter().filter(|event| event.id > after).cloned().collect())
                }
                _ => Missed::Unknown,
            },
        };
        Subscription { missed, live, at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn progress(endpoint: &str, command: i64) -> Change {
        Change::Progress(Arc::new(ProgressNote {
            endpoint_id: endpoint.parse().unwrap(),
            command_id: CommandId(command),
            step: "processes".to_owned(),
            done: 1,
            total: 2,
            bytes: 0,
        }))
    }
}
