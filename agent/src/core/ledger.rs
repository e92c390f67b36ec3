//! What this host knows about each command.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use voltaxe_protocol::{CommandId, CommandOrder, CommandResult, Envelope, IsolationObservation};

use super::{
    effect::Channel,
    order,
    outbox::Item,
    queue::{Lane, Queue},
};
use crate::journal::Record;

#[derive(Debug)]
pub(super) struct Entry {
    /// Until it is finished. `None` for one that was refused unread or cancelled before it came.
    pub(super) order: Option<Box<CommandOrder>>,
    /// The order as it was signed; absent when an earlier agent wrote the journal.
    pub(super) envelope: Option<Box<Envelope>>,
    pub(super) kind: String,
    /// Of the latest offer.
    pub(super) attempt: i32,
    pub(super) channel: Channel,
    pub(super) received_at: DateTime<Utc>,
    pub(super) forget_after: DateTime<Utc>,
    /// Whether the journal has anything of it.
    pub(super) is_on_disk: bool,
    /// Each time its effect was begun.
    starts: Vec<Start>,
    phase: Phase,
}

#[derive(Clone, Debug)]
pub(super) struct Start {
    pub(super) pre_image: Option<IsolationObservation>,
    pub(super) at: DateTime<Utc>,
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
    /// The end of a command that never ran is on its way to the disk. Not told before: a crash would run it yet.
    Ending {
        result: CommandResult,
        at: DateTime<Utc>,
    },
    Finished {
        result: CommandResult,
        at: DateTime<Utc>,
        number: u64,
    },
    /// The server has the result.
    Reported {
        result: CommandResult,
    },
}

impl Entry {
    pub(super) fn accepting(
        order: CommandOrder,
        envelope: Option<Box<Envelope>>,
        attempt: i32,
        channel: Channel,
        now: DateTime<Utc>,
        start: Option<Start>,
    ) -> Self {
        Self {
            kind: order.action.kind().to_owned(),
            attempt,
            channel,
            received_at: now,
            forget_after: order::forget_after(Some(order.expires_at), now),
            order: Some(Box::new(order)),
            envelope,
            is_on_disk: false,
            phase: Phase::Accepting { starts: start.is_some() },
            starts: start.into_iter().collect(),
        }
    }

    /// Refused unread, or cancelled before it came.
    pub(super) fn without_order(
        kind: String,
        attempt: i32,
        channel: Channel,
        now: DateTime<Utc>,
        forget_after: DateTime<Utc>,
    ) -> Self {
        Self {
            order: None,
            envelope: None,
            kind,
            attempt,
            channel,
            received_at: now,
            forget_after,
            is_on_disk: false,
            starts: Vec::new(),
            phase: Phase::Accepting { starts: false },
        }
    }

    pub(super) fn phase(&self) -> &Phase {
        &self.phase
    }

    pub(super) fn starts(&self) -> usize {
        self.starts.len()
    }

    /// What the outbox calls the result that the server does not have.
    pub(super) fn result_item(&self, id: CommandId) -> Option<Item> {
        match self.phase {
            Phase::Finished { number, .. } => Some(Item::Result { number, id }),
            Phase::Accepting { .. }
            | Phase::Queued
            | Phase::Starting
            | Phase::Running
            | Phase::Ending { .. }
            | Phase::Reported { .. } => None,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: BTreeMap<CommandId, Entry>,
    queue: Queue,
    unfinished: BTreeSet<CommandId>,
    /// Finished, and the server does not have the result; in the order of finishing.
    unreported: BTreeSet<(u64, CommandId)>,
    next_number: u64,
}

impl Ledger {
    pub(super) fn get(&self, id: CommandId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: CommandId) -> Option<&mut Entry> {
        self.entries.get_mut(&id)
    }

    pub(super) fn insert(&mut self, id: CommandId, entry: Entry) {
        self.entries.insert(id, entry);
        self.index(id);
    }

    pub(super) fn set_phase(&mut self, id: CommandId, phase: Phase) {
        self.take_out_of_indices(id);
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.phase = phase;
        }
        self.index(id);
    }

    /// The start is on its way to the disk.
    pub(super) fn begin(&mut self, id: CommandId, start: Start) {
        self.set_phase(id, Phase::Starting);
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.starts.push(start);
        }
    }

