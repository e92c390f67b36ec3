//! What became of each, as a result.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use voltaxe_protocol::{CANCELLED, ProcessEffect, ProcessOutcome, ProcessVerdict};

use super::{
    LARGEST_DATA_BYTES,
    group::{Fate, Finding, Group, GroupError, Member, Seek},
    host::HostError,
};
use crate::core::ActionOutcome;

/// So many processes are named in a message.
const MOST_NAMED: usize = 8;

/// What was to become of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Done {
    Ended,
    Suspended,
    Resumed,
}

impl Done {
    fn word(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Suspended => "suspended",
            Self::Resumed => "resumed",
        }
    }
}

/// Nothing was done.
pub(super) fn refused(error: &GroupError) -> ActionOutcome {
    let data = match error {
        GroupError::Invalid(_) => Some(json!({ "refused": "invalid" })),
        GroupError::Host(_) => None,
    };
    ActionOutcome { success: false, message: format!("Nothing was done: {error}"), data }
}

/// Nothing was done.
pub(super) fn cancelled() -> ActionOutcome {
    let message = "The command was cancelled before it did anything".to_owned();
    ActionOutcome { success: false, message, data: Some(json!({ "refused": CANCELLED })) }
}

/// Looks, and does nothing.
pub(super) fn preview(mut group: Group<'_>, now: impl Fn() -> DateTime<Utc>) -> ActionOutcome {
    if let Err(error) = group.gather(Seek::Target, Finding::Look) {
        return refused(&error.into());
    }
    for index in group.open_members() {
        group.members[index].settle(ProcessVerdict::Matches, None);
    }
    let matches = group.count(|verdict| verdict == ProcessVerdict::Matches);
    let message = match group.protected() {
        _ if group.members.is_empty() => group.none_found(),
        0 => format!("{} would be meant", processes(matches)),
        protected => format!("{} would be meant; {protected} more are protected", processes(matches)),
    };
    let success = matches > 0;
    ActionOutcome { success, message, data: Some(group.data(true, now())) }
}

/// When everybody's fate is settled.
pub(super) fn outcome(group: Group<'_>, done: Done, timestamp: DateTime<Utc>) -> ActionOutcome {
    if group.members.is_empty() && group.is_cancelled() {
        return cancelled();
    }
    let is_well = |verdict| match done {
        Done::Ended => {
            matches!(verdict, ProcessVerdict::Terminated | ProcessVerdict::Killed | ProcessVerdict::Gone)
        }
        Done::Suspended => matches!(verdict, ProcessVerdict::Suspended | ProcessVerdict::Gone),
        Done::Resumed => matches!(verdict, ProcessVerdict::Resumed | ProcessVerdict::Gone),
    };
    let success = !group.members.is_empty() && group.count(is_well) == group.members.len();
    let message = group.message(done);
    ActionOutcome { success, message, data: Some(group.data(false, timestamp)) }
}

/// The processes could not be looked at any more; some may have been sent a signal.
pub(super) fn interrupted(
    mut group: Group<'_>,
    error: &HostError,
    timestamp: DateTime<Utc>,
) -> ActionOutcome {
    for index in group.open_members() {
        group.members[index]
            .settle(ProcessVerdict::Failed, Some("the command was not carried out to its end"));
    }
    let message = format!("Not carried out to its end: {error}");
    ActionOutcome { success: false, message, data: Some(group.data(false, timestamp)) }
}

