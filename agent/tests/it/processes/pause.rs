use std::sync::atomic::AtomicBool;

use voltaxe_protocol::{ProcessTarget, ProcessVerdict, ResumeProcess, SuspendProcess};
use voltaxe_sentinel::{clock::wall, core::ActionOutcome, process};

use super::{
    den::{Den, state},
    effects, exactly, verdicts,
};

fn suspend(target: ProcessTarget, tree: bool) -> ActionOutcome {
    let order = SuspendProcess { target, tree, force: false, preview: false };
    process::suspend(&order, wall, &AtomicBool::new(false))
}

fn resume(target: ProcessTarget, tree: bool) -> ActionOutcome {
    process::resume(&ResumeProcess { target, tree, preview: false }, wall, &AtomicBool::new(false))
}

#[test]
fn stopped_and_going_on_as_proc_shows_it() {
    let den = Den::new();
    let (meant, _child) = den.sleeper("vx-paused");
    let target = exactly(std::slice::from_ref(&meant));
    for round in 0..2 {
        let outcome = suspend(target.clone(), false);
        assert!(outcome.success && outcome.message == "1 process suspended", "{}", outcome.message);
        let effects = effects(&outcome);
        assert_eq!((effects[0].verdict, effects[0].process.state), (ProcessVerdict::Suspended, 'T'));
        assert_eq!(effects[0].detail.is_some(), round == 1);
        assert_eq!(state(meant.pid), 'T');
    }
    for round in 0..2 {
        let outcome = resume(target.clone(), false);
        assert!(outcome.success && outcome.message == "1 process resumed", "{}", outcome.message);
        let effects = effects(&outcome);
        assert_eq!((effects[0].verdict, effects[0].detail.is_some()), (ProcessVerdict::Resumed, round == 1));
        assert_ne!(state(meant.pid), 'T');
    }
}

#[test]
fn a_tree_that_grows_is_stopped_whole() {
    let den = Den::new();
    let (root, mut child) =
        den.script("echo ready; for i in 1 2 3 4 5 6 7 8 9 10; do $sleeper 1000 & done; echo grown; while :; do $sleeper 1000 & sleep 0.02; done");
    child.hear();
    let outcome = suspend(exactly(std::slice::from_ref(&root)), true);
    assert!(outcome.success, "{}", outcome.message);
    let stopped = den.alive();
    assert!(stopped.len() > 10);
    assert!(stopped.iter().all(|pid| state(*pid) == 'T'));
    let outcome = resume(exactly(&[root]), true);
    assert!(outcome.success, "{}", outcome.message);
    // A short sleep of the script's may have ended meanwhile.
    let went_on = |verdict: &_| matches!(verdict, ProcessVerdict::Resumed | ProcessVerdict::Gone);
    assert!(verdicts(&outcome).iter().all(went_on));
    assert!(stopped.iter().all(|pid| state(*pid) != 'T'));
}

#[test]
fn init_and_the_agent_are_not_stopped() {
    let ids = [1, std::process::id()].map(super::den::id);
    let outcome = suspend(exactly(&ids), true);
    assert_eq!(verdicts(&outcome), [ProcessVerdict::Protected; 2]);
}
