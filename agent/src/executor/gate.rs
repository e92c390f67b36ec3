//! Between the socket and what acts: nothing passes on the network process' word.

use std::net::SocketAddr;

use chrono::{DateTime, TimeDelta, Utc};
use voltaxe_protocol::{Command, CommandId, CommandOrder, Envelope};

use super::{Done, Engine, Task, memory::Memory, warden::refused};
use crate::core::{ActionOutcome, Opened, Refusal, acceptable, open_order};

/// `not_before` may lie so far ahead: the two processes read the clock one after the other.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::seconds(2);

#[derive(Debug)]
pub(super) struct Gate {
    engine: Engine,
    memory: Memory,
}

impl Gate {
    pub(super) fn new(engine: Engine, memory: Memory) -> Self {
        Self { engine, memory }
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What is answered at once; everything else by the engine's sink.
    pub(super) fn take(&mut self, task: Task, now: DateTime<Utc>) -> Option<Done> {
        match task {
            Task::Run { id, envelope, servers } => {
                let outcome = self.admit(id, &envelope, servers, now)?;
                tracing::warn!(command_id = id.0, "Not carried out: {}", outcome.message);
                Some(Done::Outcome { id, outcome })
            }
            task @ (Task::Interrupt { .. } | Task::Discard { .. }) => {
                self.engine.submit(task);
                Some(Done::Noted)
            }
            task @ (Task::Challenge
            | Task::Confirm { .. }
            | Task::RollBack { .. }
            | Task::Observe { .. }
            | Task::OpenDns
            | Task::TryServers { .. }) => {
                self.engine.submit(task);
                None
            }
        }
    }

    /// For an outcome that the network process may ask for again.
    pub(super) fn note(&mut self, done: &Done) {
        if let Done::Outcome { id, outcome } = done {
            self.memory.note(*id, outcome);
        }
    }

    /// `None`: it is on its way.
    fn admit(
        &mut self,
        id: CommandId,
        envelope: &Envelope,
        servers: Vec<SocketAddr>,
        now: DateTime<Utc>,
    ) -> Option<ActionOutcome> {
        let order = match self.verify(id, envelope, now) {
            Ok(order) => order,
            Err(refusal) => return Some(refused(refusal.word, refusal.message)),
        };
        let is_expired = acceptable(&order, &self.engine.setup().trust, now);
        if is_isolations(&order.action) {
            match is_expired {
                Ok(()) => self.engine.run(id, order.action, servers),
                Err(_) => self.engine.take_up_again(id, order.action, servers),
            }
            return None;
        }
        if self.engine.is_running(id) {
            return None;
        }
        if let Some(outcome) = self.memory.outcome(id) {
            return Some(outcome);
        }
        if let Err(refusal) = self.memory.begin(&order, is_expired, now) {
            return Some(refused(refusal.word, refusal.message));
        }
        self.engine.run(id, order.action, servers);
        None
    }

    fn verify(
        &self,
        id: CommandId,
        envelope: &Envelope,
        now: DateTime<Utc>,
    ) -> Result<CommandOrder, Refusal> {
        let trust = &self.engine.setup().trust;
        let not_verifiable = |why: String| Refusal {
            word: "not-verifiable",
            message: format!("The executor refuses what it cannot verify ({why}); nothing was done."),
        };
        let order = match open_order(envelope, trust).map_err(not_verifiable)? {
            Opened::Order(order) => *order,
            Opened::NotUnderstood { why, .. } => {
                let message = format!(
                    "The executor does not know the command or one of its fields ({why}); restart it."
                );
                return Err(Refusal { word: "not-understood", message });
            }
        };
        if order.id != id {
            return Err(not_verifiable(format!("it is command {}", order.id)));
        }
        if order.epoch != trust.epoch {
            return Err(not_verifiable(format!(
                "it is for enrolment {}, this is {}",
                order.epoch, trust.epoch
            )));
        }
        match order.not_before {
            Some(at) if at > now + CLOCK_TOLERANCE => Err(Refusal {
                word: "too-early",
                message: format!("The command is for {at}, which has not come."),
            }),
            _ => Ok(order),
        }
    }
}

/// The isolation has a memory of its own: the generation in its state file.
fn is_isolations(action: &Command) -> bool {
    action.changes_isolation() || matches!(action, Command::IsolationPreview(_) | Command::AgentCheck(_))
}
