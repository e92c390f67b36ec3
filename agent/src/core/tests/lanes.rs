//! Control never waits behind work.

use super::*;

#[test]
fn an_isolate_starts_while_a_check_runs() {
    let mut sim = Sim::live();
    sim.push(&order(1, check()));
    sim.push(&order(2, check()));
    sim.push(&order(3, isolate()));
    assert_eq!(sim.runs(), [1, 3]);
    sim.done(3);
    assert_eq!(sim.runs(), [1, 3]);
    sim.done(1);
    assert_eq!(sim.runs(), [1, 3, 2]);
}

#[test]
fn one_answer_with_both_kinds_starts_both() {
    let mut sim = Sim::live();
    sim.offer(&[order(1, check()), order(2, check()), order(3, isolate()), order(4, restore())]);
    assert_eq!(sim.runs(), [3, 1]);
}

#[test]
fn a_check_is_never_superseded_and_supersedes_nothing() {
    let mut sim = Sim::live();
    sim.push(&order(10, isolate()));
    sim.done(10);
    sim.push(&order(5, check()));
    sim.done(5);
    sim.push(&order(20, check()));
    sim.done(20);
    sim.push(&order(15, restore()));
    assert_eq!((sim.runs(), sim.refusals()), (vec![10, 5, 20, 15], vec![]));
}

#[test]
fn thousands_of_queued_checks_do_not_hold_an_isolate_up() {
    let mut sim = Sim::live();
    let checks: Vec<CommandOrder> = (1..=2000).map(|id| order(id, check())).collect();
    sim.offer(&checks);
    sim.take();
    sim.push(&order(3000, isolate()));
    assert_eq!(sim.runs(), [3000]);
    sim.take();
    for id in 1..=2000 {
        sim.done(id);
        sim.recorded(id);
    }
    assert_eq!(sim.runs(), (2..=2000).collect::<Vec<_>>());
    assert_eq!(sim.core.unreported_results(), 0);
}

#[test]
fn a_full_disk_refuses_work_and_still_restores() {
    let mut sim = Sim::live();
    sim.disk = Err(JournalError::DiskFull);
    sim.push(&order(1, check()));
    sim.push(&order(2, restore()));
    assert_eq!((sim.runs(), sim.refusals()), (vec![2], vec![(1, "disk-full".to_owned())]));
}

#[test]
fn a_check_that_stops_the_agent_twice_is_poison() {
    let mut sim = Sim::live();
    sim.push(&order(1, check()));
    let second = Sim::recovered(sim.journal, sim.now);
    assert_eq!(second.runs(), [1]);
    let mut third = Sim::recovered(second.journal, second.now);
    third.go_live();
    assert_eq!((third.runs(), third.refusals()), (vec![], vec![(1, "poison".to_owned())]));
}
