//! The processes that an order is about, and what became of each.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use voltaxe_protocol::{Process, ProcessId, ProcessTarget, ProcessVerdict};

use super::{
    executable::Digests,
    held::{Held, NotHeld},
    host::{self, Host, HostError, Key, ProcDir, is_kernel_thread, number},
    protection::Protection,
    target::{Invalid, Meant},
};

/// A signal that stops is obeyed at once, except in uninterruptible sleep.
const STOPS_WITHIN: Duration = Duration::from_millis(250);
/// For trees that grow while they are stopped.
const STOPS_ALL_WITHIN: Duration = Duration::from_secs(10);
/// Who is only looked at may grow for ever.
const LOOKS_FOR: Duration = Duration::from_secs(1);
/// Between two looks at whether something happened.
pub(super) const SHORTLY: Duration = Duration::from_millis(1);

#[derive(Debug, thiserror::Error)]
pub(super) enum GroupError {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    Host(#[from] HostError),
}

/// What is done to processes as they are found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Finding {
    Look,
    /// Each is stopped, so that it makes no more children; those that it has are found next.
    Stop,
}

/// Who is looked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Seek {
    /// All that the order means, and their descendants if it means those.
    Target,
    /// Descendants of those that were found.
    Descendants,
}

pub(super) struct Group<'a> {
    pub(super) host: Host,
    pub(super) meant: Meant,
    pub(super) tree: bool,
    pub(super) members: Vec<Member>,
    pub(super) digests: Digests,
    /// What else the operator should know; each once.
    pub(super) notes: BTreeSet<&'static str>,
    protection: Protection,
    known: HashSet<Key>,
    cancelled: &'a AtomicBool,
}

pub(super) struct Member {
    pub(super) process: Process,
    /// `None`: it is alive and meant.
    pub(super) fate: Option<Fate>,
    /// Before anything was done to it.
    pub(super) was_stopped: bool,
    pub(super) is_stopped_by_us: bool,
    /// The last signal of those that end it.
    pub(super) sent: Option<Signal>,
}

pub(super) struct Fate {
    pub(super) verdict: ProcessVerdict,
    pub(super) detail: Option<String>,
}

impl Member {
    pub(super) fn key(&self) -> Key {
        Key { pid: self.process.pid, start_ticks: self.process.start_ticks }
    }

    pub(super) fn settle(&mut self, verdict: ProcessVerdict, detail: Option<&str>) {
        self.fate = Some(Fate { verdict, detail: detail.map(str::to_owned) });
    }

    /// Holds it; settles it if it has ended.
    pub(super) fn hold(&mut self) -> Option<Held> {
        match Held::open(self.key()) {
            Ok(held) if held.has_ended() => self.settle_ended(),
            Ok(held) => return Some(held),
            Err(NotHeld::Gone | NotHeld::TakenOver) => self.settle_ended(),
            Err(refused @ (NotHeld::OldKernel | NotHeld::Refused(_))) => self.settle_refused(&refused),
        }
        None
    }

    /// Sends to exactly it.
    pub(super) fn signal(&mut self, signal: Signal) {
        let Some(held) = self.hold() else { return };
        match held.signal(signal) {
            Ok(()) if matches!(signal, Signal::TERM | Signal::KILL) => self.sent = Some(signal),
            Ok(()) => {}
            Err(NotHeld::Gone | NotHeld::TakenOver) => self.settle_ended(),
            Err(refused @ (NotHeld::OldKernel | NotHeld::Refused(_))) => self.settle_refused(&refused),
        }
    }

    fn settle_ended(&mut self) {
        match self.sent {
            Some(Signal::TERM) => self.settle(ProcessVerdict::Terminated, None),
            Some(_) => self.settle(ProcessVerdict::Killed, None),
            None => self.settle(ProcessVerdict::Gone, Some("it ended before a signal was sent")),
        }
    }

    fn settle_refused(&mut self, refused: &NotHeld) {
        self.settle(ProcessVerdict::Failed, Some(&refused.to_string()));
    }
}

