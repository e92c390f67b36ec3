//! Which agents are on the line, by which channels, and whether anything waits for them. In memory only: what is lost with
//! the process is learnt again from the agents and from the sweep.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};
use voltaxe_protocol::{EndpointId, ServerFrame};
use voltaxe_store::Seen;

use crate::model::{ChannelHealth, DirectHealth};

/// Frames that wait for a slow agent; one more closes its stream, and the lease offers them again.
const OUTBOX: usize = 64;
/// An agent without a stream counts as reachable this long after a poll (three of its intervals).
const POLL_COUNTS_FOR: TimeDelta = TimeDelta::seconds(30);
/// The sweep looks after agents that were heard of within this time.
const SWEPT_FOR: TimeDelta = TimeDelta::minutes(10);

#[derive(Default)]
pub(crate) struct Registry {
    lines: Mutex<HashMap<EndpointId, Line>>,
}

#[derive(Default)]
struct Line {
    stream: Option<StreamLine>,
    stream_lost_at: Option<DateTime<Utc>>,
    polled_at: Option<DateTime<Utc>>,
    seen_at: Option<DateTime<Utc>>,
    seen_is_flushed: bool,
    load_hundredths: Option<i32>,
    direct: Option<Direct>,
    work: Work,
}

/// What is known of the queue without asking the database.
#[derive(Default)]
struct Work {
    /// Rises with everything that may have put something there.
    generation: u64,
    /// The generation at which nothing was due.
    idle_at: Option<u64>,
    /// Long polls that wait for something.
    came: Option<Arc<Notify>>,
}

struct StreamLine {
    number: u64,
    since: DateTime<Utc>,
    outbox: mpsc::Sender<Box<Outgoing>>,
}

struct Direct {
    address: SocketAddr,
    worked_at: Option<DateTime<Utc>>,
    failed: Option<(DateTime<Utc>, String)>,
}

/// A frame on its way to an agent.
#[derive(Debug)]
pub struct Outgoing {
    pub frame: ServerFrame,
    /// For a new order: when its commit began. For the meters.
    pub commit_began: Option<Instant>,
}

impl From<ServerFrame> for Outgoing {
    fn from(frame: ServerFrame) -> Self {
        Self { frame, commit_began: None }
    }
}

/// An open stream, as its socket task holds it. When `frames` ends, another stream has taken its place.
#[derive(Debug)]
pub struct StreamHandle {
    pub endpoint: EndpointId,
    /// Boxed: a channel keeps room for 32 of them, for each of many thousand agents.
    pub frames: mpsc::Receiver<Box<Outgoing>>,
    pub(crate) number: u64,
}

impl Registry {
    /// A newer stream replaces an older one. `number` tells them apart: the join counter.
    pub(crate) fn connect(&self, endpoint: &EndpointId, number: u64, now: DateTime<Utc>) -> StreamHandle {
        let (outbox, frames) = mpsc::channel(OUTBOX);
        let mut lines = self.lock();
        let line = lines.entry(endpoint.clone()).or_default();
        line.stream = Some(StreamLine { number, since: now, outbox });
        line.stream_lost_at = None;
        line.see(now);
        StreamHandle { endpoint: endpoint.clone(), frames, number }
    }

    /// `false` when another stream has taken its place already.
    pub(crate) fn disconnect(&self, handle: &StreamHandle, now: DateTime<Utc>) -> bool {
        let mut lines = self.lock();
        let Some(line) = lines.get_mut(&handle.endpoint) else { return false };
        let is_current = line.stream.as_ref().is_some_and(|stream| stream.number == handle.number);
        if is_current {
            line.lose_stream(now);
        }
        is_current
    }

    /// Whether the frame is on its way. One that does not fit closes the stream.
    pub(crate) fn push(&self, endpoint: &EndpointId, frame: impl Into<Outgoing>) -> bool {
        let mut lines = self.lock();
        let Some(line) = lines.get_mut(endpoint) else { return false };
        let Some(stream) = &line.stream else { return false };
        let pushed = stream.outbox.try_send(Box::new(frame.into())).is_ok();
        if !pushed {
            line.stream = None;
        }
        pushed
    }

    pub(crate) fn has_stream(&self, endpoint: &EndpointId) -> bool {
        self.lock().get(endpoint).is_some_and(|line| line.stream.is_some())
    }

    /// Endpoints with a stream, or heard of not long ago.
    pub(crate) fn recent(&self, now: DateTime<Utc>) -> Vec<EndpointId> {
        self.lock()
            .iter()
            .filter(|(_, line)| line.stream.is_some() || line.seen_at.is_some_and(|at| now - at <= SWEPT_FOR))
            .map(|(endpoint, _)| endpoint.clone())
            .collect()
    }

    /// How many hold a stream, and how many are reachable by polling only.
    pub(crate) fn counts(&self, now: DateTime<Utc>) -> (usize, usize) {
        let lines = self.lock();
        let streams = lines.values().filter(|line| line.stream.is_some()).count();
        let polling = lines.values().filter(|line| line.stream.is_none() && line.is_reachable(now)).count();
        (streams, polling)
    }

    /// Takes the stream away from an endpoint that may not have one any more.
    pub(crate) fn drop_stream(&self, endpoint: &EndpointId, now: DateTime<Utc>) {
        if let Some(line) = self.lock().get_mut(endpoint) {
            line.lose_stream(now);
        }
    }

    pub(crate) fn note_load(&self, endpoint: &EndpointId, hundredths: i32) {
        with_line(&mut self.lock(), endpoint, |line| line.load_hundredths = Some(hundredths));
    }

