//! Rules into the kernel, and out of it again, in step with the state file.

use std::net::SocketAddr;

use chrono::{DateTime, Utc};
use voltaxe_protocol::{CommandId, IsolationObservation, ObservedIsolation, check_exceptions};

use super::{CONTACT_WITHIN, IsolationError, Kernel};
use crate::isolation::{
    apply::{ApplyError, apply},
    device,
    observe::{Fingerprint, Found, joined, observation},
    ruleset::{Plan, is_nameable, opening::Openings},
    state::{AppliedRules, Ended, EndedBy},
    terms::Terms,
    transaction,
};

impl Kernel {
    /// What an isolate on these terms would put in force. `auto_restore_at` and exceptions that are over are refused
    /// and left out, in this order.
    pub(super) fn rules(
        &self,
        generation: CommandId,
        servers: &[SocketAddr],
        terms: &Terms,
        now: DateTime<Utc>,
    ) -> Result<AppliedRules, IsolationError> {
        if servers.is_empty() {
            return Err(IsolationError::NoServer);
        }
        if let Some(at) = terms.auto_restore_at
            && at <= now
        {
            return Err(IsolationError::Over(at));
        }
        let mut terms = terms.clone();
        // An order may have waited longer than an exception was to last.
        terms.exceptions.retain(|exception| exception.until.is_none_or(|until| until > now));
        check_exceptions(&terms.exceptions, now)?;
        Ok(AppliedRules {
            generation,
            servers: Plan::new(generation, servers, &[]).servers,
            devices: Vec::new(),
            direct_port: self.direct_port,
            fingerprint: Fingerprint::default(),
            not_covered: Vec::new(),
            openings: Openings {
                exceptions: terms.exceptions.clone(),
                resolvers: if terms.allow_dns { self.host.resolvers() } else { Vec::new() },
                dns_until: None,
                dhcp: self.host.dhcp(),
            },
            terms,
            contact_by: Some(now + CONTACT_WITHIN),
            earlier: None,
            boot_id: self.host.boot_id(),
            drift: None,
        })
    }

    /// Brings the rules into the kernel, for the devices that there are, and fills in what the kernel made of them.
    pub(super) fn put(
        &mut self,
        rules: &mut AppliedRules,
        now: DateTime<Utc>,
    ) -> Result<(Found, Vec<String>), IsolationError> {
        if rules.openings.dns_until.is_some_and(|until| until <= now) {
            rules.openings.dns_until = None;
            rules.openings.resolvers.clear();
        }
        rules.boot_id = self.host.boot_id();
        let (found, devices) = match self.put_once(rules, now) {
            // A device may have gone between being listed and being named.
            Err(ApplyError::Refused { .. }) => match self.put_once(rules, now) {
                Err(ApplyError::Refused { kernel, nft }) if !rules.devices.is_empty() => {
                    // Linux before 5.16 has no egress hook: the inet table alone still stops all IP traffic.
                    tracing::warn!(%kernel, %nft, "the rules for devices are refused; isolating without them");
                    rules.devices = Vec::new();
                    rules.not_covered.push(format!(
                        "raw frames are not filtered: the kernel refused egress chains ({kernel})"
                    ));
                    (apply(&mut self.sockets()?.netfilter, &rules.plan(now))?, Vec::new())
                }
                again => again?,
            },
            done => done?,
        };
        let differences = found.differences_from_plan(&rules.plan(now), &devices);
        if !differences.is_empty() {
            return Err(IsolationError::NotShown(joined(&differences)));
        }
        rules.fingerprint = found.fingerprint();
        Ok((found, devices))
    }

    pub(super) fn put_once(
        &mut self,
        rules: &mut AppliedRules,
        now: DateTime<Utc>,
    ) -> Result<(Found, Vec<String>), ApplyError> {
        let sockets = self.sockets().map_err(ApplyError::NoKernel)?;
        let devices = device::devices(&mut sockets.route).map_err(ApplyError::NoKernel)?;
        let (nameable, unnameable): (Vec<String>, Vec<String>) =
            devices.iter().cloned().partition(|name| is_nameable(name));
        rules.devices = nameable;
        rules.not_covered = unnameable
            .iter()
            .map(|name| format!("raw frames on the device {name:?} are not filtered: nft cannot name it"))
            .collect();
        Ok((apply(&mut sockets.netfilter, &rules.plan(now))?, devices))
    }

    /// Other rules for an isolation that is in force: the state file first, since a crash must not leave a confirmed
    /// isolation that only the kernel knows of.
    pub(super) fn replace(
        &mut self,
        newest: CommandId,
        mut rules: AppliedRules,
        now: DateTime<Utc>,
    ) -> Result<IsolationObservation, IsolationError> {
        let before = self.applied.clone();
        self.remember(
            newest,
            Some(AppliedRules { fingerprint: Fingerprint::default(), ..rules.clone() }),
            now,
        );
        self.write();
        match self.put(&mut rules, now) {
            Ok((found, devices)) => {
                self.remember(newest, Some(rules), now);
                Ok(self.judge(&found, &devices, now))
            }
            Err(error) => {
                if let (Some(applied), Some(before)) = (&mut self.applied, before) {
                    applied.rules = before.rules;
                    self.write();
                }
                Err(error)
            }
        }
    }

    /// Provisional rules that nobody confirmed: those that they replaced come back, unless these are over as well.
    pub(super) fn take_back(
        &mut self,
        rules: AppliedRules,
        by: EndedBy,
        now: DateTime<Utc>,
    ) -> Result<IsolationObservation, IsolationError> {
        let newest = self.newest(rules.generation);
        let is_over = |rules: &AppliedRules| rules.deadline().is_some_and(|deadline| deadline <= now);
        let Some(earlier) = rules.earlier.filter(|earlier| !is_over(earlier)) else {
            return self.end(newest, by, now);
        };
        if earlier.generation != rules.generation
            && let Some(applied) = &mut self.applied
        {
            applied.ended = Some(Ended { generation: rules.generation, by, at: now });
        }
        self.replace(newest, *earlier, now)
    }

    /// The state file first: whatever happens next, nobody puts the rules back.
    pub(super) fn end(
        &mut self,
        newest: CommandId,
        by: EndedBy,
        now: DateTime<Utc>,
    ) -> Result<IsolationObservation, IsolationError> {
        if let Some(rules) = self.rules_in_force() {
            let ended = Ended { generation: rules.generation, by, at: now };
            self.remember(newest, None, now);
            if let Some(applied) = &mut self.applied {
                applied.ended = Some(ended);
            }
            self.write();
        } else {
            let in_kernel = self.look()?.0.generation();
            self.remember(newest, None, now);
            if let (Some(applied), Some(generation)) = (&mut self.applied, in_kernel) {
                applied.ended = Some(Ended { generation, by, at: now });
                self.write();
            }
        }
        self.remove_tables()?;
        Ok(observation(ObservedIsolation::NotIsolated, None, &[], now))
    }

    pub(super) fn remove_tables(&mut self) -> Result<(), IsolationError> {
        let netfilter = &mut self.sockets()?.netfilter;
        let found = Found::read(netfilter)?;
        let deleted = netfilter.batch(&transaction::delete(found.existing()));
        // Somebody else may have been quicker, which the kernel reports as an error.
        match (Found::read(netfilter)?.is_nothing(), deleted) {
            (true, _) => Ok(()),
            (false, Err(error)) => Err(IsolationError::NotApplied(error.to_string())),
            (false, Ok(())) => Err(IsolationError::NotShown("our tables are still there".to_owned())),
        }
    }
}
