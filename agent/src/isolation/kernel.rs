mod judge;
mod preview;
mod watch;

use std::{io, net::SocketAddr, time::Duration};

use chrono::{DateTime, Utc};
use voltaxe_protocol::{
    CommandId, ExceptionError, IsolationObservation, ObservedIsolation, check_exceptions,
};

pub use watch::Watch;

use super::{
    apply::{ApplyError, apply},
    device,
    host::HostFiles,
    netlink::Netlink,
    observe::{Fingerprint, Found, observation},
    ruleset::{Plan, is_nameable, opening::Openings},
    state::{Applied, AppliedRules, Ended, EndedBy, Lock},
    terms::Terms,
    transaction,
};
use crate::state_dir::StateDir;

/// Rules that no contact confirms within this time are lifted by the kernel.
pub const CONTACT_WITHIN: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum IsolationError {
    /// Change an isolated host only.
    #[error("the host is not isolated; isolate it first. Nothing was changed")]
    NotIsolated,
    /// A newer order was carried out.
    #[error(
        "the rules in force are those of command {in_force}, not of command {asked_for}; nothing was changed"
    )]
    OtherGeneration { asked_for: CommandId, in_force: CommandId },
    /// Give a new order.
    #[error(
        "the isolation by command {generation} ended already ({by}); give a new order. Nothing was changed"
    )]
    Ended { generation: CommandId, by: EndedBy },
    /// Mend the exceptions.
    #[error("{0}; nothing was changed")]
    Exceptions(#[from] ExceptionError),
    /// Name a later time.
    #[error("the isolation would end at {0}, which is in the past; nothing was changed")]
    Over(DateTime<Utc>),
    /// Nothing would be reachable afterwards; nothing was changed.
    #[error(
        "the server's address is not known yet, so isolating would also cut off the server; nothing was changed"
    )]
    NoServer,
    /// Nothing was changed.
    #[error("{0}; nothing was changed")]
    NotApplied(String),
    /// The rules may be there in part.
    #[error("the kernel does not show what was applied: {0}")]
    NotShown(String),
    /// Run the agent as root on a kernel with nftables.
    #[error("the kernel cannot be asked ({0}); the agent needs root and nftables")]
    NoKernel(#[from] io::Error),
}

/// The sockets and the memory of the isolation thread.
///
/// Our tables carry no owner flag, although Linux 6.9 could keep an owner's tables beyond its death: only the owner's
/// socket may delete them, so an agent that hangs would hold them against the release ticket. What somebody else
/// takes away is put back by [`Kernel::watch`].
#[derive(Debug)]
pub struct Kernel {
    sockets: Option<Sockets>,
    state: StateDir,
    applied: Option<Applied>,
    is_saved: bool,
    /// Of the direct channel, while it is on.
    direct_port: Option<u16>,
    host: HostFiles,
}

#[derive(Debug)]
struct Sockets {
    netfilter: Netlink,
    route: Netlink,
}

impl From<ApplyError> for IsolationError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::NoKernel(error) => Self::NoKernel(error),
            ApplyError::NotPermitted | ApplyError::Refused { .. } => Self::NotApplied(error.to_string()),
            ApplyError::Unknown(_) => Self::NotShown(error.to_string()),
        }
    }
}

impl Kernel {
    #[must_use]
    pub fn new(state: StateDir, applied: Option<Applied>) -> Self {
        Self { sockets: None, state, applied, is_saved: true, direct_port: None, host: HostFiles::default() }
    }

    /// The server may still open connections to this port when the host is isolated.
    #[must_use]
    pub fn with_direct_port(self, direct_port: Option<u16>) -> Self {
        Self { direct_port, ..self }
    }

    /// Where the host's resolvers, leases and processes are read.
    #[must_use]
    pub fn with_host(self, host: HostFiles) -> Self {
        Self { host, ..self }
    }

    /// What was applied last, as far as this process knows.
    #[must_use]
    pub fn applied(&self) -> Option<&Applied> {
        self.applied.as_ref()
    }

    /// Whether the state file says what this process knows.
    #[must_use]
    pub fn is_saved(&self) -> bool {
        self.is_saved
    }

    /// Writes the state file when it is behind. For when nobody waits.
    pub fn save(&mut self) {
        if !self.is_saved {
            let _lock = self.begin();
            if !self.is_saved {
                self.write();
            }
        }
    }

    /// The kernel's state right now.
    #[must_use]
    pub fn observe(&mut self, now: DateTime<Utc>) -> IsolationObservation {
        match self.look() {
            Ok((found, devices)) => self.judge(&found, &devices, now),
            Err(error) => {
                let details =
                    [format!("the kernel cannot be asked ({error}); the agent needs root and nftables")];
                observation(ObservedIsolation::Unknown, None, &details, now)
            }
        }
    }

