//! From an envelope to an effect, and from its outcome to a result.

use chrono::{DateTime, Utc};
use serde_json::json;
use tracing::{info, warn};
use voltaxe_protocol::{AgentFrame, Command, CommandId, CommandOrder, CommandResult, Envelope};

use super::{
    ActionOutcome, Channel, Core, Delivery, Effect, Entry, Lane, Now, Phase, Post,
    order::{self, Opened, Refusal},
};
use crate::journal::{BatchId, JournalError, Record, Urgency, Usage};

/// A command whose effect was begun this often without an end is not tried again.
const MAX_STARTS: u32 = 2;
/// The journal is rewritten when it has grown beyond this and beyond twice its last compacted size.
const COMPACT_BYTES: u64 = 1024 * 1024;

impl Core {
    /// The answer to an append: what waited for the disk goes on, or fails.
    pub fn handle_committed(&mut self, now: Now, batch: BatchId, outcome: Result<Usage, JournalError>) {
        let waiting = self.commits.remove(&batch).unwrap_or_default();
        match outcome {
            Ok(usage) => {
                for id in waiting {
                    self.is_on_disk(id);
                }
                self.compact_when_large(now, usage);
            }
            Err(error) => {
                for id in waiting {
                    self.fail_unjournaled(now, id, &error);
                }
            }
        }
        self.start_what_can(now);
    }

    /// The outcome of an [`Effect::Run`].
    pub fn handle_action_done(&mut self, now: Now, id: CommandId, outcome: ActionOutcome) {
        self.busy.retain(|_, running| *running != id);
        let ActionOutcome { success, message, data } = outcome;
        if success {
            self.last_applied = self.last_applied.max(Some(id));
        }
        self.finish(now, CommandResult { command_id: id, success, message, data });
        self.start_what_can(now);
        self.telemetry_soon(now);
    }

    pub(super) fn take_orders(&mut self, now: Now, channel: Channel, offers: &[(i32, Envelope)]) {
        let mut accepted: Vec<(i32, CommandOrder)> = Vec::new();
        for (attempt, envelope) in offers {
            let opened = match order::open(envelope, &self.trust) {
                Ok(opened) => opened,
                Err(reason) => {
                    self.reject(channel, reason);
                    continue;
                }
            };
            let id = opened.id();
            if self.ledger.get(id).is_some() {
                self.answer_again(now, channel, id, *attempt);
                continue;
            }
            match opened {
                Opened::NotUnderstood { header, why } => {
                    let refusal = Refusal {
                        word: "not-understood",
                        message: format!(
                            "This agent (version {}) does not know the command or one of its fields ({why}); update the agent.",
                            env!("CARGO_PKG_VERSION")
                        ),
                    };
                    let forget_after = order::forget_after(header.expires_at, now.wall);
                    self.refuse_unread(now, channel, *attempt, id, header.kind(), forget_after, &refusal);
                }
                Opened::Order(order) => match order::acceptable(&order, &self.trust, now.wall) {
                    Err(refusal) => {
                        let kind = order.action.kind().to_owned();
                        let forget_after = order::forget_after(Some(order.expires_at), now.wall);
                        self.refuse_unread(now, channel, *attempt, id, kind, forget_after, &refusal);
                    }
                    Ok(()) if accepted.iter().any(|(_, other)| other.id == id) => {}
                    Ok(()) => accepted.push((*attempt, *order)),
                },
            }
        }
        self.accept(now, channel, accepted);
    }

    /// Writes new orders to the journal. A single order for an idle lane is written with its start: one commit, not two.
    fn accept(&mut self, now: Now, channel: Channel, orders: Vec<(i32, CommandOrder)>) {
        if orders.is_empty() {
            return;
        }
        let starts = matches!(orders.as_slice(), [(_, order)] if self.may_start_at_once(order, now.wall));
        let urgency = match orders.iter().any(|(_, order)| is_essential(&order.action)) {
            true => Urgency::Essential,
            false => Urgency::Normal,
        };
        let mut records = Vec::with_capacity(orders.len() + 1);
        let mut waiting = Vec::with_capacity(orders.len());
        for (attempt, order) in orders {
            let id = order.id;
            records.push(Record::Received { order: order.clone(), attempt, at: now.wall });
            if starts {
                records.push(self.start_record(id, now.wall));
                self.busy.insert(Lane::of(&order.action), id);
            }
            waiting.push(id);
            self.ledger.insert(
                id,
                Entry {
                    kind: order.action.kind().to_owned(),
                    forget_after: order::forget_after(Some(order.expires_at), now.wall),
                    order: Some(order),
                    attempt,
                    channel,
                    starts: u32::from(starts),
                    phase: Phase::Accepting { starts },
                    receipt: Delivery::default(),
                },
            );
        }
        self.append(records, urgency, waiting);
    }

