//! From an envelope to a queue: what is obeyed goes to the disk, what is known is answered from the ledger.

use chrono::{DateTime, Utc};
use tracing::warn;
use voltaxe_protocol::{AgentFrame, CommandId, CommandOrder, Envelope};

use super::{
    Channel, Core, Effect, Entry, Lane, Now, Phase, Waiting,
    execute::{refused, urgency_of},
    ledger::Start,
    order::{self, Opened, Refusal},
    outbox::Item,
};
use crate::journal::{Record, Urgency};

/// An order that may be executed, and its proof.
pub(super) struct Accepted {
    pub(super) attempt: i32,
    pub(super) order: CommandOrder,
    pub(super) envelope: Envelope,
}

impl Core {
    pub(super) fn take_orders(&mut self, now: Now, channel: Channel, offers: &[(i32, Envelope)]) {
        let mut accepted: Vec<Accepted> = Vec::new();
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
            } else if let Some(order) = self.screen(now, channel, *attempt, opened)
                && !accepted.iter().any(|other| other.order.id == id)
            {
                accepted.push(Accepted { attempt: *attempt, order, envelope: envelope.clone() });
            }
        }
        self.accept(now, channel, accepted);
        self.report(now);
    }

    /// A new order that may be executed; one that may not is answered.
    pub(super) fn screen(
        &mut self,
        now: Now,
        channel: Channel,
        attempt: i32,
        opened: Opened,
    ) -> Option<CommandOrder> {
        let (id, kind, expires_at, refusal) = match opened {
            Opened::NotUnderstood { header, why } => {
                let refusal = Refusal {
                    word: "not-understood",
                    message: format!(
                        "This agent (version {}) does not know the command or one of its fields ({why}); update the agent.",
                        env!("CARGO_PKG_VERSION")
                    ),
                };
                (header.id, header.kind(), header.expires_at, refusal)
            }
            Opened::Order(order) => match order::acceptable(&order, &self.trust, now.wall) {
                Ok(()) => return Some(*order),
                Err(refusal) => (order.id, order.action.kind().to_owned(), Some(order.expires_at), refusal),
            },
        };
        let forget_after = order::forget_after(expires_at, now.wall);
        self.ledger.insert(id, Entry::without_order(kind, attempt, channel, now.wall, forget_after));
        self.finish_refused(now, id, &refusal);
        None
    }

    /// Writes new orders to the journal. A single order for an idle lane is written with its start: one commit, not two.
    pub(super) fn accept(&mut self, now: Now, channel: Channel, orders: Vec<Accepted>) {
        if orders.is_empty() {
            return;
        }
        self.ledger.wake(now.wall);
        let starts = matches!(orders.as_slice(), [one] if self.may_start_at_once(&one.order, now.wall));
        let is_essential = orders.iter().any(|one| urgency_of(&one.order.action) == Urgency::Essential);
        let urgency = if is_essential { Urgency::Essential } else { Urgency::Normal };
        let mut records = Vec::with_capacity(orders.len() + 1);
        let mut waiting = Vec::with_capacity(orders.len());
        for Accepted { attempt, order, envelope } in orders {
            let id = order.id;
            let envelope = Some(Box::new(envelope));
            records.push(Record::Received {
                order: order.clone(),
                envelope: envelope.clone(),
                attempt,
                at: now.wall,
            });
            let start = starts.then(|| self.start(now.wall));
            if let Some(start) = &start {
                records.push(start_record(id, start));
                self.busy.insert(Lane::of(&order.action), id);
            }
            waiting.push(Waiting::Order(id));
            self.ledger.insert(id, Entry::accepting(order, envelope, attempt, channel, now.wall, start));
        }
        self.append(records, urgency, waiting);
    }

    fn may_start_at_once(&self, order: &CommandOrder, now: DateTime<Utc>) -> bool {
        let lane = Lane::of(&order.action);
        !self.busy.contains_key(&lane)
            && order.not_before.is_none_or(|at| at <= now)
            && (!order.action.changes_isolation() || self.last_applied.is_none_or(|last| order.id > last))
            && self.ledger.next_in(lane).is_none()
    }

    /// The kernel's state as last seen is the pre-image.
    pub(super) fn start(&self, at: DateTime<Utc>) -> Start {
        Start { pre_image: self.last_observation.clone(), at }
    }

    /// A known id is never executed again: its receipt or its result is repeated.
    fn answer_again(&mut self, now: Now, channel: Channel, id: CommandId, attempt: i32) {
        let Some(entry) = self.ledger.get_mut(id) else { return };
        entry.attempt = entry.attempt.max(attempt);
        // The receipt then goes out as this channel wants it, too.
        if matches!(entry.phase(), Phase::Accepting { .. }) {
            entry.channel = channel;
        }
        self.tell_what_is_known(now, id);
    }

    /// Repeats what the server may not have heard of a known command.
    pub(super) fn tell_what_is_known(&mut self, now: Now, id: CommandId) {
        let Some(entry) = self.ledger.get(id) else { return };
        match entry.phase() {
            // The receipt follows the commit.
            Phase::Accepting { .. } => {}
            Phase::Queued | Phase::Starting | Phase::Running => self.outbox.owe_again(Item::Receipt(id)),
            // The answer follows the commit. One that failed is tried again: the disk may have room by now.
            Phase::Ending { .. } => self.append_end(now, id),
            Phase::Finished { number, .. } => {
                self.outbox.owe_again(Item::Result { number: *number, id });
            }
            Phase::Reported { .. } => self.outbox.owe_again(Item::Again(id)),
        }
    }

    pub(super) fn reject(&mut self, channel: Channel, reason: String) {
        warn!("[{}] Threw away an envelope, nothing was done: {reason}", channel.tag());
        if self.link.is_live() {
            self.effects.push_back(Effect::Send(AgentFrame::Rejected { reason }));
        }
    }

    /// A refusal that would be the same after a crash: it may be told before it is on disk.
    pub(super) fn finish_refused(&mut self, now: Now, id: CommandId, refusal: &Refusal) {
        warn!(command_id = id.0, refused = refusal.word, "Command refused: {}", refusal.message);
        self.finish(now, refused(id, refusal));
    }
}

pub(super) fn start_record(id: CommandId, start: &Start) -> Record {
    Record::Started { id, pre_image: start.pre_image.clone(), at: start.at }
}