    /// Whether an isolate would change nothing: confirmed rules are in force and open these servers, and they are of
    /// this generation or on these terms.
    #[must_use]
    pub fn is_isolated_on(
        &mut self,
        generation: CommandId,
        servers: &[SocketAddr],
        terms: &Terms,
        now: DateTime<Utc>,
    ) -> Option<IsolationObservation> {
        let observed = self.observe(now);
        let rules = self.applied.as_ref()?.rules.as_ref()?;
        let is_the_order = rules.generation == generation || rules.terms == *terms;
        let is_as_wanted = rules.contact_by.is_none()
            && servers.iter().all(|server| rules.servers.contains(server))
            && self.direct_port == rules.direct_port;
        (observed.state == ObservedIsolation::Isolated && is_the_order && is_as_wanted).then_some(observed)
    }

    /// Replaces whatever is there by the rules for `generation`, in one transaction. They are provisional: the kernel
    /// lifts them after [`CONTACT_WITHIN`] unless contact is confirmed.
    pub fn isolate(
        &mut self,
        generation: CommandId,
        servers: &[SocketAddr],
        terms: &Terms,
        now: DateTime<Utc>,
    ) -> Result<IsolationObservation, IsolationError> {
        let _lock = self.begin();
        if let Some(ended) = self.ended_for_good(generation) {
            return Err(IsolationError::Ended { generation, by: ended.by });
        }
        let mut rules = self.rules(generation, servers, terms, now)?;
        let (found, devices) = self.put(&mut rules, now)?;
        self.remember(generation, Some(rules), now);
        Ok(self.judge(&found, &devices, now))
    }

    /// The server was reached through the rules: they stay for good, or until `auto_restore_at`, and open `servers`.
    /// Also for an address of the server that changed later. Repeating it is harmless.
    pub fn confirm_contact(
        &mut self,
        generation: CommandId,
        servers: &[SocketAddr],
        now: DateTime<Utc>,
    ) -> Result<IsolationObservation, IsolationError> {
        let _lock = self.begin();
        let rules = self.in_force(generation)?.clone();
        let (found, devices) = self.look()?;
        if found.is_lifted(rules.deadline().is_some()) || (found.is_nothing() && rules.contact_by.is_some()) {
            return Err(IsolationError::Ended { generation, by: EndedBy::NoContact });
        }
        let wanted = Plan::new(generation, servers, &[]).servers;
        if wanted.is_empty() {
            return Err(IsolationError::NoServer);
        }
        let observed = self.judge(&found, &devices, now);
        if rules.contact_by.is_none()
            && rules.servers == wanted
            && observed.state == ObservedIsolation::Isolated
        {
            return Ok(observed);
        }
        let newest = self.newest(generation);
        self.replace(newest, AppliedRules { servers: wanted, contact_by: None, ..rules }, now)
    }

    /// Takes an isolation away again, because the server was not reached through it.
    pub fn roll_back(
        &mut self,
        generation: CommandId,
        now: DateTime<Utc>,
    ) -> Result<IsolationObservation, IsolationError> {
        let _lock = self.begin();
        self.in_force(generation)?;
        let newest = self.newest(generation);
        self.end(newest, EndedBy::RolledBack, now)
    }

    /// Puts other terms in force, in one transaction. `generation` is the change's own; the isolation keeps the one of
    /// the isolate, for which release tickets are.
    pub fn change(
        &mut self,
        generation: CommandId,
        servers: &[SocketAddr],
        terms: &Terms,
        now: DateTime<Utc>,
    ) -> Result<IsolationObservation, IsolationError> {
        let _lock = self.begin();
        let before = self.rules_in_force().ok_or(IsolationError::NotIsolated)?.clone();
        let (found, _) = self.look()?;
        if found.is_lifted(before.deadline().is_some()) {
            return Err(IsolationError::NotIsolated);
        }
        let rules = self.rules(before.generation, servers, terms, now)?;
        self.replace(
            generation,
            AppliedRules { contact_by: before.contact_by, drift: before.drift, ..rules },
            now,
        )
    }

    /// Opens DNS to the host's resolvers for so long; the kernel closes it. For finding a server whose address changed.
    /// `generation` is that of the isolation.
    pub fn open_dns_for(
        &mut self,
        generation: CommandId,
        time: Duration,
        now: DateTime<Utc>,
    ) -> Result<IsolationObservation, IsolationError> {
        let _lock = self.begin();
        let mut rules = self.in_force(generation)?.clone();
        if !rules.terms.allow_dns {
            rules.openings.resolvers = self.host.resolvers();
            rules.openings.dns_until = Some(now + time);
        }
        let newest = self.newest(generation);
        self.replace(newest, rules, now)
    }

