//! Whatever happens in whatever order, these hold.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::{invariants::Witness, *};

/// Ids 1 to 5 isolate and restore in turns, 6 to 8 check.
const IDS: std::ops::Range<i64> = 1..9;

#[derive(Clone, Debug)]
enum Step {
    Push(i64),
    Offer(Vec<i64>),
    Query(i64),
    Direct(i64),
    Cancel(i64),
    /// The disk confirms the oldest append.
    Commit,
    /// The oldest running command ends.
    Finish,
    /// The server acknowledges a result it was sent.
    Record(i64),
    Live,
    Lose,
    Posted {
        works: bool,
    },
    Wait(u64),
    /// The process dies: what was not confirmed is gone.
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let id = IDS;
    let step = prop_oneof![
        4 => id.clone().prop_map(Step::Push),
        2 => prop::collection::vec(id.clone(), 0..4).prop_map(Step::Offer),
        1 => id.clone().prop_map(Step::Query),
        1 => id.clone().prop_map(Step::Direct),
        1 => id.clone().prop_map(Step::Cancel),
        8 => Just(Step::Commit),
        6 => Just(Step::Finish),
        2 => id.prop_map(Step::Record),
        2 => Just(Step::Live),
        2 => Just(Step::Lose),
        2 => any::<bool>().prop_map(|works| Step::Posted { works }),
        2 => (0..20_u64).prop_map(Step::Wait),
        1 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 0..80)
}

fn order_of(id: i64) -> CommandOrder {
    order(
        id,
        if id > 5 {
            check()
        } else if id % 2 == 1 {
            isolate()
        } else {
            restore()
        },
    )
}

/// Signing is what costs time here.
fn envelope_of(id: i64) -> Envelope {
    static SEALED: LazyLock<Vec<Envelope>> = LazyLock::new(|| IDS.map(|id| sealed(&order_of(id))).collect());
    SEALED[usize::try_from(id - 1).unwrap()].clone()
}

fn cancellation_of(id: i64) -> Envelope {
    static SEALED: LazyLock<Vec<Envelope>> =
        LazyLock::new(|| IDS.map(|id| sealed_cancellation(&cancellation(id))).collect());
    SEALED[usize::try_from(id - 1).unwrap()].clone()
}

/// The world around the core, step by step.
struct World {
    sim: Sim,
    is_live: bool,
    appends: VecDeque<(BatchId, Vec<Record>)>,
    running: VecDeque<i64>,
    posts: VecDeque<PostKey>,
    witness: Witness,
}

impl World {
    fn new() -> Self {
        let mut sim = Sim::new();
        sim.effects.clear();
        Self {
            sim,
            is_live: false,
            appends: VecDeque::new(),
            running: VecDeque::new(),
            posts: VecDeque::new(),
            witness: Witness::default(),
        }
    }

    fn step(&mut self, step: &Step) {
        let now = self.sim.now;
        let core = &mut self.sim.core;
        match step {
            Step::Push(id) if self.is_live => {
                let envelope = envelope_of(*id);
                core.handle_frame(now, ServerFrame::Command { attempt: 1, envelope });
            }
            Step::Offer(ids) => {
                let commands = ids
                    .iter()
                    .map(|id| OfferedCommand {
                        id: CommandId(*id),
                        command: String::new(),
                        params: json!({}),
                        attempt: 2,
                        envelope: envelope_of(*id),
                    })
                    .collect();
                core.handle_poll_answer(now, PollResponse { commands, ..PollResponse::default() });
            }
            Step::Direct(id) => {
                let offer = DirectOffer { attempt: 3, envelope: envelope_of(*id) };
                core.handle_direct_offer(now, 1, &offer);
            }
            Step::Cancel(id) if self.is_live => {
                core.handle_frame(now, ServerFrame::Cancel { envelope: cancellation_of(*id) });
            }
            Step::Query(id) if self.is_live => {
                core.handle_frame(now, ServerFrame::Query { command_id: CommandId(*id) });
            }
            Step::Commit => {
                if let Some((batch, records)) = self.appends.pop_front() {
                    self.witness.is_on_disk(&records);
                    self.sim.journal.extend(records);
                    core.handle_committed(now, batch, Ok(Usage::default()));
                }
            }
            Step::Finish => {
                if let Some(id) = self.running.pop_front() {
                    self.witness.ends(id);
                    let outcome = ActionOutcome { success: true, message: "done".to_owned(), data: None };
                    core.handle_action_done(now, CommandId(id), outcome);
                }
            }
            Step::Record(id) if self.is_live && self.witness.told().contains_key(id) => {
                core.handle_frame(now, ServerFrame::ResultRecorded { command_id: CommandId(*id) });
            }
            Step::Live if !self.is_live => {
                self.is_live = true;
                core.handle_stream_live(now, 15);
            }
            Step::Lose if self.is_live => {
                self.is_live = false;
                core.handle_stream_lost(now, &StreamLoss::Closed("test".to_owned()));
            }
            Step::Posted { works } => {
                if let Some(key) = self.posts.pop_front() {
                    let failure = RequestFailure::Unavailable("test".to_owned());
                    core.handle_posted(now, key, if *works { Ok(()) } else { Err(failure) });
                }
            }
            Step::Wait(seconds) => {
                let by = Duration::from_secs(*seconds);
                self.sim.now = Now { wall: now.wall + by, uptime: now.uptime + by };
                self.sim.core.handle_timeout(self.sim.now);
            }
            Step::Crash => self.crash(),
            Step::Push(_) | Step::Query(_) | Step::Cancel(_) | Step::Record(_) | Step::Live | Step::Lose => {}
        }
        self.look();
    }

