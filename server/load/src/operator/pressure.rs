use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::task::JoinSet;

use super::{Caller, Operator};
use crate::{
    fleet::{Counters, Fleet},
    report::Recorder,
};

/// Many callers that order agent checks as fast as they are answered.
#[derive(Clone, Copy, Debug)]
pub struct Pressure {
    /// Connections that order at the same time.
    pub callers: usize,
    /// Hosts a batch; 0 orders one host at a time.
    pub batch: usize,
    /// Callers pause while so many commands have no recorded result.
    pub most_open: u64,
    pub until: Until,
}

#[derive(Clone, Copy, Debug)]
pub enum Until {
    Time(Instant),
    /// So many commands are ordered, or a few more.
    Ordered(u64),
}

#[derive(Debug)]
pub struct Pressed {
    pub ordered: u64,
    /// From a request to its answer.
    pub latency: Recorder,
}

impl Pressure {
    /// Orders on the fleet's hosts, in turn; does not wait for the last results.
    pub async fn put_on(self, fleet: &Fleet, operator: &Operator) -> anyhow::Result<Pressed> {
        let counters = fleet.shared_counters();
        let shared = Arc::new(Shared {
            pressure: self,
            hostnames: fleet.hostnames().into_iter().map(str::to_owned).collect(),
            ordered: AtomicU64::new(0),
            recorded_before: Counters::read(&counters.recorded),
            counters,
        });
        let mut callers = JoinSet::new();
        let count = self.callers.max(1);
        for number in 0..count {
            let first = number * shared.hostnames.len() / count;
            callers.spawn(press(shared.clone(), operator.caller().await?, first));
        }
        let mut latency = Recorder::default();
        while let Some(ended) = callers.join_next().await {
            latency.merge(&ended.context("a caller panicked")??);
        }
        Ok(Pressed { ordered: shared.ordered.load(Ordering::Relaxed), latency })
    }
}

struct Shared {
    pressure: Pressure,
    hostnames: Vec<String>,
    ordered: AtomicU64,
    recorded_before: u64,
    counters: Arc<Counters>,
}

impl Shared {
    fn is_over(&self) -> bool {
        match self.pressure.until {
            Until::Time(at) => Instant::now() >= at,
            Until::Ordered(total) => self.ordered.load(Ordering::Relaxed) >= total,
        }
    }

    fn open(&self) -> u64 {
        let recorded = Counters::read(&self.counters.recorded) - self.recorded_before;
        self.ordered.load(Ordering::Relaxed).saturating_sub(recorded)
    }
}

async fn press(shared: Arc<Shared>, mut caller: Caller, mut next: usize) -> anyhow::Result<Recorder> {
    let mut latency = Recorder::default();
    let a_turn = shared.pressure.batch.clamp(1, shared.hostnames.len());
    while !shared.is_over() {
        if shared.open() >= shared.pressure.most_open {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        }
        // Counted before it is sent: callers side by side must not go over the total by a batch each.
        shared.ordered.fetch_add(a_turn as u64, Ordering::Relaxed);
        let hostnames: Vec<&str> =
            (next..next + a_turn).map(|n| shared.hostnames[n % shared.hostnames.len()].as_str()).collect();
        next += a_turn;
        let began = Instant::now();
        if shared.pressure.batch == 0 {
            caller.order("agent_check", hostnames[0], "load").await?;
        } else {
            caller.batch("agent_check", &hostnames, "load").await?;
        }
        latency.record(began.elapsed());
    }
    Ok(latency)
}
