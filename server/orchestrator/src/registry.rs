//! Which agents are on the line.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::mpsc;
use voltaxe_protocol::{EndpointId, ServerFrame};

/// Frames that wait for a slow agent; one more closes its stream, and the lease offers them again.
const OUTBOX: usize = 64;
/// An agent without a stream counts as reachable this long after a poll (three of its intervals).
const POLL_COUNTS_FOR: TimeDelta = TimeDelta::seconds(30);

#[derive(Default)]
pub(crate) struct Registry {
    lines: Mutex<HashMap<EndpointId, Line>>,
}

#[derive(Default)]
struct Line {
    stream: Option<StreamLine>,
    polled_at: Option<DateTime<Utc>>,
    seen_at: Option<DateTime<Utc>>,
    seen_is_flushed: bool,
}

struct StreamLine {
    number: u64,
    outbox: mpsc::Sender<ServerFrame>,
}

/// An open stream, as its socket task holds it. When `frames` ends, another stream has taken its place.
#[derive(Debug)]
pub struct StreamHandle {
    pub endpoint: EndpointId,
    pub frames: mpsc::Receiver<ServerFrame>,
    pub(crate) number: u64,
}

impl Registry {
    /// A newer stream replaces an older one. `number` tells them apart: the join counter.
    pub(crate) fn connect(&self, endpoint: &EndpointId, number: u64, now: DateTime<Utc>) -> StreamHandle {
        let (outbox, frames) = mpsc::channel(OUTBOX);
        let mut lines = self.lock();
        let line = lines.entry(endpoint.clone()).or_default();
        line.stream = Some(StreamLine { number, outbox });
        line.see(now);
        StreamHandle { endpoint: endpoint.clone(), frames, number }
    }

    /// `false` when another stream has taken its place already.
    pub(crate) fn disconnect(&self, handle: &StreamHandle) -> bool {
        let mut lines = self.lock();
        let Some(line) = lines.get_mut(&handle.endpoint) else { return false };
        let is_current = line.stream.as_ref().is_some_and(|stream| stream.number == handle.number);
        if is_current {
            line.stream = None;
            // Its polls were made beside the stream; after this only a new one shows that it is there.
            line.polled_at = None;
        }
        is_current
    }

    /// Whether the frame is on its way. One that does not fit closes the stream.
    pub(crate) fn push(&self, endpoint: &EndpointId, frame: ServerFrame) -> bool {
        let mut lines = self.lock();
        let Some(line) = lines.get_mut(endpoint) else { return false };
        let Some(stream) = &line.stream else { return false };
        let pushed = stream.outbox.try_send(frame).is_ok();
        if !pushed {
            line.stream = None;
        }
        pushed
    }

    pub(crate) fn has_stream(&self, endpoint: &EndpointId) -> bool {
        self.lock().get(endpoint).is_some_and(|line| line.stream.is_some())
    }

    pub(crate) fn connected(&self) -> Vec<String> {
        self.lock()
            .iter()
            .filter(|(_, line)| line.stream.is_some())
            .map(|(endpoint, _)| endpoint.to_string())
            .collect()
    }

    /// Takes the stream away from an endpoint that may not have one any more.
    pub(crate) fn drop_stream(&self, endpoint: &EndpointId) {
        if let Some(line) = self.lock().get_mut(endpoint) {
            line.stream = None;
            line.polled_at = None;
        }
    }

    pub(crate) fn saw_message(&self, endpoint: &EndpointId, now: DateTime<Utc>) {
        self.lock().entry(endpoint.clone()).or_default().see(now);
    }

    /// `true` when the endpoint was not reachable before.
    pub(crate) fn saw_poll(&self, endpoint: &EndpointId, now: DateTime<Utc>) -> bool {
        let mut lines = self.lock();
        let line = lines.entry(endpoint.clone()).or_default();
        let was_reachable = line.is_reachable(now);
        line.see(now);
        line.polled_at = Some(now);
        !was_reachable
    }

    pub(crate) fn is_reachable(&self, endpoint: &EndpointId, now: DateTime<Utc>) -> bool {
        self.lock().get(endpoint).is_some_and(|line| line.is_reachable(now))
    }

    pub(crate) fn seen_at(&self, endpoint: &EndpointId) -> Option<DateTime<Utc>> {
        self.lock().get(endpoint).and_then(|line| line.seen_at)
    }

    /// Last-seen times that are not in the database yet; they count as written from here on.
    pub(crate) fn take_seen(&self) -> Vec<(EndpointId, DateTime<Utc>)> {
        self.lock()
            .iter_mut()
            .filter(|(_, line)| !line.seen_is_flushed)
            .filter_map(|(endpoint, line)| {
                line.seen_is_flushed = true;
                line.seen_at.map(|at| (endpoint.clone(), at))
            })
            .collect()
    }

    /// Endpoints whose last poll is too long ago to count from now on; each is named once.
    pub(crate) fn take_lapsed_polls(&self, now: DateTime<Utc>) -> Vec<EndpointId> {
        self.lock()
            .iter_mut()
            .filter(|(_, line)| line.polled_at.is_some_and(|at| now - at > POLL_COUNTS_FOR))
            .map(|(endpoint, line)| {
                line.polled_at = None;
                endpoint.clone()
            })
            .collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<EndpointId, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn see(&mut self, now: DateTime<Utc>) {
        self.seen_at = Some(now);
        self.seen_is_flushed = false;
    }

    fn is_reachable(&self, now: DateTime<Utc>) -> bool {
        self.stream.is_some() || self.polled_at.is_some_and(|at| now - at <= POLL_COUNTS_FOR)
    }
}
