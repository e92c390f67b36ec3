use serde::{Deserialize, Serialize};

use super::{Command, Listed, Millis, State, bulk::Excluded, order};

/// One order to many endpoints.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    pub id: String,
    pub kind: String,
    pub reason: String,
    pub created_by: String,
    pub created_at: Millis,
    /// Endpoints it was for.
    pub total: i32,
    /// How many of them got a command; the others were on their way there already.
    pub queued: i32,
    pub undo_of: Option<String>,
    pub schedule_id: Option<String>,
    pub cancelled_by: Option<String>,
    pub cancelled_at: Option<Millis>,
    /// Hosts that were taken out before it was sent.
    pub excluded: Vec<Excluded>,
}

impl Batch {
    /// `Isolate 3 hosts`.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} {}", order::title(&self.kind), order::hosts(usize::try_from(self.total).unwrap_or(0)))
    }

    /// What is particular about it.
    #[must_use]
    pub fn remarks(&self) -> String {
        let remarks = [
            self.undo_of.is_some().then(|| "undoes another".to_owned()),
            self.schedule_id.is_some().then(|| "by a schedule".to_owned()),
            self.cancelled_by.as_ref().map(|by| format!("rest cancelled by {by}")),
        ];
        remarks.into_iter().flatten().collect::<Vec<_>>().join(" · ")
    }
}

/// A batch, and how many of its commands are in each state.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub batch: Batch,
    /// In the order of [`Progress::STATES`].
    pub counts: [i64; 6],
}

impl Progress {
    /// What is done first, so that the bar fills from the left.
    pub const STATES: [State; 6] =
        [State::Executed, State::Failed, State::Expired, State::Cancelled, State::Delivered, State::Pending];

    #[must_use]
    pub fn count(&self, state: State) -> i64 {
        Self::STATES.iter().zip(self.counts).find(|(one, _)| **one == state).map_or(0, |(_, count)| count)
    }

    /// Hosts that needed no command.
    #[must_use]
    pub fn existing(&self) -> i64 {
        i64::from(self.batch.total - self.batch.queued)
    }

    #[must_use]
    pub fn open(&self) -> i64 {
        self.count(State::Pending) + self.count(State::Delivered)
    }

    /// `2 of 3 finished`.
    #[must_use]
    pub fn words(&self) -> String {
        let queued = i64::from(self.batch.queued);
        let finished = queued - self.open();
        if queued == 0 {
            "No host needed a command".to_owned()
        } else if finished == queued {
            format!("All {queued} finished")
        } else {
            format!("{finished} of {queued} finished")
        }
    }

    /// Each state's place on a bar of this length: its start and its length.
    #[must_use]
    pub fn bar(&self, length: i64) -> Vec<(State, i64, i64)> {
        let total = self.counts.iter().sum::<i64>().max(1);
        let mut before = 0;
        let part = |(state, count): (&State, i64)| {
            let start = before * length / total;
            before += count;
            (*state, start, before * length / total - start)
        };
        Self::STATES.iter().zip(self.counts).map(part).filter(|(.., length)| *length > 0).collect()
    }
}

/// All that the page of a batch starts with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchPage {
    pub progress: Progress,
    /// By id.
    pub commands: Listed<Command>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(counts: [i64; 6]) -> Progress {
        let queued = i32::try_from(counts.iter().sum::<i64>()).unwrap();
        Progress {
            batch: Batch {
                id: "b".into(),
                kind: "network_isolate".into(),
                reason: "beacon".into(),
                created_by: "alice".into(),
                created_at: 0,
                total: queued + 1,
                queued,
                undo_of: None,
                schedule_id: None,
                cancelled_by: None,
                cancelled_at: None,
                excluded: Vec::new(),
            },
            counts,
        }
    }

    #[test]
    fn the_bar_is_as_long_as_all_its_parts() {
        for counts in [[3, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0], [7, 0, 2, 3, 1, 15_000]] {
            let bar = progress(counts).bar(1_000);
            let mut end = 0;
            for (_, start, length) in &bar {
                assert_eq!(*start, end);
                end = start + length;
            }
            assert_eq!(end, 1_000, "{counts:?}");
        }
        assert_eq!(progress([0; 6]).bar(1_000), []);
    }

    #[test]
    fn the_words_say_how_far_it_is() {
        assert_eq!(progress([2, 0, 0, 0, 0, 1]).words(), "2 of 3 finished");
        assert_eq!(progress([2, 1, 0, 0, 0, 0]).words(), "All 3 finished");
        assert_eq!(progress([0; 6]).words(), "No host needed a command");
        assert_eq!(progress([0, 0, 0, 0, 2, 1]).open(), 3);
        assert_eq!(progress([1; 6]).existing(), 1);
        assert_eq!(progress([2, 0, 0, 0, 0, 1]).batch.title(), "Isolate 4 hosts");
    }
}