    /// There is a result. Returns it as the outbox knows it.
    pub(super) fn finish(&mut self, id: CommandId, result: CommandResult, at: DateTime<Utc>) -> Item {
        let number = self.next_number;
        self.next_number += 1;
        self.set_phase(id, Phase::Finished { result, at, number });
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.order = None;
            entry.envelope = None;
            entry.starts = Vec::new();
        }
        Item::Result { number, id }
    }

    /// The server has the result.
    pub(super) fn mark_reported(&mut self, id: CommandId) {
        if let Some(Phase::Finished { result, .. }) = self.entries.get(&id).map(Entry::phase) {
            self.set_phase(id, Phase::Reported { result: result.clone() });
        }
    }

    pub(super) fn wake(&mut self, now: DateTime<Utc>) {
        self.queue.wake(now);
    }

    /// What runs next in a lane, after [`Self::wake`].
    pub(super) fn next_in(&self, lane: Lane) -> Option<CommandId> {
        self.queue.next_in(lane)
    }

    pub(super) fn next_not_before(&self) -> Option<DateTime<Utc>> {
        self.queue.next_not_before()
    }

    pub(super) fn unfinished(&self) -> impl Iterator<Item = (CommandId, &Entry)> {
        self.unfinished.iter().filter_map(|id| Some((*id, self.entries.get(id)?)))
    }

    /// Results that the server does not have.
    pub(super) fn unreported(&self) -> usize {
        self.unreported.len()
    }

    pub(super) fn unreported_items(&self) -> impl Iterator<Item = Item> {
        self.unreported.iter().map(|(number, id)| Item::Result { number: *number, id: *id })
    }

    #[cfg(test)]
    pub(super) fn all_reported(&self) -> bool {
        self.unfinished.is_empty() && self.unreported.is_empty()
    }

    pub(super) fn forget_old(&mut self, now: DateTime<Utc>) {
        self.entries
            .retain(|_, entry| !(matches!(entry.phase, Phase::Reported { .. }) && entry.forget_after <= now));
    }

    /// The newest change of the isolation that succeeded.
    pub(super) fn last_applied(&self) -> Option<CommandId> {
        self.entries
            .iter()
            .filter(|(_, entry)| {
                matches!(entry.kind.as_str(), "network_isolate" | "network_restore" | "isolation_change")
            })
            .filter(|(_, entry)| match &entry.phase {
                Phase::Finished { result, .. } | Phase::Reported { result } => result.success,
                Phase::Accepting { .. }
                | Phase::Queued
                | Phase::Starting
                | Phase::Running
                | Phase::Ending { .. } => false,
            })
            .map(|(id, _)| *id)
            .next_back()
    }

    fn index(&mut self, id: CommandId) {
        let Some(entry) = self.entries.get(&id) else { return };
        match &entry.phase {
            Phase::Reported { .. } => {}
            Phase::Finished { number, .. } => {
                self.unreported.insert((*number, id));
            }
            Phase::Queued => {
                self.unfinished.insert(id);
                if let Some(order) = &entry.order {
                    self.queue.insert(order, entry.starts.len());
                }
            }
            Phase::Accepting { .. } | Phase::Starting | Phase::Running | Phase::Ending { .. } => {
                self.unfinished.insert(id);
            }
        }
    }

    fn take_out_of_indices(&mut self, id: CommandId) {
        let Some(entry) = self.entries.get(&id) else { return };
        self.unfinished.remove(&id);
        if let Phase::Finished { number, .. } = entry.phase {
            self.unreported.remove(&(number, id));
        }
        if let (Phase::Queued, Some(order)) = (&entry.phase, &entry.order) {
            self.queue.remove(order, entry.starts.len());
        }
    }
}

