use chrono::TimeDelta;
use voltaxe_protocol::{AgentCheck, NetworkIsolate, ObservedIsolation};

use super::*;

const SEED: u64 = 17;

struct World {
    server: Keypair,
    agent: SimAgent,
    now: DateTime<Utc>,
}

impl World {
    fn new(verify: Verify) -> Self {
        let server = Keypair::from_seed(&[9; 32]);
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let enrolment = Enrolment { server_key: server.public(), epoch: Epoch(1) };
        Self { agent: SimAgent::new(Identity::derive(SEED, 0), enrolment, verify, now), server, now }
    }

    fn order(&self, id: i64, action: Command) -> CommandOrder {
        CommandOrder {
            id: CommandId(id),
            endpoint_id: self.agent.identity.id.clone(),
            epoch: Epoch(1),
            action,
            issued_at: self.now,
            not_before: None,
            expires_at: self.now + TimeDelta::days(7),
            created_by: "alice".to_owned(),
            reason: "test".to_owned(),
        }
    }

    fn sealed(&self, order: &CommandOrder) -> Envelope {
        Envelope::seal(PayloadType::Command, order, &self.server)
    }

    fn isolate(&self, id: i64) -> Envelope {
        self.sealed(&self.order(
            id,
            Command::NetworkIsolate(NetworkIsolate {
                reason: "test".to_owned(),
                ..NetworkIsolate::default()
            }),
        ))
    }

    fn cancel(&self, id: i64) -> Option<CommandResult> {
        let wish = Cancellation {
            id: CommandId(id),
            endpoint_id: self.agent.identity.id.clone(),
            epoch: Epoch(1),
            issued_at: self.now,
            expires_at: self.now + TimeDelta::days(7),
            cancelled_by: "alice".to_owned(),
        };
        self.agent.cancelled(&Envelope::seal(PayloadType::Cancellation, &wish, &self.server))
    }
}

#[test]
fn agents_follow_from_the_seed() {
    let (one, same, other) = (Identity::derive(1, 5), Identity::derive(1, 5), Identity::derive(2, 5));
    assert_eq!((&one.id, &one.hostname), (&same.id, &same.hostname));
    assert_ne!(one.id, other.id);
    assert_ne!(one.hostname, other.hostname);
}

#[test]
fn an_isolate_offered_many_times_takes_effect_once_and_shows_in_telemetry() {
    let world = World::new(Verify::Always);
    let envelope = world.isolate(4);
    let first = world.agent.offered(1, &envelope, world.now);
    assert!(matches!(first, Offered::Accepted { is_new: true, .. }), "{first:?}");
    let again = world.agent.offered(2, &envelope, world.now);
    assert!(matches!(again, Offered::Accepted { is_new: false, .. }), "{again:?}");
    let result = world.agent.execute(CommandId(4), world.now).unwrap();
    assert_eq!(world.agent.execute(CommandId(4), world.now), None);
    let late = world.agent.offered(3, &envelope, world.now);
    assert_eq!(
        late,
        Offered::Known {
            receipt: AgentFrame::Receipt { command_id: CommandId(4), attempt: 3 },
            result: Box::new(result)
        }
    );
    assert_eq!(world.agent.with_ledger(|ledger| ledger.get(CommandId(4)).unwrap().effects), 1);
    let telemetry = world.agent.telemetry(world.now);
    assert!(telemetry.isolated);
    assert_eq!(telemetry.isolation.state, ObservedIsolation::Isolated);
    assert_eq!(telemetry.isolation.generation, Some(CommandId(4)));
    assert_eq!(telemetry.agent.unreported_results, 1);
}

#[test]
fn orders_of_others_or_for_others_are_rejected() {
    let world = World::new(Verify::Always);
    let order = world.order(4, Command::AgentCheck(AgentCheck {}));
    let forged = Envelope::seal(PayloadType::Command, &order, &Keypair::from_seed(&[1; 32]));
    assert!(matches!(world.agent.offered(1, &forged, world.now), Offered::Rejected(_)));
    let elsewhere = CommandOrder { endpoint_id: Identity::derive(SEED, 1).id, ..order.clone() };
    assert!(matches!(world.agent.offered(1, &world.sealed(&elsewhere), world.now), Offered::Rejected(_)));
    let old = CommandOrder { epoch: Epoch(0), ..order };
    let Offered::Known { result, .. } = world.agent.offered(1, &world.sealed(&old), world.now) else {
        panic!("an order of an earlier enrolment is answered")
    };
    assert_eq!(result.refused(), Some("wrong-epoch"));
    assert_eq!(world.agent.with_ledger(|ledger| ledger.entries().map(|(_, e)| e.effects).sum::<u32>()), 0);
}

#[test]
fn a_share_of_the_signatures_is_checked_where_so_asked() {
    let world = World::new(Verify::OneOf(2));
    let forged = |id| {
        let order = world.order(id, Command::AgentCheck(AgentCheck {}));
        Envelope::seal(PayloadType::Command, &order, &Keypair::from_seed(&[1; 32]))
    };
    assert!(matches!(world.agent.offered(1, &forged(2), world.now), Offered::Rejected(_)));
    assert!(matches!(world.agent.offered(1, &forged(3), world.now), Offered::Accepted { .. }));
}

#[test]
fn a_cancellation_is_answered_with_what_became_of_the_command() {
    let world = World::new(Verify::Always);
    world.agent.offered(1, &world.isolate(4), world.now);
    assert_eq!(world.cancel(4).unwrap().refused(), Some("cancelled"));
    assert_eq!(world.agent.execute(CommandId(4), world.now), None);

    assert_eq!(world.cancel(5).unwrap().refused(), Some("cancelled"), "one that never came");
    assert!(matches!(world.agent.offered(1, &world.isolate(5), world.now), Offered::Known { .. }));

    world.agent.offered(1, &world.isolate(6), world.now);
    let done = world.agent.execute(CommandId(6), world.now);
    assert_eq!(world.cancel(6), done, "too late: it tells what was done");
}

#[test]
fn a_question_is_answered_from_the_ledger() {
    let world = World::new(Verify::Always);
    let id = CommandId(4);
    assert_eq!(world.agent.answer(id), AgentFrame::NotKnown { command_id: id });
    world.agent.offered(3, &world.isolate(4), world.now);
    assert_eq!(world.agent.answer(id), AgentFrame::Receipt { command_id: id, attempt: 3 });
    let result = world.agent.execute(id, world.now).unwrap();
    assert_eq!(world.agent.answer(id), AgentFrame::Result(result));
}

#[test]
fn join_counters_rise_even_when_the_clock_stands() {
    let world = World::new(Verify::Always);
    let counter = || {
        let AgentFrame::Hello { envelope } = world.agent.hello("n".repeat(43), world.now) else { panic!() };
        let claims: HelloClaims =
            envelope.open(PayloadType::Hello, &world.agent.identity.key.public()).unwrap();
        claims.join_counter
    };
    let first = counter();
    assert!(counter() > first);
}
