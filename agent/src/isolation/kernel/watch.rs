//! Keeping the isolation as it is to be, whatever others do to the kernel's rules.

use chrono::{DateTime, Utc};
use voltaxe_protocol::{CommandId, Drift};

use super::{
    Kernel,
    judge::{differences, lifts_now, new_devices},
};
use crate::isolation::{
    observe::{Found, joined},
    state::{AppliedRules, EndedBy},
};

/// What a look at the isolation found and did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Watch {
    /// All is as it should be, isolated or not.
    Unchanged,
    /// Somebody else had changed the rules; they are as they were again.
    PutBack(Drift),
    /// Somebody else has changed the rules, and `found` says why they could not be put back.
    NotPutBack(Drift),
    /// The host had started anew, or a crash had left the rules unfinished; they are in force again.
    Reapplied { generation: CommandId },
    /// Devices that came after the isolation are covered now.
    Extended { devices: Vec<String> },
    /// The kernel's timer ran out, and what was left of the rules is gone.
    Lifted { generation: CommandId, by: EndedBy },
    /// Rules that nobody confirmed are over, and the confirmed ones that they had replaced are in force again.
    FellBack { generation: CommandId, to: CommandId },
    /// Another process released the host.
    ReleasedElsewhere { generation: CommandId, by: EndedBy },
}

impl Kernel {
    /// Compares the kernel with what should be, and mends it. For every few seconds, and once at the start.
    ///
    /// The state file is read first: a release that another process wrote there wins.
    pub fn watch(&mut self, now: DateTime<Utc>) -> Watch {
        let generation_before = self.rules_in_force().map(|rules| rules.generation);
        let _lock = self.begin();
        let (found, devices) = match self.look() {
            Ok(found) => found,
            Err(error) => return self.not_put_back(format!("the kernel cannot be asked ({error})"), now),
        };
        match self.rules_in_force().cloned() {
            None => self.watch_released(generation_before, &found),
            Some(rules) if self.ends_now(&rules, &found, now) => {
                let by = if rules.contact_by.is_some() { EndedBy::NoContact } else { EndedBy::Timer };
                let generation = rules.generation;
                match self.take_back(rules, by, now) {
                    Ok(_) => match self.rules_in_force() {
                        Some(earlier) => Watch::FellBack { generation, to: earlier.generation },
                        None => Watch::Lifted { generation, by },
                    },
                    Err(error) if self.rules_in_force().is_some() => {
                        self.not_put_back(format!("the earlier rules cannot be put back: {error}"), now)
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the rules that their timer has lifted cannot be removed");
                        Watch::Unchanged
                    }
                }
            }
            Some(rules) => self.watch_isolated(rules, &found, &devices, now),
        }
    }

    /// A timer that is over, or provisional rules that did not outlive a restart of the host.
    fn ends_now(&self, rules: &AppliedRules, found: &Found, now: DateTime<Utc>) -> bool {
        let is_late = rules.deadline().is_some_and(|deadline| deadline <= now);
        let was_lifted = found.is_lifted(rules.deadline().is_some()) && lifts_now(rules, now);
        let is_lost = rules.contact_by.is_some() && self.is_from_another_boot(rules);
        is_late || was_lifted || is_lost
    }

    fn is_from_another_boot(&self, rules: &AppliedRules) -> bool {
        match (&rules.boot_id, self.host.boot_id()) {
            (Some(then), Some(now)) => *then != now,
            _ => false,
        }
    }

    fn watch_released(&mut self, generation_before: Option<CommandId>, found: &Found) -> Watch {
        let ended = self.applied.as_ref().and_then(|applied| applied.ended);
        let in_kernel = found.generation();
        let is_leftover = ended.is_some_and(|ended| Some(ended.generation) == in_kernel)
            || found.is_lifted(found.seems_to_lift());
        if is_leftover && let Err(error) = self.remove_tables() {
            tracing::warn!(%error, "the rules of an isolation that ended cannot be removed");
        }
        match (generation_before, ended, in_kernel) {
            (Some(generation), Some(ended), _) if ended.generation == generation => {
                Watch::ReleasedElsewhere { generation, by: ended.by }
            }
            (None, None, Some(generation)) if is_leftover => {
                Watch::Lifted { generation, by: EndedBy::NoContact }
            }
            _ => Watch::Unchanged,
        }
    }

    fn watch_isolated(
        &mut self,
        mut rules: AppliedRules,
        found: &Found,
        devices: &[String],
        now: DateTime<Utc>,
    ) -> Watch {
        let different = differences(&rules, found, devices, now);
        let new: Vec<String> = new_devices(&rules, found, devices).cloned().collect();
        if different.is_empty() && new.is_empty() {
            return Watch::Unchanged;
        }
        let generation = rules.generation;
        let is_unfinished =
            rules.fingerprint.is_empty() || (found.is_nothing() && self.is_from_another_boot(&rules));
        if let Err(error) = self.put(&mut rules, now) {
            let what = if different.is_empty() {
                format!("new devices: {}", new.join(", "))
            } else {
                joined(&different)
            };
            return self.not_put_back(format!("{what}; it cannot be put back: {error}"), now);
        }
        let outcome = if different.is_empty() {
            Watch::Extended { devices: new }
        } else if is_unfinished {
            Watch::Reapplied { generation }
        } else {
            let count = rules.drift.as_ref().map_or(0, |drift| drift.count) + 1;
            let drift = Drift { found_at: now, found: joined(&different), put_back: true, count };
            rules.drift = Some(drift.clone());
            Watch::PutBack(drift)
        };
        let newest = self.newest(generation);
        self.remember(newest, Some(rules), now);
        self.write();
        outcome
    }

    /// Counted once, however often it is seen.
    fn not_put_back(&mut self, found: String, now: DateTime<Utc>) -> Watch {
        let Some(rules) = self.applied.as_mut().and_then(|applied| applied.rules.as_mut()) else {
            return Watch::Unchanged;
        };
        let (found_at, count) = match &rules.drift {
            Some(drift) if !drift.put_back => (drift.found_at, drift.count),
            Some(drift) => (now, drift.count + 1),
            None => (now, 1),
        };
        let drift = Drift { found_at, found, put_back: false, count };
        rules.drift = Some(drift.clone());
        self.is_saved = false;
        Watch::NotPutBack(drift)
    }
}
