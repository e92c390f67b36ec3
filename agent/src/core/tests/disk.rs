//! What a crash, a full disk and time leave.

use super::*;

#[test]
fn a_replay_after_a_restart_gets_the_stored_result() {
    let mut sim = Sim::live();
    sim.push(&order(1, isolate()));
    sim.done(1);
    sim.recorded(1);
    let mut again = Sim::recovered(sim.journal, sim.now);
    again.go_live();
    assert!(again.results().is_empty());
    again.push(&order(1, isolate()));
    assert_eq!((again.runs(), again.results()[0].message.as_str()), (vec![], "done"));
}

#[test]
fn a_start_without_an_end_is_taken_up_once_and_then_called_poison() {
    let mut sim = Sim::live();
    sim.push(&order(1, isolate()));
    let second = Sim::recovered(sim.journal, sim.now);
    assert_eq!(second.runs(), [1]);
    let mut third = Sim::recovered(second.journal, second.now);
    third.go_live();
    assert_eq!((third.runs(), third.refusals()[0].clone()), (vec![], (1, "poison".to_owned())));
}

#[test]
fn a_begun_order_is_ended_after_a_restart_even_when_it_expired_meanwhile() {
    let mut sim = Sim::live();
    sim.push(&order(1, isolate()));
    let later = Now { wall: start_of_time() + TimeDelta::days(1), uptime: Duration::ZERO };
    assert_eq!(Sim::recovered(sim.journal, later).runs(), [1]);
}

#[test]
fn a_full_disk_refuses_new_work_with_a_result() {
    let mut sim = Sim::live();
    sim.disk = Err(JournalError::DiskFull);
    sim.push(&order(1, isolate()));
    assert_eq!((sim.runs(), sim.refusals()), (vec![], vec![(1, "disk-full".to_owned())]));
    sim.disk = Ok(());
    sim.recorded(1);
    sim.take();
    sim.push(&order(2, isolate()));
    assert_eq!(sim.runs(), [2]);
}

#[test]
fn a_queued_command_that_a_full_disk_ends_is_not_run_after_a_restart() {
    let mut sim = Sim::live();
    sim.push(&order(1, isolate()));
    sim.push(&order(2, isolate()));
    sim.disk = Err(JournalError::DiskFull);
    sim.done(1);
    assert_eq!((sim.runs(), sim.refusals()), (vec![1], vec![(2, "disk-full".to_owned())]));
    sim.recorded(1);
    sim.recorded(2);
    let mut again = Sim::recovered(sim.journal, sim.now);
    again.go_live();
    assert_eq!(again.runs(), Vec::<i64>::new());
}

#[test]
fn a_reported_command_whose_result_record_was_lost_is_not_run_again() {
    let mut sim = Sim::live();
    sim.push(&order(1, isolate()));
    sim.done(1);
    sim.recorded(1);
    let journal: Vec<Record> =
        sim.journal.into_iter().filter(|record| !matches!(record, Record::Finished { .. })).collect();
    let mut again = Sim::recovered(journal, sim.now);
    again.go_live();
    assert_eq!(again.runs(), Vec::<i64>::new());
}

#[test]
fn a_restore_may_use_the_reserve() {
    let mut sim = Sim::live();
    let envelope = sealed(&order(1, restore()));
    sim.core.handle_frame(sim.now, ServerFrame::Command { attempt: 1, envelope });
    assert!(matches!(sim.core.poll_effect(), Some(Effect::Append { urgency: Urgency::Essential, .. })));
}

#[test]
fn ids_are_remembered_until_their_order_is_long_expired() {
    let mut sim = Sim::live();
    sim.push(&order(1, isolate()));
    sim.done(1);
    sim.recorded(1);
    sim.advance(Duration::from_secs(24 * 3600));
    assert!(sim.core.ledger.get(CommandId(1)).is_some());
    sim.advance(Duration::from_secs(2 * 3600));
    assert!(sim.core.ledger.get(CommandId(1)).is_none());
}

#[test]
fn a_large_journal_is_compacted_whatever_is_still_to_be_reported() {
    let mut sim = Sim::live();
    sim.push(&order(1, isolate()));
    sim.done(1);
    sim.recorded(1);
    sim.push(&order(2, check()));
    sim.done(2);
    sim.push(&order(3, check()));
    sim.push(&order(4, check()));
    sim.cancel(9);
    sim.usage.used_bytes = 2 * 1024 * 1024;
    sim.push(&order(5, isolate()));
    let journal = sim.compacted.clone().expect("the journal is rewritten");
    let steps: Vec<(i64, &str)> = journal
        .iter()
        .map(|record| {
            let step = match record {
                Record::Received { .. } => "received",
                Record::Started { .. } => "started",
                Record::Finished { .. } => "finished",
                Record::Reported { .. } => "reported",
                Record::Known { .. } => "known",
            };
            (record.command_id().0, step)
        })
        .collect();
    let expected = [
        (1, "known"),
        (3, "received"),
        (3, "started"),
        (4, "received"),
        (5, "received"),
        (5, "started"),
        (2, "finished"),
        (9, "finished"),
    ];
    assert_eq!(steps, expected);
    let mut again = Sim::recovered(sim.journal, sim.now);
    assert_eq!(again.runs(), [5, 3], "what had begun is taken up, each in its lane");
    again.go_live();
    let told: Vec<i64> = again.results().iter().map(|result| result.command_id.0).collect();
    assert_eq!(told, [2, 9]);
    again.take();
    again.push(&order(1, isolate()));
    again.push(&order(9, check()));
    assert_eq!((again.runs(), again.results().len()), (vec![], 2), "and both are known");
}

#[test]
fn compaction_waits_for_what_is_on_its_way_to_the_disk() {
    let mut sim = Sim::live();
    let envelope = sealed(&order(1, isolate()));
    sim.core.handle_frame(sim.now, ServerFrame::Command { attempt: 1, envelope });
    let Some(Effect::Append { batch: first, .. }) = sim.core.poll_effect() else { panic!() };
    let envelope = sealed(&order(2, isolate()));
    sim.core.handle_frame(sim.now, ServerFrame::Command { attempt: 1, envelope });
    let Some(Effect::Append { batch: second, .. }) = sim.core.poll_effect() else { panic!() };
    let large = Usage { used_bytes: 2 * 1024 * 1024, limit_bytes: 64 * 1024 * 1024 };
    sim.core.handle_committed(sim.now, first, Ok(large));
    let mut effects: Vec<Effect> = std::iter::from_fn(|| sim.core.poll_effect()).collect();
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Compact { .. })), "{effects:?}");
    sim.core.handle_committed(sim.now, second, Ok(large));
    effects = std::iter::from_fn(|| sim.core.poll_effect()).collect();
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Compact { .. })), "{effects:?}");
}
