//! Telling the server what happened until it is known to have heard.

use std::time::Duration;

use tracing::{info, warn};
use voltaxe_protocol::{CommandId, CommandReceipt, CommandResult, NotKnown};

use super::{Channel, Core, Effect, Entry, Now, Phase, Post, PostKey, RequestFailure, Waiting, outbox::Item};
use crate::journal::{Record, Urgency};

/// For an answer that more tries will hardly change.
const NOT_ACCEPTED_WAIT: Duration = Duration::from_secs(600);
/// The server asks again about the others.
const MAX_QUERIES: usize = 256;

impl Core {
    /// The answer to an [`Effect::Post`].
    pub fn handle_posted(&mut self, now: Now, key: PostKey, outcome: Result<(), RequestFailure>) {
        match &outcome {
            Ok(()) => self.link.http_answered(),
            Err(failure) => self.note_http_failure(now, "REPORT", failure),
        }
        let item = match key {
            PostKey::Telemetry => {
                self.telemetry.posting = false;
                None
            }
            PostKey::Receipt(id) => Some(Item::Receipt(id)),
            PostKey::NotKnown(id) => Some(Item::NotKnown(id)),
            // `None` when the server has it already, by whichever way.
            PostKey::Result(id) => self.ledger.get(id).and_then(|entry| entry.result_item(id)),
        };
        if key != PostKey::Telemetry {
            self.outbox.post_ended();
        }
        if let Some(item) = item {
            self.item_posted(now, item, outcome);
        }
        self.report(now);
    }

    pub(super) fn result_is_recorded(&mut self, now: Now, id: CommandId, channel: Channel) {
        let Some(item) = self.ledger.get(id).and_then(|entry| entry.result_item(id)) else { return };
        info!("[{}] Result reported for command ID {id}", channel.tag());
        self.outbox.settle(item);
        self.ledger.mark_reported(id);
        let is_in_journal = self.ledger.get(id).is_some_and(|entry| entry.is_on_disk)
            || self.commits.values().any(|batch| batch.is_about(id));
        // What a full disk refused is remembered without it, until the agent ends.
        if is_in_journal {
            self.append(vec![Record::Reported { id, at: now.wall }], Urgency::Lazy, Vec::new());
        }
    }

    /// Tells as much as may be told now.
    pub(super) fn report(&mut self, now: Now) {
        self.outbox.wake(now.uptime);
        if self.http_hold() > now.uptime {
            return;
        }
        let is_live = self.link.is_live();
        while let Some(item) = self.outbox.next(is_live) {
            let Some(post) = self.words_for(item) else {
                self.outbox.settle(item);
                continue;
            };
            if is_live {
                self.outbox.sent(item, now.uptime);
                self.effects.push_back(Effect::Send(post.into_frame()));
            } else {
                self.outbox.posting(item);
                self.effects.push_back(Effect::Post(post));
            }
        }
    }

    /// When [`Self::report`] will find something to do.
    pub(super) fn next_report(&self) -> Option<Duration> {
        let is_ready = self.outbox.next(self.link.is_live()).is_some();
        let next = if is_ready { Some(Duration::ZERO) } else { self.outbox.next_due() };
        next.map(|at| at.max(self.http_hold()))
    }

    /// The server asks what became of commands.
    pub(super) fn answer_queries(&mut self, now: Now, ids: &[CommandId]) {
        for id in ids.iter().take(MAX_QUERIES) {
            if self.ledger.get(*id).is_some() {
                self.tell_what_is_known(now, *id);
            } else {
                self.outbox.owe_again(Item::NotKnown(*id));
            }
        }
        self.report(now);
    }

    /// On a new stream: whatever the server may have missed.
    pub(super) fn report_everything(&mut self, now: Now) {
        self.outbox.stream_live();
        let begun = self
            .ledger
            .unfinished()
            .filter(|(_, entry)| matches!(entry.phase(), Phase::Queued | Phase::Starting | Phase::Running));
        begun.for_each(|(id, _)| self.outbox.owe(Item::Receipt(id)));
        self.report(now);
    }

    /// A live stream has no hold: it was just let in.
    fn http_hold(&self) -> Duration {
        if self.link.is_live() { Duration::ZERO } else { self.link.held_until() }
    }

    /// `None` when there is nothing to tell any more.
    fn words_for(&self, item: Item) -> Option<Post> {
        match item {
            Item::Receipt(id) => {
                let attempt = self.ledger.get(id)?.attempt;
                Some(Post::Receipt(CommandReceipt { command_id: id, attempt }))
            }
            Item::NotKnown(id) => {
                self.ledger.get(id).is_none().then_some(Post::NotKnown(NotKnown { command_id: id }))
            }
            Item::Result { id, .. } | Item::Again(id) => {
                self.ledger.get(id).and_then(result_of).cloned().map(Post::Result)
            }
        }
    }

    fn item_posted(&mut self, now: Now, item: Item, outcome: Result<(), RequestFailure>) {
        match (outcome, item) {
            (Ok(()), Item::Result { id, .. }) => self.result_is_recorded(now, id, Channel::Poll),
            (Err(RequestFailure::CommandNotFound), Item::Result { id, .. }) => {
                warn!(
                    command_id = id.0,
                    "The server does not know this command any more; its result is kept here only"
                );
                self.result_is_recorded(now, id, Channel::Poll);
            }
            // The server asks again.
            (Err(_), Item::NotKnown(_)) | (Ok(()) | Err(RequestFailure::CommandNotFound), _) => {
                self.outbox.settle(item);
            }
            (Err(RequestFailure::Unavailable(_) | RequestFailure::Refused { .. }), _) => {
                self.outbox.put_back(item);
            }
            (Err(RequestFailure::Failed(_)), _) => {
                self.outbox.set_aside(item, now.uptime, Duration::ZERO);
            }
            (Err(RequestFailure::NotAccepted(_)), _) => {
                self.outbox.set_aside(item, now.uptime, NOT_ACCEPTED_WAIT);
            }
        }
    }
}

impl Waiting {
    pub(super) fn is_about(self, command: CommandId) -> bool {
        match self {
            Self::Order(id) | Self::Start(id) | Self::End(id) | Self::Direct { id, .. } => id == command,
        }
    }
}

fn result_of(entry: &Entry) -> Option<&CommandResult> {
    match entry.phase() {
        Phase::Finished { result, .. } | Phase::Reported { result } => Some(result),
        Phase::Accepting { .. } | Phase::Queued | Phase::Starting | Phase::Running | Phase::Ending { .. } => {
            None
        }
    }
}
