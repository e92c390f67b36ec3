//! What one run is like. All of it follows from the seed.

use std::time::Duration;

use voltaxe_orchestrator::delivery::Strategy;
use voltaxe_sentinel::core::Polling;

/// The mean time between two of a kind of fault; `None`: it does not happen in this run.
type Every = Option<Duration>;

#[derive(Clone, Debug)]
pub struct Plan {
    pub hosts: usize,
    pub orders: usize,
    /// Orders are given and faults happen until then; afterwards everything heals.
    pub trouble_lasts: Duration,
    pub lease: Duration,
    pub strategy: Strategy,
    /// Kind, a minute, at once.
    pub limit: Option<(&'static str, f64, i32)>,
    /// Of 100 messages.
    pub loss: u32,
    /// Of 100 messages that may come twice.
    pub duplicates: u32,
    /// The slowest message, without a fault.
    pub latency: Duration,
    /// Frames of a stream may overtake each other, as with a proxy that opens it anew.
    pub streams_reorder: bool,
    pub server_dies: Every,
    pub database_dies: Every,
    pub host_dies: Every,
    pub host_is_cut_off: Every,
    pub stream_breaks: Every,
    pub disk_fills: Every,
    pub replay: Every,
    pub cancel_one_of: u32,
    pub short_lived_one_of: u32,
    pub sabotage: Option<Sabotage>,
}

/// A part that breaks its promise, to see that the invariants notice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sabotage {
    /// Hosts' disks confirm what they have not synced.
    DiskLies,
    /// Hosts' disks are empty after a crash.
    JournalIsLost,
    /// The database forgets the newest command in a crash, though its commit was durable.
    DatabaseForgets,
    /// The database takes a second result for a final command.
    ResultsAreReplaced,
}

#[derive(Clone, Copy, Debug)]
pub struct HostPlan {
    pub stream: bool,
    pub polling: Option<Polling>,
    pub direct: bool,
    pub skew_seconds: i64,
    pub action_takes: Duration,
}

impl Plan {
    pub fn draw(random: &mut fastrand::Rng) -> Self {
        Self {
            hosts: random.usize(1..=4),
            orders: random.usize(4..=28),
            trouble_lasts: seconds(random, 20..240),
            lease: seconds(random, 5..31),
            strategy: if random.u8(..4) == 0 { Strategy::Fifo } else { Strategy::Priority },
            limit: match random.u8(..6) {
                0 => Some(("agent_check", 20.0, 2)),
                1 => Some(("*", 30.0, 3)),
                _ => None,
            },
            loss: [0, 3, 10, 30][random.usize(..4)],
            duplicates: [0, 5, 25][random.usize(..3)],
            latency: milliseconds(random, &[5, 60, 800, 3000]),
            streams_reorder: random.u8(..4) == 0,
            server_dies: every(random, 5..90),
            database_dies: every(random, 5..90),
            host_dies: every(random, 3..60),
            host_is_cut_off: every(random, 15..120),
            stream_breaks: every(random, 3..60),
            disk_fills: every(random, 20..200),
            replay: every(random, 2..30),
            cancel_one_of: [3, 8, u32::MAX][random.usize(..3)],
            short_lived_one_of: [2, 6, u32::MAX][random.usize(..3)],
            sabotage: None,
        }
    }
}

impl HostPlan {
    pub fn draw(random: &mut fastrand::Rng) -> Self {
        let stream = random.u8(..4) > 0;
        let polls = random.u8(..3) > 0 || !stream;
        let wait = Duration::from_secs([0, 0, 20][random.usize(..3)]);
        Self {
            stream,
            polling: polls.then(|| Polling { interval: Duration::from_secs(10), wait }),
            direct: random.bool(),
            skew_seconds: [0, 0, random.i64(-600..600)][random.usize(..3)],
            action_takes: milliseconds(random, &[5, 200, 4000]),
        }
    }
}

fn every(random: &mut fastrand::Rng, range: std::ops::Range<u64>) -> Every {
    random.bool().then(|| seconds(random, range))
}

fn seconds(random: &mut fastrand::Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_secs(random.u64(range))
}

fn milliseconds(random: &mut fastrand::Rng, of: &[u64]) -> Duration {
    Duration::from_millis(of[random.usize(..of.len())])
}
