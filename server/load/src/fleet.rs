//! Thousands of simulated agents in one process.

mod direct;
mod enrol;
mod poll;
mod signed;
mod stream;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::bail;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use voltaxe_protocol::CommandId;

pub use self::{
    enrol::{FleetFile, enrol},
    signed::{signed_poll, signed_request},
};
use crate::{
    agent::{Identity, SimAgent, Verify},
    clock,
    faults::Faults,
    target::Target,
};

/// How the agents of a fleet behave.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    pub channel: Channel,
    /// Take offers on a listener of their own as well, and say so in telemetry.
    pub direct: bool,
    /// Telemetry as often as the server asks, with jitter; one message at each start of a stream in any case.
    pub telemetry: bool,
    /// Instead of as often as the server asks.
    pub telemetry_every: Option<Duration>,
    /// An effect takes up to this long.
    pub effect_takes: Duration,
    /// What happens to commands, queries and the like on their way to the agents, and to their answers.
    pub inbound: Faults,
    pub outbound: Faults,
    /// A result that is not acknowledged is told again after this long.
    pub report_again_after: Duration,
    /// A stream is given up and opened again after about this long.
    pub stream_lasts: Option<Duration>,
    pub verify: Verify,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            channel: Channel::Stream,
            direct: false,
            telemetry: true,
            telemetry_every: None,
            effect_takes: Duration::ZERO,
            inbound: Faults::NONE,
            outbound: Faults::NONE,
            report_again_after: Duration::from_secs(30),
            stream_lasts: None,
            verify: Verify::Always,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Channel {
    Stream,
    /// Polls at this interval, with jitter; with `wait` the server may hold each poll so many seconds.
    Poll {
        every: Duration,
        wait_seconds: u64,
    },
    /// Neither: reachable by the direct channel alone, if at all.
    Off,
}

/// Told as it happens, from the agents' own tasks: be quick.
pub trait Watch: Send + Sync {
    /// A stream was opened and welcomed.
    fn joined(&self, _agent: usize, _took: Duration) {}

    fn command(&self, _agent: usize, _id: CommandId, _step: Step, _at: Instant) {}
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// The offer has arrived.
    Offered,
    /// The receipt has been handed to the socket, or answered.
    Receipted,
    Executed,
    /// The server has said that the result is on its disk.
    Recorded,
}

/// For fleets that nobody watches.
pub struct Unwatched;

impl Watch for Unwatched {}

