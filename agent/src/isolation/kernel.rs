use std::{io, net::SocketAddr, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use voltaxe_protocol::{
    CommandId, Drift, ExceptionError, IsolationObservation, IsolationPreviewOutcome, ObservedIsolation,
};

use super::{
    apply::{ApplyError, apply},
    device,
    netlink::Netlink,
    observe::{Fingerprint, Found, observation},
    ruleset::{Existing, Plan, is_nameable},
    terms::Terms,
    transaction,
};
use crate::state_dir::StateDir;

const STATE_FILE: &str = "isolation.json";
/// Rules that no contact confirms within this time are lifted by the kernel.
pub const CONTACT_WITHIN: Duration = Duration::from_secs(30);

/// What was done last, for comparing with the kernel after a restart. The kernel decides; this only explains it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// The newest isolate or restore that was carried out.
    pub generation: CommandId,
    /// `None` after a restore.
    pub rules: Option<AppliedRules>,
    pub at: DateTime<Utc>,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct AppliedRules {
    /// The isolate whose rules these are; an isolate of an isolated host leaves the rules as they are.
    pub generation: CommandId,
    pub servers: Vec<SocketAddr>,
    pub devices: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct_port: Option<u16>,
    pub fingerprint: Fingerprint,
    /// Why the protection has a gap, for the operator.
    pub not_covered: Vec<String>,
}

/// How an isolation ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    Restore,
    /// The server was not reached through the rules.
    RolledBack,
    /// The kernel's timer ran out: `auto_restore_at`, or the one that waits for contact.
    Timer,
    /// On the host's own command line, with a release ticket.
    Ticket,
    /// On the host's own command line, when the agent was removed.
    Removal,
}

/// What a look at the isolation found and did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Watch {
    /// All is as it should be, isolated or not.
    Unchanged,
    /// Somebody else had changed the rules; they are as they were again.
    PutBack(Drift),
    /// Somebody else has changed the rules, and `found` says why they could not be put back.
    NotPutBack(Drift),
    /// Devices that came after the isolation are covered now.
    Extended { devices: Vec<String> },
    /// The kernel's timer ran out, and what was left of the rules is gone.
    Lifted { generation: CommandId },
    /// Another process released the host: see `ended` of the state file.
    ReleasedElsewhere { generation: CommandId, by: EndedBy },
}

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
#[derive(Debug)]
pub struct Kernel {
    sockets: Option<Sockets>,
    state: StateDir,
    applied: Option<Applied>,
    is_saved: bool,
    /// Of the direct channel, while it is on.
    direct_port: Option<u16>,
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

impl std::fmt::Display for EndedBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Restore => "by a restore",
            Self::RolledBack => "rolled back, because the server was not reached through the rules",
            Self::Timer => "by its timer",
            Self::Ticket => "by a release ticket on the host",
            Self::Removal => "by the removal of the agent",
        })
    }
}

impl Applied {
    pub fn read(state: &StateDir) -> io::Result<Option<Self>> {
        state.read_json(STATE_FILE)
    }
}

impl Kernel {
    #[must_use]
    pub fn new(state: StateDir, applied: Option<Applied>) -> Self {
        Self { sockets: None, state, applied, is_saved: true, direct_port: None }
    }

    /// The server may still open connections to this port when the host is isolated.
    #[must_use]
    pub fn with_direct_port(self, direct_port: Option<u16>) -> Self {
        Self { direct_port, ..self }
    }

    /// What was done last, as far as this process knows.
    #[must_use]
    pub fn applied(&self) -> Option<&Applied> {
        self.applied.as_ref()
    }

