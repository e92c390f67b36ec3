//! What this host knows about each command.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::{DateTime, Utc};
use voltaxe_protocol::{Command, CommandId, CommandOrder, CommandResult};

use super::{effect::Channel, order};
use crate::journal::Record;

/// One command at a time in each lane; the lanes do not wait for each other.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Lane {
    /// Isolate and restore. Everything that takes long goes to a lane of its own.
    Control,
}

impl Lane {
    pub(super) const ALL: [Self; 1] = [Self::Control];

    pub(super) fn of(action: &Command) -> Self {
        match action {
            Command::NetworkIsolate(_) | Command::NetworkRestore(_) => Self::Control,
        }
    }
}

#[derive(Debug)]
pub(super) struct Entry {
    /// `None` for an order that was refused unread and for one only remembered.
    pub(super) order: Option<CommandOrder>,
    pub(super) kind: String,
    /// Of the latest offer.
    pub(super) attempt: i32,
    pub(super) channel: Channel,
    /// How often its effect was begun.
    pub(super) starts: u32,
    pub(super) phase: Phase,
    pub(super) receipt: Delivery,
    pub(super) forget_after: DateTime<Utc>,
}

#[derive(Debug)]
pub(super) enum Phase {
    /// On its way to the disk; `starts` when its start is in the same commit.
    Accepting {
        starts: bool,
    },
    /// On disk, waiting for its lane or its time.
    Queued,
    /// The start is on its way to the disk.
    Starting,
    Running,
    Finished {
        result: CommandResult,
        report: Delivery,
        /// Not in the journal, because that is full or broken: forgotten once reported.
        volatile: bool,
    },
    Reported {
        result: CommandResult,
    },
}

/// Telling the server one thing until it is known to have arrived.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Delivery {
    /// An HTTP request with it is under way.
    pub(super) posting: bool,
    pub(super) tries: u32,
    /// When to tell it again; `None` when nothing is owed.
    pub(super) due: Option<Duration>,
}

impl Delivery {
    /// Without a stream, a request under way is waited for.
    pub(super) fn due(&self, is_live: bool) -> Option<Duration> {
        self.due.filter(|_| is_live || !self.posting)
    }
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: BTreeMap<CommandId, Entry>,
    /// Those the server does not have the result of.
    open: BTreeSet<CommandId>,
}

impl Ledger {
    pub(super) fn get(&self, id: CommandId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: CommandId) -> Option<&mut Entry> {
        self.entries.get_mut(&id)
    }

    pub(super) fn insert(&mut self, id: CommandId, entry: Entry) {
        if !matches!(entry.phase, Phase::Reported { .. }) {
            self.open.insert(id);
        }
        self.entries.insert(id, entry);
    }

    pub(super) fn remove(&mut self, id: CommandId) {
        self.open.remove(&id);
        self.entries.remove(&id);
    }

    /// The server has the result.
    pub(super) fn mark_reported(&mut self, id: CommandId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if let Phase::Finished { result, .. } = &entry.phase {
            entry.phase = Phase::Reported { result: result.clone() };
            entry.order = None;
            self.open.remove(&id);
        }
    }

    /// The server has a result whose own record was damaged: the command is over, and must not be run again.
    fn end_without_result(&mut self, id: CommandId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if matches!(entry.phase, Phase::Finished { .. } | Phase::Reported { .. }) {
            return;
        }
        let result = CommandResult {
            command_id: id,
            success: false,
            message: "The record of the result was damaged on the host; the server has the result."
                .to_owned(),
            data: None,
        };
        entry.phase = Phase::Finished { result, report: Delivery::default(), volatile: false };
    }

    pub(super) fn open(&self) -> impl Iterator<Item = (CommandId, &Entry)> {
        self.open.iter().filter_map(|id| Some((*id, self.entries.get(id)?)))
    }

    pub(super) fn all_reported(&self) -> bool {
        self.open.is_empty()
    }

    /// Results that the server does not have.
    pub(super) fn unreported(&self) -> usize {
        self.open().filter(|(_, entry)| matches!(entry.phase, Phase::Finished { .. })).count()
    }

