//! What must hold whatever happens to servers, databases, networks and hosts. Written once: the simulation, the chaos
//! runner and tests feed a [`History`] with what happened, and it says what must not have.

mod verdict;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use voltaxe_protocol::{CommandId, CommandState, EndpointId, Epoch};

pub use self::verdict::{Verdict, Violation, Wrong};

/// A command as it stands in the queue.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Queued {
    pub id: CommandId,
    pub endpoint: EndpointId,
    pub epoch: Epoch,
    /// `network_isolate`, ..
    pub kind: String,
    pub not_before: Option<DateTime<Utc>>,
    pub expires_at: DateTime<Utc>,
}

/// One life of an agent's process.
#[derive(Clone, Copy, Debug)]
pub struct Life<'a> {
    pub endpoint: &'a EndpointId,
    pub epoch: Epoch,
    /// Grows with each start of the process.
    pub boot: u64,
}

/// A command's row as somebody was told it.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    pub state: CommandState,
    /// `{"success": .., "message": .., "data": ..}`; events and lists leave `data` out.
    pub result: Option<&'a Value>,
}

/// An agent's word for "I did not do it", in `data.refused`. The others may have done a part.
const NOTHING_WAS_DONE: [&str; 7] =
    ["cancelled", "disk-full", "expired", "journal-broken", "not-understood", "superseded", "wrong-epoch"];
/// An effect that a crash interrupted is taken up once more, and no more.
const MOST_BEGINS: usize = 2;

/// All that happened to some commands.
#[derive(Debug, Default)]
pub struct History {
    commands: BTreeMap<CommandId, Course>,
    /// The newest isolate or restore in force, by host.
    applied: BTreeMap<EndpointId, CommandId>,
    violations: Vec<Violation>,
}

#[derive(Debug, Default)]
struct Course {
    queued: Option<Queued>,
    is_acknowledged: bool,
    is_on_disk: bool,
    /// The boots in which its effect was begun.
    begins: Vec<u64>,
    ends: usize,
    has_succeeded: bool,
    end_is_on_disk: bool,
    state: Option<CommandState>,
    result: Option<Value>,
}

impl History {
    /// It stands in the queue, whether or not anybody was told.
    pub fn queued(&mut self, queued: Queued) {
        self.course(queued.id).queued.get_or_insert(queued);
    }

    /// Somebody was told that it is queued. From here on it may not be lost.
    pub fn acknowledged(&mut self, id: CommandId) {
        self.course(id).is_acknowledged = true;
    }

    /// Its host has written it, or its end, to the disk.
    pub fn on_disk(&mut self, id: CommandId) {
        self.course(id).is_on_disk = true;
    }

    /// Its host has written down that it is over.
    pub fn end_on_disk(&mut self, id: CommandId) {
        let course = self.course(id);
        course.is_on_disk = true;
        course.end_is_on_disk = true;
    }

    /// Its effect begins, and no queue has it.
    pub fn not_queued(&mut self, id: CommandId) {
        self.violated(id, vec![Wrong::NeverQueued]);
    }

    /// It is the newest isolate or restore that was carried out, and its host is not as it says.
    pub fn does_not_hold(&mut self, id: CommandId) {
        self.violated(id, vec![Wrong::DoesNotHold]);
    }

    /// Its effect begins. `at`: when the host decided so, by its own clock.
    pub fn effect_begins(&mut self, life: Life<'_>, id: CommandId, at: DateTime<Utc>) {
        let course = self.commands.entry(id).or_default();
        let mut wrong = Vec::new();
        if course.begins.contains(&life.boot) || course.end_is_on_disk || course.begins.len() >= MOST_BEGINS {
            wrong.push(Wrong::BeginsAgain);
        }
        let is_first = course.begins.is_empty();
        match course.state {
            Some(CommandState::Cancelled) => wrong.push(Wrong::BeginsAfterItsCancel),
            Some(state) if state.is_final() && is_first => wrong.push(Wrong::BeginsAfterItsEnd(state)),
            _ => {}
        }
        if let Some(queued) = &course.queued {
            if queued.endpoint != *life.endpoint {
                wrong.push(Wrong::ForAnotherHost);
            }
            if queued.epoch != life.epoch {
                wrong.push(Wrong::ForAnotherEpoch);
            }
            if queued.not_before.is_some_and(|not_before| at < not_before) {
                wrong.push(Wrong::TooEarly);
            }
            if at >= queued.expires_at && is_first {
                wrong.push(Wrong::Expired);
            }
            if is_control(&queued.kind)
                && let Some(newer) = self.applied.get(life.endpoint).filter(|newer| **newer > id)
            {
                wrong.push(Wrong::Undoes(*newer));
            }
        }
        course.begins.push(life.boot);
        self.violated(id, wrong);
    }

