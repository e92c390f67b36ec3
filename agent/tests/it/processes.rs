//! Real processes, ended, stopped and continued by the agent's own code.

mod den;
mod kill;
mod pause;
mod recycled;
mod tree;

use std::sync::atomic::AtomicBool;

use voltaxe_protocol::{
    KillProcess, ProcessEffect, ProcessId, ProcessList, ProcessOutcome, ProcessTarget, ProcessVerdict,
};
use voltaxe_sentinel::{clock::wall, core::ActionOutcome, process};

use self::den::Den;

const LARGEST_DATA_BYTES: usize = 48 * 1024;

fn kill(order: &KillProcess) -> ActionOutcome {
    process::kill(order, wall, &AtomicBool::new(false))
}

fn order(target: ProcessTarget) -> KillProcess {
    KillProcess { target, grace_seconds: 5, tree: false, force: false, preview: false }
}

fn exactly(ids: &[ProcessId]) -> ProcessTarget {
    ProcessTarget::Processes(ids.to_vec())
}

fn parsed(outcome: &ActionOutcome) -> ProcessOutcome {
    let data = outcome.data.clone().unwrap();
    assert!(data.to_string().len() <= LARGEST_DATA_BYTES);
    serde_json::from_value(data).unwrap()
}

/// Of an outcome that has room for all.
fn effects(outcome: &ActionOutcome) -> Vec<ProcessEffect> {
    let outcome = parsed(outcome);
    assert_eq!(outcome.left_out, 0);
    outcome.processes
}

fn count(outcome: &ActionOutcome) -> usize {
    let outcome = parsed(outcome);
    outcome.processes.len() + outcome.left_out as usize
}

fn verdicts(outcome: &ActionOutcome) -> Vec<ProcessVerdict> {
    effects(outcome).iter().map(|effect| effect.verdict).collect()
}

fn listed() -> ProcessList {
    let outcome = process::list(wall());
    assert!(outcome.success, "{}", outcome.message);
    let data = outcome.data.unwrap();
    assert!(data.to_string().len() <= LARGEST_DATA_BYTES);
    serde_json::from_value(data).unwrap()
}

#[test]
fn the_list_shows_what_is_there() {
    let den = Den::new();
    let (id, _child) = den.sleeper("vx-listed");
    let list = listed();
    assert!(list.processes.is_sorted_by_key(|process| process.pid));
    let found = list.processes.iter().find(|process| process.pid == id.pid);
    // On a host with more processes than fit, one that used no time may be left out.
    if let Some(found) = found {
        assert_eq!((found.start_ticks, &list.boot_id), (id.start_ticks, &id.boot_id));
        assert_eq!((found.parent, found.user.as_str()), (std::process::id(), "root"));
        assert_eq!((found.name.as_str(), found.is_deleted), ("vx-listed", false));
        assert_eq!(found.exe.as_deref(), den.path("vx-listed").to_str());
        assert_eq!(found.cmdline, format!("{} 1000", den.path("vx-listed").display()));
    } else {
        assert!(list.left_out > 0);
    }
}

#[test]
fn names_made_to_mislead_come_through_as_data() {
    let den = Den::new();
    for name in ["a\nb) R 1 (", "\u{202e}gpj.x", "\u{1}\u{7f}\"\\", "x (deleted)"] {
        let (id, _child) = den.sleeper(name);
        let outcome = kill(&KillProcess { preview: true, ..order(ProcessTarget::Name(name.to_owned())) });
        let effects = effects(&outcome);
        let [effect] = effects.as_slice() else { panic!("{name:?}: {effects:?}") };
        assert_eq!((effect.process.pid, effect.process.name.as_str()), (id.pid, name));
        assert_eq!((effect.process.start_ticks, effect.process.is_deleted), (id.start_ticks, false));
        assert_eq!(effect.process.exe.as_deref(), den.path(name).to_str());
        assert!(outcome.message.chars().all(|c| !c.is_control()), "{:?}", outcome.message);
        let outcome = kill(&order(ProcessTarget::Name(name.to_owned())));
        assert!(outcome.success, "{}", outcome.message);
        assert_eq!(den.alive(), Vec::<u32>::new());
        let outcome = kill(&order(ProcessTarget::Name(name.to_owned())));
        assert!(!outcome.success && outcome.message.starts_with("No process is called"));
        assert!(outcome.message.chars().all(|c| !c.is_control() && c != '\u{202e}'));
    }
}

#[test]
#[ignore = "prints times and judges nothing"]
fn times() {
    let den = Den::new();
    let (id, _child) = den.sleeper("vx-timed");
    let took = |what: &str, work: &dyn Fn() -> ActionOutcome| {
        let mut times: Vec<_> = (0..20)
            .map(|_| {
                let start = std::time::Instant::now();
                drop(work());
                start.elapsed()
            })
            .collect();
        times.sort();
        println!("{what}: median {:?} of 20, most {:?}; {}", times[10], times[19], work().message);
    };
    let preview = |target, tree| kill(&KillProcess { tree, preview: true, ..order(target) });
    took("list", &|| process::list(wall()));
    took("preview by id", &|| preview(exactly(std::slice::from_ref(&id)), false));
    took("preview of a tree", &|| preview(exactly(std::slice::from_ref(&id)), true));
    took("preview by name", &|| preview(ProcessTarget::Name("vx-timed".to_owned()), false));
    took("preview by digest", &|| preview(ProcessTarget::Sha256(den.digest("vx-timed")), false));
}