    fn may_start_at_once(&self, order: &CommandOrder, now: DateTime<Utc>) -> bool {
        let lane = Lane::of(&order.action);
        !self.busy.contains_key(&lane)
            && order.not_before.is_none_or(|at| at <= now)
            && self.last_applied.is_none_or(|last| order.id > last)
            && self.ledger.next_in(lane, now).is_none()
    }

    /// Starts the next command of every idle lane; ends those that may no longer start.
    pub(super) fn start_what_can(&mut self, now: Now) {
        for lane in Lane::ALL {
            while !self.busy.contains_key(&lane) {
                let Some(id) = self.ledger.next_in(lane, now.wall) else { break };
                if let Err(refusal) = self.may_still_start(id, now.wall) {
                    self.finish_refused(now, id, &refusal);
                    continue;
                }
                let record = self.start_record(id, now.wall);
                let Some(entry) = self.ledger.get_mut(id) else { break };
                entry.phase = Phase::Starting;
                entry.starts += 1;
                let urgency = match entry.order.as_ref().is_some_and(|order| is_essential(&order.action)) {
                    true => Urgency::Essential,
                    false => Urgency::Normal,
                };
                self.busy.insert(lane, id);
                self.append(vec![record], urgency, vec![id]);
            }
        }
    }

    /// An order that was begun is always ended, whatever the time; a new one must still be wanted.
    fn may_still_start(&self, id: CommandId, now: DateTime<Utc>) -> Result<(), Refusal> {
        let Some(Entry { order: Some(order), starts, .. }) = self.ledger.get(id) else { return Ok(()) };
        if *starts == 0 {
            order::acceptable(order, &self.trust, now)?;
        }
        match self.last_applied {
            Some(last) if order.id < last => Err(Refusal {
                word: "superseded",
                message: format!(
                    "Command {last}, issued later, was carried out first; this one would undo it."
                ),
            }),
            _ => Ok(()),
        }
    }

    fn is_on_disk(&mut self, id: CommandId) {
        let Some(entry) = self.ledger.get_mut(id) else { return };
        match entry.phase {
            Phase::Accepting { starts: true } => {
                self.run(id);
                self.send_receipt(id);
                self.send_started(id);
            }
            Phase::Accepting { starts: false } => {
                entry.phase = Phase::Queued;
                self.send_receipt(id);
            }
            Phase::Starting => {
                self.run(id);
                self.send_started(id);
            }
            Phase::Queued | Phase::Running | Phase::Finished { .. } | Phase::Reported { .. } => {}
        }
    }

    fn run(&mut self, id: CommandId) {
        let Some(entry) = self.ledger.get_mut(id) else { return };
        let Some(order) = &entry.order else { return };
        let action = order.action.clone();
        entry.phase = Phase::Running;
        let tag = entry.channel.tag();
        self.effects.push_back(Effect::Run { id, action: action.clone() });
        info!(command_id = id.0, "[{tag}] Executing command: {}", action.kind());
    }

    fn send_started(&mut self, id: CommandId) {
        if self.link.is_live() {
            self.effects.push_back(Effect::Send(AgentFrame::Started { command_id: id }));
        }
    }

    /// The result goes to the server and to the disk at the same time: should the disk lose it, the kernel still shows
    /// what was done.
    fn finish(&mut self, now: Now, result: CommandResult) {
        let id = result.command_id;
        let Some(entry) = self.ledger.get_mut(id) else { return };
        let record = Record::Finished {
            kind: entry.kind.clone(),
            result: result.clone(),
            forget_after: entry.forget_after,
            at: now.wall,
        };
        entry.receipt = Delivery::default();
        entry.phase = Phase::Finished { result, report: Delivery::default(), volatile: false };
        self.tell_result(now, id);
        self.append(vec![record], Urgency::Essential, Vec::new());
    }

    fn finish_refused(&mut self, now: Now, id: CommandId, refusal: &Refusal) {
        warn!(command_id = id.0, refused = refusal.word, "Command refused: {}", refusal.message);
        self.finish(now, refused(id, refusal));
    }