impl Group<'_> {
    fn count(&self, counts: impl Fn(ProcessVerdict) -> bool) -> usize {
        self.verdicts().filter(|verdict| counts(*verdict)).count()
    }

    fn protected(&self) -> usize {
        self.count(|verdict| verdict == ProcessVerdict::Protected)
    }

    fn verdicts(&self) -> impl Iterator<Item = ProcessVerdict> {
        self.members.iter().filter_map(|member| member.fate.as_ref()).map(|fate| fate.verdict)
    }

    fn none_found(&self) -> String {
        match self.digests.not_hashed() {
            None => self.meant.none_found(),
            Some(not_hashed) => format!("{}; {not_hashed}", self.meant.none_found()),
        }
    }

    fn message(&self, done: Done) -> String {
        if self.members.is_empty() {
            return self.none_found();
        }
        let of = |verdict| self.count(|other| other == verdict);
        let (terminated, killed) = (of(ProcessVerdict::Terminated), of(ProcessVerdict::Killed));
        let well = terminated + killed + of(ProcessVerdict::Suspended) + of(ProcessVerdict::Resumed);
        let mut parts = Vec::new();
        if well > 0 || of(ProcessVerdict::Gone) < self.members.len() {
            parts.push(format!("{} {}", processes(well), done.word()));
        }
        if killed > 0 && done == Done::Ended {
            parts.push(format!("{killed} of them by SIGKILL"));
        }
        let told = [
            (ProcessVerdict::Gone, "gone before"),
            (ProcessVerdict::Protected, "protected"),
            (ProcessVerdict::Survived, "still there"),
            (ProcessVerdict::Failed, "failed"),
            (ProcessVerdict::Matches, "untouched"),
        ];
        for (verdict, words) in told {
            if of(verdict) > 0 {
                parts.push(format!("{} {words} ({})", of(verdict), self.numbers(verdict)));
            }
        }
        parts.extend(self.notes.iter().map(ToString::to_string));
        parts.extend(self.digests.not_hashed());
        parts.join("; ")
    }

    fn numbers(&self, verdict: ProcessVerdict) -> String {
        let is_it = |fate: &Fate| fate.verdict == verdict;
        let members = self.members.iter().filter(|member| member.fate.as_ref().is_some_and(is_it));
        let pids: Vec<String> = members.map(|member| member.process.pid.to_string()).collect();
        let dots = if pids.len() > MOST_NAMED { ", ..." } else { "" };
        format!("pid {}{dots}", pids[..pids.len().min(MOST_NAMED)].join(", "))
    }

    /// Those that did not come to the wanted end go first, so that they are never left out for others.
    fn data(self, preview: bool, timestamp: DateTime<Utc>) -> serde_json::Value {
        let effect = |member: Member| {
            let fate = member.fate?;
            Some(ProcessEffect { process: member.process, verdict: fate.verdict, detail: fate.detail })
        };
        let mut effects: Vec<ProcessEffect> = self.members.into_iter().filter_map(effect).collect();
        effects.sort_by_key(|effect| match effect.verdict {
            ProcessVerdict::Survived | ProcessVerdict::Failed | ProcessVerdict::Unknown => 0,
            ProcessVerdict::Protected | ProcessVerdict::Matches => 1,
            ProcessVerdict::Terminated | ProcessVerdict::Killed => 2,
            ProcessVerdict::Suspended | ProcessVerdict::Resumed => 2,
            ProcessVerdict::Gone => 3,
        });
        let count = effects.len();
        let boot_id = self.host.boot_id;
        let mut outcome =
            ProcessOutcome { timestamp, boot_id, preview, processes: Vec::new(), left_out: u32::MAX };
        let mut room = Room::beside(&outcome);
        outcome.processes = effects.into_iter().take_while(|effect| room.takes(effect)).collect();
        outcome.left_out = u32::try_from(count - outcome.processes.len()).unwrap_or(u32::MAX);
        serde_json::to_value(outcome).expect("our wire types have a JSON form")
    }
}

fn processes(count: usize) -> String {
    match count {
        1 => "1 process".to_owned(),
        count => format!("{count} processes"),
    }
}

/// How many bytes of JSON still fit into `data`.
pub(super) struct Room(usize);

impl Room {
    pub(super) fn beside(empty: &impl Serialize) -> Self {
        Self(LARGEST_DATA_BYTES.saturating_sub(length(empty)))
    }

    /// Answers whether it fits; then its place is taken.
    pub(super) fn takes(&mut self, item: &impl Serialize) -> bool {
        let comma = 1;
        match self.0.checked_sub(length(item) + comma) {
            Some(left) => {
                self.0 = left;
                true
            }
            None => false,
        }
    }
}

fn length(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).expect("our wire types have a JSON form").len()
}
