//! A cancellation is answered with what really became of the command.

use voltaxe_protocol::CANCELLED;

use super::*;

fn cancelled(id: i64) -> (i64, String) {
    (id, CANCELLED.to_owned())
}

#[test]
fn a_queued_command_is_taken_back_for_good() {
    let mut sim = Sim::live();
    sim.push(&order(1, check()));
    sim.push(&order(2, check()));
    sim.cancel(2);
    sim.done(1);
    assert_eq!((sim.runs(), sim.refusals()), (vec![1], vec![cancelled(2)]));
    let message = &sim.results()[0].message;
    assert_eq!(message, "Cancelled by bob before it was started; nothing was done.");
    sim.recorded(2);
    let mut again = Sim::recovered(sim.journal, sim.now);
    again.go_live();
    again.push(&order(2, check()));
    assert_eq!((again.runs(), again.refusals()), (vec![], vec![cancelled(2)]));
}

#[test]
fn a_command_that_comes_after_its_cancellation_never_runs() {
    let mut sim = Sim::live();
    sim.cancel(1);
    assert_eq!(sim.refusals(), [cancelled(1)]);
    sim.recorded(1);
    sim.take();
    sim.push(&order(1, isolate()));
    assert_eq!((sim.runs(), sim.refusals()), (vec![], vec![cancelled(1)]));
    let DirectVerdict::Receipt(_) = sim.post_directly(&order(1, isolate())) else { panic!() };
    let mut again = Sim::recovered(sim.journal, sim.now);
    again.push(&order(1, isolate()));
    assert_eq!(again.runs(), Vec::<i64>::new());
}

#[test]
fn in_one_poll_the_cancellation_comes_first() {
    let mut sim = Sim::new();
    let answer = PollResponse {
        commands: vec![offered(&order(1, isolate()), 1)],
        cancellations: vec![sealed_cancellation(&cancellation(1))],
        queries: Vec::new(),
    };
    sim.core.handle_poll_answer(sim.now, answer);
    sim.settle();
    assert_eq!((sim.runs(), sim.refusals()), (vec![], vec![cancelled(1)]));
}

#[test]
fn a_running_command_comes_to_its_end_and_its_own_result_is_told() {
    let mut sim = Sim::live();
    sim.push(&order(1, isolate()));
    sim.cancel(1);
    let envelope = sealed_cancellation(&cancellation(1));
    assert!(sim.effects.contains(&Effect::Interrupt { id: CommandId(1), envelope }));
    assert!(sim.results().is_empty());
    sim.done(1);
    assert!(sim.results()[0].success);
    sim.take();
    sim.cancel(1);
    assert!(sim.results()[0].success, "a finished one tells its result again");
    sim.recorded(1);
    sim.take();
    sim.cancel(1);
    assert_eq!((sim.results().len(), sim.results()[0].success), (1, true), "so does a reported one");
}

#[test]
fn a_start_that_is_not_on_disk_yet_can_still_be_stopped() {
    let mut sim = Sim::live();
    let envelope = sealed(&order(1, isolate()));
    sim.core.handle_frame(sim.now, ServerFrame::Command { attempt: 1, envelope });
    let envelope = sealed_cancellation(&cancellation(1));
    sim.core.handle_frame(sim.now, ServerFrame::Cancel { envelope });
    sim.settle();
    assert_eq!((sim.runs(), sim.refusals()), (vec![], vec![cancelled(1)]));
    sim.push(&order(2, isolate()));
    assert_eq!(sim.runs(), [2], "the lane is free again");
}

#[test]
fn nobody_is_told_before_the_disk_has_it() {
    let mut sim = Sim::live();
    sim.push(&order(1, check()));
    sim.push(&order(2, check()));
    sim.disk = Err(JournalError::Broken("test".to_owned()));
    sim.cancel(2);
    assert!(sim.results().is_empty(), "a crash now would run it yet");
    sim.disk = Ok(());
    sim.core.handle_frame(sim.now, ServerFrame::Query { command_id: CommandId(2) });
    sim.settle();
    assert_eq!(sim.refusals(), [cancelled(2)], "asked again, it is tried again");
}

#[test]
fn a_cancellation_that_is_not_for_us_does_nothing() {
    let mut sim = Sim::live();
    sim.push(&order(1, check()));
    sim.push(&order(2, check()));
    sim.take();
    let forged = Envelope::seal(PayloadType::Cancellation, &cancellation(2), &Keypair::from_seed(&[9; 32]));
    let other_type = Envelope::seal(PayloadType::Command, &cancellation(2), &server_key());
    let old = sealed_cancellation(&Cancellation { epoch: Epoch(2), ..cancellation(2) });
    let stranger = EndpointId::of_key(&Keypair::from_seed(&[8; 32]).public());
    let foreign = sealed_cancellation(&Cancellation { endpoint_id: stranger, ..cancellation(2) });
    for envelope in [forged, other_type, old, foreign] {
        sim.core.handle_frame(sim.now, ServerFrame::Cancel { envelope });
        sim.settle();
        let effects = sim.take();
        assert!(matches!(effects[..], [Effect::Send(AgentFrame::Rejected { .. })]), "{effects:?}");
    }
    sim.done(1);
    assert_eq!(sim.runs(), [2]);
}

#[test]
fn a_cancellation_long_after_the_end_leaves_no_trace() {
    let mut sim = Sim::live();
    sim.advance(Duration::from_secs(26 * 3600));
    sim.take();
    let records = sim.journal.len();
    sim.cancel(1);
    assert_eq!(sim.take(), [Effect::Send(AgentFrame::NotKnown { command_id: CommandId(1) })]);
    assert_eq!(sim.journal.len(), records);
}