    /// What runs next in a lane: one that a crash interrupted, then the most urgent, then the oldest, of those whose
    /// time has come.
    pub(super) fn next_in(&self, lane: Lane, now: DateTime<Utc>) -> Option<CommandId> {
        self.queued()
            .filter(|(_, _, order)| {
                Lane::of(&order.action) == lane && order.not_before.is_none_or(|at| at <= now)
            })
            .min_by_key(|(id, starts, order)| (*starts == 0, Reverse(order.action.priority()), *id))
            .map(|(id, _, _)| id)
    }

    /// The next moment at which a waiting command may start.
    pub(super) fn next_not_before(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.queued().filter_map(|(_, _, order)| order.not_before).filter(|at| *at > now).min()
    }

    /// With how often each was begun.
    fn queued(&self) -> impl Iterator<Item = (CommandId, u32, &CommandOrder)> {
        self.open()
            .filter(|(_, entry)| matches!(entry.phase, Phase::Queued))
            .filter_map(|(id, entry)| Some((id, entry.starts, entry.order.as_ref()?)))
    }

    pub(super) fn forget_old(&mut self, now: DateTime<Utc>) {
        self.entries
            .retain(|_, entry| !(matches!(entry.phase, Phase::Reported { .. }) && entry.forget_after <= now));
    }

    /// The journal's shortest content with the same meaning; only right when everything is reported.
    pub(super) fn snapshot(&self) -> Vec<Record> {
        self.entries
            .values()
            .filter_map(|entry| match &entry.phase {
                Phase::Reported { result } => Some(Record::Known {
                    kind: entry.kind.clone(),
                    result: result.clone(),
                    forget_after: entry.forget_after,
                }),
                Phase::Accepting { .. }
                | Phase::Queued
                | Phase::Starting
                | Phase::Running
                | Phase::Finished { .. } => None,
            })
            .collect()
    }

    /// Builds the ledger from the journal. Nothing is `Running` afterwards: a start without an end is queued again.
    pub(super) fn recover(records: Vec<Record>) -> Self {
        let mut ledger = Self::default();
        for record in records {
            ledger.apply(record);
        }
        ledger
    }

    fn apply(&mut self, record: Record) {
        let id = record.command_id();
        match record {
            Record::Received { order, attempt, at } => {
                let entry = Entry {
                    kind: order.action.kind().to_owned(),
                    forget_after: order::forget_after(Some(order.expires_at), at),
                    order: Some(order),
                    attempt,
                    channel: Channel::Journal,
                    starts: 0,
                    phase: Phase::Queued,
                    receipt: Delivery { due: Some(Duration::ZERO), ..Delivery::default() },
                };
                if !self.entries.contains_key(&id) {
                    self.insert(id, entry);
                }
            }
            Record::Started { .. } => {
                if let Some(entry) = self.entries.get_mut(&id) {
                    entry.starts += 1;
                }
            }
            Record::Finished { kind, result, forget_after, .. } => {
                let report = Delivery { due: Some(Duration::ZERO), ..Delivery::default() };
                let phase = Phase::Finished { result, report, volatile: false };
                let known = self.entries.remove(&id);
                self.insert(
                    id,
                    Entry {
                        kind,
                        forget_after,
                        phase,
                        order: known.as_ref().and_then(|entry| entry.order.clone()),
                        attempt: known.as_ref().map_or(1, |entry| entry.attempt),
                        channel: Channel::Journal,
                        starts: known.map_or(0, |entry| entry.starts),
                        receipt: Delivery::default(),
                    },
                );
            }
            Record::Reported { .. } => {
                self.end_without_result(id);
                self.mark_reported(id);
            }
            Record::Known { kind, result, forget_after } => self.insert(
                id,
                Entry {
                    order: None,
                    kind,
                    attempt: 1,
                    channel: Channel::Journal,
                    starts: 0,
                    phase: Phase::Reported { result },
                    receipt: Delivery::default(),
                    forget_after,
                },
            ),
        }
    }

    /// The newest isolate or restore that succeeded.
    pub(super) fn last_applied(&self) -> Option<CommandId> {
        self.entries
            .iter()
            .filter(|(_, entry)| matches!(entry.kind.as_str(), "network_isolate" | "network_restore"))
            .filter(|(_, entry)| match &entry.phase {
                Phase::Finished { result, .. } | Phase::Reported { result } => result.success,
                Phase::Accepting { .. } | Phase::Queued | Phase::Starting | Phase::Running => false,
            })
            .map(|(id, _)| *id)
            .next_back()
    }
}
