use voltaxe_protocol::{KillProcess, ProcessVerdict};

use super::{count, den::Den, exactly, kill, order, verdicts};
use crate::{
    chaos::{Chaos, size},
    net::eventually,
};

/// Children, grandchildren, those of other sessions, those whom SIGTERM does not impress, and more all the time.
const FORKER: &str = r#"
    trap '' TERM
    $sleeper 1000 &
    setsid $sleeper 1000 &
    $sh -c 'trap "" TERM; $sleeper 1000 & setsid $sh -c "$sleeper 1000; :" & while :; do $sleeper 1000 & sleep 0.01; done' &
    echo ready
    while :; do $sh -c '$sleeper 1000; :' & sleep 0.01; done
"#;

#[test]
fn nothing_of_a_tree_is_left_however_it_forks() {
    let chaos = Chaos::new("trees of forkers");
    let mut random = fastrand::Rng::with_seed(chaos.seed);
    let rounds = size(4, 50);
    let mut ended = 0;
    for _ in 0..rounds {
        let den = Den::new();
        let (root, _child) = den.script(FORKER);
        let (bystander, _bystander) = den.sleeper("vx-bystander");
        let grown = random.usize(10..60);
        eventually("the tree grows", || (den.alive().len() > grown).then_some(()));
        let grace_seconds = random.u8(0..2);
        let outcome = kill(&KillProcess { tree: true, grace_seconds, ..order(exactly(&[root])) });
        assert!(outcome.success, "{}", outcome.message);
        assert_eq!(den.alive(), [bystander.pid], "{}", outcome.message);
        ended += count(&outcome);
    }
    chaos.tell(format!("{rounds} trees, {ended} processes ended, 0 left"));
}

#[test]
fn without_tree_only_the_named_one_ends() {
    let den = Den::new();
    let (root, _child) = den.script("$sleeper 1000 & echo ready; while :; do sleep 0.05; done");
    let outcome = kill(&order(exactly(&[root])));
    assert_eq!(verdicts(&outcome), [ProcessVerdict::Terminated]);
    assert_eq!(den.alive().len(), 1);
}

#[test]
fn a_preview_of_a_tree_names_all_and_touches_none() {
    let den = Den::new();
    let (root, mut child) = den.script(
        "echo ready; $sleeper 1000 & setsid $sleeper 1000 & $sh -c '$sleeper 1000; :' & echo grown; while :; do $sleeper 1000; done",
    );
    child.hear();
    eventually("the tree has grown", || (den.alive().len() == 6).then_some(()));
    let outcome = kill(&KillProcess { tree: true, preview: true, ..order(exactly(&[root])) });
    assert_eq!(verdicts(&outcome), [ProcessVerdict::Matches; 6]);
    assert_eq!(den.alive().len(), 6);
}