    fn crash(&mut self) {
        let journal = std::mem::take(&mut self.sim.journal);
        let recovered = Recovered { records: journal.clone(), last_applied: None };
        self.sim.core = Core::new(self.sim.now, 7, trust(), &settings(), recovered);
        self.witness.crash();
        self.sim.journal = journal;
        self.is_live = false;
        self.appends.clear();
        self.running.clear();
        self.posts.clear();
    }

    /// Takes what the core asks for and checks it.
    fn look(&mut self) {
        while let Some(effect) = self.sim.core.poll_effect() {
            match effect {
                Effect::Append { batch, records, .. } => self.appends.push_back((batch, records)),
                Effect::Run { id, action, .. } => {
                    self.witness.runs(id.0, &action);
                    self.running.push_back(id.0);
                }
                Effect::Send(frame) => {
                    assert!(self.is_live, "a frame without a stream: {frame:?}");
                    if let AgentFrame::Result(result) = frame {
                        self.witness.tells(&result);
                    }
                }
                Effect::Post(post) => {
                    self.posts.push_back(post.key());
                    if let Post::Result(result) = post {
                        self.witness.tells(&result);
                    }
                }
                Effect::AnswerDirect { verdict, .. } => self.check_verdict(verdict),
                Effect::Compact { .. }
                | Effect::ConnectStream
                | Effect::Poll
                | Effect::CollectTelemetry
                | Effect::Interrupt { .. }
                | Effect::Probe { .. }
                | Effect::Challenge
                | Effect::Confirm { .. }
                | Effect::RollBack { .. }
                | Effect::Search => {}
            }
        }
    }

    fn check_verdict(&self, verdict: DirectVerdict) {
        let DirectVerdict::Receipt(claims) = verdict else { panic!("{verdict:?}") };
        assert!(
            self.sim.journal.iter().any(|record| record.command_id() == claims.command_id),
            "command {} is receipted before it is on disk",
            claims.command_id
        );
    }

    /// A good network, a good disk and some time: everything comes to its end.
    fn come_to_rest(&mut self) {
        for _ in 0..200 {
            self.step(&Step::Live);
            while !(self.appends.is_empty() && self.running.is_empty()) {
                self.step(&Step::Commit);
                self.step(&Step::Finish);
            }
            self.step(&Step::Posted { works: true });
            for id in IDS {
                self.step(&Step::Record(id));
            }
            self.step(&Step::Wait(1));
            if self.sim.core.ledger.all_reported() && self.appends.is_empty() && self.posts.is_empty() {
                return;
            }
        }
        panic!("it does not come to rest");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn each_command_is_executed_once_in_order_and_reported(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.come_to_rest();
        let accepted: std::collections::BTreeSet<i64> =
            world.sim.journal.iter().map(|record| record.command_id().0).collect();
        let reported: std::collections::BTreeSet<i64> = world.witness.told().keys().copied().collect();
        prop_assert!(accepted.is_subset(&reported), "{accepted:?} {reported:?}");
    }

    #[test]
    fn it_always_knows_when_to_be_woken(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
            let now = world.sim.now;
            let (at, reason) = world.sim.core.poll_timeout(now).unwrap();
            if at <= now.uptime {
                // Being woken must change something, or the event loop would spin.
                world.step(&Step::Wait(0));
                let again = world.sim.core.poll_timeout(now).unwrap();
                prop_assert!(again.0 > now.uptime || again.1 != reason, "spins on {reason:?}");
            }
        }
    }
}
