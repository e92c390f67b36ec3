//! From the disk to an effect, and from its outcome to a result.

use chrono::{DateTime, Utc};
use serde_json::json;
use tracing::{error, info, warn};
use voltaxe_protocol::{AgentFrame, Command, CommandId, CommandResult};

use super::{
    ActionOutcome, Batch, Channel, Core, DirectVerdict, Effect, Lane, Now, Phase, Waiting,
    intake::start_record,
    ledger::finished_record,
    order::{self, Refusal},
    outbox::Item,
};
use crate::journal::{BatchId, JournalError, Record, Urgency, Usage};

/// A command whose effect was begun this often without an end is not tried again.
const MAX_STARTS: usize = 2;

impl Core {
    /// The answer to an append: what waited for the disk goes on, or fails.
    pub fn handle_committed(&mut self, now: Now, batch: BatchId, outcome: Result<Usage, JournalError>) {
        let Batch { waiting } = self.commits.remove(&batch).unwrap_or_default();
        match outcome {
            Ok(usage) => {
                self.usage = usage;
                waiting.into_iter().for_each(|waiting| self.is_on_disk(now, waiting));
                self.compact_when_large(now);
            }
            Err(error) => waiting.into_iter().for_each(|waiting| self.is_not_on_disk(now, waiting, &error)),
        }
        self.start_what_can(now);
        self.report(now);
    }

    /// The outcome of an [`Effect::Run`].
    pub fn handle_action_done(&mut self, now: Now, id: CommandId, outcome: ActionOutcome) {
        // An executor that was asked twice answers twice.
        let Some(entry) = self.ledger.get(id).filter(|entry| matches!(entry.phase(), Phase::Running)) else {
            return;
        };
        let changes_isolation = entry.order.as_ref().is_some_and(|order| order.action.changes_isolation());
        self.probation_ended(id);
        self.leave_lane(id);
        let ActionOutcome { success, message, data } = outcome;
        if success && changes_isolation {
            self.last_applied = self.last_applied.max(Some(id));
        }
        self.finish(now, CommandResult { command_id: id, success, message, data });
        self.start_what_can(now);
        if changes_isolation {
            self.telemetry_soon(now);
        }
    }

    /// Starts the next command of every idle lane; ends those that may no longer start.
    pub(super) fn start_what_can(&mut self, now: Now) {
        self.ledger.wake(now.wall);
        for lane in Lane::ALL {
            while !self.busy.contains_key(&lane) {
                let Some(id) = self.ledger.next_in(lane) else { break };
                if let Err(refusal) = self.may_still_start(id, now.wall) {
                    self.finish_refused(now, id, &refusal);
                    continue;
                }
                let start = self.start(now.wall);
                let record = start_record(id, &start);
                self.ledger.begin(id, start);
                let urgency = self.ledger.get(id).map_or(Urgency::Normal, |entry| match &entry.order {
                    // A crash interrupted it: it may have had its effect already, so it must come to an end.
                    Some(_) if entry.starts() > 1 => Urgency::Essential,
                    Some(order) => urgency_of(&order.action),
                    None => Urgency::Normal,
                });
                self.busy.insert(lane, id);
                self.append(vec![record], urgency, vec![Waiting::Start(id)]);
            }
        }
    }

    /// An order that was begun is always ended, whatever the time; a new one must still be wanted.
    fn may_still_start(&self, id: CommandId, now: DateTime<Utc>) -> Result<(), Refusal> {
        let Some(entry) = self.ledger.get(id) else { return Ok(()) };
        let Some(order) = &entry.order else { return Ok(()) };
        if entry.starts() == 0 {
            order::acceptable(order, &self.trust, now)?;
        }
        match self.last_applied {
            Some(last) if order.id < last && order.action.changes_isolation() => Err(Refusal {
                word: "superseded",
                message: format!(
                    "Command {last}, issued later, was carried out first; this one would undo it."
                ),
            }),
            _ => Ok(()),
        }
    }

