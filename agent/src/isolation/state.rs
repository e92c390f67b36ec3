//! The state file: what is to be in force, for the next run, the next boot, and the host's own command line.
//!
//! What ends an isolation, or makes it last, is written before the kernel is told; an isolate's provisional rules after.
//! So wherever a crash falls, a host that was released is not isolated again, and one that was isolated for good is.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    thread,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use voltaxe_protocol::{CommandId, Drift};

use super::{
    observe::Fingerprint,
    ruleset::{
        Plan,
        opening::{LIFT, Openings},
    },
    terms::Terms,
};
use crate::state_dir::StateDir;

const STATE_FILE: &str = "isolation.json";
const LOCK_FILE: &str = "isolation.lock";
/// A process that keeps the lock longer hangs: the other one goes on without, so that a release works in any case.
const LOCK_WITHIN: Duration = Duration::from_secs(3);
/// The kernel counts in jiffies, and takes none for no end at all.
const SHORTEST_TIMER: Duration = Duration::from_millis(100);

/// What was done last. The kernel decides; this explains it, and says what to put back.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// The newest order about isolation that was carried out.
    pub generation: CommandId,
    /// `None` when the host is not to be isolated.
    pub rules: Option<AppliedRules>,
    pub at: DateTime<Utc>,
    /// Counts the writes: two processes write this file.
    #[serde(default)]
    pub revision: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct AppliedRules {
    /// The isolate whose rules these are. A change of terms, and an isolate of an isolated host, leave it as it is.
    pub generation: CommandId,
    pub servers: Vec<SocketAddr>,
    pub devices: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct_port: Option<u16>,
    /// Empty until the kernel has shown these rules.
    #[serde(default)]
    pub fingerprint: Fingerprint,
    /// Why the protection has a gap, for the operator.
    pub not_covered: Vec<String>,
    #[serde(default)]
    pub terms: Terms,
    /// As the terms and the host's configuration were turned into addresses when the rules were applied.
    #[serde(default)]
    pub openings: Openings,
    /// The rules are provisional: the kernel lifts them at this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_by: Option<DateTime<Utc>>,
    /// Of provisional rules: the confirmed ones that they replaced, which come back when no contact is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<Box<Self>>,
    /// The boot in which they were put in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
}

/// How the last isolation ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    pub generation: CommandId,
    pub by: EndedBy,
    pub at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    Restore,
    /// The server was not reached through the rules.
    RolledBack,
    /// The kernel lifted provisional rules while nobody confirmed contact. The isolate may be tried again.
    NoContact,
    /// The time that the order gave it was over.
    Timer,
    /// On the host's own command line, with a release ticket.
    Ticket,
    /// On the host's own command line, when the agent was removed.
    Removal,
}

/// Held while the state file and the kernel are changed together.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "the open file is the lock")] Option<File>);

impl Applied {
    pub fn read(state: &StateDir) -> io::Result<Option<Self>> {
        state.read_json(STATE_FILE)
    }

    pub(super) fn write(&self, state: &StateDir) -> io::Result<()> {
        state.write_json(STATE_FILE, self)
    }
}

impl AppliedRules {
    /// The rules themselves if they were confirmed, or else those that they replaced and that were.
    pub(super) fn confirmed(&self) -> Option<Self> {
        match self.contact_by {
            None => Some(Self { earlier: None, ..self.clone() }),
            Some(_) => self.earlier.as_deref().cloned(),
        }
    }

    /// When the kernel lifts the rules.
    pub(super) fn deadline(&self) -> Option<DateTime<Utc>> {
        self.contact_by.into_iter().chain(self.terms.auto_restore_at).min()
    }

    /// The rules, with what is left of each time at `now`.
    #[must_use]
    pub fn plan(&self, now: DateTime<Utc>) -> Plan {
        let ends = self.deadline().map(|deadline| (LIFT, deadline)).into_iter().chain(self.openings.ends());
        let timers = ends
            .filter_map(|(key, end)| {
                let left = (end - now).to_std().ok().filter(|left| !left.is_zero())?;
                Some((key, Duration::from_millis(u64::try_from(left.max(SHORTEST_TIMER).as_millis()).ok()?)))
            })
            .collect();
        Plan::new(self.generation, &self.servers, &self.devices)
            .with_direct_port(self.direct_port)
            .with_openings(self.openings.clone())
            .with_timers(self.deadline().is_some(), timers)
    }
}

impl EndedBy {
    /// The order of this isolation is not carried out again.
    pub(super) fn is_final(self) -> bool {
        match self {
            Self::NoContact => false,
            Self::Restore | Self::RolledBack | Self::Timer | Self::Ticket | Self::Removal => true,
        }
    }
}

impl fmt::Display for EndedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Restore => "by a restore",
            Self::RolledBack => "rolled back, because the server was not reached through the rules",
            Self::NoContact => "by the kernel, because no contact with the server was confirmed",
            Self::Timer => "by its timer",
            Self::Ticket => "by a release ticket on the host",
            Self::Removal => "by the removal of the agent",
        })
    }
}

impl Lock {
    pub(super) fn take(state: &StateDir) -> Self {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(state.path(LOCK_FILE));
        let Ok(file) = file else { return Self(None) };
        let give_up = Instant::now() + LOCK_WITHIN;
        while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            if Instant::now() > give_up {
                tracing::warn!("another process has kept isolation.lock for 3 s; going on without it");
                return Self(None);
            }
            thread::sleep(Duration::from_millis(2));
        }
        Self(Some(file))
    }
}
