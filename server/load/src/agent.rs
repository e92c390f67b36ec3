//! One simulated agent: real key, real signatures, real answers; its disk and its host are simulated. It decides and does no
//! input or output, so a stream, a poll and a direct offer may all come to it at once.

mod enrol;
mod ledger;
mod words;

use std::sync::{
    Mutex, MutexGuard, OnceLock, PoisonError,
    atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, Utc};
use tokio::sync::Notify;
use voltaxe_protocol::{
    AgentFrame, Cancellation, Command, CommandId, CommandOrder, CommandResult, EndpointId, Envelope, Epoch,
    HelloClaims, Keypair, PayloadType, PollKey, PublicKey, ReceiptClaims, Telemetry,
};

pub use self::{
    enrol::{EnrolError, Enrolment, enrol},
    ledger::{Entry, Ledger, Outcome, Stage, Work},
};
use crate::seed;

pub const AGENT_VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "-simulated");

/// Who an agent is: everything follows from the seed and the index.
#[derive(Debug)]
pub struct Identity {
    pub index: usize,
    pub key: Keypair,
    pub id: EndpointId,
    pub hostname: String,
}

impl Identity {
    #[must_use]
    pub fn derive(seed: u64, index: usize) -> Self {
        let key = Keypair::from_seed(&seed::derive(seed, "agent key", index));
        let id = EndpointId::of_key(&key.public());
        Self { index, key, id, hostname: hostname(seed, index) }
    }
}

/// `sim-` and the seed's first hexadecimal digits keep fleets of two seeds apart on one server.
#[must_use]
pub fn hostname(seed: u64, index: usize) -> String {
    format!("sim{:x}-{index:05}", seed % 0x1000)
}

/// Whether an envelope's signature is checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verify {
    Always,
    /// One of so many, by command id: where thousands of agents share the two cores of the server they measure.
    OneOf(u32),
}

pub struct SimAgent {
    pub identity: Identity,
    enrolment: Enrolment,
    poll_key: OnceLock<PollKey>,
    verify: Verify,
    started_at: DateTime<Utc>,
    join_counter: AtomicI64,
    state: Mutex<State>,
    /// Something came that the loop holding the connection has to act on.
    pub(crate) wake: Notify,
}

#[derive(Default)]
struct State {
    ledger: Ledger,
    /// Whose isolation holds.
    generation: Option<CommandId>,
    direct_port: Option<u16>,
}

/// An offer was looked at.
#[derive(Debug, PartialEq)]
pub enum Offered {
    /// On the simulated disk: acknowledge it, then execute it. `true` when it was never seen.
    Accepted { receipt: AgentFrame, id: CommandId, is_new: bool },
    /// The result is known already.
    Known { receipt: AgentFrame, result: Box<CommandResult> },
    /// No valid signature, or not for this agent.
    Rejected(String),
}

impl SimAgent {
    #[must_use]
    pub fn new(identity: Identity, enrolment: Enrolment, verify: Verify, now: DateTime<Utc>) -> Self {
        Self {
            identity,
            enrolment,
            poll_key: OnceLock::new(),
            verify,
            started_at: now,
            join_counter: AtomicI64::new(0),
            state: Mutex::default(),
            wake: Notify::new(),
        }
    }

    pub(crate) fn poll_key(&self) -> &PollKey {
        self.poll_key.get_or_init(|| self.enrolment.poll_key(&self.identity))
    }

