use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use rustix::process::Signal;
use serde_json::json;
use voltaxe_protocol::{KillProcess, ProcessId, ProcessTarget, ProcessVerdict};
use voltaxe_sentinel::{clock::wall, process};

use super::{
    den::{Den, id, state},
    effects, exactly, kill, order, verdicts,
};

#[test]
fn exactly_the_named_one_ends() {
    let den = Den::new();
    let (meant, mut child) = den.sleeper("vx-meant");
    let (other, _other) = den.sleeper("vx-other");
    let outcome = kill(&order(exactly(std::slice::from_ref(&meant))));
    assert!(outcome.success && outcome.message == "1 process ended", "{}", outcome.message);
    let effects = effects(&outcome);
    assert_eq!((effects[0].process.pid, effects[0].verdict), (meant.pid, ProcessVerdict::Terminated));
    assert_eq!(child.child.try_wait().unwrap().unwrap().signal(), Some(Signal::TERM.as_raw()));
    // It may not have got to its sleep yet.
    assert!(matches!(state(other.pid), 'R' | 'S'), "the other one lives");
    let again = kill(&order(exactly(&[meant])));
    assert!(again.success);
    assert_eq!(verdicts(&again), [ProcessVerdict::Gone]);
}

#[test]
fn an_identity_that_is_not_quite_the_same_is_somebody_else() {
    let den = Den::new();
    let (living, _child) = den.sleeper("vx-living");
    let strangers = [
        ProcessId { start_ticks: living.start_ticks - 1, ..living.clone() },
        ProcessId { start_ticks: living.start_ticks + 1, ..living.clone() },
        ProcessId { boot_id: "00000000-0000-0000-0000-000000000000".to_owned(), ..living.clone() },
        ProcessId { pid: i32::MAX as u32, ..living.clone() },
    ];
    for grace_seconds in [0, 5] {
        let outcome = kill(&KillProcess { grace_seconds, tree: true, ..order(exactly(&strangers)) });
        assert_eq!(verdicts(&outcome), [ProcessVerdict::Gone; 4]);
        assert!(effects(&outcome).iter().all(|effect| effect.detail.is_some()));
    }
    assert_eq!(den.alive(), [living.pid]);
}

#[test]
fn who_ends_in_time_is_left_to_do_so_and_who_does_not_is_killed() {
    let den = Den::new();
    let (polite, mut polite_child) =
        den.script("trap 'echo asked; sleep 0.3; exit 7' TERM; echo ready; while :; do sleep 0.05; done");
    let (deaf, mut deaf_child) = den.script("trap '' TERM; echo ready; while :; do sleep 0.05; done");
    let outcome = kill(&KillProcess { grace_seconds: 2, ..order(exactly(&[polite.clone(), deaf.clone()])) });
    assert!(outcome.success, "{}", outcome.message);
    for effect in effects(&outcome) {
        let meant = if effect.process.pid == polite.pid {
            ProcessVerdict::Terminated
        } else {
            ProcessVerdict::Killed
        };
        assert_eq!(effect.verdict, meant);
    }
    assert_eq!(polite_child.hear(), "asked");
    assert_eq!(polite_child.child.wait().unwrap().code(), Some(7));
    assert_eq!(deaf_child.child.wait().unwrap().signal(), Some(Signal::KILL.as_raw()));

    let (deaf, mut deaf_child) =
        den.script("trap 'echo asked' TERM; echo ready; while :; do sleep 0.05; done");
    let outcome = kill(&KillProcess { grace_seconds: 0, ..order(exactly(&[deaf])) });
    assert_eq!(verdicts(&outcome), [ProcessVerdict::Killed]);
    assert_eq!(deaf_child.child.wait().unwrap().signal(), Some(Signal::KILL.as_raw()));
}

#[test]
fn one_that_is_stopped_can_still_end_by_itself() {
    let den = Den::new();
    let (stopped, mut child) = den.script("trap 'exit 7' TERM; echo ready; kill -STOP $$; $sleeper 1000");
    crate::net::eventually("it is stopped", || (state(stopped.pid) == 'T').then_some(()));
    let outcome = kill(&order(exactly(&[stopped])));
    assert_eq!(verdicts(&outcome), [ProcessVerdict::Terminated]);
    assert_eq!(child.child.wait().unwrap().code(), Some(7));
}

#[test]
fn by_name_by_file_and_by_digest() {
    let den = Den::new();
    let (first, _first) = den.sleeper("vx-wished");
    let digest = den.digest("vx-wished");
    let path = den.path("vx-wished").to_str().unwrap().to_owned();
    let targets = [
        ProcessTarget::Name("vx-wished".to_owned()),
        ProcessTarget::Executable(path),
        ProcessTarget::Sha256(digest),
    ];
    let mut children = Vec::new();
    for target in targets {
        if den.alive().is_empty() {
            children.extend(
                (0..2)
                    .map(|_| std::process::Command::new(den.path("vx-wished")).arg("1000").spawn().unwrap()),
            );
        }
        let meant = den.alive();
        let preview = kill(&KillProcess { preview: true, ..order(target.clone()) });
        assert!(preview.success, "{}", preview.message);
        assert_eq!(preview.data.as_ref().unwrap()["preview"], json!(true));
        let pids: Vec<u32> = effects(&preview).iter().map(|effect| effect.process.pid).collect();
        assert_eq!((verdicts(&preview), &pids), (vec![ProcessVerdict::Matches; meant.len()], &meant));
        assert_eq!(den.alive(), meant);

        let outcome = kill(&order(target.clone()));
        assert!(outcome.success, "{}", outcome.message);
        assert_eq!(verdicts(&outcome), vec![ProcessVerdict::Terminated; meant.len()]);
        assert_eq!(den.alive(), Vec::<u32>::new());

        let none = kill(&order(target));
        assert!(!none.success && none.message.starts_with("No process "), "{}", none.message);
    }
    assert_eq!(state(first.pid), 'Z');
    children.iter_mut().for_each(|child| drop(child.wait()));
}

