//! Telling the server what happened until it is known to have heard.

use std::time::Duration;

use tracing::{info, warn};
use voltaxe_protocol::{AgentFrame, CommandId, CommandReceipt};

use super::{Channel, Core, Delivery, Effect, Now, Phase, Post, PostKey, RequestFailure};
use crate::journal::{Record, Urgency};

/// A result sent over the stream is sent again when it was not acknowledged for this long.
const ACKNOWLEDGE_WITHIN: Duration = Duration::from_secs(10);
const REPORT_BASE: Duration = Duration::from_secs(1);
const REPORT_CAP: Duration = Duration::from_secs(60);
/// For an answer that more tries will hardly change.
const NOT_ACCEPTED_WAIT: Duration = Duration::from_secs(600);

impl Core {
    /// The answer to an [`Effect::Post`].
    pub fn handle_posted(&mut self, now: Now, key: PostKey, outcome: Result<(), RequestFailure>) {
        match &outcome {
            Ok(()) => self.link.http_answered(),
            Err(failure) => self.note_http_failure(now, "REPORT", failure),
        }
        match key {
            PostKey::Telemetry => self.telemetry.posting = false,
            PostKey::Receipt(id) => self.receipt_posted(now, id, &outcome),
            PostKey::Result(id) => self.result_posted(now, id, &outcome),
        }
    }

    pub(super) fn result_is_recorded(&mut self, now: Now, id: CommandId, channel: Channel) {
        let Some(entry) = self.ledger.get(id) else { return };
        let Phase::Finished { volatile, .. } = entry.phase else { return };
        info!("[{}] Result reported for command ID {id}", channel.tag());
        if volatile {
            self.ledger.remove(id);
        } else {
            self.ledger.mark_reported(id);
            self.append(vec![Record::Reported { id, at: now.wall }], Urgency::Lazy, Vec::new());
        }
    }

    /// Sends or posts the result of a finished command now, unless the server asked to be left alone.
    pub(super) fn tell_result(&mut self, now: Now, id: CommandId) {
        let is_live = self.link.is_live();
        let held_until = self.link.held_until();
        let Some(entry) = self.ledger.get_mut(id) else { return };
        let Phase::Finished { result, report, .. } = &mut entry.phase else { return };
        if is_live {
            report.due = Some(now.uptime + ACKNOWLEDGE_WITHIN);
            self.effects.push_back(Effect::Send(AgentFrame::Result(result.clone())));
        } else if report.posting {
            // Its answer decides what is next.
        } else if held_until > now.uptime {
            report.due = Some(held_until);
        } else {
            *report = Delivery { posting: true, due: None, tries: report.tries };
            self.effects.push_back(Effect::Post(Post::Result(result.clone())));
        }
    }

    /// Tells the server that the command is on this disk.
    pub(super) fn send_receipt(&mut self, id: CommandId) {
        let is_live = self.link.is_live();
        let Some(entry) = self.ledger.get_mut(id) else { return };
        let attempt = entry.attempt;
        if is_live {
            entry.receipt = Delivery::default();
            self.effects.push_back(Effect::Send(AgentFrame::Receipt { command_id: id, attempt }));
        } else if !entry.receipt.posting {
            entry.receipt = Delivery { posting: true, due: None, tries: entry.receipt.tries };
            self.effects.push_back(Effect::Post(Post::Receipt(CommandReceipt { command_id: id, attempt })));
        }
    }

    /// The server asks what became of a command.
    pub(super) fn answer_query(&mut self, id: CommandId) {
        let frame = match self.ledger.get(id).map(|entry| &entry.phase) {
            None => AgentFrame::NotKnown { command_id: id },
            // The receipt follows the commit.
            Some(Phase::Accepting { .. }) => return,
            Some(Phase::Queued | Phase::Starting | Phase::Running) => return self.send_receipt(id),
            Some(Phase::Finished { result, .. } | Phase::Reported { result }) => {
                AgentFrame::Result(result.clone())
            }
        };
        self.effects.push_back(Effect::Send(frame));
    }

    /// On a new stream: whatever the server may have missed.
    pub(super) fn report_everything(&mut self, now: Now) {
        for (id, finished) in self.told_things() {
            if finished {
                self.tell_result(now, id);
            } else {
                self.send_receipt(id);
            }
        }
    }

    /// When the stream is gone: what it may have swallowed goes by HTTP.
    pub(super) fn report_by_post(&mut self, now: Now) {
        for (id, finished) in self.told_things() {
            let soon = now.uptime + self.jitter.between(Duration::ZERO, REPORT_BASE);
            let Some(entry) = self.ledger.get_mut(id) else { continue };
            match &mut entry.phase {
                Phase::Finished { report, .. } if finished && !report.posting => {
                    // One that waits for its backoff already keeps its time.
                    let due = report.due.unwrap_or(soon);
                    report.due = Some(if report.tries == 0 { due.min(soon) } else { due });
                }
                _ => {}
            }
        }
    }

