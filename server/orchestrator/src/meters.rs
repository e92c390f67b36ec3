//! What the server measures of itself, as Prometheus reads it. README, "Watch the server", says what each is for.

mod timer;

use std::{
    fmt::Write as _,
    future::Future,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use voltaxe_store::QueueDepth;

pub(crate) use self::timer::{Timed, Timer};

/// What a commit was for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, EncodeLabelValue)]
pub enum Commit {
    Enqueue,
    Receipt,
    Result,
    Telemetry,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct What {
    what: Commit,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct State {
    state: &'static str,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct Channel {
    channel: &'static str,
}

type Gauges<L> = Family<L, Gauge<f64, AtomicU64>>;
type Histograms = Family<What, Histogram, fn() -> Histogram>;

/// Cheap to clone.
#[derive(Clone)]
pub struct Meters {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    commit_seconds: Histograms,
    group_size: Histograms,
    push_seconds: Histogram,
    written_seconds: Histogram,
    offered_again: Counter,
    expired: Counter,
    failed_sweeps: Counter,
    drifts: Counter,
    depth: Gauges<State>,
    oldest_seconds: Gauges<State>,
    agents: Gauges<Channel>,
    schedules_waiting: Gauge<f64, AtomicU64>,
    schedule_lag_seconds: Gauge<f64, AtomicU64>,
    asked_back: Gauge<f64, AtomicU64>,
    evidence_bytes: Gauges<State>,
    /// The same once more, to be read here: the library's histograms are written only.
    enqueues: Timer,
    pushes: Timer,
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    pub redeliveries: u64,
    pub expiries: u64,
    pub drifts: u64,
    pub failed_upkeep: u64,
}

impl Default for Meters {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("voltaxe");
        let seconds: fn() -> Histogram = || Histogram::new(doubling(0.000_1, 18));
        let sizes: fn() -> Histogram = || Histogram::new(doubling(1.0, 10));
        let mut inner = Inner {
            commit_seconds: Family::new_with_constructor(seconds),
            group_size: Family::new_with_constructor(sizes),
            push_seconds: Histogram::new(doubling(0.000_1, 18)),
            written_seconds: Histogram::new(fine()),
            offered_again: Counter::default(),
            expired: Counter::default(),
            failed_sweeps: Counter::default(),
            drifts: Counter::default(),
            depth: Family::default(),
            oldest_seconds: Family::default(),
            agents: Family::default(),
            schedules_waiting: Gauge::default(),
            schedule_lag_seconds: Gauge::default(),
            asked_back: Gauge::default(),
            evidence_bytes: Family::default(),
            enqueues: Timer::default(),
            pushes: Timer::default(),
            registry: Registry::default(),
        };
        registry.register(
            "commit_seconds",
            "One group commit, by what it was for",
            inner.commit_seconds.clone(),
        );
        registry.register("commit_group_size", "Items that shared one commit", inner.group_size.clone());
        registry.register(
            "push_seconds",
            "From an order's arrival to its frame in the agent's outbox",
            inner.push_seconds.clone(),
        );
        registry.register(
            "order_written_seconds",
            "From the sending of an order's commit to its frame written to the agent's socket",
            inner.written_seconds.clone(),
        );
        registry.register(
            "redeliveries",
            "Commands offered again because no receipt came",
            inner.offered_again.clone(),
        );
        registry.register("expiries", "Commands that expired without an answer", inner.expired.clone());
        registry.register(
            "failed_upkeep",
            "Runs of the sweep and other upkeep that failed",
            inner.failed_sweeps.clone(),
        );
        registry.register(
            "isolation_drift",
            "Isolations whose rules somebody else had changed on the host",
            inner.drifts.clone(),
        );
        registry.register("queue_commands", "Commands that are not final, by state", inner.depth.clone());
        registry.register(
            "queue_oldest_seconds",
            "Age of the oldest command in a state; 0 without one",
            inner.oldest_seconds.clone(),
        );
        registry.register("agents", "Reachable agents, by channel", inner.agents.clone());
        registry.register(
            "schedules_waiting",
            "Schedules that have not ended",
            inner.schedules_waiting.clone(),
        );
        registry.register(
            "schedule_lag_seconds",
            "How late the most overdue schedule is",
            inner.schedule_lag_seconds.clone(),
        );
        registry.register(
            "cancels_unanswered",
            "Commands asked back from a host that has not answered",
            inner.asked_back.clone(),
        );
        registry.register(
            "evidence_bytes",
            "Bundles of evidence: what is kept or under way, and what may be",
            inner.evidence_bytes.clone(),
        );
        inner.registry = registry;
        Self { inner: Arc::new(inner) }
    }
}

/// `count` bucket bounds, each twice the one before.
fn doubling(first: f64, count: i32) -> impl Iterator<Item = f64> {
    (0..count).map(move |n| first * 2_f64.powi(n))
}

/// Bounds from 0.1 ms to 7 s, a fifth apart: a percentile read from them is that exact.
fn fine() -> impl Iterator<Item = f64> {
    (0..62).map(|n| 0.000_1 * 1.2_f64.powi(n))
}

impl Meters {
    /// OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.inner.registry).is_err() {
            let _ = writeln!(text, "# EOF");
        }
        text
    }

    pub(crate) async fn time<T>(&self, what: Commit, items: usize, commit: impl Future<Output = T>) -> T {
        let began = tokio::time::Instant::now();
        let outcome = commit.await;
        let label = What { what };
        if what == Commit::Enqueue {
            self.inner.enqueues.observe(began.elapsed());
        }
        self.inner.commit_seconds.get_or_create(&label).observe(began.elapsed().as_secs_f64());
        self.inner.group_size.get_or_create(&label).observe(items as f64);
        outcome
    }

    pub(crate) fn pushed(&self, since_arrival: Duration) {
        self.inner.push_seconds.observe(since_arrival.as_secs_f64());
        self.inner.pushes.observe(since_arrival);
    }

    /// The frame of a new order is in the agent's socket.
    pub fn written(&self, since_commit_began: Duration) {
        self.inner.written_seconds.observe(since_commit_began.as_secs_f64());
    }

    pub(crate) fn offered_again(&self) {
        self.inner.offered_again.inc();
    }

    pub(crate) fn expired(&self) {
        self.inner.expired.inc();
    }

    pub(crate) fn drifted(&self) {
        self.inner.drifts.inc();
    }

    pub(crate) fn counts(&self) -> Counts {
        let Inner { offered_again, expired, drifts, failed_sweeps, .. } = &*self.inner;
        Counts {
            redeliveries: offered_again.get(),
            expiries: expired.get(),
            drifts: drifts.get(),
            failed_upkeep: failed_sweeps.get(),
        }
    }

    /// Commits of enqueues, and pushes.
    pub(crate) fn timed(&self) -> (Timed, Timed) {
        (self.inner.enqueues.read(), self.inner.pushes.read())
    }

    pub fn upkeep_failed(&self) {
        self.inner.failed_sweeps.inc();
    }

    pub(crate) fn agents(&self, streams: usize, polling: usize) {
        for (channel, count) in [("stream", streams), ("polling", polling)] {
            self.inner.agents.get_or_create(&Channel { channel }).set(count as f64);
        }
    }

    pub(crate) fn evidence(&self, kept: u64, allowed: u64) {
        for (state, bytes) in [("kept", kept), ("allowed", allowed)] {
            self.inner.evidence_bytes.get_or_create(&State { state }).set(bytes as f64);
        }
    }

    pub(crate) fn depth(&self, depth: &QueueDepth) {
        let states = [
            ("pending", depth.pending, depth.oldest_pending_seconds),
            ("delivered", depth.delivered, depth.oldest_delivered_seconds),
        ];
        for (state, count, oldest) in states {
            self.inner.depth.get_or_create(&State { state }).set(count as f64);
            self.inner.oldest_seconds.get_or_create(&State { state }).set(oldest);
        }
        self.inner.asked_back.set(depth.asked_back as f64);
        self.inner.schedules_waiting.set(depth.schedules_waiting as f64);
        self.inner.schedule_lag_seconds.set(depth.schedule_lag_seconds);
    }
}