#[test]
fn a_deleted_file_that_still_runs_is_found() {
    let den = Den::new();
    let mut children = Vec::new();
    for name in ["vx-deleted-1", "vx-deleted-2"] {
        let (id, child) = den.sleeper(name);
        let target = match name {
            "vx-deleted-1" => ProcessTarget::Sha256(den.digest(name).to_uppercase()),
            _ => ProcessTarget::Executable(den.path(name).to_str().unwrap().to_owned()),
        };
        fs::remove_file(den.path(name)).unwrap();
        children.push(child);
        let outcome = kill(&order(target));
        assert!(outcome.success, "{}", outcome.message);
        let process = &effects(&outcome)[0].process;
        assert_eq!((process.pid, process.is_deleted), (id.pid, true));
        assert_eq!(process.exe.as_deref(), den.path(name).to_str());
    }
}

#[test]
fn what_the_host_needs_is_not_touched() {
    let own = std::process::id();
    // What the test was started by is what the agent was started by.
    let parent = std::os::unix::process::parent_id();
    let mut ids = vec![id(1), id(own), id(parent)];
    if std::path::Path::new("/proc/2").exists() {
        ids.push(id(2));
    }
    for (grace_seconds, force) in [(0, true), (5, false)] {
        let outcome = kill(&KillProcess { grace_seconds, force, tree: true, ..order(exactly(&ids)) });
        assert!(!outcome.success && outcome.message.contains("protected"), "{}", outcome.message);
        assert_eq!(verdicts(&outcome), vec![ProcessVerdict::Protected; ids.len()]);
        assert!(effects(&outcome).iter().all(|effect| effect.detail.is_some()));
    }
}

#[test]
fn sshd_only_by_force() {
    let den = Den::new();
    let (sshd, _child) = den.sleeper("sshd-session");
    for preview in [true, false] {
        let outcome = kill(&KillProcess { preview, ..order(exactly(std::slice::from_ref(&sshd))) });
        assert!(!outcome.success);
        assert_eq!(verdicts(&outcome), [ProcessVerdict::Protected]);
    }
    assert_eq!(den.alive(), [sshd.pid]);
    let outcome = kill(&KillProcess { force: true, ..order(exactly(&[sshd])) });
    assert_eq!(verdicts(&outcome), [ProcessVerdict::Terminated]);
}

#[test]
fn taken_back_in_time_nobody_is_killed() {
    let den = Den::new();
    let (deaf, mut child) = den.script("trap 'echo asked' TERM; echo ready; while :; do sleep 0.05; done");
    let cancelled = AtomicBool::new(false);
    let order = KillProcess { grace_seconds: 60, ..order(exactly(&[deaf])) };
    let outcome = thread::scope(|scope| {
        let killing = scope.spawn(|| process::kill(&order, wall, &cancelled));
        assert_eq!(child.hear(), "asked");
        cancelled.store(true, Ordering::Relaxed);
        killing.join().unwrap()
    });
    assert!(!outcome.success);
    assert_eq!(verdicts(&outcome), [ProcessVerdict::Survived]);
    assert!(outcome.message.contains("cancelled before it was done"), "{}", outcome.message);
    assert!(child.child.try_wait().unwrap().is_none());
    let outcome = process::kill(&order, wall, &cancelled);
    assert_eq!(outcome.data, Some(json!({ "refused": "cancelled" })));
    assert!(child.child.try_wait().unwrap().is_none());
}

#[test]
fn success_says_that_nobody_of_that_kind_runs() {
    let den = Den::new();
    let (_, _child) = den.script(
        "trap 'sleep 0.3; $sh -c \"$sleeper 1000; :\" & exit' TERM; echo ready; while :; do sleep 0.05; done",
    );
    let target = ProcessTarget::Executable(den.path("vx-sh").to_str().unwrap().to_owned());
    let outcome = kill(&order(target));
    assert_eq!(outcome.success, den.alive().is_empty(), "{}", outcome.message);
    assert!(outcome.success || outcome.message.contains("something starts them anew"), "{}", outcome.message);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let order = order(ProcessTarget::Name("x".to_owned()));
    let orders = [
        KillProcess { grace_seconds: 61, ..order.clone() },
        KillProcess { target: ProcessTarget::Name(String::new()), ..order.clone() },
        KillProcess { target: ProcessTarget::Executable("bin/x".to_owned()), ..order.clone() },
        KillProcess { target: ProcessTarget::Sha256("12".to_owned()), ..order.clone() },
        KillProcess { target: ProcessTarget::Processes(vec![id(1); 101]), ..order },
    ];
    for order in orders {
        let outcome = kill(&order);
        assert!(!outcome.success && outcome.message.starts_with("Nothing was done: "));
        assert_eq!(outcome.data, Some(json!({ "refused": "invalid" })));
    }
}