/// Sums over the fleet since it was made, and how many streams are open now.
#[derive(Debug, Default)]
pub struct Counters {
    pub streams: AtomicU64,
    pub joins: AtomicU64,
    pub join_failures: AtomicU64,
    pub refusals: AtomicU64,
    pub offers: AtomicU64,
    /// Offers of a known id.
    pub repeats: AtomicU64,
    pub rejected: AtomicU64,
    pub receipts: AtomicU64,
    pub effects: AtomicU64,
    pub recorded: AtomicU64,
    pub telemetry: AtomicU64,
    pub polls: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    #[must_use]
    pub fn read(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}

pub struct Fleet {
    agents: Vec<Arc<SimAgent>>,
    shared: Arc<Shared>,
}

struct Shared {
    target: Target,
    seed: u64,
    habits: Habits,
    counters: Arc<Counters>,
    watch: Arc<dyn Watch>,
    /// Streams being opened at once; all at once would overrun the server's accept queue.
    joining: Semaphore,
}

const JOINING_AT_ONCE: usize = 256;

impl Fleet {
    /// The first `size` agents of an enrolled fleet, not connected yet.
    pub fn new(
        target: &Target,
        file: &FleetFile,
        size: usize,
        habits: Habits,
        watch: Arc<dyn Watch>,
    ) -> anyhow::Result<Self> {
        if size > file.len() {
            bail!(
                "the fleet file has {} agents and {size} are asked for: run populate with --agents {size}",
                file.len()
            );
        }
        let now = clock::now();
        let agents = (0..size)
            .map(|index| {
                let identity = Identity::derive(file.seed, index);
                Ok(Arc::new(SimAgent::new(identity, file.enrolment(index)?, habits.verify, now)))
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let shared = Arc::new(Shared {
            target: target.clone(),
            seed: file.seed,
            habits,
            counters: Arc::default(),
            watch,
            joining: Semaphore::new(JOINING_AT_ONCE),
        });
        Ok(Self { agents, shared })
    }

    #[must_use]
    pub fn agents(&self) -> &[Arc<SimAgent>] {
        &self.agents
    }

    #[must_use]
    pub fn hostnames(&self) -> Vec<&str> {
        self.agents.iter().map(|agent| agent.identity.hostname.as_str()).collect()
    }

    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    #[must_use]
    pub fn shared_counters(&self) -> Arc<Counters> {
        self.shared.counters.clone()
    }

    /// Lets agents live, until the returned value is ended or dropped: they connect by their habits and again after every
    /// loss. May be called for parts of the fleet, one after the other.
    #[must_use = "the agents' connections end when it is dropped"]
    pub fn connect(&self, part: std::ops::Range<usize>) -> Connected {
        let connected = Connected { stop: CancellationToken::new(), tasks: TaskTracker::new() };
        for agent in &self.agents[part] {
            let (agent, shared, stop) = (agent.clone(), self.shared.clone(), connected.stop.clone());
            connected.tasks.spawn(live(agent, shared, stop));
        }
        connected.tasks.close();
        connected
    }

    /// Waits until so many streams are open.
    pub async fn joined(&self, streams: usize, within: Duration) -> anyhow::Result<()> {
        let counters = &self.shared.counters;
        let open = || Counters::read(&counters.streams) >= streams as u64;
        if !eventually(within, open).await {
            bail!(
                "{} of {streams} streams were open after {} s ({} attempts failed, {} were refused)",
                Counters::read(&counters.streams),
                within.as_secs(),
                Counters::read(&counters.join_failures),
                Counters::read(&counters.refusals),
            );
        }
        Ok(())
    }

    /// Waits until the server has acknowledged so many results since the fleet was made.
    pub async fn recorded(&self, results: u64, within: Duration) -> anyhow::Result<()> {
        let recorded = || Counters::read(&self.shared.counters.recorded);
        if !eventually(within, || recorded() >= results).await {
            bail!("{} of {results} results were acknowledged after {} s", recorded(), within.as_secs());
        }
        Ok(())
    }

    /// Ids that took effect more than once: none, or the product is broken.
    #[must_use]
    pub fn doubled(&self) -> Vec<(usize, CommandId)> {
        let of_agent = |agent: &Arc<SimAgent>| {
            agent.with_ledger(|ledger| {
                let doubled = ledger.entries().filter(|(_, entry)| entry.effects > 1);
                doubled.map(|(id, _)| (agent.identity.index, id)).collect::<Vec<_>>()
            })
        };
        self.agents.iter().flat_map(of_agent).collect()
    }
}

/// Agents that live in tasks of their own.
pub struct Connected {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Connected {
    /// Ends the connections and waits for it; ledgers stay.
    pub async fn end(self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn live(agent: Arc<SimAgent>, shared: Arc<Shared>, stop: CancellationToken) {
    let listener = async {
        if shared.habits.direct {
            direct::listen(&agent, &shared, &stop).await;
        }
    };
    let connection = async {
        match shared.habits.channel {
            Channel::Stream => stream::hold(&agent, &shared, &stop).await,
            Channel::Poll { every, wait_seconds } => {
                poll::poll(&agent, &shared, &stop, every, wait_seconds).await
            }
            Channel::Off => stop.cancelled().await,
        }
    };
    tokio::join!(listener, connection);
}

async fn eventually(within: Duration, holds: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + within;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