impl<'a> Group<'a> {
    pub(super) fn new(
        target: &ProcessTarget,
        tree: bool,
        protection: Protection,
        cancelled: &'a AtomicBool,
    ) -> Result<Self, GroupError> {
        Ok(Self {
            meant: Meant::check(target)?,
            host: Host::read()?,
            tree,
            members: Vec::new(),
            digests: Digests::default(),
            notes: BTreeSet::new(),
            protection,
            known: HashSet::new(),
            cancelled,
        })
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Takes in all that belong here and are not known yet, and looks again until there are none. Who is stopped
    /// meanwhile cannot hide what it starts; who is only looked at can, and is not waited for long. Answers where in
    /// `members` the new ones are.
    pub(super) fn gather(&mut self, seek: Seek, finding: Finding) -> Result<Vec<usize>, HostError> {
        let before = self.members.len();
        let limit = match finding {
            Finding::Look => LOOKS_FOR,
            Finding::Stop => STOPS_ALL_WITHIN,
        };
        let give_up = Instant::now() + limit;
        if let (Seek::Target, Meant::Exact(ids)) = (seek, &self.meant) {
            ids.clone().iter().for_each(|id| self.admit_exact(id));
        }
        self.stop_if(finding, before);
        if self.tree || self.meant.is_wish() {
            loop {
                let count = self.members.len();
                self.look(seek)?;
                self.stop_if(finding, count);
                if self.members.len() == count || self.is_cancelled() || Instant::now() > give_up {
                    break;
                }
            }
        }
        Ok(self.open_since(before))
    }

    /// The same, of one look at all processes: of descendants only the next generation.
    pub(super) fn look(&mut self, seek: Seek) -> Result<Vec<usize>, HostError> {
        let before = self.members.len();
        let mut parents = Parents::of(&self.members);
        for found in host::scan()? {
            let (directory, stat) = found?;
            let key = Key::of(&stat);
            if self.known.contains(&key) || is_kernel_thread(&stat) {
                continue;
            }
            let is_meant = seek == Seek::Target
                && self.meant.matches(&directory, &stat, &mut self.digests, self.cancelled);
            if is_meant || (self.tree && parents.include(number(stat.ppid), &mut self.members)) {
                self.admit(key);
            }
        }
        Ok(self.open_since(before))
    }

    /// Stops those who are alive, and waits a moment until they are.
    pub(super) fn stop(&mut self, indices: &[usize]) {
        for index in indices {
            let member = &mut self.members[*index];
            if member.fate.is_none() {
                member.signal(Signal::STOP);
                member.is_stopped_by_us = !member.was_stopped;
            }
        }
        let deadline = Instant::now() + STOPS_WITHIN;
        for index in indices {
            self.members[*index].waits_until(deadline, |held| held.directory.is_stopped().unwrap_or(true));
        }
    }

    /// From the bottom up.
    pub(super) fn open_members(&self) -> Vec<usize> {
        (0..self.members.len()).rev().filter(|index| self.members[*index].fate.is_none()).collect()
    }

    fn stop_if(&mut self, finding: Finding, from: usize) {
        if finding == Finding::Stop && from < self.members.len() {
            self.stop(&(from..self.members.len()).collect::<Vec<_>>());
        }
    }

    fn open_since(&self, before: usize) -> Vec<usize> {
        (before..self.members.len()).filter(|index| self.members[*index].fate.is_none()).collect()
    }

    fn admit_exact(&mut self, id: &ProcessId) {
        let key = Key { pid: id.pid, start_ticks: id.start_ticks };
        let is_here = id.boot_id == self.host.boot_id;
        let why_not =
            if is_here { self.admit(key) } else { Some("it ran before the host was started".to_owned()) };
        if let Some(detail) = why_not {
            let process =
                Process { pid: id.pid, start_ticks: id.start_ticks, state: 'X', ..Process::default() };
            let fate = Fate { verdict: ProcessVerdict::Gone, detail: Some(detail) };
            self.add(process, Some(fate), false);
        }
    }

    /// Answers why not, if it has ended.
    fn admit(&mut self, key: Key) -> Option<String> {
        if !self.known.insert(key) {
            return None;
        }
        match Held::open(key) {
            Ok(held) if held.has_ended() => {
                Some("it had ended; its parent has not collected it yet".to_owned())
            }
            Ok(held) => {
                let process = self.host.describe(&held.directory, &held.stat);
                let fate = self.protection.reason(&held.directory, &held.stat).map(|reason| Fate {
                    verdict: ProcessVerdict::Protected,
                    detail: Some(reason.to_owned()),
                });
                self.add(process, fate, held.directory.is_stopped().unwrap_or(false));
                None
            }
            Err(gone @ (NotHeld::Gone | NotHeld::TakenOver)) => Some(gone.to_string()),
            Err(refused @ (NotHeld::OldKernel | NotHeld::Refused(_))) => {
                let process = ProcDir::open(key.pid)
                    .and_then(|directory| Ok((directory.stat()?, directory)))
                    .map(|(stat, directory)| self.host.describe(&directory, &stat));
                let fate = Fate { verdict: ProcessVerdict::Failed, detail: Some(refused.to_string()) };
                let named =
                    Process { pid: key.pid, start_ticks: key.start_ticks, state: 'X', ..Process::default() };
                self.add(
                    process.ok().filter(|process| process.start_ticks == key.start_ticks).unwrap_or(named),
                    Some(fate),
                    false,
                );
                None
            }
        }
    }

    fn add(&mut self, process: Process, fate: Option<Fate>, was_stopped: bool) {
        self.members.push(Member { process, fate, was_stopped, is_stopped_by_us: false, sent: None });
    }
}

impl Member {
    /// Whether it came about in time; settles it if it ends meanwhile.
    pub(super) fn waits_until(&mut self, deadline: Instant, came_about: impl Fn(&Held) -> bool) -> bool {
        while self.fate.is_none() {
            let Some(held) = self.hold() else { return false };
            if came_about(&held) {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(SHORTLY);
        }
        false
    }
}

/// The members alive before a look, by number.
struct Parents(HashMap<u32, (usize, Option<bool>)>);

impl Parents {
    fn of(members: &[Member]) -> Self {
        let living = members.iter().enumerate().filter(|(_, member)| member.fate.is_none());
        Self(living.map(|(index, member)| (member.process.pid, (index, None))).collect())
    }

    /// Whether a process that was seen with this parent is a member's child. The member was there before the look; if it
    /// still is, its number was nobody else's in between.
    fn include(&mut self, parent: u32, members: &mut [Member]) -> bool {
        let Some((index, is_there)) = self.0.get_mut(&parent) else { return false };
        *is_there.get_or_insert_with(|| members[*index].hold().is_some())
    }
}
