//! Numbers rather than verdicts: `cargo test --release --test it measure -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use voltaxe_protocol::CommandId;
use voltaxe_sentinel::{
    clock::wall,
    isolation::{Kernel, Terms},
    state_dir::StateDir,
};

use crate::{
    agent::Host,
    gateway::{Gateway, isolate, restore},
    net::World,
};

const ROUNDS: i64 = 100;

#[test]
#[ignore = "prints times and judges nothing"]
fn order_to_result() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let mut host = Host::enrolled(&world, &gateway);
    host.start();
    gateway.wait_live();
    let (mut isolating, mut restoring) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        isolating.push(time(&gateway, 2 * round + 1, isolate()));
        restoring.push(time(&gateway, 2 * round + 2, restore()));
    }
    print("isolate: order sent to result received", isolating);
    print("restore: order sent to result received", restoring);
}

#[test]
#[ignore = "prints times and judges nothing"]
fn kernel_work() {
    let world = World::new();
    let directory = tempfile::tempdir().unwrap();
    let state = StateDir::open(directory.path()).unwrap();
    let servers = ["10.77.0.1:8080".parse().unwrap()];
    world.within("host", || {
        let mut kernel = Kernel::new(state, None);
        let mut times: [Vec<Duration>; 4] = Default::default();
        for round in 0..ROUNDS {
            kernel.save();
            std::thread::sleep(Duration::from_millis(30));
            times[0].push(took(|| drop(kernel.observe(wall()))));
            times[1].push(took(|| {
                drop(kernel.isolate(CommandId(round), &servers, &Terms::default(), wall()).unwrap())
            }));
            times[2].push(took(|| drop(kernel.observe(wall()))));
            times[3].push(took(|| drop(kernel.restore(CommandId(round), wall()).unwrap())));
        }
        let names = [
            "observe: not isolated",
            "isolate: apply and read back",
            "observe: isolated",
            "restore and read back",
        ];
        names.into_iter().zip(times).for_each(|(name, times)| print(name, times));
    });
}

fn took(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn time(gateway: &Gateway, id: i64, action: voltaxe_protocol::Command) -> Duration {
    let order = gateway.order(id, action);
    // As people click: the last one's housekeeping is over.
    std::thread::sleep(Duration::from_millis(60));
    let start = Instant::now();
    gateway.push(&order);
    loop {
        let state = gateway.state();
        if let Some((result, _)) = state.results.last()
            && result.command_id == CommandId(id)
        {
            assert!(result.success, "{}", result.message);
            return start.elapsed();
        }
        drop(state);
        std::thread::sleep(Duration::from_micros(50));
    }
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!("{what}: p50 {:?}, p99 {:?}, least {:?} ({} rounds)", at(50), at(99), times[0], times.len());
}