    pub(crate) fn saw_message(&self, endpoint: &EndpointId, now: DateTime<Utc>) {
        with_line(&mut self.lock(), endpoint, |line| line.see(now));
    }

    /// `true` when the endpoint was not reachable before.
    pub(crate) fn saw_poll(&self, endpoint: &EndpointId, now: DateTime<Utc>) -> bool {
        with_line(&mut self.lock(), endpoint, |line| {
            let was_reachable = line.is_reachable(now);
            line.see(now);
            line.polled_at = Some(now);
            !was_reachable
        })
    }

    pub(crate) fn is_reachable(&self, endpoint: &EndpointId, now: DateTime<Utc>) -> bool {
        self.lock().get(endpoint).is_some_and(|line| line.is_reachable(now))
    }

    pub(crate) fn seen_at(&self, endpoint: &EndpointId) -> Option<DateTime<Utc>> {
        self.lock().get(endpoint).and_then(|line| line.seen_at)
    }

    pub(crate) fn health(&self, endpoint: &EndpointId) -> ChannelHealth {
        let lines = self.lock();
        let Some(line) = lines.get(endpoint) else { return ChannelHealth::default() };
        ChannelHealth {
            stream_since: line.stream.as_ref().map(|stream| stream.since),
            stream_lost_at: line.stream_lost_at,
            polled_at: line.polled_at,
            direct: line.direct.as_ref().map(|direct| DirectHealth {
                address: direct.address,
                worked_at: direct.worked_at,
                failed_at: direct.failed.as_ref().map(|(at, _)| *at),
                problem: direct.failed.as_ref().map(|(_, problem)| problem.clone()),
            }),
        }
    }

    /// Where the agent says that it takes commands: a port at the address that its signed message came from.
    pub(crate) fn advertise(&self, endpoint: &EndpointId, peer: IpAddr, port: Option<u16>) {
        with_line(&mut self.lock(), endpoint, |line| {
            let address =
                port.filter(|port| *port != 0).map(|port| SocketAddr::new(peer.to_canonical(), port));
            match address {
                Some(address) if line.direct.as_ref().is_some_and(|direct| direct.address == address) => {}
                Some(address) => line.direct = Some(Direct { address, worked_at: None, failed: None }),
                None => line.direct = None,
            }
        });
    }

    /// Where to call the agent, when it has no stream and said that it can be called.
    pub(crate) fn direct_address(&self, endpoint: &EndpointId) -> Option<SocketAddr> {
        let lines = self.lock();
        let line = lines.get(endpoint)?;
        line.stream.is_none().then_some(())?;
        line.direct.as_ref().map(|direct| direct.address)
    }

    pub(crate) fn note_direct(&self, endpoint: &EndpointId, outcome: Result<(), String>, now: DateTime<Utc>) {
        let mut lines = self.lock();
        let Some(direct) = lines.get_mut(endpoint).and_then(|line| line.direct.as_mut()) else { return };
        match outcome {
            Ok(()) => (direct.worked_at, direct.failed) = (Some(now), None),
            Err(problem) => direct.failed = Some((now, problem)),
        }
    }

    /// `None`: nothing is due, for certain. Else the generation to give to [`Registry::note_idle`].
    pub(crate) fn may_have_work(&self, endpoint: &EndpointId) -> Option<u64> {
        let lines = self.lock();
        let Some(line) = lines.get(endpoint) else { return Some(0) };
        let generation = line.work.generation;
        (line.work.idle_at != Some(generation)).then_some(generation)
    }

    /// The database had nothing for it when asked at `generation`.
    pub(crate) fn note_idle(&self, endpoint: &EndpointId, generation: u64) {
        with_line(&mut self.lock(), endpoint, |line| line.work.idle_at = Some(generation));
    }

    /// Something may be due now: wakes a long poll.
    pub(crate) fn note_work(&self, endpoint: &EndpointId) {
        with_line(&mut self.lock(), endpoint, |line| {
            line.work.generation += 1;
            if let Some(came) = line.work.came.take() {
                came.notify_waiters();
            }
        });
    }

    /// Everything may have changed: another server's hints were missed.
    pub(crate) fn forget_idleness(&self) {
        for line in self.lock().values_mut() {
            line.work.idle_at = None;
        }
    }

    /// Notified by the next [`Registry::note_work`].
    pub(crate) fn work_came(&self, endpoint: &EndpointId) -> Arc<Notify> {
        with_line(&mut self.lock(), endpoint, |line| Arc::clone(line.work.came.get_or_insert_default()))
    }

    /// Last-seen times that are not in the database yet; they count as written from here on.
    pub(crate) fn take_seen(&self) -> Vec<Seen> {
        self.lock()
            .iter_mut()
            .filter(|(_, line)| !line.seen_is_flushed)
            .filter_map(|(endpoint, line)| {
                line.seen_is_flushed = true;
                let load_hundredths = line.load_hundredths;
                line.seen_at.map(|at| Seen { endpoint_id: endpoint.clone(), at, load_hundredths })
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

/// Without a copy of the id unless the line is new.
fn with_line<T>(
    lines: &mut HashMap<EndpointId, Line>,
    endpoint: &EndpointId,
    change: impl FnOnce(&mut Line) -> T,
) -> T {
    match lines.get_mut(endpoint) {
        Some(line) => change(line),
        None => change(lines.entry(endpoint.clone()).or_default()),
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

    fn lose_stream(&mut self, now: DateTime<Utc>) {
        if self.stream.take().is_some() {
            self.stream_lost_at = Some(now);
        }
        // Its polls were made beside the stream; after this only a new one shows that it is there.
        self.polled_at = None;
    }
}