    /// Removes our tables. Needs neither nft nor disk: a state file that cannot be written only costs a warning.
    pub fn restore(
        &mut self,
        generation: CommandId,
        now: DateTime<Utc>,
    ) -> Result<IsolationObservation, IsolationError> {
        let _lock = self.begin();
        self.end(generation, EndedBy::Restore, now)
    }

    /// The same on the host's own command line, whatever the state file says. An agent that runs does not put the
    /// rules back.
    pub fn release(
        &mut self,
        by: EndedBy,
        now: DateTime<Utc>,
    ) -> Result<IsolationObservation, IsolationError> {
        let _lock = self.begin();
        let newest = self.applied.as_ref().map(|applied| applied.generation);
        let in_kernel = self.look()?.0.generation();
        let newest = newest.into_iter().chain(in_kernel).max().unwrap_or(CommandId(0));
        self.end(newest, by, now)
    }

    /// The isolate whose rules are in force, as the kernel or else the state file knows it.
    pub fn generation_in_force(&mut self) -> io::Result<Option<CommandId>> {
        let in_kernel = self.look()?.0.generation();
        Ok(in_kernel.or_else(|| Some(self.rules_in_force()?.generation)))
    }

    /// An order found the host in the state it asks for: it is newer all the same.
    pub fn confirm(&mut self, generation: CommandId, now: DateTime<Utc>) {
        let _lock = self.begin();
        let rules = self.applied.take().and_then(|applied| applied.rules);
        self.remember(generation, rules, now);
    }

    /// What an isolate on these terms would put in force. `auto_restore_at` and exceptions that are over are refused
    /// and left out, in this order.
    fn rules(
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
            boot_id: self.host.boot_id(),
            drift: None,
        })
    }

    /// Brings the rules into the kernel, for the devices that there are, and fills in what the kernel made of them.
    fn put(
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
            return Err(IsolationError::NotShown(differences.join("; ")));
        }
        rules.fingerprint = found.fingerprint();
        Ok((found, devices))
    }

    fn put_once(
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
    fn replace(
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

    /// The state file first: whatever happens next, nobody puts the rules back.
    fn end(
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

    fn remove_tables(&mut self) -> Result<(), IsolationError> {
        let netfilter = &mut self.sockets()?.netfilter;
        let found = Found::read(netfilter)?;
        netfilter
            .batch(&transaction::delete(found.existing()))
            .map_err(|error| IsolationError::NotApplied(error.to_string()))?;
        if !Found::read(netfilter)?.is_nothing() {
            return Err(IsolationError::NotShown("our tables are still there".to_owned()));
        }
        Ok(())
    }

    fn rules_in_force(&self) -> Option<&AppliedRules> {
        self.applied.as_ref()?.rules.as_ref()
    }

    fn in_force(&self, generation: CommandId) -> Result<&AppliedRules, IsolationError> {
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

    fn ended_for_good(&self, generation: CommandId) -> Option<Ended> {
        self.applied.as_ref()?.ended.filter(|ended| ended.generation == generation && ended.by.is_final())
    }

    /// What is done for an isolation later does not make its order the newest one again.
    fn newest(&self, generation: CommandId) -> CommandId {
        self.applied.as_ref().map_or(generation, |applied| applied.generation)
    }

    fn remember(&mut self, generation: CommandId, rules: Option<AppliedRules>, now: DateTime<Utc>) {
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

    fn write(&mut self) {
        let Some(applied) = &mut self.applied else { return };
        applied.revision += 1;
        match applied.write(&self.state) {
            Ok(()) => self.is_saved = true,
            Err(error) => {
                self.is_saved = false;
                tracing::warn!(%error, "the isolation's state file cannot be written; the journal has it");
            }
        }
    }

    /// Takes the lock and what another process wrote meanwhile.
    fn begin(&mut self) -> Lock {
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

    fn look(&mut self) -> io::Result<(Found, Vec<String>)> {
        let sockets = self.sockets()?;
        let found = Found::read(&mut sockets.netfilter)?;
        let devices = if found.is_nothing() { Vec::new() } else { device::devices(&mut sockets.route)? };
        Ok((found, devices))
    }

    fn sockets(&mut self) -> io::Result<&mut Sockets> {
        if self.sockets.is_none() {
            self.sockets = Some(Sockets { netfilter: Netlink::netfilter()?, route: Netlink::route()? });
        }
        self.sockets.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}