    #[expect(clippy::too_many_arguments, reason = "each is one column of the new entry")]
    fn refuse_unread(
        &mut self,
        now: Now,
        channel: Channel,
        attempt: i32,
        id: CommandId,
        kind: String,
        forget_after: DateTime<Utc>,
        refusal: &Refusal,
    ) {
        let entry = Entry {
            order: None,
            kind,
            attempt,
            channel,
            starts: 0,
            phase: Phase::Queued,
            receipt: Delivery::default(),
            forget_after,
        };
        self.ledger.insert(id, entry);
        self.finish_refused(now, id, refusal);
    }

    /// Nothing was written, so nothing is done; the entry is forgotten once the server knows.
    fn fail_unjournaled(&mut self, now: Now, id: CommandId, error: &JournalError) {
        self.busy.retain(|_, waiting| *waiting != id);
        let refusal = Refusal {
            word: match error {
                JournalError::DiskFull => "disk-full",
                JournalError::Broken(_) => "journal-broken",
            },
            message: format!("Nothing was done: {error}."),
        };
        let Some(entry) = self.ledger.get_mut(id) else { return };
        if matches!(entry.phase, Phase::Starting) {
            // Its receipt is on disk: its end must be there too, or a restart would run it. The reserve has room for that.
            self.finish_refused(now, id, &refusal);
            return;
        }
        warn!(command_id = id.0, refused = refusal.word, "Command refused: {error}");
        entry.phase =
            Phase::Finished { result: refused(id, &refusal), report: Delivery::default(), volatile: true };
        self.tell_result(now, id);
    }

    pub(super) fn fail_poisonous(&mut self, now: Now) {
        let poisonous: Vec<CommandId> = self
            .ledger
            .open()
            .filter(|(_, entry)| matches!(entry.phase, Phase::Queued) && entry.starts >= MAX_STARTS)
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

    /// A known id is never executed again: its receipt or its result is repeated.
    fn answer_again(&mut self, now: Now, channel: Channel, id: CommandId, attempt: i32) {
        let Some(entry) = self.ledger.get_mut(id) else { return };
        entry.attempt = entry.attempt.max(attempt);
        match &entry.phase {
            // The receipt follows the commit.
            Phase::Accepting { .. } => {}
            Phase::Queued | Phase::Starting | Phase::Running => self.send_receipt(id),
            Phase::Finished { .. } => self.tell_result(now, id),
            Phase::Reported { result } => {
                let result = result.clone();
                self.effects.push_back(match channel {
                    Channel::Stream | Channel::Journal => Effect::Send(AgentFrame::Result(result)),
                    Channel::Poll => Effect::Post(Post::Result(result)),
                });
            }
        }
    }

    fn reject(&mut self, channel: Channel, reason: String) {
        warn!("[{}] Threw away an envelope, nothing was done: {reason}", channel.tag());
        if self.link.is_live() {
            self.effects.push_back(Effect::Send(AgentFrame::Rejected { reason }));
        }
    }

    fn start_record(&self, id: CommandId, at: DateTime<Utc>) -> Record {
        Record::Started { id, pre_image: self.last_observation.clone(), at }
    }

    pub(super) fn append(&mut self, records: Vec<Record>, urgency: Urgency, waiting: Vec<CommandId>) {
        let batch = self.next_batch;
        self.next_batch += 1;
        if !waiting.is_empty() {
            self.commits.insert(batch, waiting);
        }
        self.effects.push_back(Effect::Append { batch, records, urgency });
    }

    fn compact_when_large(&mut self, now: Now, usage: Usage) {
        let is_large = usage.used_bytes > COMPACT_BYTES.max(2 * self.compacted_bytes);
        if is_large && self.ledger.all_reported() {
            self.ledger.forget_old(now.wall);
            // The next commit shows the new size; until then the old one stands for it.
            self.compacted_bytes = usage.used_bytes / 2;
            self.effects.push_back(Effect::Compact { records: self.ledger.snapshot() });
        }
    }
}

fn refused(id: CommandId, refusal: &Refusal) -> CommandResult {
    CommandResult {
        command_id: id,
        success: false,
        message: refusal.message.clone(),
        data: Some(json!({ "refused": refusal.word })),
    }
}

/// A restore must work even on a full disk.
fn is_essential(action: &Command) -> bool {
    match action {
        Command::NetworkRestore(_) => true,
        Command::NetworkIsolate(_) => false,
    }
}