/// To and from the journal.
impl Ledger {
    /// Nothing is `Running` afterwards: a start without an end is queued again.
    pub(super) fn recover(records: Vec<Record>) -> Self {
        let mut ledger = Self::default();
        for record in records {
            ledger.apply(record);
        }
        ledger
    }

    /// The journal's shortest content with the same meaning, if nothing is on its way to the disk.
    pub(super) fn snapshot(&self) -> Vec<Record> {
        let mut records = Vec::new();
        for entry in self.entries.values() {
            match &entry.phase {
                Phase::Reported { result } => records.push(Record::Known {
                    kind: entry.kind.clone(),
                    result: result.clone(),
                    forget_after: entry.forget_after,
                }),
                Phase::Queued | Phase::Starting | Phase::Running | Phase::Ending { .. } => {
                    records.extend(beginning(entry));
                }
                Phase::Accepting { .. } | Phase::Finished { .. } => {}
            }
        }
        let finished = self.unreported.iter().filter_map(|(_, id)| self.entries.get(id));
        records.extend(finished.filter(|entry| entry.is_on_disk).filter_map(|entry| match &entry.phase {
            Phase::Finished { result, at, .. } => Some(finished_record(entry, result, *at)),
            _ => None,
        }));
        records
    }

    fn apply(&mut self, record: Record) {
        let id = record.command_id();
        match record {
            Record::Received { order, envelope, attempt, at } => {
                if !self.entries.contains_key(&id) {
                    let entry = Entry::accepting(order, envelope, attempt, Channel::Journal, at, None);
                    self.insert(id, Entry { is_on_disk: true, phase: Phase::Queued, ..entry });
                }
            }
            Record::Started { pre_image, at, .. } => {
                if !self.is_over(id) {
                    self.begin(id, Start { pre_image, at });
                    self.set_phase(id, Phase::Queued);
                }
            }
            Record::Finished { kind, result, forget_after, at } => {
                if !self.is_over(id) {
                    self.remember(id, kind, at, forget_after);
                    self.finish(id, result, at);
                }
            }
            Record::Reported { at, .. } => {
                if self.entries.contains_key(&id) && !self.is_over(id) {
                    self.finish(id, damaged_result(id), at);
                }
                self.mark_reported(id);
            }
            Record::Known { kind, result, forget_after } => {
                self.remember(id, kind, forget_after, forget_after);
                self.set_phase(id, Phase::Reported { result });
            }
        }
    }

    /// Makes sure that there is an entry, and that it is known to be on disk.
    fn remember(&mut self, id: CommandId, kind: String, at: DateTime<Utc>, forget_after: DateTime<Utc>) {
        if !self.entries.contains_key(&id) {
            self.insert(id, Entry::without_order(kind, 1, Channel::Journal, at, forget_after));
        }
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.forget_after = forget_after;
            entry.is_on_disk = true;
        }
    }

    fn is_over(&self, id: CommandId) -> bool {
        self.entries
            .get(&id)
            .is_some_and(|entry| matches!(entry.phase, Phase::Finished { .. } | Phase::Reported { .. }))
    }
}

pub(super) fn finished_record(entry: &Entry, result: &CommandResult, at: DateTime<Utc>) -> Record {
    Record::Finished {
        kind: entry.kind.clone(),
        result: result.clone(),
        forget_after: entry.forget_after,
        at,
    }
}

fn beginning(entry: &Entry) -> impl Iterator<Item = Record> {
    let received = entry.order.as_ref().map(|order| Record::Received {
        order: order.as_ref().clone(),
        envelope: entry.envelope.clone(),
        attempt: entry.attempt,
        at: entry.received_at,
    });
    let id = entry.order.as_ref().map(|order| order.id);
    let starts = entry.starts.iter().filter_map(move |start| {
        Some(Record::Started { id: id?, pre_image: start.pre_image.clone(), at: start.at })
    });
    received.into_iter().chain(starts)
}

/// The server has a result whose own record was damaged: the command is over, and must not be run again.
fn damaged_result(id: CommandId) -> CommandResult {
    CommandResult {
        command_id: id,
        success: false,
        message: "The record of the result was damaged on the host; the server has the result.".to_owned(),
        data: None,
    }
}
