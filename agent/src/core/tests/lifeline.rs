//! New rules hold for good only when the server answered through them, and an isolated host keeps up where its server is.

use voltaxe_protocol::{IsolationObservation, ObservedIsolation, PayloadType, ProbeAnswer, ProbeClaims};

use super::*;

const NONCE: &str = "nonce-of-the-executor";
const SECOND: Duration = Duration::from_secs(1);

fn claims(nonce: &str) -> ProbeClaims {
    let addresses = vec!["10.0.0.2:8080".parse().unwrap()];
    ProbeClaims { nonce: nonce.to_owned(), endpoint_id: endpoint(), server_time: start_of_time(), addresses }
}

fn answer(claims: &ProbeClaims, key: &Keypair) -> ProbeAnswer {
    ProbeAnswer { answer: Envelope::seal(PayloadType::Probe, claims, key) }
}

fn silence() -> Result<ProbeAnswer, RequestFailure> {
    Err(RequestFailure::Unavailable("test".to_owned()))
}

impl Sim {
    fn provisional() -> Self {
        let mut sim = Self::live();
        sim.push(&order(1, isolate()));
        sim.take();
        sim.core.handle_provisional(sim.now, CommandId(1), NONCE.to_owned());
        sim.settle();
        sim
    }

    fn probed(&mut self, outcome: Result<ProbeAnswer, RequestFailure>) {
        self.core.handle_probed(self.now, NONCE, outcome);
        self.settle();
    }

    fn probes(&self) -> usize {
        self.effects
            .iter()
            .filter(|effect| matches!(effect, Effect::Probe { nonce } if nonce == NONCE))
            .count()
    }

    fn has(&self, is_it: impl Fn(&Effect) -> bool) -> bool {
        self.effects.iter().any(is_it)
    }

    fn confirms(&self) -> bool {
        self.has(|effect| matches!(effect, Effect::Confirm { nonce, .. } if nonce == NONCE))
    }

    fn rolls_back(&self) -> Option<String> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::RollBack { id: CommandId(1), why } => Some(why.clone()),
            _ => None,
        })
    }

    /// Telemetry shows the kernel's state.
    fn observes(&mut self, state: ObservedIsolation) {
        let mut telemetry = crate::telemetry::collect(
            "web-01",
            voltaxe_protocol::AgentFacts {
                version: String::new(),
                started_at: start_of_time(),
                unreported_results: 0,
                direct_port: None,
            },
            IsolationObservation { state, ..IsolationObservation::default() },
            start_of_time(),
        );
        telemetry.host = voltaxe_protocol::HostFacts::default();
        self.core.handle_telemetry(self.now, telemetry);
        self.settle();
    }
}

#[test]
fn an_isolate_is_done_once_the_server_signed_and_the_executor_took_it() {
    let mut sim = Sim::provisional();
    assert_eq!(sim.probes(), 1);
    sim.probed(Ok(answer(&claims(NONCE), &server_key())));
    let addresses = claims(NONCE).addresses;
    assert!(
        sim.has(|effect| matches!(effect, Effect::Confirm { addresses: signed, .. } if *signed == addresses))
    );
    assert!(sim.results().is_empty(), "not before the kernel has it");
    sim.done(1);
    assert!(sim.results()[0].success);
    sim.advance(30 * SECOND);
    assert!(sim.rolls_back().is_none());
}

#[test]
fn silence_is_asked_again_each_second_and_rolled_back_in_time() {
    let mut sim = Sim::provisional();
    let mut passed = Duration::ZERO;
    while sim.rolls_back().is_none() {
        sim.probed(silence());
        sim.advance(SECOND / 2);
        passed += SECOND / 2;
        assert!(passed < LIFTED_AFTER, "the kernel was faster");
    }
    assert_eq!(passed, Duration::from_secs(25));
    assert_eq!(sim.probes(), 25);
    assert_eq!(sim.rolls_back().unwrap(), "the server cannot be reached: test");
    let outcome = ActionOutcome { success: false, message: "rolled back".to_owned(), data: None };
    sim.core.handle_action_done(sim.now, CommandId(1), outcome);
    sim.settle();
    assert!(!sim.results()[0].success);
    sim.take();
    sim.advance(60 * SECOND);
    assert_eq!((sim.probes(), sim.rolls_back()), (0, None), "it is over");
    sim.push(&order(2, isolate()));
    assert_eq!(sim.runs(), [2], "the lane is free again");
}

#[test]
fn a_probe_that_hangs_is_not_waited_for() {
    let mut sim = Sim::provisional();
    sim.advance(25 * SECOND);
    assert_eq!(sim.rolls_back().as_deref(), Some("no answer"));
    sim.take();
    sim.probed(Ok(answer(&claims(NONCE), &server_key())));
    assert!(!sim.has(|effect| matches!(effect, Effect::Probe { .. })));
}