    fn is_on_disk(&mut self, now: Now, waiting: Waiting) {
        match waiting {
            Waiting::Direct { ticket, id, attempt } => self.answer_with_receipt(ticket, id, attempt),
            Waiting::Order(id) | Waiting::Start(id) => {
                let Some(entry) = self.ledger.get_mut(id) else { return };
                entry.is_on_disk = true;
                let receipt_is_owed = entry.channel != Channel::Direct;
                match entry.phase() {
                    Phase::Accepting { starts: true } => {
                        self.run(id);
                        if receipt_is_owed {
                            self.outbox.owe(Item::Receipt(id));
                            self.report(now);
                        }
                        self.send_started(id);
                    }
                    Phase::Accepting { starts: false } => {
                        self.ledger.set_phase(id, Phase::Queued);
                        if receipt_is_owed {
                            self.outbox.owe(Item::Receipt(id));
                        }
                    }
                    Phase::Starting => {
                        self.run(id);
                        self.send_started(id);
                    }
                    // Cancelled meanwhile.
                    Phase::Ending { .. } | Phase::Finished { .. } | Phase::Reported { .. } => {}
                    Phase::Queued | Phase::Running => {}
                }
            }
            Waiting::End(id) => {
                let Some(entry) = self.ledger.get_mut(id) else { return };
                entry.is_on_disk = true;
                if let Phase::Ending { result, at } = entry.phase() {
                    let (result, at) = (result.clone(), *at);
                    self.outbox.settle(Item::Receipt(id));
                    let item = self.ledger.finish(id, result, at);
                    self.outbox.owe(item);
                }
            }
        }
    }

    fn is_not_on_disk(&mut self, now: Now, waiting: Waiting, error: &JournalError) {
        match waiting {
            Waiting::Direct { ticket, .. } => {
                let verdict = DirectVerdict::Unavailable(error.to_string());
                self.effects.push_back(Effect::AnswerDirect { ticket, verdict });
            }
            Waiting::Order(id) | Waiting::Start(id) => self.fail_unjournaled(now, id, error),
            Waiting::End(id) => {
                error!(command_id = id.0, "The command's end cannot be written down: {error}");
                let is_told =
                    !matches!(self.ledger.get(id).map(|entry| entry.phase()), Some(Phase::Ending { .. }));
                if !is_told && self.link.is_live() {
                    let reason =
                        format!("command {id} was not carried out, and that cannot be written down: {error}");
                    self.effects.push_back(Effect::Send(AgentFrame::Rejected { reason }));
                }
            }
        }
    }

    fn run(&mut self, id: CommandId) {
        let Some(entry) = self.ledger.get(id) else { return };
        let Some(order) = &entry.order else { return };
        let (action, envelope, tag) = (order.action.clone(), entry.envelope.clone(), entry.channel.tag());
        info!(command_id = id.0, "[{tag}] Executing command: {}", action.kind());
        self.effects.push_back(Effect::Run { id, action, envelope });
        self.ledger.set_phase(id, Phase::Running);
    }

    fn send_started(&mut self, id: CommandId) {
        if self.link.is_live() {
            self.effects.push_back(Effect::Send(AgentFrame::Started { command_id: id }));
        }
    }

    /// The result goes to the server and to the disk at the same time: should the disk lose it, the kernel still shows
    /// what was done.
    pub(super) fn finish(&mut self, now: Now, result: CommandResult) {
        let id = result.command_id;
        self.outbox.settle(Item::Receipt(id));
        let item = self.ledger.finish(id, result.clone(), now.wall);
        self.outbox.owe(item);
        self.report(now);
        if let Some(entry) = self.ledger.get(id) {
            let record = finished_record(entry, &result, now.wall);
            self.append(vec![record], Urgency::Essential, vec![Waiting::End(id)]);
        }
    }

    /// The end of a command that never ran is told once it is on disk: after a crash before that, the journal would
    /// run it.
    pub(super) fn finish_on_disk(&mut self, now: Now, id: CommandId, refusal: &Refusal) {
        self.leave_lane(id);
        self.ledger.set_phase(id, Phase::Ending { result: refused(id, refusal), at: now.wall });
        self.append_end(now, id);
    }

