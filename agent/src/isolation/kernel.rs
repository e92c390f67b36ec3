mod judge;
mod memory;
mod preview;
mod put;
mod watch;

use std::{io, net::SocketAddr, time::Duration};

use chrono::{DateTime, Utc};
use voltaxe_protocol::{CommandId, ExceptionError, IsolationObservation, ObservedIsolation};

pub use watch::Watch;

use super::{
    apply::ApplyError,
    device,
    host::HostFiles,
    netlink::Netlink,
    observe::{Found, observation},
    ruleset::Plan,
    state::{Applied, AppliedRules, EndedBy},
    terms::Terms,
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
/// Our tables carry no owner flag, although Linux 6.9 and newer could keep an owner's tables through `nft flush ruleset`
/// and beyond its death: while the owner lives nobody else may delete them (EPERM), so an agent that hangs would hold
/// them against the release ticket. What somebody else takes away is put back by [`Kernel::watch`].
#[derive(Debug)]
pub struct Kernel {
    sockets: Option<Sockets>,
    state: StateDir,
    applied: Option<Applied>,
    is_saved: bool,
    /// The last write of the state file failed.
    is_unwritable: bool,
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
        Self {
            sockets: None,
            state,
            applied,
            is_saved: true,
            is_unwritable: false,
            direct_port: None,
            host: HostFiles::default(),
        }
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
    /// lifts them after [`CONTACT_WITHIN`] unless contact is confirmed. Then confirmed rules that they replaced come back.
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
        rules.earlier = self.rules_in_force().and_then(AppliedRules::confirmed).map(Box::new);
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
        self.replace(newest, AppliedRules { servers: wanted, contact_by: None, earlier: None, ..rules }, now)
    }

    /// Takes an isolation away again, because the server was not reached through it. A host that had been isolated for good
    /// is isolated by the earlier rules again.
    pub fn roll_back(
        &mut self,
        generation: CommandId,
        now: DateTime<Utc>,
    ) -> Result<IsolationObservation, IsolationError> {
        let _lock = self.begin();
        let rules = self.in_force(generation)?.clone();
        self.take_back(rules, EndedBy::RolledBack, now)
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
            AppliedRules {
                contact_by: before.contact_by,
                earlier: before.earlier,
                drift: before.drift,
                ..rules
            },
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
