//! Taking commands back. Each cancellation is answered by a result, which says what really became of the command.

use tracing::info;
use voltaxe_protocol::{CANCELLED, Cancellation, Envelope};

use super::{
    Channel, Core, Effect, Entry, Now, Phase,
    order::{self, Refusal},
    outbox::Item,
};

impl Core {
    pub(super) fn take_cancellation(&mut self, now: Now, channel: Channel, envelope: &Envelope) {
        match order::open_cancellation(envelope, &self.trust) {
            Ok(cancellation) => {
                info!(command_id = cancellation.id.0, "[{}] Received a cancellation", channel.tag());
                self.cancel(now, channel, &cancellation, envelope);
            }
            Err(reason) => self.reject(channel, reason),
        }
        self.start_what_can(now);
        self.report(now);
    }

    fn cancel(&mut self, now: Now, channel: Channel, cancellation: &Cancellation, envelope: &Envelope) {
        let id = cancellation.id;
        let known = self.ledger.get(id);
        // A crash interrupted it: it may have had its effect already.
        let was_begun = known.is_some_and(|entry| match entry.phase() {
            Phase::Queued => entry.starts() > 0,
            Phase::Starting => entry.starts() > 1,
            _ => false,
        });
        match known.map(Entry::phase) {
            None => self.remember_cancelled(now, channel, cancellation),
            Some(Phase::Queued | Phase::Starting) if was_begun => {}
            // A start that is on its way to the disk can still be stopped: nothing runs before it is there.
            Some(Phase::Accepting { .. } | Phase::Queued | Phase::Starting) => {
                self.finish_on_disk(now, id, &refusal(cancellation));
            }
            // It comes to its end, and its result tells; what can be ended early ends early.
            Some(Phase::Running) => {
                self.effects.push_back(Effect::Interrupt { id, envelope: envelope.clone() });
            }
            Some(Phase::Ending { .. } | Phase::Finished { .. } | Phase::Reported { .. }) => {
                self.tell_what_is_known(now, id);
            }
        }
    }

    /// The command may still be on its way here: it must not run when it comes.
    fn remember_cancelled(&mut self, now: Now, channel: Channel, cancellation: &Cancellation) {
        let id = cancellation.id;
        let forget_after = cancellation.expires_at + order::MEMORY_MARGIN;
        if forget_after <= now.wall {
            // Nobody can start it any more, and what became of it is forgotten.
            self.outbox.owe_again(Item::NotKnown(id));
            return;
        }
        let kind = "unknown".to_owned();
        self.ledger.insert(id, Entry::without_order(kind, 1, channel, now.wall, forget_after));
        self.finish_on_disk(now, id, &refusal(cancellation));
    }
}

fn refusal(cancellation: &Cancellation) -> Refusal {
    Refusal {
        word: CANCELLED,
        message: format!(
            "Cancelled by {} before it was started; nothing was done.",
            cancellation.cancelled_by
        ),
    }
}
