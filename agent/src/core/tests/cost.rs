//! Numbers rather than verdicts: `cargo test --release --lib cost -- --ignored --nocapture`.

use std::time::Instant;

use super::*;

#[test]
#[ignore = "prints times and judges nothing"]
fn of_waiting_results() {
    for results in [20, 2_000, 20_000] {
        let mut sim = Sim::new();
        let before = resident_bytes();
        let orders: Vec<CommandOrder> = (1..=results).map(|id| order(id, check())).collect();
        sim.offer(&orders);
        drop(orders);
        (1..=results).for_each(|id| {
            sim.done(id);
            sim.take();
            sim.journal.clear();
        });
        let bytes = resident_bytes().saturating_sub(before) / usize::try_from(results).unwrap();
        let rounds: u32 = 10_000;
        let started = Instant::now();
        for _ in 0..rounds {
            sim.core.handle_timeout(sim.now);
            let _ = sim.core.poll_timeout(sim.now);
        }
        let per_round = started.elapsed() / rounds;
        let mut isolating: Vec<Duration> = (1..=21)
            .map(|more| {
                let started = Instant::now();
                sim.push(&order(results + more, isolate()));
                let elapsed = started.elapsed();
                sim.done(results + more);
                elapsed
            })
            .collect();
        isolating.sort_unstable();
        let isolate = isolating[isolating.len() / 2];
        println!(
            "{results} waiting: {per_round:?} a wake-up, {isolate:?} from frame to effect, {bytes} resident bytes a result"
        );
    }
}

fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
