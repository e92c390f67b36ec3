use chrono::{DateTime, Utc};
use serde_json::json;
use voltaxe_protocol::{
    AgentCheck, Cancellation, Command, CommandOrder, CommandResult, DirectOffer, EndpointId, Epoch, Keypair,
    NetworkIsolate, NetworkRestore, PayloadType, RefusalReason,
};

use super::*;
use crate::journal::{JournalError, Urgency, Usage};

mod cancelling;
mod chaos;
mod cost;
mod direct;
mod disk;
mod forgeries;
mod invariants;
mod lanes;
mod lifeline;
mod orders;
mod outage;
mod properties;
mod reporting;

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
    Command::NetworkIsolate(NetworkIsolate { reason: "test".to_owned(), ..NetworkIsolate::default() })
}

fn restore() -> Command {
    Command::NetworkRestore(NetworkRestore { reason: "test".to_owned() })
}

fn check() -> Command {
    Command::AgentCheck(AgentCheck {})
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

fn cancellation(id: i64) -> Cancellation {
    Cancellation {
        id: CommandId(id),
        endpoint_id: endpoint(),
        epoch: Epoch(3),
        issued_at: start_of_time(),
        expires_at: start_of_time() + TimeDelta::hours(1),
        cancelled_by: "bob".to_owned(),
    }
}

fn sealed_cancellation(cancellation: &Cancellation) -> Envelope {
    Envelope::seal(PayloadType::Cancellation, cancellation, &server_key())
}

fn trust() -> Trust {
    Trust { endpoint_id: endpoint(), epoch: Epoch(3), server_key: server_key().public() }
}

fn settings() -> Settings {
    Settings {
        stream_enabled: true,
        polling: Some(Polling { interval: Duration::from_secs(10), wait: Duration::ZERO }),
        telemetry_interval: Duration::from_secs(15),
    }
}

/// The server's half of an offer on a poll.
fn offered(order: &CommandOrder, attempt: i32) -> OfferedCommand {
    OfferedCommand {
        id: order.id,
        command: order.action.kind().to_owned(),
        params: json!({}),
        attempt,
        envelope: sealed(order),
    }
}

/// A core with a disk that confirms at once unless told otherwise, and everything it asked for.
struct Sim {
    core: Core,
    now: Now,
    /// What is on disk.
    journal: Vec<Record>,
    disk: Result<(), JournalError>,
    usage: Usage,
    /// What the journal was last rewritten to.
    compacted: Option<Vec<Record>>,
    /// Everything but appends.
    effects: Vec<Effect>,
}

impl Sim {
    fn new() -> Self {
        Self::recovered(Vec::new(), Now { wall: start_of_time(), uptime: Duration::ZERO })
    }

    fn recovered(records: Vec<Record>, now: Now) -> Self {
        let recovered = Recovered { records: records.clone(), last_applied: None };
        let core = Core::new(now, 7, trust(), &settings(), recovered);
        let usage = Usage { used_bytes: 1024, limit_bytes: 64 * 1024 * 1024 };
        let (disk, compacted) = (Ok(()), None);
        let mut sim = Self { core, now, journal: records, disk, usage, compacted, effects: Vec::new() };
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
        let commands = orders.iter().map(|order| offered(order, 2)).collect();
        self.core.handle_poll_answer(self.now, PollResponse { commands, ..PollResponse::default() });
        self.settle();
    }

    fn cancel(&mut self, id: i64) {
        let envelope = sealed_cancellation(&cancellation(id));
        self.core.handle_frame(self.now, ServerFrame::Cancel { envelope });
        self.settle();
    }

    /// The verdict on an offer by the direct channel, once the disk has answered.
    fn post_directly(&mut self, order: &CommandOrder) -> DirectVerdict {
        self.take();
        let offer = DirectOffer { attempt: 3, envelope: sealed(order) };
        self.core.handle_direct_offer(self.now, 1, &offer);
        self.settle();
        self.verdicts().pop().expect("the offer is answered")
    }

    fn verdicts(&self) -> Vec<DirectVerdict> {
        self.effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::AnswerDirect { verdict, .. } => Some(verdict.clone()),
                _ => None,
            })
            .collect()
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
                        (Err(JournalError::DiskFull), Urgency::Essential | Urgency::Refusal) => {
                            Ok(self.usage)
                        }
                        (disk, _) => disk.clone().map(|()| self.usage),
                    };
                    if outcome.is_ok() {
                        self.journal.extend(records);
                    }
                    self.core.handle_committed(self.now, batch, outcome);
                }
                Effect::Compact { records } => {
                    self.journal.clone_from(&records);
                    self.compacted = Some(records);
                    self.usage.used_bytes = 1024;
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