#[test]
fn only_our_server_s_answer_to_this_very_question_counts() {
    let stranger = EndpointId::of_key(&Keypair::from_seed(&[8; 32]).public());
    let wrong_type =
        ProbeAnswer { answer: Envelope::seal(PayloadType::Hello, &claims(NONCE), &server_key()) };
    let forgeries = [
        (answer(&claims(NONCE), &Keypair::from_seed(&[9; 32])), "who is not the server"),
        (answer(&claims("another-nonce"), &server_key()), "to another question"),
        (
            answer(&ProbeClaims { endpoint_id: stranger, ..claims(NONCE) }, &server_key()),
            "answers for endpoint",
        ),
        (wrong_type, "of another type"),
    ];
    for (forgery, why) in forgeries {
        let mut sim = Sim::provisional();
        sim.probed(Ok(forgery));
        assert!(!sim.confirms(), "{why}");
        sim.advance(25 * SECOND);
        let said = sim.rolls_back().unwrap();
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn an_executor_that_does_not_take_the_answer_is_asked_with_another() {
    let mut sim = Sim::provisional();
    sim.probed(Ok(answer(&claims(NONCE), &server_key())));
    sim.core.handle_not_confirmed(sim.now, NONCE, "the executor did not ask this".to_owned());
    sim.take();
    sim.advance(SECOND);
    assert_eq!(sim.probes(), 1);
    sim.advance(25 * SECOND);
    assert_eq!(sim.rolls_back().as_deref(), Some("the executor did not ask this"));
}

#[test]
fn an_executor_that_came_anew_puts_its_own_question() {
    let mut sim = Sim::provisional();
    sim.core.handle_executor_back(sim.now);
    sim.settle();
    sim.take();
    sim.probed(Ok(answer(&claims(NONCE), &server_key())));
    assert!(!sim.confirms(), "nobody waits for this answer any more");
    sim.advance(26 * SECOND);
    assert!(sim.rolls_back().is_none());
    sim.core.handle_provisional(sim.now, CommandId(1), NONCE.to_owned());
    sim.settle();
    assert_eq!(sim.probes(), 1);
    sim.probed(Ok(answer(&claims(NONCE), &server_key())));
    assert!(sim.confirms());
}

#[test]
fn an_outcome_that_comes_twice_counts_once() {
    let mut sim = Sim::live();
    sim.push(&order(1, check()));
    sim.done(1);
    sim.take();
    sim.done(1);
    sim.core.handle_provisional(sim.now, CommandId(1), NONCE.to_owned());
    sim.settle();
    assert_eq!((sim.results().len(), sim.probes()), (0, 0));
}

#[test]
fn an_isolated_host_asks_each_minute_where_its_server_is() {
    let mut sim = Sim::live();
    sim.observes(ObservedIsolation::NotIsolated);
    sim.advance(120 * SECOND);
    assert!(!sim.has(|effect| *effect == Effect::Challenge));
    sim.observes(ObservedIsolation::Isolated);
    sim.take();
    for _ in 0..3 {
        sim.advance(60 * SECOND);
        assert!(sim.has(|effect| *effect == Effect::Challenge));
        sim.take();
        sim.core.handle_challenge(sim.now, Some(NONCE.to_owned()));
        sim.settle();
        assert_eq!(sim.probes(), 1);
        sim.probed(Ok(answer(&claims(NONCE), &server_key())));
        assert!(sim.confirms());
        sim.core.handle_refreshed(sim.now);
        sim.observes(ObservedIsolation::Isolated);
        sim.take();
    }
    sim.observes(ObservedIsolation::NotIsolated);
    sim.take();
    sim.advance(120 * SECOND);
    assert!(!sim.has(|effect| *effect == Effect::Challenge), "a released host has nothing to keep up");
}

#[test]
fn a_server_that_stays_silent_is_searched_for_less_and_less_often() {
    let mut sim = Sim::live();
    sim.observes(ObservedIsolation::Isolated);
    sim.lose_stream();
    let mut searches = Vec::new();
    for second in 0..3600_u64 {
        sim.take();
        sim.advance(SECOND);
        if sim.has(|effect| *effect == Effect::Challenge) {
            sim.core.handle_challenge(sim.now, Some(NONCE.to_owned()));
            sim.settle();
            sim.probed(silence());
        }
        if sim.has(|effect| *effect == Effect::Search) {
            searches.push(second);
        }
    }
    assert_eq!(
        searches[..4],
        [119, 179, 299, 539],
        "the second probe in vain, then after twice as long each time"
    );
    assert!(searches.len() < 10, "{searches:?}");
    sim.core.handle_searched(sim.now);
    sim.take();
    sim.advance(SECOND);
    assert!(sim.has(|effect| *effect == Effect::Challenge), "what the search opened is tried at once");
}
