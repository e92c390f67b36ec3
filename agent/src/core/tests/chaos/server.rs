//! The server's side: it offers commands until it has their receipts, then asks, and never forgets.

use std::{collections::BTreeMap, ops::Range};

use super::*;

const LEASE: Duration = Duration::from_secs(3);
/// Commands without a result at the same time.
const OPEN_AT_ONCE: usize = 24;

pub(super) struct Server {
    commands: BTreeMap<i64, Issued>,
    ids: Range<i64>,
    pub(super) offers: u64,
}

pub(super) struct Issued {
    pub(super) order: CommandOrder,
    envelope: Envelope,
    has_receipt: bool,
    /// Until then it waits for the receipt.
    leased_until: Duration,
    pub(super) result: Option<CommandResult>,
    pub(super) is_cancelled: bool,
    /// Beside those that must be executed: it may be cancelled, or superseded.
    pub(super) is_extra: bool,
}

/// Something for the host.
#[derive(Clone)]
pub(super) enum Message {
    Frame(ServerFrame),
    Direct(DirectOffer),
}

impl Server {
    /// Of each eleven commands ten are checks, one is an isolate or restore; one more check in eleven is cancelled.
    pub(super) fn new(checks: i64) -> Self {
        Self { commands: BTreeMap::new(), ids: 0..checks * 12 / 10, offers: 0 }
    }

    pub(super) fn commands(&self) -> impl Iterator<Item = (&i64, &Issued)> {
        self.commands.iter()
    }

    pub(super) fn is_content(&self) -> bool {
        self.ids.is_empty() && self.open().next().is_none()
    }

    pub(super) fn waiting_for(&self) -> Vec<i64> {
        self.open().collect()
    }

    /// Now and then: something about some command, for the stream or the direct channel.
    pub(super) fn speak(&mut self, now: Duration, random: &mut fastrand::Rng) -> Option<Message> {
        self.issue();
        let open: Vec<i64> = self.open().collect();
        let newest = self.ids.start;
        // Mostly what is open; now and then a duplicate of something long over.
        let id = match random.u8(..) {
            0..=230 => *random.choice(&open)?,
            _ => random.i64(0..newest.max(1)),
        };
        let command = self.commands.get_mut(&id)?;
        if command.is_cancelled && random.bool() {
            let envelope = sealed_cancellation(&cancellation(id));
            return Some(Message::Frame(ServerFrame::Cancel { envelope }));
        }
        if command.has_receipt && random.u8(..) < 128 {
            return Some(Message::Frame(ServerFrame::Query { command_id: CommandId(id) }));
        }
        if command.leased_until > now && random.u8(..) > 20 {
            return None;
        }
        command.leased_until = now + LEASE;
        self.offers += 1;
        let (attempt, envelope) = (random.i32(1..9), command.envelope.clone());
        Some(match random.u8(..3) {
            0 => Message::Direct(DirectOffer { attempt, envelope }),
            _ => Message::Frame(ServerFrame::Command { attempt, envelope }),
        })
    }

    pub(super) fn answer_poll(&mut self, now: Duration, random: &mut fastrand::Rng) -> PollResponse {
        self.issue();
        let mut answer = PollResponse::default();
        for id in self.open().collect::<Vec<_>>() {
            let Some(command) = self.commands.get_mut(&id) else { continue };
            if command.is_cancelled {
                answer.cancellations.push(sealed_cancellation(&cancellation(id)));
            }
            if command.has_receipt {
                answer.queries.push(CommandId(id));
            } else if command.leased_until <= now {
                command.leased_until = now + LEASE;
                self.offers += 1;
                let (kind, envelope) = (command.order.action.kind().to_owned(), command.envelope.clone());
                let (id, params) = (CommandId(id), json!({}));
                answer.commands.push(OfferedCommand { id, command: kind, params, attempt: 1, envelope });
            }
        }
        random.shuffle(&mut answer.commands);
        answer
    }

    pub(super) fn hears_receipt(&mut self, id: i64) {
        if let Some(command) = self.commands.get_mut(&id) {
            command.has_receipt = true;
        }
    }

    /// What it asked about is not there: it offers it again.
    pub(super) fn hears_not_known(&mut self, id: i64) {
        if let Some(command) = self.commands.get_mut(&id) {
            assert!(
                !command.has_receipt || command.result.is_some(),
                "command {id} has a receipt and is not known"
            );
        }
    }

    /// The first wins.
    pub(super) fn hears_result(&mut self, result: CommandResult) {
        let command = self.commands.get_mut(&result.command_id.0).expect("a result of a command of ours");
        command.has_receipt = true;
        command.result.get_or_insert(result);
    }

    fn open(&self) -> impl Iterator<Item = i64> {
        self.commands.iter().filter(|(_, command)| command.result.is_none()).map(|(id, _)| *id)
    }

    fn issue(&mut self) {
        while self.open().count() < OPEN_AT_ONCE
            && let Some(id) = self.ids.next()
        {
            let (action, is_cancelled) = match id % 12 {
                10 if id % 24 == 10 => (isolate(), false),
                10 => (restore(), false),
                11 => (check(), true),
                _ => (check(), false),
            };
            let is_extra = id % 12 > 9;
            let mut order = order(id, action);
            order.expires_at = start_of_time() + TimeDelta::days(7);
            if id % 7 == 3 {
                order.not_before = Some(start_of_time() + TimeDelta::seconds(id));
            }
            let envelope = sealed(&order);
            let issued = Issued {
                order,
                envelope,
                has_receipt: false,
                leased_until: Duration::ZERO,
                result: None,
                is_cancelled,
                is_extra,
            };
            self.commands.insert(id, issued);
        }
    }
}