    /// Unless it is on its way already.
    pub(super) fn append_end(&mut self, now: Now, id: CommandId) {
        let is_on_its_way = self.commits.values().any(|batch| batch.waiting.contains(&Waiting::End(id)));
        let Some(entry) = self.ledger.get(id) else { return };
        if let (Phase::Ending { result, .. }, false) = (entry.phase(), is_on_its_way) {
            let record = finished_record(entry, result, now.wall);
            let urgency = if entry.is_on_disk { Urgency::Essential } else { Urgency::Refusal };
            self.append(vec![record], urgency, vec![Waiting::End(id)]);
        }
    }

    fn fail_unjournaled(&mut self, now: Now, id: CommandId, error: &JournalError) {
        let word = match error {
            JournalError::DiskFull => "disk-full",
            JournalError::Broken(_) => "journal-broken",
        };
        let Some(entry) = self.ledger.get(id) else { return };
        let message = match entry.phase() {
            Phase::Starting if entry.starts() > 1 => format!(
                "The agent was stopped while it carried this out and cannot go on: {error}. Look at the host for what was done."
            ),
            Phase::Accepting { .. } | Phase::Starting => format!("Nothing was done: {error}."),
            Phase::Queued
            | Phase::Running
            | Phase::Ending { .. }
            | Phase::Finished { .. }
            | Phase::Reported { .. } => return,
        };
        warn!(command_id = id.0, refused = word, "Command refused: {error}");
        // Told once it is on disk, for which the reserve has room: an agent that forgot it would run the next copy of the
        // order, after the server was told that nothing was done.
        self.finish_on_disk(now, id, &Refusal { word, message });
    }

    pub(super) fn fail_poisonous(&mut self, now: Now) {
        let poisonous: Vec<CommandId> = self
            .ledger
            .unfinished()
            .filter(|(_, entry)| matches!(entry.phase(), Phase::Queued) && entry.starts() >= MAX_STARTS)
            .map(|(id, _)| id)
            .collect();
        for id in poisonous {
            let refusal = Refusal {
                word: "poison",
                message: format!(
                    "The agent stopped {MAX_STARTS} times while carrying this out and does not try again; see its log on the host."
                ),
            };
            self.finish_refused(now, id, &refusal);
        }
    }

    fn leave_lane(&mut self, id: CommandId) {
        self.busy.retain(|_, running| *running != id);
    }

    pub(super) fn append(&mut self, records: Vec<Record>, urgency: Urgency, waiting: Vec<Waiting>) {
        let batch = self.next_batch;
        self.next_batch += 1;
        self.commits.insert(batch, Batch { waiting });
        self.effects.push_back(Effect::Append { batch, records, urgency });
    }

    /// Rewrites the journal in its shortest form, when nothing is on its way there that the ledger shows already.
    fn compact_when_large(&mut self, now: Now) {
        if !self.commits.is_empty() {
            return;
        }
        if std::mem::take(&mut self.compaction.is_measured_next) {
            self.compaction.threshold_bytes = next_threshold(self.usage);
        }
        if self.usage.used_bytes > self.compaction.threshold_bytes {
            self.ledger.forget_old(now.wall);
            self.compaction.is_measured_next = true;
            self.effects.push_back(Effect::Compact { records: self.ledger.snapshot() });
        }
    }
}

/// Rewriting pays at first from 1 MiB, then when the file has doubled; near its limit, when half of the rest is gone.
fn next_threshold(after: Usage) -> u64 {
    let rest = after.limit_bytes.saturating_sub(after.used_bytes);
    after.used_bytes + super::COMPACT_BYTES.max(after.used_bytes.min(rest / 2))
}

pub(super) fn refused(id: CommandId, refusal: &Refusal) -> CommandResult {
    CommandResult {
        command_id: id,
        success: false,
        message: refusal.message.clone(),
        data: Some(json!({ "refused": refusal.word })),
    }
}

/// A restore must work even on a full disk.
pub(super) fn urgency_of(action: &Command) -> Urgency {
    match action {
        Command::NetworkRestore(_) => Urgency::Essential,
        Command::NetworkIsolate(_)
        | Command::IsolationChange(_)
        | Command::IsolationPreview(_)
        | Command::AgentCheck(_)
        | Command::ListProcesses(_)
        | Command::KillProcess(_)
        | Command::SuspendProcess(_)
        | Command::ResumeProcess(_)
        | Command::CollectForensics(_) => Urgency::Normal,
    }
}
