use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use voltaxe_protocol::{Command, CommandId};

/// What one agent has been told and has done, by command id: its disk. It outlives streams, servers and polls, so it also
/// tells afterwards whether everything took effect exactly once.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    entries: BTreeMap<CommandId, Entry>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// How often it was offered, over every channel.
    pub offers: u32,
    /// Of the newest offer.
    pub attempt: i32,
    /// How often it took effect. More than 1 is the failure that all this is about.
    pub effects: u32,
    pub stage: Stage,
    /// The server has said that the result is on its disk.
    pub recorded: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    Waiting(Work),
    /// Its effect has begun and its outcome is not written yet.
    Running,
    Final(Outcome),
}

/// What is to be done, and when it may begin.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    pub action: Command,
    pub not_before: Option<DateTime<Utc>>,
    pub expires_at: DateTime<Utc>,
}

/// Small on purpose: a fleet keeps millions of them. The result's words are made from it when they are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Isolated(DateTime<Utc>),
    Restored(DateTime<Utc>),
    /// An agent check, and whose isolation held meanwhile.
    Checked(DateTime<Utc>, Option<CommandId>),
    /// Not carried out; the stable word of the protocol.
    Refused(&'static str),
}

impl Ledger {
    /// Notes an offer; `true` when this id was never seen.
    pub fn offered(&mut self, id: CommandId, attempt: i32, work: impl FnOnce() -> Stage) -> bool {
        let mut is_new = false;
        let entry = self.entries.entry(id).or_insert_with(|| {
            is_new = true;
            Entry { offers: 0, attempt, effects: 0, stage: work(), recorded: false }
        });
        entry.offers += 1;
        entry.attempt = entry.attempt.max(attempt);
        is_new
    }

    /// Takes the work out, which can be done once: whoever gets it brings the effect about.
    pub fn begin(&mut self, id: CommandId, now: DateTime<Utc>) -> Option<Work> {
        let entry = self.entries.get_mut(&id)?;
        let Stage::Waiting(work) = &entry.stage else { return None };
        if work.not_before.is_some_and(|at| at > now) {
            return None;
        }
        if work.expires_at <= now {
            entry.stage = Stage::Final(Outcome::Refused("expired"));
            return None;
        }
        let Stage::Waiting(work) = std::mem::replace(&mut entry.stage, Stage::Running) else { return None };
        entry.effects += 1;
        Some(work)
    }

    pub fn finish(&mut self, id: CommandId, outcome: Outcome) {
        if let Some(entry) = self.entries.get_mut(&id)
            && entry.stage == Stage::Running
        {
            entry.stage = Stage::Final(outcome);
        }
    }

    /// Takes a command back. One that was never seen is remembered, so that a late offer of it does nothing.
    pub fn cancel(&mut self, id: CommandId) {
        let cancelled = Stage::Final(Outcome::Refused(voltaxe_protocol::CANCELLED));
        let unseen =
            || Entry { offers: 0, attempt: 0, effects: 0, stage: cancelled.clone(), recorded: false };
        let entry = self.entries.entry(id).or_insert_with(unseen);
        if matches!(entry.stage, Stage::Waiting(_)) {
            entry.stage = cancelled;
        }
    }

    /// Notes that the server has the result on its disk; `true` the first time.
    pub fn recorded(&mut self, id: CommandId) -> bool {
        self.entries.get_mut(&id).is_some_and(|entry| !std::mem::replace(&mut entry.recorded, true))
    }

    #[must_use]
    pub fn get(&self, id: CommandId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    pub fn entries(&self) -> impl Iterator<Item = (CommandId, &Entry)> {
        self.entries.iter().map(|(id, entry)| (*id, entry))
    }

    /// What has not begun, and when it may.
    pub fn waiting(&self) -> impl Iterator<Item = (CommandId, Option<DateTime<Utc>>)> {
        self.entries().filter_map(|(id, entry)| match &entry.stage {
            Stage::Waiting(work) => Some((id, work.not_before)),
            Stage::Running | Stage::Final(_) => None,
        })
    }

    /// Outcomes that the server has not acknowledged.
    pub fn unreported(&self) -> impl Iterator<Item = (CommandId, Outcome)> {
        self.entries().filter(|(_, entry)| !entry.recorded).filter_map(|(id, entry)| match entry.stage {
            Stage::Final(outcome) => Some((id, outcome)),
            Stage::Waiting(_) | Stage::Running => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use voltaxe_protocol::AgentCheck;

    use super::*;

    const ID: CommandId = CommandId(7);

    fn work(not_before: Option<DateTime<Utc>>) -> Stage {
        let action = Command::AgentCheck(AgentCheck {});
        Stage::Waiting(Work { action, not_before, expires_at: at(1_000) })
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn a_command_takes_effect_once_however_often_it_is_offered() {
        let mut ledger = Ledger::default();
        assert!(ledger.offered(ID, 1, || work(None)));
        assert!(!ledger.offered(ID, 2, || work(None)));
        assert!(ledger.begin(ID, at(1)).is_some());
        assert!(ledger.begin(ID, at(1)).is_none());
        ledger.finish(ID, Outcome::Checked(at(1), None));
        assert!(!ledger.offered(ID, 3, || work(None)));
        assert!(ledger.begin(ID, at(2)).is_none());
        ledger.finish(ID, Outcome::Refused("expired"));
        let entry = ledger.get(ID).unwrap();
        assert_eq!((entry.offers, entry.attempt, entry.effects), (3, 3, 1));
        assert_eq!(entry.stage, Stage::Final(Outcome::Checked(at(1), None)), "the first outcome stands");
    }

    #[test]
    fn a_cancelled_command_never_takes_effect() {
        let mut ledger = Ledger::default();
        ledger.offered(ID, 1, || work(None));
        ledger.cancel(ID);
        assert!(ledger.begin(ID, at(1)).is_none());
        let late = CommandId(8);
        ledger.cancel(late);
        assert!(!ledger.offered(late, 1, || work(None)));
        assert!(ledger.begin(late, at(1)).is_none());
        assert_eq!(ledger.unreported().count(), 2);
    }

    #[test]
    fn what_has_begun_is_not_cancelled() {
        let mut ledger = Ledger::default();
        ledger.offered(ID, 1, || work(None));
        ledger.begin(ID, at(1));
        ledger.cancel(ID);
        ledger.finish(ID, Outcome::Isolated(at(1)));
        assert_eq!(ledger.get(ID).unwrap().stage, Stage::Final(Outcome::Isolated(at(1))));
    }

    #[test]
    fn work_begins_neither_early_nor_expired() {
        let mut ledger = Ledger::default();
        ledger.offered(ID, 1, || work(Some(at(100))));
        assert!(ledger.begin(ID, at(99)).is_none());
        assert_eq!(ledger.waiting().collect::<Vec<_>>(), [(ID, Some(at(100)))]);
        assert!(ledger.begin(ID, at(1_000)).is_none());
        assert_eq!(ledger.unreported().collect::<Vec<_>>(), [(ID, Outcome::Refused("expired"))]);
    }

    #[test]
    fn a_recorded_result_is_not_reported_again() {
        let mut ledger = Ledger::default();
        ledger.offered(ID, 1, || work(None));
        ledger.begin(ID, at(1));
        ledger.finish(ID, Outcome::Restored(at(1)));
        assert_eq!(ledger.unreported().count(), 1);
        assert!(ledger.recorded(ID));
        assert!(!ledger.recorded(ID), "told twice, counted once");
        assert_eq!(ledger.unreported().count(), 0);
    }
}
