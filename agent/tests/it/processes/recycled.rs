//! Numbers that are used again while somebody is killed by them.

use std::{
    env, fs,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use voltaxe_protocol::{KillProcess, ProcessId, ProcessVerdict};

use super::{den::id, exactly, kill, order, verdicts};
use crate::chaos::{Chaos, size};

const WITHIN: &str = "VOLTAXE_WITHIN_PID_NAMESPACE";
/// As many as one order can name.
const BATCH: usize = 100;

#[test]
fn a_number_that_was_used_again_is_never_hit() {
    let status = Command::new("unshare")
        .args(["--pid", "--fork", "--kill-child", "--mount-proc"])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "processes::recycled::within_a_pid_namespace", "--ignored", "--nocapture"])
        .env(WITHIN, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

/// Each number is given to an innocent at the very moment in which its former owner is killed.
#[test]
#[ignore = "run by the test above, in a pid namespace of its own"]
fn within_a_pid_namespace() {
    if env::var_os(WITHIN).is_none() {
        return;
    }
    let chaos = Chaos::new("recycled pids");
    let mut random = fastrand::Rng::with_seed(chaos.seed);
    let wanted = size(1_000, 10_000);
    let (orders, taken) = mpsc::sync_channel::<(ProcessId, Duration)>(0);
    let (told, answers) = mpsc::channel();
    let killer = thread::spawn(move || {
        for (id, delay) in taken {
            let start = Instant::now();
            while start.elapsed() < delay {
                std::hint::spin_loop();
            }
            let outcome = kill(&KillProcess { grace_seconds: 0, ..order(exactly(&[id])) });
            told.send(verdicts(&outcome)[0]).unwrap();
        }
    });
    let (mut recycled, mut wrong, mut killed) = (0, 0, 0);
    while recycled < wanted {
        let mut doomed: Vec<(Child, ProcessId)> = (0..BATCH)
            .map(|_| {
                let child = waiter();
                let id = id(child.id());
                (child, id)
            })
            .collect();
        random.shuffle(&mut doomed);
        next_tick();
        let mut innocents = Vec::new();
        for (child, id) in &mut doomed {
            orders.send((id.clone(), Duration::from_micros(random.u64(0..1500)))).unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
            fs::write("/proc/sys/kernel/ns_last_pid", (id.pid - 1).to_string()).unwrap();
            let innocent = waiter();
            recycled += usize::from(innocent.id() == id.pid);
            innocents.push(innocent);
            match answers.recv().unwrap() {
                ProcessVerdict::Killed => killed += 1,
                verdict => assert_eq!(verdict, ProcessVerdict::Gone),
            }
        }
        // And once more, when all of them are somebody else's.
        let stale: Vec<ProcessId> = doomed.into_iter().map(|(_, id)| id).collect();
        for grace_seconds in [0, 1] {
            let outcome = kill(&KillProcess { grace_seconds, tree: true, ..order(exactly(&stale)) });
            assert_eq!(verdicts(&outcome), [ProcessVerdict::Gone; BATCH]);
        }
        wrong += innocents.into_iter().filter_map(hit).count();
    }
    drop(orders);
    killer.join().unwrap();
    chaos.tell(format!(
        "{recycled} numbers used again while they were killed, {killed} found their owner alive, {wrong} hit somebody else"
    ));
    assert_eq!(wrong, 0);
}

/// Ends with success when its input does.
fn waiter() -> Child {
    Command::new("cat").stdin(Stdio::piped()).spawn().unwrap()
}

/// A signal of ours, if one came.
fn hit(mut innocent: Child) -> Option<std::process::ExitStatus> {
    drop(innocent.stdin.take());
    let ended = innocent.wait().unwrap();
    (!ended.success()).then_some(ended)
}

/// Within one tick a number's owners cannot be told apart.
fn next_tick() {
    let ticks = || fs::read_to_string("/proc/uptime").unwrap();
    for _ in 0..2 {
        let before = ticks();
        while ticks() == before {
            thread::sleep(Duration::from_millis(1));
        }
    }
}