    /// The answer to a stream's challenge. The join counter rises with the clock, so it needs no disk.
    #[must_use]
    pub fn hello(&self, nonce: String, now: DateTime<Utc>) -> AgentFrame {
        let clock = now.timestamp_micros();
        let before = self
            .join_counter
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(clock.max(last + 1)));
        let last = before.unwrap_or_else(|last| last);
        let claims = HelloClaims {
            nonce,
            endpoint_id: self.identity.id.clone(),
            epoch: self.enrolment.epoch,
            join_counter: clock.max(last + 1),
            server_key: self.enrolment.server_key.fingerprint(),
            agent_version: AGENT_VERSION.to_owned(),
        };
        AgentFrame::Hello { envelope: Envelope::seal(PayloadType::Hello, &claims, &self.identity.key) }
    }

    pub fn offered(&self, attempt: i32, envelope: &Envelope, now: DateTime<Utc>) -> Offered {
        let order = match self.open(envelope) {
            Ok(order) => order,
            Err(reason) => return Offered::Rejected(reason),
        };
        let id = order.id;
        let receipt = AgentFrame::Receipt { command_id: id, attempt };
        let mut state = self.lock();
        let is_new = state.ledger.offered(id, attempt, || self.stage_of(order, now));
        match state.ledger.get(id).map(|entry| &entry.stage) {
            Some(Stage::Final(outcome)) => {
                let result = Box::new(words::result(id, *outcome));
                Offered::Known { receipt, result }
            }
            _ => Offered::Accepted { receipt, id, is_new },
        }
    }

    /// Brings the effect about, once; `None` when there is nothing to do for this id now.
    pub fn execute(&self, id: CommandId, now: DateTime<Utc>) -> Option<CommandResult> {
        let mut state = self.lock();
        let work = state.ledger.begin(id, now)?;
        let outcome = match work.action {
            Command::NetworkIsolate(_) => {
                state.generation = Some(id);
                Outcome::Isolated(now)
            }
            Command::NetworkRestore(_) => {
                state.generation = None;
                Outcome::Restored(now)
            }
            Command::AgentCheck(_)
            | Command::IsolationPreview(_)
            | Command::IsolationChange(_)
            | Command::ListProcesses(_)
            | Command::KillProcess(_)
            | Command::SuspendProcess(_)
            | Command::ResumeProcess(_)
            | Command::CollectForensics(_) => Outcome::Checked(now, state.generation),
        };
        state.ledger.finish(id, outcome);
        Some(words::result(id, outcome))
    }

    /// Takes a command back if it has not begun; answers with what became of it. `None`: nobody we trust asks, or it runs.
    pub fn cancelled(&self, envelope: &Envelope) -> Option<CommandResult> {
        let wish: Cancellation = envelope.open(PayloadType::Cancellation, &self.enrolment.server_key).ok()?;
        if wish.endpoint_id != self.identity.id || wish.epoch != self.enrolment.epoch {
            return None;
        }
        let mut state = self.lock();
        state.ledger.cancel(wish.id);
        result_of(&state.ledger, wish.id)
    }

    /// What became of a command.
    #[must_use]
    pub fn answer(&self, id: CommandId) -> AgentFrame {
        let state = self.lock();
        match (state.ledger.get(id), result_of(&state.ledger, id)) {
            (_, Some(result)) => AgentFrame::Result(result),
            (Some(entry), None) => AgentFrame::Receipt { command_id: id, attempt: entry.attempt },
            (None, None) => AgentFrame::NotKnown { command_id: id },
        }
    }

    /// The server has the result on its disk; `true` the first time that it says so.
    pub fn recorded(&self, id: CommandId) -> bool {
        self.lock().ledger.recorded(id)
    }

    /// Results to report, oldest command first.
    #[must_use]
    pub fn unreported(&self) -> Vec<CommandResult> {
        self.lock().ledger.unreported().map(|(id, outcome)| words::result(id, outcome)).collect()
    }

    /// What is to be executed, and when at the earliest.
    #[must_use]
    pub fn waiting(&self) -> Vec<(CommandId, Option<DateTime<Utc>>)> {
        self.lock().ledger.waiting().collect()
    }

    /// When a command that waits may begin at the earliest.
    #[must_use]
    pub fn not_before(&self, id: CommandId) -> Option<DateTime<Utc>> {
        match &self.lock().ledger.get(id)?.stage {
            Stage::Waiting(work) => work.not_before,
            Stage::Running | Stage::Final(_) => None,
        }
    }

    #[must_use]
    pub fn telemetry(&self, now: DateTime<Utc>) -> Telemetry {
        let state = self.lock();
        let unreported = u32::try_from(state.ledger.unreported().count()).unwrap_or(u32::MAX);
        let report = words::Report {
            hostname: &self.identity.hostname,
            index: self.identity.index,
            generation: state.generation,
            started_at: self.started_at,
            direct_port: state.direct_port,
            unreported,
        };
        words::telemetry(&report, now)
    }

    /// The signed answer to an offer on the direct channel.
    #[must_use]
    pub fn signed_receipt(&self, command_id: CommandId, attempt: i32) -> Envelope {
        let claims = ReceiptClaims { command_id, endpoint_id: self.identity.id.clone(), attempt };
        Envelope::seal(PayloadType::Receipt, &claims, &self.identity.key)
    }

    /// A look at what has been done, for checks.
    pub fn with_ledger<T>(&self, look: impl FnOnce(&Ledger) -> T) -> T {
        look(&self.lock().ledger)
    }

    pub(crate) fn listens_at(&self, port: u16) {
        self.lock().direct_port = Some(port);
    }

    fn open(&self, envelope: &Envelope) -> Result<CommandOrder, String> {
        let order: CommandOrder = match self.verify {
            Verify::OneOf(share) => {
                let order: CommandOrder = words::unverified(envelope)?;
                if order.id.0.rem_euclid(i64::from(share.max(1))) == 0 {
                    self.verified(envelope)?
                } else {
                    order
                }
            }
            Verify::Always => self.verified(envelope)?,
        };
        if order.endpoint_id != self.identity.id {
            return Err("the order is for another endpoint".to_owned());
        }
        Ok(order)
    }

    fn verified(&self, envelope: &Envelope) -> Result<CommandOrder, String> {
        envelope.open(PayloadType::Command, &self.enrolment.server_key).map_err(|error| error.to_string())
    }

    fn stage_of(&self, order: CommandOrder, now: DateTime<Utc>) -> Stage {
        if order.epoch != self.enrolment.epoch {
            return Stage::Final(Outcome::Refused("wrong-epoch"));
        }
        if order.expires_at <= now {
            return Stage::Final(Outcome::Refused("expired"));
        }
        let CommandOrder { action, not_before, expires_at, .. } = order;
        Stage::Waiting(Work { action, not_before, expires_at })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn result_of(ledger: &Ledger, id: CommandId) -> Option<CommandResult> {
    match ledger.get(id)?.stage {
        Stage::Final(outcome) => Some(words::result(id, outcome)),
        Stage::Waiting(_) | Stage::Running => None,
    }
}

#[cfg(test)]
mod tests;
