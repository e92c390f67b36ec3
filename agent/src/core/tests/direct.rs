//! An offer by the direct channel is answered once the order is on disk.

use voltaxe_protocol::ReceiptClaims;

use super::*;

fn receipt(id: i64) -> DirectVerdict {
    DirectVerdict::Receipt(ReceiptClaims { command_id: CommandId(id), endpoint_id: endpoint(), attempt: 3 })
}

#[test]
fn the_receipt_follows_the_commit_and_nothing_is_posted_besides() {
    let mut sim = Sim::new();
    sim.take();
    let offer = DirectOffer { attempt: 3, envelope: sealed(&order(1, isolate())) };
    sim.core.handle_direct_offer(sim.now, 42, &offer);
    let Some(Effect::Append { batch, .. }) = sim.core.poll_effect() else { panic!() };
    assert_eq!(sim.core.poll_effect(), None, "something happened before the disk had it");
    sim.core.handle_committed(sim.now, batch, Ok(Usage::default()));
    sim.settle();
    let id = CommandId(1);
    let envelope = Some(Box::new(sealed(&order(1, isolate()))));
    let answer = Effect::AnswerDirect { ticket: 42, verdict: receipt(1) };
    assert_eq!(sim.take(), [Effect::Run { id, action: isolate(), envelope }, answer]);
    sim.advance(Duration::from_secs(3));
    sim.take();
    sim.done(1);
    let posted: Vec<&Effect> =
        sim.effects.iter().filter(|effect| matches!(effect, Effect::Post(_))).collect();
    assert!(matches!(posted[..], [Effect::Post(Post::Result(_))]), "{posted:?}");
}

#[test]
fn a_known_command_gets_its_receipt_again_and_does_not_run_again() {
    let mut sim = Sim::live();
    sim.push(&order(1, isolate()));
    sim.push(&order(2, isolate()));
    for id in [1, 2] {
        assert_eq!(sim.post_directly(&order(id, isolate())), receipt(id));
    }
    sim.done(1);
    assert_eq!(sim.post_directly(&order(1, isolate())), receipt(1));
    sim.recorded(1);
    assert_eq!(sim.post_directly(&order(1, isolate())), receipt(1));
    assert_eq!(sim.runs(), Vec::<i64>::new());
    let mut again = Sim::recovered(sim.journal, sim.now);
    assert_eq!(again.post_directly(&order(1, isolate())), receipt(1));
    assert_eq!(again.runs(), Vec::<i64>::new());
}

#[test]
fn two_offers_at_once_share_the_commit() {
    let mut sim = Sim::live();
    let offer = DirectOffer { attempt: 3, envelope: sealed(&order(1, isolate())) };
    sim.core.handle_direct_offer(sim.now, 1, &offer);
    sim.core.handle_direct_offer(sim.now, 2, &offer);
    sim.core.handle_frame(sim.now, ServerFrame::Command { attempt: 4, envelope: offer.envelope });
    sim.settle();
    assert_eq!((sim.verdicts(), sim.runs()), (vec![receipt(1), receipt(1)], vec![1]));
    let over_the_stream = Effect::Send(AgentFrame::Receipt { command_id: CommandId(1), attempt: 4 });
    assert!(sim.effects.contains(&over_the_stream));
}

#[test]
fn an_order_that_is_refused_is_receipted_once_the_refusal_is_on_disk() {
    let mut sim = Sim::live();
    let expired = CommandOrder { expires_at: start_of_time(), ..order(1, isolate()) };
    assert_eq!(sim.post_directly(&expired), receipt(1));
    assert_eq!(sim.refusals(), [(1, "expired".to_owned())]);
    assert_eq!(sim.journal.len(), 1);
}

#[test]
fn a_full_disk_gives_no_receipt_and_the_result_says_why() {
    let mut sim = Sim::live();
    sim.disk = Err(JournalError::DiskFull);
    let verdict = sim.post_directly(&order(1, check()));
    assert!(matches!(verdict, DirectVerdict::Unavailable(_)), "{verdict:?}");
    assert_eq!((sim.runs(), sim.refusals()), (vec![], vec![(1, "disk-full".to_owned())]));
    assert_eq!(sim.post_directly(&order(2, restore())), receipt(2), "a restore has the reserve");
    assert_eq!(sim.runs(), [2]);
}

#[test]
fn a_broken_disk_says_nothing_final_of_a_command_that_a_restart_could_run() {
    let mut sim = Sim::live();
    sim.disk = Err(JournalError::Broken("test".to_owned()));
    let verdict = sim.post_directly(&order(1, check()));
    assert!(matches!(verdict, DirectVerdict::Unavailable(_)), "{verdict:?}");
    assert_eq!((sim.runs(), sim.refusals()), (vec![], vec![]));
    let rejected = |effect: &Effect| matches!(effect, Effect::Send(AgentFrame::Rejected { .. }));
    assert!(sim.effects.iter().any(rejected), "the server's log has it");
}

#[test]
fn what_is_not_for_us_is_turned_away_and_leaves_no_trace() {
    let mut sim = Sim::live();
    let stranger = EndpointId::of_key(&Keypair::from_seed(&[8; 32]).public());
    let foreign = sealed(&CommandOrder { endpoint_id: stranger, ..order(1, isolate()) });
    let forged = Envelope::seal(PayloadType::Command, &order(1, isolate()), &Keypair::from_seed(&[9; 32]));
    let cancellation = sealed_cancellation(&cancellation(1));
    for envelope in [foreign, forged, cancellation] {
        sim.core.handle_direct_offer(sim.now, 1, &DirectOffer { attempt: 1, envelope });
    }
    sim.settle();
    let verdicts = sim.verdicts();
    assert_eq!(verdicts.len(), 3);
    assert!(verdicts.iter().all(|verdict| matches!(verdict, DirectVerdict::NotForUs(_))), "{verdicts:?}");
    assert_eq!((sim.effects.len(), sim.journal.len()), (3, 0));
}

#[test]
fn a_poisonous_command_is_not_tried_again_when_it_is_offered_directly() {
    let mut sim = Sim::new();
    assert_eq!(sim.post_directly(&order(1, check())), receipt(1));
    let second = Sim::recovered(sim.journal, sim.now);
    assert_eq!(second.runs(), [1]);
    let mut third = Sim::recovered(second.journal, second.now);
    assert_eq!(third.post_directly(&order(1, check())), receipt(1));
    third.go_live();
    assert_eq!((third.runs(), third.refusals()), (vec![], vec![(1, "poison".to_owned())]));
}