    pub(super) fn next_report(&self) -> Option<Duration> {
        let (hold, is_live) = (self.http_hold(), self.link.is_live());
        self.ledger
            .open()
            .filter_map(|(_, entry)| match &entry.phase {
                Phase::Finished { report, .. } => report.due(is_live),
                Phase::Accepting { .. } | Phase::Reported { .. } => None,
                Phase::Queued | Phase::Starting | Phase::Running => entry.receipt.due(is_live),
            })
            .min()
            .map(|due| due.max(hold))
    }

    pub(super) fn report_what_is_due(&mut self, now: Now) {
        if self.http_hold() > now.uptime {
            return;
        }
        let is_live = self.link.is_live();
        let due = |delivery: &Delivery| delivery.due(is_live).is_some_and(|at| at <= now.uptime);
        let results: Vec<CommandId> = self
            .ledger
            .open()
            .filter(|(_, entry)| matches!(&entry.phase, Phase::Finished { report, .. } if due(report)))
            .map(|(id, _)| id)
            .collect();
        let receipts: Vec<CommandId> = self
            .ledger
            .open()
            .filter(|(_, entry)| {
                matches!(entry.phase, Phase::Queued | Phase::Starting | Phase::Running) && due(&entry.receipt)
            })
            .map(|(id, _)| id)
            .collect();
        results.into_iter().for_each(|id| self.tell_result(now, id));
        receipts.into_iter().for_each(|id| self.send_receipt(id));
    }

    /// A live stream has no hold: it was just let in.
    fn http_hold(&self) -> Duration {
        if self.link.is_live() { Duration::ZERO } else { self.link.held_until() }
    }

    /// Ids of commands the server may be waiting to hear of, and whether they are finished.
    fn told_things(&self) -> Vec<(CommandId, bool)> {
        self.ledger
            .open()
            .filter_map(|(id, entry)| match entry.phase {
                Phase::Accepting { .. } | Phase::Reported { .. } => None,
                Phase::Queued | Phase::Starting | Phase::Running => Some((id, false)),
                Phase::Finished { .. } => Some((id, true)),
            })
            .collect()
    }

    fn receipt_posted(&mut self, now: Now, id: CommandId, outcome: &Result<(), RequestFailure>) {
        let wait = outcome.as_ref().err().map(|failure| self.wait_after(failure, self.receipt_tries(id)));
        let Some(entry) = self.ledger.get_mut(id) else { return };
        entry.receipt = Delivery {
            posting: false,
            tries: entry.receipt.tries.saturating_add(1),
            due: wait.flatten().map(|wait| now.uptime + wait),
        };
    }

    fn result_posted(&mut self, now: Now, id: CommandId, outcome: &Result<(), RequestFailure>) {
        if outcome.is_ok() {
            return self.result_is_recorded(now, id, Channel::Poll);
        }
        if outcome == &Err(RequestFailure::CommandNotFound) {
            warn!(
                command_id = id.0,
                "The server does not know this command any more; its result is kept here only"
            );
            return self.result_is_recorded(now, id, Channel::Poll);
        }
        let tries = match self.ledger.get(id).map(|entry| &entry.phase) {
            Some(Phase::Finished { report, .. }) => report.tries,
            _ => return,
        };
        let wait = outcome.as_ref().err().and_then(|failure| self.wait_after(failure, tries));
        if let Some(entry) = self.ledger.get_mut(id)
            && let Phase::Finished { report, .. } = &mut entry.phase
        {
            *report = Delivery {
                posting: false,
                tries: tries.saturating_add(1),
                due: Some(now.uptime + wait.unwrap_or(NOT_ACCEPTED_WAIT)),
            };
        }
    }

    fn receipt_tries(&self, id: CommandId) -> u32 {
        self.ledger.get(id).map_or(0, |entry| entry.receipt.tries)
    }

    /// `None`: do not try again.
    fn wait_after(&self, failure: &RequestFailure, tries: u32) -> Option<Duration> {
        match failure {
            RequestFailure::Unavailable(_) | RequestFailure::Refused { .. } => {
                Some(REPORT_BASE.saturating_mul(1 << tries.min(6)).min(REPORT_CAP))
            }
            RequestFailure::NotAccepted(_) => Some(NOT_ACCEPTED_WAIT),
            RequestFailure::CommandNotFound => None,
        }
    }
}
