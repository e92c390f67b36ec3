//! What must hold whatever happens, written once for all tests that let things happen.

use std::collections::{BTreeMap, BTreeSet};

use voltaxe_protocol::{CANCELLED, Command, CommandResult};

use super::super::Lane;
use crate::journal::Record;

/// Sees everything that a host does, across its crashes, and fails the test at the first thing that must not be.
#[derive(Default)]
pub(super) struct Witness {
    /// From what is on disk for certain.
    started_on_disk: BTreeMap<i64, usize>,
    results_on_disk: BTreeMap<i64, CommandResult>,
    newest_control_on_disk: Option<i64>,
    running: BTreeMap<Lane, i64>,
    ran_in_this_life: BTreeSet<i64>,
    runs: BTreeMap<i64, usize>,
    ended: BTreeSet<i64>,
    /// What the server was told and a crash could not make untrue.
    told: BTreeMap<i64, CommandResult>,
}

impl Witness {
    /// These records will outlive a crash.
    pub(super) fn is_on_disk(&mut self, records: &[Record]) {
        for record in records {
            let id = record.command_id().0;
            match record {
                Record::Started { .. } => *self.started_on_disk.entry(id).or_default() += 1,
                Record::Finished { kind, result, .. } => {
                    if result.success && kind != "agent_check" {
                        self.newest_control_on_disk = self.newest_control_on_disk.max(Some(id));
                    }
                    self.results_on_disk.entry(id).or_insert_with(|| result.clone());
                }
                Record::Received { .. } | Record::Reported { .. } | Record::Known { .. } => {}
            }
        }
    }

    pub(super) fn runs(&mut self, id: i64, action: &Command) {
        let lane = Lane::of(action);
        let before = self.runs.entry(id).or_default();
        assert!(self.ran_in_this_life.insert(id), "command {id} runs twice in one life of the agent");
        assert!(
            self.started_on_disk.get(&id).is_some_and(|starts| *starts > *before),
            "command {id} runs before its start is on disk"
        );
        assert!(*before < 2, "command {id} runs a third time");
        *before += 1;
        let result = self.results_on_disk.get(&id);
        assert!(result.is_none(), "command {id} runs although its result is on disk: {result:?}");
        assert!(
            self.told.get(&id).is_none_or(|told| told.refused().is_none()),
            "command {id} runs after it was told that it does not"
        );
        assert_eq!(self.running.insert(lane, id), None, "two commands run in one lane");
        if lane == Lane::Control {
            let newest = self.newest_control_on_disk;
            assert!(newest.is_none_or(|newest| newest <= id), "command {id} undoes the newer {newest:?}");
        }
    }

    pub(super) fn ends(&mut self, id: i64) {
        self.running.retain(|_, running| *running != id);
        self.ended.insert(id);
    }

    /// Over whichever channel.
    pub(super) fn tells(&mut self, result: &CommandResult) {
        let id = result.command_id.0;
        let before = self.told.get(&id);
        assert!(
            before.is_none_or(|told| told == result),
            "command {id} has two results: {before:?} {result:?}"
        );
        assert!(!result.success || self.ended.contains(&id), "command {id} did not run");
        assert!(
            result.refused() != Some(CANCELLED) || self.results_on_disk.get(&id) == Some(result),
            "command {id} is told to be cancelled before that is on disk"
        );
        self.told.insert(id, result.clone());
    }

    /// The process is gone. What it told without having it on disk may be found anew, and differently.
    pub(super) fn crash(&mut self) {
        self.running.clear();
        self.ran_in_this_life.clear();
        let on_disk = &self.results_on_disk;
        self.told.retain(|id, _| on_disk.contains_key(id));
    }

    /// How often it ran, over all lives of the agent.
    pub(super) fn runs_of(&self, id: i64) -> usize {
        self.runs.get(&id).copied().unwrap_or(0)
    }

    /// Of each command that a restart would take up, how often it was begun.
    pub(super) fn starts_without_result(&self) -> BTreeMap<i64, usize> {
        let begun = self.started_on_disk.iter();
        begun
            .filter(|(id, _)| !self.results_on_disk.contains_key(id))
            .map(|(id, starts)| (*id, *starts))
            .collect()
    }

    pub(super) fn told(&self) -> &BTreeMap<i64, CommandResult> {
        &self.told
    }
}