    /// What was to be done is done, and the host is as the command wants it; it may yet crash before it has noted that.
    pub fn effect_takes(&mut self, life: Life<'_>, id: CommandId) {
        let course = self.commands.entry(id).or_default();
        if course.queued.as_ref().is_some_and(|queued| is_control(&queued.kind)) {
            let applied = self.applied.entry(life.endpoint.clone()).or_insert(id);
            *applied = id.max(*applied);
        }
    }

    pub fn effect_ends(&mut self, life: Life<'_>, id: CommandId, success: bool) {
        let course = self.course(id);
        course.ends += 1;
        course.has_succeeded |= success;
        if !course.begins.contains(&life.boot) {
            self.violated(id, vec![Wrong::EndsWithoutBegin]);
        }
    }

    /// A server told this of it, or its row was read.
    pub fn seen(&mut self, id: CommandId, row: Row<'_>) {
        let course = self.course(id);
        let mut wrong = Vec::new();
        if let Some(before) = course.state.filter(|before| before.is_final())
            && before != row.state
        {
            wrong.push(Wrong::FinalChanged { from: before, to: row.state });
        }
        if let (Some(first), Some(result)) = (&course.result, row.result)
            && !is_the_same(first, result)
        {
            wrong.push(Wrong::ResultReplaced);
        }
        if row.state == CommandState::Delivered && !course.is_on_disk {
            wrong.push(Wrong::DeliveredWithoutDisk);
        }
        let is_news = course.state != Some(row.state);
        let known = course.result.as_ref();
        let has_data = |result: &Value| result.get("data").is_some();
        let tells_more = row.result.is_some_and(has_data) && !known.is_some_and(has_data);
        if is_news && row.state == CommandState::Executed && !course.has_succeeded {
            wrong.push(Wrong::ExecutedWithoutEffect);
        }
        if (is_news || tells_more) && !course.begins.is_empty() {
            if row.state == CommandState::Cancelled {
                wrong.push(Wrong::CancelledYetBegun);
            } else if let Some(word) = row.result.and_then(refused)
                && NOTHING_WAS_DONE.contains(&word)
            {
                wrong.push(Wrong::RefusedYetBegun(word.to_owned()));
            }
        }
        course.state = Some(row.state);
        if known.is_none() || tells_more {
            course.result = row.result.cloned();
        }
        self.violated(id, wrong);
    }

    /// What must not have happened, so far.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    #[must_use]
    pub fn state(&self, id: CommandId) -> Option<CommandState> {
        self.commands.get(&id)?.state
    }

    /// Commands that anybody has heard of.
    pub fn ids(&self) -> impl Iterator<Item = CommandId> {
        self.commands.keys().copied()
    }

    /// Commands whose acknowledgement somebody holds.
    pub fn acknowledged_ids(&self) -> impl Iterator<Item = CommandId> {
        self.commands.iter().filter(|(_, course)| course.is_acknowledged).map(|(id, _)| *id)
    }

    /// After everything has come to rest. `row`: what the queue says of a command in the end.
    pub fn close<'a>(mut self, row: impl Fn(CommandId) -> Option<Row<'a>>) -> Verdict {
        let mut verdict = Verdict::default();
        for id in self.commands.keys().copied().collect::<Vec<_>>() {
            match row(id) {
                Some(row) => {
                    self.seen(id, row);
                    if !row.state.is_final() {
                        verdict.stuck.push((id, row.state));
                    }
                }
                None if self.course(id).is_acknowledged => verdict.lost.push(id),
                None => {}
            }
        }
        for course in self.commands.values() {
            verdict.acknowledged += u64::from(course.is_acknowledged);
            verdict.effects += u64::from(course.has_succeeded);
            verdict.taken_up_again += u64::from(course.begins.len() > 1);
            verdict.cancelled += u64::from(course.state == Some(CommandState::Cancelled));
            verdict.expired += u64::from(course.state == Some(CommandState::Expired));
        }
        verdict.violations = self.violations;
        verdict
    }

    fn course(&mut self, id: CommandId) -> &mut Course {
        self.commands.entry(id).or_default()
    }

    fn violated(&mut self, id: CommandId, wrong: Vec<Wrong>) {
        self.violations.extend(wrong.into_iter().map(|wrong| Violation { id, wrong }));
    }
}

fn is_control(kind: &str) -> bool {
    matches!(kind, "network_isolate" | "network_restore")
}

fn is_the_same(first: &Value, again: &Value) -> bool {
    let both_tell = first.get("data").is_some() && again.get("data").is_some();
    let parts: &[&str] = if both_tell { &["success", "message", "data"] } else { &["success", "message"] };
    parts.iter().all(|part| first.get(part) == again.get(part))
}

fn refused(result: &Value) -> Option<&str> {
    result.get("data")?.get("refused")?.as_str()
}

#[cfg(test)]
mod tests;
