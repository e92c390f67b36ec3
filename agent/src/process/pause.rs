//! Stopping processes where they are, and letting them go on.

use std::{
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use rustix::process::Signal;
use voltaxe_protocol::{ProcessVerdict, ResumeProcess, SuspendProcess};

use super::{
    group::{Finding, Group, GroupError, Member, Seek},
    held::Held,
    host::HostError,
    protection::Protection,
    report::{self, Done},
};
use crate::core::ActionOutcome;

const OBEYS_WITHIN: Duration = Duration::from_secs(5);

/// Stops what the order means, every thread of it. `data` as for [`super::kill`]. A success when all that are meant are
/// seen stopped, or are gone.
pub fn suspend(
    order: &SuspendProcess,
    now: impl Fn() -> DateTime<Utc>,
    cancelled: &AtomicBool,
) -> ActionOutcome {
    let protection = Protection::important(order.force);
    let group = Group::new(&order.target, order.tree, protection, cancelled);
    carry_out(group, order.preview, Done::Suspended, now, Group::suspend)
}

/// Lets what the order means go on. Nobody is protected from it. `data` as for [`super::kill`]. A success when none of
/// them is stopped any more.
pub fn resume(
    order: &ResumeProcess,
    now: impl Fn() -> DateTime<Utc>,
    cancelled: &AtomicBool,
) -> ActionOutcome {
    let group = Group::new(&order.target, order.tree, Protection::Nobody, cancelled);
    carry_out(group, order.preview, Done::Resumed, now, Group::resume)
}

fn carry_out<'a>(
    group: Result<Group<'a>, GroupError>,
    preview: bool,
    done: Done,
    now: impl Fn() -> DateTime<Utc>,
    act: impl FnOnce(&mut Group<'a>) -> Result<(), HostError>,
) -> ActionOutcome {
    let mut group = match group {
        Ok(group) => group,
        Err(error) => return report::refused(&error),
    };
    if preview {
        return report::preview(group, &now);
    }
    if group.is_cancelled() {
        return report::cancelled();
    }
    match act(&mut group) {
        Ok(()) => report::outcome(group, done, now()),
        Err(error) => report::interrupted(group, &error, now()),
    }
}

impl Group<'_> {
    fn suspend(&mut self) -> Result<(), HostError> {
        self.gather(Seek::Target, Finding::Stop)?;
        let is_stopped = |held: &Held| held.directory.is_stopped().unwrap_or(false);
        self.wait_for(is_stopped, |member, obeyed| {
            if obeyed {
                let detail = member.was_stopped.then_some("it was stopped already");
                (ProcessVerdict::Suspended, detail)
            } else {
                (
                    ProcessVerdict::Failed,
                    Some("it is not stopped yet; SIGSTOP waits until it leaves the kernel"),
                )
            }
        });
        Ok(())
    }

    fn resume(&mut self) -> Result<(), HostError> {
        self.gather(Seek::Target, Finding::Look)?;
        for index in self.open_members() {
            self.members[index].signal(Signal::CONT);
        }
        self.wait_for(
            |held| !matches!(held.stat.state, 'T' | 't'),
            |member, obeyed| match (obeyed, member.process.state) {
                (true, _) => (ProcessVerdict::Resumed, (!member.was_stopped).then_some("it was not stopped")),
                (false, 't') => (ProcessVerdict::Failed, Some("a debugger holds it")),
                (false, _) => (ProcessVerdict::Failed, Some("it is still stopped; somebody stops it again")),
            },
        );
        Ok(())
    }

    /// One deadline for all.
    fn wait_for(
        &mut self,
        came_about: impl Fn(&Held) -> bool,
        verdict: impl Fn(&Member, bool) -> (ProcessVerdict, Option<&'static str>),
    ) {
        let deadline = Instant::now() + OBEYS_WITHIN;
        for index in self.open_members() {
            let member = &mut self.members[index];
            let obeyed = member.waits_until(deadline, &came_about);
            let Some(held) = member.hold() else { continue };
            member.process.state = held.stat.state;
            let (verdict, detail) = verdict(member, obeyed);
            member.settle(verdict, detail);
        }
    }
}
