//! Ending processes.

use std::{
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use rustix::process::Signal;
use voltaxe_protocol::{KillProcess, ProcessVerdict};

use super::{
    group::{Finding, Group, Member, Seek},
    host::HostError,
    protection::Protection,
    report::{self, Done},
    target::Invalid,
};
use crate::core::ActionOutcome;

const LONGEST_GRACE_SECONDS: u8 = 60;
/// The kernel ends at once whom it can end at all.
const ENDS_WITHIN: Duration = Duration::from_secs(5);
/// Between two looks for what a tree has grown.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Against something that starts them as fast as they are ended.
const MOST_SWEEPS: usize = 20;

/// Ends what the order means: SIGTERM, and SIGKILL to whom is left after the grace. `data` is a
/// [`voltaxe_protocol::ProcessOutcome`] of at most 48 KiB, or `{"refused": "invalid"}`, or `{"refused": "cancelled"}` if
/// nothing was done. It takes at most the grace, 5 s more for the kernel, and the looking.
///
/// It is a success when all that are meant are gone, and nobody of the name, file or digest has been started since.
pub fn kill(order: &KillProcess, now: impl Fn() -> DateTime<Utc>, cancelled: &AtomicBool) -> ActionOutcome {
    if order.grace_seconds > LONGEST_GRACE_SECONDS {
        let invalid = Invalid(format!("grace_seconds is at most {LONGEST_GRACE_SECONDS}"));
        return report::refused(&invalid.into());
    }
    let protection = Protection::important(order.force);
    let mut group = match Group::new(&order.target, order.tree, protection, cancelled) {
        Ok(group) => group,
        Err(error) => return report::refused(&error),
    };
    if order.preview {
        return report::preview(group, &now);
    }
    if group.is_cancelled() {
        return report::cancelled();
    }
    let grace = Duration::from_secs(order.grace_seconds.into());
    match group.end(grace) {
        Ok(()) => report::outcome(group, Done::Ended, now()),
        Err(error) => {
            group.let_go();
            report::interrupted(group, &error, now())
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum WhileWaiting {
    /// At what the tree grows, and whether the order is taken back.
    Look,
    Rest,
}

impl Group<'_> {
    fn end(&mut self, grace: Duration) -> Result<(), HostError> {
        if grace.is_zero() {
            self.sweep(Signal::KILL)?;
        } else {
            self.sweep(Signal::TERM)?;
            self.wait_for_ends(Instant::now() + grace, WhileWaiting::Look)?;
            if !self.is_cancelled() {
                self.kill_whom_is_left()?;
            }
        }
        self.spare_whom_was_not_killed();
        self.wait_for_ends(Instant::now() + ENDS_WITHIN, WhileWaiting::Rest)?;
        self.settle_survivors();
        if self.meant.is_wish() && !self.is_cancelled() {
            self.look_for_renewed()?;
        }
        Ok(())
    }

    fn kill_whom_is_left(&mut self) -> Result<(), HostError> {
        if self.tree {
            let from_the_top: Vec<_> = self.open_members().into_iter().rev().collect();
            self.stop(&from_the_top);
            self.gather(Seek::Descendants, Finding::Stop)?;
        }
        self.signal_all(&self.open_members(), Signal::KILL);
        Ok(())
    }

    fn look_for_renewed(&mut self) -> Result<(), HostError> {
        for index in self.look(Seek::Target)? {
            self.settle_renewed(index);
        }
        Ok(())
    }

    fn settle_renewed(&mut self, index: usize) {
        let detail = "it was started since; nothing was sent to it";
        self.members[index].settle(ProcessVerdict::Matches, Some(detail));
        self.notes.insert("something starts them anew: end that first");
    }

    /// Sends to all that are meant. A tree is stopped whole first; a wish is looked for until it finds nobody new.
    fn sweep(&mut self, signal: Signal) -> Result<(), HostError> {
        let finding = if self.tree { Finding::Stop } else { Finding::Look };
        let is_open_ended = self.meant.is_wish() && !self.tree;
        let mut found =
            if is_open_ended { self.look(Seek::Target)? } else { self.gather(Seek::Target, finding)? };
        for _ in 0..MOST_SWEEPS {
            if found.is_empty() || self.is_cancelled() {
                break;
            }
            found.reverse();
            self.signal_all(&found, signal);
            found = if is_open_ended { self.look(Seek::Target)? } else { Vec::new() };
        }
        Ok(())
    }

    /// Whoever is stopped goes on, to handle what asks it to end.
    fn signal_all(&mut self, indices: &[usize], signal: Signal) {
        for index in indices {
            self.members[*index].signal(signal);
        }
        if signal == Signal::TERM {
            for index in indices {
                let member = &mut self.members[*index];
                if member.fate.is_none() && (member.was_stopped || member.is_stopped_by_us) {
                    member.signal(Signal::CONT);
                    member.is_stopped_by_us = false;
                }
            }
        }
    }

    /// Until all have ended, or the deadline, or the order is taken back. What a tree grows meanwhile is asked to end, too.
    fn wait_for_ends(&mut self, deadline: Instant, meanwhile: WhileWaiting) -> Result<(), HostError> {
        let looks = meanwhile == WhileWaiting::Look;
        let mut next_look = Instant::now() + LOOK_EVERY;
        loop {
            let mut open = self.open_members();
            open.retain(|index| self.members[*index].hold().is_some());
            let now = Instant::now();
            let Some(one) = open.first() else { return Ok(()) };
            if now >= deadline || (looks && self.is_cancelled()) {
                return Ok(());
            }
            if looks && self.tree && now >= next_look {
                let mut grown = self.look(Seek::Descendants)?;
                grown.reverse();
                self.signal_all(&grown, Signal::TERM);
                next_look = Instant::now() + LOOK_EVERY;
            }
            if let Some(held) = self.members[*one].hold() {
                held.ends_within(LOOK_EVERY.min(deadline.saturating_duration_since(now)));
            }
        }
    }

    /// Either the order was taken back, or more are started than can be ended.
    fn spare_whom_was_not_killed(&mut self) {
        let is_cancelled = self.is_cancelled();
        for index in self.open_members() {
            let member = &mut self.members[index];
            if member.sent == Some(Signal::KILL) {
                continue;
            }
            if member.is_stopped_by_us {
                member.signal(Signal::CONT);
            }
            if member.fate.is_some() {
                continue;
            }
            match member.sent {
                Some(_) => {
                    member.settle(ProcessVerdict::Survived, Some("SIGKILL was not sent to it any more"));
                }
                None if is_cancelled => {
                    member.settle(ProcessVerdict::Matches, Some("nothing that ends it was sent to it"));
                }
                None => {
                    self.settle_renewed(index);
                    continue;
                }
            }
            self.notes.insert("cancelled before it was done");
        }
    }

    fn settle_survivors(&mut self) {
        for index in self.open_members() {
            let member = &mut self.members[index];
            if let Some(held) = member.hold() {
                member.settle_survivor(held.stat.state);
            }
        }
    }

    /// Nothing more comes of it: whom we stopped goes on.
    fn let_go(&mut self) {
        for index in self.open_members() {
            let member = &mut self.members[index];
            if std::mem::take(&mut member.is_stopped_by_us) {
                member.signal(Signal::CONT);
            }
        }
    }
}

impl Member {
    fn settle_survivor(&mut self, state: char) {
        self.process.state = state;
        let detail = if state == 'D' {
            "in uninterruptible sleep: it ends when the kernel is done with what it waits for"
        } else {
            "SIGKILL was sent, and it has not ended within 5 s"
        };
        self.settle(ProcessVerdict::Survived, Some(detail));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        process::{Child, Command},
        sync::atomic::AtomicBool,
    };

    use voltaxe_protocol::{ProcessId, ProcessTarget};

    use super::*;
    use crate::{clock, process::host::ProcDir};

    fn sleeper() -> (Child, ProcessTarget) {
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim().to_owned();
        let start_ticks = ProcDir::open(child.id()).unwrap().stat().unwrap().starttime;
        let id = ProcessId { pid: child.id(), start_ticks, boot_id };
        (child, ProcessTarget::Processes(vec![id]))
    }

    fn group<'a>(target: &ProcessTarget, cancelled: &'a AtomicBool) -> Group<'a> {
        Group::new(target, false, Protection::important(false), cancelled).unwrap()
    }

    /// A double of what no test can make: it was never sent SIGKILL, and its state is made up.
    #[test]
    fn who_waits_in_the_kernel_and_outlives_sigkill_is_reported() {
        let (mut child, target) = sleeper();
        let cancelled = AtomicBool::new(false);
        let mut group = group(&target, &cancelled);
        group.gather(Seek::Target, Finding::Look).unwrap();
        group.members[0].sent = Some(Signal::KILL);
        group.members[0].settle_survivor('D');
        let outcome = report::outcome(group, Done::Ended, clock::wall());
        let told = format!("0 processes ended; 1 still there (pid {})", child.id());
        assert_eq!((outcome.success, outcome.message), (false, told));
        let data = outcome.data.unwrap();
        let effect = &data["processes"][0];
        assert!(effect["verdict"] == "survived" && effect["process"]["state"] == "D", "{effect}");
        assert!(effect["detail"].as_str().unwrap().contains("uninterruptible"), "{effect}");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn an_order_that_breaks_off_leaves_nobody_stopped() {
        let (mut child, target) = sleeper();
        let cancelled = AtomicBool::new(false);
        let mut group = group(&target, &cancelled);
        group.gather(Seek::Target, Finding::Stop).unwrap();
        let process = ProcDir::open(child.id()).unwrap();
        assert!(process.is_stopped().unwrap());
        group.let_go();
        let deadline = Instant::now() + Duration::from_secs(10);
        while process.is_stopped().unwrap() {
            assert!(Instant::now() < deadline, "it is still stopped");
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
