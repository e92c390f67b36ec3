//! What is executed, when, and what is refused.

use super::*;

#[test]
fn an_order_for_an_idle_agent_costs_one_commit_before_its_effect() {
    let mut core = Sim::live();
    core.core
        .handle_frame(core.now, ServerFrame::Command { attempt: 1, envelope: sealed(&order(1, isolate())) });
    let Some(Effect::Append { batch, records, urgency }) = core.core.poll_effect() else { panic!() };
    assert!(matches!(records.as_slice(), [Record::Received { .. }, Record::Started { .. }]));
    assert_eq!(urgency, Urgency::Normal);
    assert_eq!(core.core.poll_effect(), None, "something happened before the disk had it");
    core.core.handle_committed(core.now, batch, Ok(Usage::default()));
    let id = CommandId(1);
    let envelope = Some(Box::new(sealed(&order(1, isolate()))));
    assert_eq!(core.core.poll_effect(), Some(Effect::Run { id, action: isolate(), envelope }));
    assert_eq!(
        core.core.poll_effect(),
        Some(Effect::Send(AgentFrame::Receipt { command_id: id, attempt: 1 }))
    );
    assert_eq!(core.core.poll_effect(), Some(Effect::Send(AgentFrame::Started { command_id: id })));
    let outcome = ActionOutcome { success: true, message: String::new(), data: None };
    core.core.handle_action_done(core.now, id, outcome);
    assert!(
        matches!(core.core.poll_effect(), Some(Effect::Send(AgentFrame::Result(_)))),
        "the result waits for the disk"
    );
    assert!(matches!(core.core.poll_effect(), Some(Effect::Append { .. })));
}

#[test]
fn the_same_order_over_both_channels_is_executed_once() {
    let mut sim = Sim::live();
    let order = order(1, isolate());
    sim.push(&order);
    sim.offer(std::slice::from_ref(&order));
    sim.push(&order);
    assert_eq!(sim.runs(), [1]);
    sim.done(1);
    sim.take();
    sim.offer(std::slice::from_ref(&order));
    assert_eq!((sim.runs(), sim.results().len()), (vec![], 1), "a finished one is answered with its result");
    sim.recorded(1);
    sim.take();
    sim.push(&order);
    assert_eq!((sim.runs(), sim.results().len()), (vec![], 1), "so is a reported one");
}

#[test]
fn signed_but_unacceptable_orders_are_answered_as_failed() {
    let mut sim = Sim::live();
    let expired = CommandOrder { expires_at: start_of_time(), ..order(1, isolate()) };
    sim.push(&expired);
    sim.push(&CommandOrder { epoch: Epoch(2), ..order(2, isolate()) });
    let mut unknown = serde_json::to_value(order(3, isolate())).unwrap();
    unknown["action"] = json!({"command": "make_coffee", "params": {}});
    sim.push_envelope(Envelope::seal(PayloadType::Command, &unknown, &server_key()));
    let mut extra = serde_json::to_value(order(4, isolate())).unwrap();
    extra["surprise"] = json!(1);
    sim.push_envelope(Envelope::seal(PayloadType::Command, &extra, &server_key()));
    assert_eq!(sim.runs(), Vec::<i64>::new());
    let words = ["expired", "wrong-epoch", "not-understood", "not-understood"];
    let expected: Vec<(i64, String)> = (1..).zip(words.map(str::to_owned)).collect();
    assert_eq!(sim.refusals(), expected);
    assert_eq!(sim.journal.len(), 4, "each refusal is remembered");
    sim.take();
    sim.push(&expired);
    assert_eq!(sim.refusals(), [(1, "expired".to_owned())]);
}

#[test]
fn forged_or_foreign_envelopes_are_thrown_away_without_a_trace() {
    let mut sim = Sim::live();
    sim.push_envelope(Envelope::seal(
        PayloadType::Command,
        &order(1, isolate()),
        &Keypair::from_seed(&[9; 32]),
    ));
    sim.push_envelope(Envelope::seal(PayloadType::Hello, &order(2, isolate()), &server_key()));
    let other = EndpointId::of_key(&Keypair::from_seed(&[8; 32]).public());
    sim.push(&CommandOrder { endpoint_id: other, ..order(3, isolate()) });
    let mut tampered = sealed(&order(4, isolate()));
    tampered.payload = sealed(&order(5, isolate())).payload;
    sim.push_envelope(tampered);
    assert!(sim.journal.is_empty());
    assert_eq!(sim.effects.len(), 4);
    assert!(sim.effects.iter().all(|effect| matches!(effect, Effect::Send(AgentFrame::Rejected { .. }))));
}

#[test]
fn an_order_waits_for_its_time() {
    let mut sim = Sim::live();
    let later = start_of_time() + TimeDelta::seconds(30);
    sim.push(&CommandOrder { not_before: Some(later), ..order(1, isolate()) });
    assert_eq!(sim.runs(), Vec::<i64>::new());
    assert!(
        sim.effects.contains(&Effect::Send(AgentFrame::Receipt { command_id: CommandId(1), attempt: 1 }))
    );
    sim.advance(Duration::from_secs(29));
    assert_eq!(sim.runs(), Vec::<i64>::new());
    sim.advance(Duration::from_secs(1));
    assert_eq!(sim.runs(), [1]);
}

#[test]
fn an_order_that_expires_while_it_waits_is_not_started() {
    let mut sim = Sim::live();
    let later = start_of_time() + TimeDelta::seconds(30);
    sim.push(&CommandOrder { not_before: Some(later), expires_at: later, ..order(1, isolate()) });
    sim.advance(Duration::from_secs(30));
    assert_eq!((sim.runs(), sim.refusals()), (vec![], vec![(1, "expired".to_owned())]));
}

#[test]
fn a_lane_runs_one_at_a_time_oldest_first() {
    let mut sim = Sim::live();
    sim.offer(&[order(3, isolate()), order(1, isolate()), order(2, restore())]);
    assert_eq!(sim.runs(), [1]);
    sim.done(1);
    assert_eq!(sim.runs(), [1, 2]);
    sim.done(2);
    sim.done(3);
    assert_eq!(sim.runs(), [1, 2, 3]);
}

#[test]
fn an_older_isolate_or_restore_never_undoes_a_newer_one() {
    let mut sim = Sim::live();
    sim.push(&order(10, restore()));
    sim.done(10);
    sim.push(&order(9, isolate()));
    assert_eq!((sim.runs(), sim.refusals()), (vec![10], vec![(9, "superseded".to_owned())]));
    let mut again = Sim::recovered(sim.journal, sim.now);
    again.go_live();
    again.take();
    again.push(&order(8, isolate()));
    assert_eq!((again.runs(), again.refusals()), (vec![], vec![(8, "superseded".to_owned())]));
}
