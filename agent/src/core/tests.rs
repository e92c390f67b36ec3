use chrono::{DateTime, Utc};
use serde_json::json;
use voltaxe_protocol::{
    Command, CommandOrder, CommandResult, EndpointId, Epoch, Keypair, NetworkIsolate, NetworkRestore,
    PayloadType, RefusalReason,
};

use super::*;
use crate::journal::{JournalError, Urgency, Usage};

mod properties;

fn server_key() -> Keypair {
    Keypair::from_seed(&[1; 32])
}

fn endpoint() -> EndpointId {
    EndpointId::of_key(&Keypair::from_seed(&[2; 32]).public())
}

fn start_of_time() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn isolate() -> Command {
    Command::NetworkIsolate(NetworkIsolate { reason: "test".to_owned() })
}

fn restore() -> Command {
    Command::NetworkRestore(NetworkRestore { reason: "test".to_owned() })
}

fn order(id: i64, action: Command) -> CommandOrder {
    CommandOrder {
        id: CommandId(id),
        endpoint_id: endpoint(),
        epoch: Epoch(3),
        action,
        issued_at: start_of_time(),
        not_before: None,
        expires_at: start_of_time() + TimeDelta::hours(1),
        created_by: "alice".to_owned(),
        reason: "test".to_owned(),
    }
}

fn sealed(order: &CommandOrder) -> Envelope {
    Envelope::seal(PayloadType::Command, order, &server_key())
}

/// A core with a disk that confirms at once unless told otherwise, and everything it asked for.
struct Sim {
    core: Core,
    now: Now,
    /// What is on disk.
    journal: Vec<Record>,
    disk: Result<(), JournalError>,
    /// Everything but appends.
    effects: Vec<Effect>,
}

impl Sim {
    fn new() -> Self {
        Self::recovered(Vec::new(), Now { wall: start_of_time(), uptime: Duration::ZERO })
    }

    fn recovered(records: Vec<Record>, now: Now) -> Self {
        let trust = Trust { endpoint_id: endpoint(), epoch: Epoch(3), server_key: server_key().public() };
        let settings = Settings {
            stream_enabled: true,
            poll_interval: Some(Duration::from_secs(10)),
            telemetry_interval: Duration::from_secs(15),
        };
        let recovered = Recovered { records: records.clone(), last_applied: None };
        let core = Core::new(now, 7, trust, &settings, recovered);
        let mut sim = Self { core, now, journal: records, disk: Ok(()), effects: Vec::new() };
        sim.settle();
        sim
    }

    fn live() -> Self {
        let mut sim = Self::new();
        sim.go_live();
        sim.effects.clear();
        sim
    }

    fn go_live(&mut self) {
        self.core.handle_stream_live(self.now, 15);
        self.settle();
    }

    fn lose_stream(&mut self) {
        self.core.handle_stream_lost(self.now, &StreamLoss::Closed("test".to_owned()));
        self.settle();
    }

    fn push(&mut self, order: &CommandOrder) {
        self.push_envelope(sealed(order));
    }

    fn push_envelope(&mut self, envelope: Envelope) {
        self.core.handle_frame(self.now, ServerFrame::Command { attempt: 1, envelope });
        self.settle();
    }

    fn offer(&mut self, orders: &[CommandOrder]) {
        let commands = orders
            .iter()
            .map(|order| OfferedCommand {
                id: order.id,
                command: order.action.kind().to_owned(),
                params: json!({}),
                attempt: 2,
                envelope: sealed(order),
            })
            .collect();
        self.core.handle_poll_answer(self.now, PollResponse { commands });
        self.settle();
    }

    fn done(&mut self, id: i64) {
        let outcome = ActionOutcome { success: true, message: "done".to_owned(), data: None };
        self.core.handle_action_done(self.now, CommandId(id), outcome);
        self.settle();
    }

    fn recorded(&mut self, id: i64) {
        self.core.handle_frame(self.now, ServerFrame::ResultRecorded { command_id: CommandId(id) });
        self.settle();
    }

    fn advance(&mut self, by: Duration) {
        self.now.uptime += by;
        self.now.wall += by;
        self.core.handle_timeout(self.now);
        self.settle();
    }

    /// Lets the disk answer until nothing is asked of it any more.
    fn settle(&mut self) {
        while let Some(effect) = self.core.poll_effect() {
            match effect {
                Effect::Append { batch, records, urgency } => {
                    let outcome = match (&self.disk, urgency) {
                        // The reserve.
                        (Err(JournalError::DiskFull), Urgency::Essential) => Ok(Usage::default()),
                        (disk, _) => disk.clone().map(|()| Usage::default()),
                    };
                    if outcome.is_ok() {
                        self.journal.extend(records);
                    }
                    self.core.handle_committed(self.now, batch, outcome);
                }
                other => self.effects.push(other),
            }
        }
    }

    fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    fn runs(&self) -> Vec<i64> {
        self.effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Run { id, .. } => Some(id.0),
                _ => None,
            })
            .collect()
    }

    fn results(&self) -> Vec<CommandResult> {
        self.effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Send(AgentFrame::Result(result)) | Effect::Post(Post::Result(result)) => {
                    Some(result.clone())
                }
                _ => None,
            })
            .collect()
    }

    fn refusals(&self) -> Vec<(i64, String)> {
        self.results()
            .into_iter()
            .filter(|result| !result.success)
            .map(|result| {
                let word = result.data.unwrap()["refused"].as_str().unwrap().to_owned();
                (result.command_id.0, word)
            })
            .collect()
    }
}

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
    assert_eq!(core.core.poll_effect(), Some(Effect::Run { id, action: isolate() }));
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

