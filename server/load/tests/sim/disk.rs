//! A host's journal: what was not synced may be gone after a crash, and the last that is left was perhaps cut short.

use std::collections::VecDeque;

use voltaxe_sentinel::journal::{BatchId, JournalError, Record, Urgency, Usage};

use crate::plan::Sabotage;

/// So large that the agent rewrites its journal after some thirty records.
const RECORD_BYTES: u64 = 40_000;
const LIMIT_BYTES: u64 = 64 * 1024 * 1024;

#[derive(Default)]
pub struct Disk {
    synced: Vec<Record>,
    /// Written; a crash may lose it.
    written: Vec<Record>,
    jobs: VecDeque<Job>,
    pub is_full: bool,
    pub sabotage: Option<Sabotage>,
}

enum Job {
    Append { batch: BatchId, records: Vec<Record>, urgency: Urgency },
    Replace { records: Vec<Record> },
}

/// What one turn of the writer came to.
pub struct Turn {
    pub answers: Vec<(BatchId, Result<Usage, JournalError>)>,
    /// On disk for certain from now on.
    pub synced: Vec<Record>,
}

impl Disk {
    pub fn append(&mut self, batch: BatchId, records: Vec<Record>, urgency: Urgency) {
        self.jobs.push_back(Job::Append { batch, records, urgency });
    }

    pub fn replace(&mut self, records: Vec<Record>) {
        self.jobs.push_back(Job::Replace { records });
    }

    pub fn is_idle(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Everything that waits shares one sync.
    pub fn turn(&mut self) -> Turn {
        let mut answers = Vec::new();
        let mut must_sync = false;
        let mut synced = Vec::new();
        for job in std::mem::take(&mut self.jobs) {
            match job {
                Job::Append { batch, records, urgency } => {
                    if self.is_full && urgency == Urgency::Normal {
                        answers.push((batch, Err(JournalError::DiskFull)));
                        continue;
                    }
                    must_sync |= urgency != Urgency::Lazy;
                    self.written.extend(records);
                    answers.push((batch, Ok(self.usage())));
                }
                Job::Replace { records } => {
                    synced.append(&mut self.written);
                    self.synced = records;
                }
            }
        }
        if must_sync && self.sabotage != Some(Sabotage::DiskLies) {
            self.synced.extend(self.written.iter().cloned());
            synced.append(&mut self.written);
        }
        Turn { answers, synced }
    }

    /// What a new process finds.
    pub fn content(&self) -> Vec<Record> {
        self.synced.clone()
    }

    /// Of what was not synced some may be there nevertheless, in order.
    pub fn crash(&mut self, random: &mut fastrand::Rng) {
        let waiting = self.jobs.drain(..).map_while(|job| match job {
            Job::Append { records, urgency, .. } if !(self.is_full && urgency == Urgency::Normal) => {
                Some(records)
            }
            Job::Append { .. } => Some(Vec::new()),
            // Renamed whole, or not at all.
            Job::Replace { .. } => None,
        });
        let mut at_risk: Vec<Record> = self.written.drain(..).chain(waiting.flatten()).collect();
        at_risk.truncate(random.usize(..=at_risk.len()));
        self.synced.extend(at_risk);
        if self.sabotage == Some(Sabotage::JournalIsLost) {
            self.synced.clear();
        }
    }

    fn usage(&self) -> Usage {
        let records = (self.synced.len() + self.written.len()) as u64;
        Usage { used_bytes: records * RECORD_BYTES, limit_bytes: LIMIT_BYTES }
    }
}
