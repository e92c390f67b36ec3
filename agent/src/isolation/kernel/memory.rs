//! What this process knows to be in force, and the state file, which another process may have written.

use chrono::{DateTime, Utc};
use voltaxe_protocol::CommandId;

use super::{IsolationError, Kernel};
use crate::isolation::state::{Applied, AppliedRules, Ended, Lock};

impl Kernel {
    pub(super) fn rules_in_force(&self) -> Option<&AppliedRules> {
        self.applied.as_ref()?.rules.as_ref()
    }

    pub(super) fn in_force(&self, generation: CommandId) -> Result<&AppliedRules, IsolationError> {
        match self.rules_in_force() {
            Some(rules) if rules.generation == generation => Ok(rules),
            Some(rules) => {
                Err(IsolationError::OtherGeneration { asked_for: generation, in_force: rules.generation })
            }
            None => match self.applied.as_ref().and_then(|applied| applied.ended) {
                Some(ended) if ended.generation == generation => {
                    Err(IsolationError::Ended { generation, by: ended.by })
                }
                _ => Err(IsolationError::NotIsolated),
            },
        }
    }

    pub(super) fn ended_for_good(&self, generation: CommandId) -> Option<Ended> {
        self.applied.as_ref()?.ended.filter(|ended| ended.generation == generation && ended.by.is_final())
    }

    /// What is done for an isolation later does not make its order the newest one again.
    pub(super) fn newest(&self, generation: CommandId) -> CommandId {
        self.applied.as_ref().map_or(generation, |applied| applied.generation)
    }

    pub(super) fn remember(
        &mut self,
        generation: CommandId,
        rules: Option<AppliedRules>,
        now: DateTime<Utc>,
    ) {
        let before = self.applied.take();
        self.applied = Some(Applied {
            generation,
            rules,
            at: now,
            revision: before.as_ref().map_or(0, |applied| applied.revision),
            ended: before.and_then(|applied| applied.ended),
        });
        self.is_saved = false;
    }

    pub(super) fn write(&mut self) {
        let Some(applied) = &mut self.applied else { return };
        applied.revision += 1;
        match applied.write(&self.state) {
            Ok(()) => (self.is_saved, self.is_unwritable) = (true, false),
            Err(error) => {
                (self.is_saved, self.is_unwritable) = (false, true);
                tracing::warn!(%error, "the isolation's state file cannot be written: a restart of the host would not find it");
            }
        }
    }

    /// Takes the lock and what another process wrote meanwhile.
    pub(super) fn begin(&mut self) -> Lock {
        let lock = Lock::take(&self.state);
        let written = match Applied::read(&self.state) {
            Ok(written) => written,
            Err(error) => {
                tracing::warn!(%error, "isolation.json cannot be read; what is in memory counts");
                None
            }
        };
        let known = self.applied.as_ref().map_or(0, |applied| applied.revision);
        let Some(written) = written.filter(|written| written.revision > known) else { return lock };
        let is_release_of_ours = match (self.rules_in_force(), written.ended) {
            (Some(rules), Some(ended)) => rules.generation == ended.generation && written.rules.is_none(),
            _ => false,
        };
        match &mut self.applied {
            Some(ours) if !self.is_saved && !is_release_of_ours => ours.revision = written.revision,
            _ => {
                self.applied = Some(written);
                self.is_saved = true;
            }
        }
        lock
    }
}
