//! What was found in the kernel, as an observation.

use chrono::{DateTime, Utc};
use voltaxe_protocol::{IsolationObservation, ObservedIsolation};

use super::Kernel;
use crate::isolation::{
    observe::{Found, observation},
    ruleset::{
        is_nameable,
        opening::{LIFT, key_of_exception},
    },
    state::AppliedRules,
};

/// Timers and the wall clock may differ so much before it means anything.
const SLACK: chrono::TimeDelta = chrono::TimeDelta::seconds(2);

impl Kernel {
    pub(super) fn judge(
        &self,
        found: &Found,
        existing_devices: &[String],
        now: DateTime<Utc>,
    ) -> IsolationObservation {
        if found.is_nothing() {
            return observation(ObservedIsolation::NotIsolated, None, &[], now);
        }
        let generation = found.generation();
        let rules = self.rules_in_force().filter(|rules| Some(rules.generation) == generation);
        if found.is_lifted(rules.map_or_else(|| found.seems_to_lift(), |rules| rules.deadline().is_some()))
            && rules.is_none_or(|rules| lifts_now(rules, now))
        {
            let details =
                ["the kernel's timer has lifted the isolation; what is left of the rules accepts everything"
                    .to_owned()];
            return observation(ObservedIsolation::NotIsolated, None, &details, now);
        }
        let Some(rules) = rules else {
            let differences = found.differences_from_any_plan();
            let (state, details) = if differences.is_empty() {
                let unknown =
                    "the rules are from an earlier run and cannot be compared with what was applied";
                (ObservedIsolation::Isolated, vec![unknown.to_owned()])
            } else {
                (ObservedIsolation::Partial, differences)
            };
            let left = found.gate().and_then(|gate| gate.left());
            return IsolationObservation {
                auto_restore_at: left.map(|left| now + left),
                ..observation(state, generation, &details, now)
            };
        };
        let differences = differences(rules, found, existing_devices, now);
        let observed = if differences.is_empty() {
            let mut details = rules.not_covered.clone();
            if self.is_unwritable && rules.contact_by.is_none() {
                details.push(
                    "isolation.json cannot be written, so a restart of the host would end the isolation: free space on \
                     its disk, or make it writable"
                        .to_owned(),
                );
            }
            details.extend(new_devices(rules, found, existing_devices).map(|device| {
                format!("raw frames on {device} are not filtered: the device came after the isolation")
            }));
            observation(ObservedIsolation::Isolated, generation, &details, now)
        } else {
            observation(ObservedIsolation::Partial, generation, &differences, now)
        };
        let holds = |index: usize| found.gate().is_some_and(|gate| gate.holds(key_of_exception(index)));
        let exceptions = rules.terms.exceptions.iter().enumerate();
        IsolationObservation {
            auto_restore_at: rules.deadline(),
            is_provisional: rules.contact_by.is_some(),
            exceptions: exceptions
                .filter(|(index, exception)| exception.until.is_none() || holds(*index))
                .map(|(_, exception)| exception.clone())
                .collect(),
            allows_dns: rules.terms.allow_dns,
            drift: rules.drift.clone(),
            ..observed
        }
    }
}

/// Whether rules without their timer are over, and not tampered with. Their own time may be so nearly over that the timer was
/// quicker than the clock. Of provisional ones the kernel's word counts alone: a clock that was set back must not hold a host
/// that its server does not reach.
pub(super) fn lifts_now(rules: &AppliedRules, now: DateTime<Utc>) -> bool {
    rules.contact_by.is_some() || rules.deadline().is_some_and(|deadline| deadline <= now + SLACK)
}

/// How the kernel differs from the rules; empty when it does not.
pub(super) fn differences(
    rules: &AppliedRules,
    found: &Found,
    existing_devices: &[String],
    now: DateTime<Utc>,
) -> Vec<String> {
    let mut differences = found.differences_from(&rules.plan(now), &rules.fingerprint, existing_devices);
    let lift = rules.deadline().map(|deadline| (LIFT, deadline));
    let ends: Vec<(u32, DateTime<Utc>)> = lift.into_iter().chain(rules.openings.ends()).collect();
    for (family, gate) in found.gates() {
        let Some(gate) = gate else { continue };
        for (key, end) in &ends {
            match gate.0.get(key) {
                None if *end > now + SLACK => {
                    differences.push(format!("the timer {key} of the table {family} was taken away"));
                }
                Some(None) => differences.push(format!("the timer {key} of the table {family} has no end")),
                Some(Some(_)) if *end + SLACK < now && *key != LIFT => {
                    differences.push(format!("the timer {key} of the table {family} was set again"));
                }
                _ => {}
            }
        }
        let is_planned = |key: &u32| ends.iter().any(|(planned, _)| planned == key);
        differences.extend(
            gate.0
                .keys()
                .filter(|key| !is_planned(key))
                .map(|key| format!("a timer {key} was added to the table {family}")),
        );
    }
    differences
}

pub(super) fn new_devices<'a>(
    rules: &'a AppliedRules,
    found: &Found,
    existing_devices: &'a [String],
) -> impl Iterator<Item = &'a String> {
    let has_chains = found.existing().netdev || rules.devices.is_empty() && rules.not_covered.is_empty();
    existing_devices
        .iter()
        .filter(move |device| has_chains && !rules.devices.contains(device) && is_nameable(device))
}
