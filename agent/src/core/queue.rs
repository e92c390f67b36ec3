use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use chrono::{DateTime, Utc};
use voltaxe_protocol::{Command, CommandId, CommandOrder};

/// One command at a time in each lane; the lanes do not wait for each other.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Lane {
    /// The isolation's.
    Control,
    /// The processes': a kill waits out its grace, and an isolate does not wait for it.
    Process,
    /// Everything that may take its time.
    Work,
}

impl Lane {
    pub(super) const ALL: [Self; 3] = [Self::Control, Self::Process, Self::Work];

    pub(super) fn of(action: &Command) -> Self {
        match action {
            Command::NetworkIsolate(_)
            | Command::NetworkRestore(_)
            | Command::IsolationChange(_)
            | Command::IsolationPreview(_) => Self::Control,
            Command::ListProcesses(_)
            | Command::KillProcess(_)
            | Command::SuspendProcess(_)
            | Command::ResumeProcess(_) => Self::Process,
            Command::AgentCheck(_) | Command::CollectForensics(_) => Self::Work,
        }
    }
}

/// Commands on disk that wait for their lane or their time.
#[derive(Debug, Default)]
pub(super) struct Queue {
    ready: BTreeMap<Lane, BTreeSet<Rank>>,
    waiting: BTreeSet<(DateTime<Utc>, CommandId, Lane, Rank)>,
}

/// The first is next: one that a crash interrupted, then the most urgent, then the oldest.
type Rank = (bool, Reverse<i16>, CommandId);

impl Queue {
    /// `starts` is how often the command was begun.
    pub(super) fn insert(&mut self, order: &CommandOrder, starts: usize) {
        let (lane, rank) = place(order, starts);
        match order.not_before {
            Some(at) => self.waiting.insert((at, order.id, lane, rank)),
            None => self.ready.entry(lane).or_default().insert(rank),
        };
    }

    pub(super) fn remove(&mut self, order: &CommandOrder, starts: usize) {
        let (lane, rank) = place(order, starts);
        if let Some(at) = order.not_before {
            self.waiting.remove(&(at, order.id, lane, rank));
        }
        if let Some(ready) = self.ready.get_mut(&lane) {
            ready.remove(&rank);
        }
    }

    /// Those whose time has come may start.
    pub(super) fn wake(&mut self, now: DateTime<Utc>) {
        while self.waiting.first().is_some_and(|(at, ..)| *at <= now) {
            if let Some((_, _, lane, rank)) = self.waiting.pop_first() {
                self.ready.entry(lane).or_default().insert(rank);
            }
        }
    }

    pub(super) fn next_in(&self, lane: Lane) -> Option<CommandId> {
        self.ready.get(&lane)?.first().map(|(_, _, id)| *id)
    }

    /// The next moment at which a waiting command may start.
    pub(super) fn next_not_before(&self) -> Option<DateTime<Utc>> {
        self.waiting.first().map(|(at, ..)| *at)
    }
}

fn place(order: &CommandOrder, starts: usize) -> (Lane, Rank) {
    (Lane::of(&order.action), (starts == 0, Reverse(order.action.priority()), order.id))
}
