//! The real delivery and the real agents, on a network, clocks, disks and a database that are simulated and do their worst.
//! One thread, no real time, all chance from one seed: the same seed gives the same run, to the last line of its trace.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod differential;
mod disk;
mod happening;
mod host;
mod model;
mod operator;
mod plan;
mod server;
mod trace;
mod world;

use std::{
    fmt::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
    time::Duration,
};

use voltaxe_load::invariants::Verdict;

use plan::Sabotage;
use trace::Detail;
use world::{Crashes, Ran, World};

/// Healing takes a lease or two (half a minute each), a sweep, a question to a silent agent.
const HEALS_WITHIN: Duration = Duration::from_secs(600);

#[test]
fn every_invariant_holds_whatever_fails() {
    let (first, count) = match std::env::var("VOLTAXE_SEED") {
        Ok(seed) => (seed.parse().expect("VOLTAXE_SEED is a whole number"), 1),
        Err(_) => (fastrand::u64(..1 << 48), if is_full() { 10_000 } else { 150 }),
    };
    let seeds: Vec<u64> = (first..first + count).collect();
    let parts = thread::scope(|scope| {
        let halves = seeds.chunks(seeds.len().div_ceil(2));
        let halves: Vec<_> = halves.map(|seeds| scope.spawn(|| run_all(seeds))).collect();
        halves.into_iter().map(|half| half.join().unwrap()).collect::<Vec<_>>()
    });
    let total = parts.into_iter().fold(Total::default(), Total::add);
    let Total { verdict, crashes, offers, simulated_seconds, failed } = total;
    assert!(failed.is_empty(), "{} of {count} seeds failed\n{}", failed.len(), failed.join("\n"));
    println!(
        "chaos: simulation: seeds {first}..{} {count} done, {verdict} ({offers} offers, {} server, {} database and {} host \
         crashes, {} simulated hours)",
        first + count,
        crashes.servers,
        crashes.databases,
        crashes.hosts,
        simulated_seconds / 3600,
    );
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..8 {
        let (first, second) = (run(seed, Detail::Lines, None), run(seed, Detail::Lines, None));
        assert_eq!(first.trace.hash(), second.trace.hash(), "seed {seed}");
    }
}

/// An invariant that never fails may be one that is never looked at.
#[test]
fn a_part_that_breaks_its_promise_is_noticed() {
    for (sabotage, expected) in [
        (Sabotage::DiskLies, "its host does not have it on disk"),
        (Sabotage::JournalIsLost, "begins again"),
        (Sabotage::DatabaseForgets, "it was acknowledged and is gone"),
        (Sabotage::ResultsAreReplaced, "its first result was replaced"),
    ] {
        let is_noticed =
            |seed| run(seed, Detail::None, Some(sabotage)).verdict.to_string().contains(expected);
        assert!((0..60).any(is_noticed), "{sabotage:?}");
    }
}

#[derive(Default)]
struct Total {
    verdict: Verdict,
    crashes: Crashes,
    offers: usize,
    simulated_seconds: u64,
    failed: Vec<String>,
}

impl Total {
    fn add(mut self, other: Self) -> Self {
        self.verdict.add(other.verdict);
        self.crashes.servers += other.crashes.servers;
        self.crashes.databases += other.crashes.databases;
        self.crashes.hosts += other.crashes.hosts;
        self.offers += other.offers;
        self.simulated_seconds += other.simulated_seconds;
        self.failed.extend(other.failed);
        self
    }
}

fn run_all(seeds: &[u64]) -> Total {
    seeds.iter().map(|seed| total_of(*seed)).fold(Total::default(), Total::add)
}

fn total_of(seed: u64) -> Total {
    match catch_unwind(AssertUnwindSafe(|| run(seed, Detail::None, None))) {
        Ok(ran) if !ran.verdict.is_clean() => failure(seed, &ran.verdict.to_string()),
        // What was handed out and lost expires an hour late; nothing else may take long.
        Ok(ran) if ran.verdict.expired == 0 && ran.rests_after > HEALS_WITHIN => failure(
            seed,
            &format!("it came to rest only {} s after the last fault", ran.rests_after.as_secs()),
        ),
        Ok(Ran { verdict, crashes, offers, simulated, .. }) => {
            Total { verdict, crashes, offers, simulated_seconds: simulated.as_secs(), failed: Vec::new() }
        }
        Err(_) => failure(seed, "it panicked, see above"),
    }
}

/// Runs it once more, for its trace.
fn failure(seed: u64, why: &str) -> Total {
    let mut text = format!("seed {seed} (repeat it with VOLTAXE_SEED={seed}): {why}");
    if std::env::var("VOLTAXE_SEED").is_ok()
        && let Ok(ran) = catch_unwind(AssertUnwindSafe(|| run(seed, Detail::Lines, None)))
    {
        let _ = write!(text, "\nthe end of its trace:\n{}", ran.trace.end());
    }
    Total { failed: vec![text], ..Total::default() }
}

fn run(seed: u64, detail: Detail, sabotage: Option<Sabotage>) -> Ran {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(async { World::new(seed, detail, sabotage).live().await })
}

fn is_full() -> bool {
    std::env::var("VOLTAXE_CHAOS").is_ok_and(|size| size == "full")
}