    /// Writes the state file when it is behind. For when nobody waits.
    pub fn save(&mut self) {
        if !self.is_saved
            && let Some(applied) = &self.applied
        {
            match self.state.write_json(STATE_FILE, applied) {
                Ok(()) => self.is_saved = true,
                Err(error) => {
                    tracing::warn!(%error, "the isolation's state file cannot be written; the journal has it")
                }
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

    /// Whether an isolate would change nothing: confirmed rules are in force and open just these servers, and they are
    /// of this generation or on these terms.
    #[must_use]
    pub fn is_isolated_on(
        &mut self,
        _generation: CommandId,
        servers: &[SocketAddr],
        _terms: &Terms,
        now: DateTime<Utc>,
    ) -> Option<IsolationObservation> {
        let observed = self.observe(now);
        let rules = self.applied.as_ref()?.rules.as_ref()?;
        let wanted = Plan::new(rules.generation, servers, &[]).servers;
        let is_as_wanted = wanted == rules.servers && self.direct_port == rules.direct_port;
        (observed.state == ObservedIsolation::Isolated && is_as_wanted).then_some(observed)
    }

    /// Replaces whatever is there by the rules for `generation`, in one transaction. They are provisional: the kernel
    /// lifts them after [`CONTACT_WITHIN`] unless contact is confirmed.
    pub fn isolate(
        &mut self,
        generation: CommandId,
        servers: &[SocketAddr],
        _terms: &Terms,
        now: DateTime<Utc>,
    ) -> Result<IsolationObservation, IsolationError> {
        if servers.is_empty() {
            return Err(IsolationError::NoServer);
        }
        let all = device::devices(&mut self.sockets()?.route)?;
        let (devices, unnameable): (Vec<String>, Vec<String>) =
            all.into_iter().partition(|name| is_nameable(name));
        let mut not_covered: Vec<String> = unnameable
            .iter()
            .map(|name| format!("raw frames on the device {name:?} are not filtered: nft cannot name it"))
            .collect();
        let direct_port = self.direct_port;
        let netfilter = &mut self.sockets()?.netfilter;
        let mut plan = Plan::new(generation, servers, &devices).with_direct_port(direct_port);
        let found = match apply(netfilter, &plan) {
            Err(ApplyError::Refused { kernel, nft }) if !plan.devices.is_empty() => {
                // Linux before 5.16 has no egress hook: the inet table alone still stops all IP traffic.
                tracing::warn!(%kernel, %nft, "the rules for devices are refused; isolating without them");
                plan = Plan::new(generation, servers, &[]).with_direct_port(direct_port);
                not_covered.push(format!(
                    "raw frames are not filtered: the kernel refused egress chains ({kernel})"
                ));
                apply(netfilter, &plan)?
            }
            applied => applied?,
        };
        let differences = found.differences_from_plan(&plan, &devices);
        if !differences.is_empty() {
            return Err(IsolationError::NotShown(differences.join("; ")));
        }
        let rules = AppliedRules {
            generation,
            servers: plan.servers,
            devices: plan.devices,
            direct_port,
            fingerprint: found.fingerprint(),
            not_covered,
        };
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
        self.isolate(generation, servers, &Terms::default(), now)
    }

    /// Takes provisional rules away again, because the server was not reached through them.
    pub fn roll_back(
        &mut self,
        generation: CommandId,
        now: DateTime<Utc>,
    ) -> Result<IsolationObservation, IsolationError> {
        self.restore(generation, now)
    }

    /// Puts other terms in force, in one transaction. `generation` is the change's own; the isolation keeps the one of
    /// the isolate, for which release tickets are.
    pub fn change(
        &mut self,
        _generation: CommandId,
        _servers: &[SocketAddr],
        _terms: &Terms,
        _now: DateTime<Utc>,
    ) -> Result<IsolationObservation, IsolationError> {
        Err(IsolationError::NotIsolated)
    }

    /// Opens DNS to the host's resolvers for so long; the kernel closes it. For finding a server whose address changed.
    pub fn open_dns_for(
        &mut self,
        _generation: CommandId,
        _time: Duration,
        _now: DateTime<Utc>,
    ) -> Result<IsolationObservation, IsolationError> {
        Err(IsolationError::NotIsolated)
    }

    /// Compares the kernel with what should be, and mends it. For every few seconds, and once at the start.
    pub fn watch(&mut self, _now: DateTime<Utc>) -> Watch {
        Watch::Unchanged
    }

    /// What `isolate` on these terms would do. Changes nothing.
    #[must_use]
    pub fn preview(
        &mut self,
        servers: &[SocketAddr],
        _terms: &Terms,
        now: DateTime<Utc>,
    ) -> IsolationPreviewOutcome {
        let plan = Plan::new(CommandId(0), servers, &[]);
        IsolationPreviewOutcome {
            timestamp: now,
            ruleset: plan.script(Existing::default()),
            servers: plan.servers.iter().map(ToString::to_string).collect(),
            warnings: Vec::new(),
            sessions: Vec::new(),
            connections_cut: 0,
            connections_kept: 0,
        }
    }

    /// Removes our tables. Needs neither nft nor disk.
    pub fn restore(
        &mut self,
        generation: CommandId,
        now: DateTime<Utc>,
    ) -> Result<IsolationObservation, IsolationError> {
        let netfilter = &mut self.sockets()?.netfilter;
        let found = Found::read(netfilter)?;
        netfilter
            .batch(&transaction::delete(found.existing()))
            .map_err(|error| IsolationError::NotApplied(error.to_string()))?;
        let found = Found::read(netfilter)?;
        if !found.is_nothing() {
            return Err(IsolationError::NotShown("our tables are still there".to_owned()));
        }
        self.remember(generation, None, now);
        Ok(observation(ObservedIsolation::NotIsolated, None, &[], now))
    }

    /// An order found the host in the state it asks for: it is newer all the same.
    pub fn confirm(&mut self, generation: CommandId, now: DateTime<Utc>) {
        let rules = self.applied.take().and_then(|applied| applied.rules);
        self.remember(generation, rules, now);
    }

    fn remember(&mut self, generation: CommandId, rules: Option<AppliedRules>, now: DateTime<Utc>) {
        self.applied = Some(Applied { generation, rules, at: now });
        self.is_saved = false;
    }

    fn look(&mut self) -> io::Result<(Found, Vec<String>)> {
        let sockets = self.sockets()?;
        let found = Found::read(&mut sockets.netfilter)?;
        let devices = if found.is_nothing() { Vec::new() } else { device::devices(&mut sockets.route)? };
        Ok((found, devices))
    }

    fn judge(&self, found: &Found, existing_devices: &[String], now: DateTime<Utc>) -> IsolationObservation {
        if found.is_nothing() {
            return observation(ObservedIsolation::NotIsolated, None, &[], now);
        }
        let generation = found.generation();
        let rules = self.applied.as_ref().and_then(|applied| applied.rules.as_ref());
        let Some(rules) = rules.filter(|rules| Some(rules.generation) == generation) else {
            let differences = found.differences_from_any_plan();
            return if differences.is_empty() {
                let details =
                    ["the rules are from an earlier run and cannot be compared with what was applied"
                        .to_owned()];
                observation(ObservedIsolation::Isolated, generation, &details, now)
            } else {
                observation(ObservedIsolation::Partial, generation, &differences, now)
            };
        };
        let plan =
            Plan::new(rules.generation, &rules.servers, &rules.devices).with_direct_port(rules.direct_port);
        let differences = found.differences_from(&plan, &rules.fingerprint, existing_devices);
        if !differences.is_empty() {
            return observation(ObservedIsolation::Partial, generation, &differences, now);
        }
        let mut details = rules.not_covered.clone();
        if found.existing().netdev {
            let new = existing_devices
                .iter()
                .filter(|device| !rules.devices.contains(device) && is_nameable(device));
            details.extend(new.map(|device| {
                format!("raw frames on {device} are not filtered: the device came after the isolation")
            }));
        }
        observation(ObservedIsolation::Isolated, generation, &details, now)
    }

    fn sockets(&mut self) -> io::Result<&mut Sockets> {
        if self.sockets.is_none() {
            self.sockets = Some(Sockets { netfilter: Netlink::netfilter()?, route: Netlink::route()? });
        }
        self.sockets.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}