#[test]
fn a_result_is_sent_again_until_the_server_has_it() {
    let mut sim = Sim::live();
    sim.push(&order(1, isolate()));
    sim.done(1);
    assert_eq!(sim.results().len(), 1);
    sim.advance(Duration::from_secs(10));
    assert_eq!(sim.results().len(), 2);
    sim.lose_stream();
    sim.advance(Duration::from_secs(2));
    assert!(matches!(sim.effects.last(), Some(Effect::Post(Post::Result(_)))), "{:?}", sim.effects);
    let failure = RequestFailure::Unavailable("test".to_owned());
    sim.core.handle_posted(sim.now, PostKey::Result(CommandId(1)), Err(failure));
    sim.settle();
    sim.take();
    sim.go_live();
    assert_eq!(sim.results().len(), 1, "a new stream gets every unreported result");
    sim.recorded(1);
    sim.take();
    sim.advance(Duration::from_secs(3600));
    assert!(sim.results().is_empty());
    assert_eq!(sim.core.unreported_results(), 0);
}

#[test]
fn without_a_stream_everything_goes_by_post() {
    let mut sim = Sim::new();
    sim.take();
    sim.offer(&[order(1, isolate())]);
    sim.done(1);
    let posts: Vec<PostKey> = sim
        .take()
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Post(post) => Some(post.key()),
            _ => None,
        })
        .collect();
    assert_eq!(posts, [PostKey::Receipt(CommandId(1)), PostKey::Result(CommandId(1))]);
    sim.core.handle_posted(sim.now, PostKey::Result(CommandId(1)), Ok(()));
    sim.settle();
    assert_eq!(sim.core.unreported_results(), 0);
}

#[test]
fn a_query_is_answered_from_the_journal() {
    let mut sim = Sim::live();
    let ask = |sim: &mut Sim, id| {
        sim.take();
        sim.core.handle_frame(sim.now, ServerFrame::Query { command_id: CommandId(id) });
        sim.settle();
        sim.take()
    };
    let command_id = CommandId(1);
    assert_eq!(ask(&mut sim, 1), [Effect::Send(AgentFrame::NotKnown { command_id })]);
    sim.push(&order(1, isolate()));
    assert_eq!(ask(&mut sim, 1), [Effect::Send(AgentFrame::Receipt { command_id, attempt: 1 })]);
    sim.done(1);
    assert!(matches!(ask(&mut sim, 1).as_slice(), [Effect::Send(AgentFrame::Result(_))]));
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
fn polling_rests_while_the_stream_is_live() {
    let mut sim = Sim::new();
    sim.advance(Duration::from_secs(3));
    assert!(sim.take().contains(&Effect::Poll));
    sim.core.handle_poll_answer(sim.now, PollResponse::default());
    sim.go_live();
    sim.take();
    sim.advance(Duration::from_secs(60));
    assert!(!sim.take().contains(&Effect::Poll));
    sim.lose_stream();
    sim.advance(Duration::from_secs(3));
    let effects = sim.take();
    assert!(effects.contains(&Effect::Poll) && effects.contains(&Effect::ConnectStream));
}

#[test]
fn a_refusing_server_is_left_alone_for_longer() {
    let mut sim = Sim::new();
    let loss =
        StreamLoss::Refused { reason: RefusalReason::AwaitingApproval, detail: "approve first".to_owned() };
    sim.core.handle_stream_lost(sim.now, &loss);
    let refused =
        RequestFailure::Refused { word: "awaiting-approval".to_owned(), detail: "approve first".to_owned() };
    sim.core.handle_poll_failed(sim.now, &refused);
    sim.settle();
    sim.take();
    sim.advance(Duration::from_secs(14));
    assert!(
        !sim.effects
            .iter()
            .any(|effect| matches!(effect, Effect::Poll | Effect::ConnectStream | Effect::Post(_)))
    );
    sim.advance(Duration::from_secs(17));
    assert!(sim.effects.contains(&Effect::Poll) && sim.effects.contains(&Effect::ConnectStream));
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
fn a_large_journal_is_compacted_once_everything_is_reported() {
    let mut sim = Sim::live();
    sim.push(&order(1, isolate()));
    sim.done(1);
    let large = Ok(Usage { used_bytes: 2 * 1024 * 1024 });
    sim.core.handle_committed(sim.now, 999, large.clone());
    assert_eq!(sim.core.poll_effect(), None);
    sim.recorded(1);
    sim.core.handle_committed(sim.now, 1000, large);
    let Some(Effect::Compact { records }) = sim.core.poll_effect() else { panic!() };
    assert!(matches!(records.as_slice(), [Record::Known { .. }]));
    let mut again = Sim::recovered(records, sim.now);
    again.push(&order(1, isolate()));
    assert_eq!(again.runs(), Vec::<i64>::new());
}

#[test]
fn telemetry_follows_an_isolation_at_once() {
    let mut sim = Sim::live();
    sim.core.telemetry.collecting = false;
    sim.push(&order(1, isolate()));
    sim.done(1);
    assert_eq!(sim.effects.last(), Some(&Effect::CollectTelemetry));
}
