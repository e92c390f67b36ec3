//! The direct channel: the server posts an order to this host and waits for a receipt.

use std::time::Duration;

use tracing::{info, warn};
use voltaxe_protocol::{CommandId, DirectOffer, ReceiptClaims};

use super::{Channel, Core, Effect, Now, Waiting, intake::Accepted, order};

/// Names one waiting request; the event loop counts.
pub type Ticket = u64;

/// What a request on the direct channel is answered with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DirectVerdict {
    /// The command is on this host's disk.
    Receipt(ReceiptClaims),
    /// No valid signature of our server, or not for this endpoint. Nothing was done.
    NotForUs(String),
    /// The command cannot be written down now; its result says so, too.
    Unavailable(String),
}

/// Anybody can knock here: the log is not filled with it.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

impl Core {
    /// Answered by [`Effect::AnswerDirect`], once the order is on disk.
    pub fn handle_direct_offer(&mut self, now: Now, ticket: Ticket, offer: &DirectOffer) {
        let DirectOffer { attempt, envelope } = offer;
        let opened = match order::open(envelope, &self.trust) {
            Ok(opened) => opened,
            Err(reason) => return self.turn_away(now, ticket, reason),
        };
        info!("[COMMAND DIRECT] Received 1 command(s)");
        let id = opened.id();
        if let Some(entry) = self.ledger.get_mut(id) {
            entry.attempt = entry.attempt.max(*attempt);
        } else if let Some(order) = self.screen(now, Channel::Direct, *attempt, opened) {
            let accepted = Accepted { attempt: *attempt, order, envelope: envelope.clone() };
            self.accept(now, Channel::Direct, vec![accepted]);
        }
        self.answer_when_on_disk(ticket, id, *attempt);
        self.report(now);
    }

    pub(super) fn answer_with_receipt(&mut self, ticket: Ticket, command_id: CommandId, attempt: i32) {
        let endpoint_id = self.trust.endpoint_id.clone();
        let verdict = DirectVerdict::Receipt(ReceiptClaims { command_id, endpoint_id, attempt });
        self.effects.push_back(Effect::AnswerDirect { ticket, verdict });
    }

    fn answer_when_on_disk(&mut self, ticket: Ticket, id: CommandId, attempt: i32) {
        let is_on_disk = self.ledger.get(id).is_some_and(|entry| entry.is_on_disk);
        if is_on_disk {
            self.answer_with_receipt(ticket, id, attempt);
        } else if let Some(batch) = self.commits.values_mut().find(|batch| batch.is_about(id)) {
            batch.waiting.push(Waiting::Direct { ticket, id, attempt });
        } else {
            let reason = "the command could not be written to the disk of this host".to_owned();
            let verdict = DirectVerdict::Unavailable(reason);
            self.effects.push_back(Effect::AnswerDirect { ticket, verdict });
        }
    }

    fn turn_away(&mut self, now: Now, ticket: Ticket, reason: String) {
        self.turned_away += 1;
        if self.next_turned_away_warning <= now.uptime {
            warn!(
                count = self.turned_away,
                "[COMMAND DIRECT] Threw away an envelope, nothing was done: {reason}"
            );
            self.turned_away = 0;
            self.next_turned_away_warning = now.uptime + WARN_INTERVAL;
        }
        self.effects.push_back(Effect::AnswerDirect { ticket, verdict: DirectVerdict::NotForUs(reason) });
    }
}
