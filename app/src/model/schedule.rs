use serde::{Deserialize, Serialize};

use super::{Listed, Millis, Order, order, time};

/// A command that is made later.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    pub id: String,
    pub kind: Kind,
    pub state: ScheduleState,
    pub command: String,
    pub reason: String,
    /// The first few by name.
    pub hosts: Vec<String>,
    pub host_count: usize,
    pub created_by: String,
    pub created_at: Millis,
    /// None once it has ended, and for a release whose isolation has not taken effect.
    pub next_run_at: Option<Millis>,
    pub ends_at: Millis,
    pub cron: Option<String>,
    pub time_zone: Option<String>,
    pub rollback_of: Option<i64>,
    pub rollback_after_seconds: Option<i32>,
    pub runs: i32,
    pub last_run_at: Option<Millis>,
    pub last_batch_id: Option<String>,
    /// Why the last run made no command, or why it ended.
    pub note: Option<String>,
    pub ended_by: Option<String>,
    pub ended_at: Option<Millis>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Once,
    Cron,
    /// Takes an isolation back, counted from when it took effect.
    Rollback,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleState {
    Waiting,
    Done,
    Cancelled,
}

impl Schedule {
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.state == ScheduleState::Waiting
    }

    /// `Isolate web-01, web-02, db-01 +4`.
    #[must_use]
    pub fn title(&self) -> String {
        let named = self.hosts.join(", ");
        let verb = order::title(&self.command);
        match self.host_count.saturating_sub(self.hosts.len()) {
            0 => format!("{verb} {named}"),
            more => format!("{verb} {named} +{more}"),
        }
    }

    #[must_use]
    pub fn kind_words(&self) -> String {
        match self.kind {
            Kind::Once => "Once".to_owned(),
            Kind::Cron => {
                let cron = self.cron.as_deref().unwrap_or_default();
                format!("{cron} {}", self.time_zone.as_deref().unwrap_or_default())
            }
            Kind::Rollback => format!("Ends isolation #{}", self.rollback_of.unwrap_or_default()),
        }
    }

    #[must_use]
    pub fn state_words(&self) -> &'static str {
        match self.state {
            ScheduleState::Waiting => "Waiting",
            ScheduleState::Done => "Done",
            ScheduleState::Cancelled => "Cancelled",
        }
    }

    /// When it runs next; `now` is None while the page has no clock.
    #[must_use]
    pub fn next_words(&self, now: Option<Millis>) -> String {
        match (self.next_run_at, self.rollback_after_seconds) {
            (Some(at), _) => time::due(at, now),
            (None, Some(seconds)) if self.is_waiting() => {
                format!("{} after the isolation takes effect", time::span(Millis::from(seconds) * 1000))
            }
            (None, _) => "–".to_owned(),
        }
    }
}

/// What ends an endpoint's isolation by itself.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Rollback {
    pub schedule_id: String,
    pub of_command: i64,
    /// None until the isolation has taken effect.
    pub due_at: Option<Millis>,
    pub after_seconds: i32,
}

impl Rollback {
    #[must_use]
    pub fn words(&self, now: Option<Millis>) -> String {
        match self.due_at {
            Some(at) if now.is_some_and(|now| at <= now) => "Releases itself now".to_owned(),
            Some(at) => format!("Releases itself at {}", time::due(at, now)),
            None => {
                let after = time::span(Millis::from(self.after_seconds) * 1000);
                format!("Releases itself {after} after it takes effect")
            }
        }
    }
}

/// A schedule as it is written. Times are as in an input of type `datetime-local`, and mean UTC.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewSchedule {
    pub order: Order,
    /// Names, one a line.
    pub hostnames: String,
    pub endpoint_ids: Vec<String>,
    pub reason: String,
    /// Either this ..
    pub not_before: String,
    /// .. or this.
    pub cron: String,
    pub time_zone: String,
    pub ends_at: String,
    pub idempotency_key: String,
}

/// All that the schedules page starts with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SchedulesPage {
    pub waiting: Listed<Schedule>,
    pub ended: Listed<Schedule>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule() -> Schedule {
        Schedule {
            id: "s".into(),
            kind: Kind::Once,
            state: ScheduleState::Waiting,
            command: "network_isolate".into(),
            reason: "beacon".into(),
            hosts: vec!["web-01".into(), "web-02".into(), "db-01".into()],
            host_count: 7,
            created_by: "alice".into(),
            created_at: 0,
            next_run_at: Some(time::HOUR),
            ends_at: time::DAY,
            cron: None,
            time_zone: None,
            rollback_of: None,
            rollback_after_seconds: None,
            runs: 0,
            last_run_at: None,
            last_batch_id: None,
            note: None,
            ended_by: None,
            ended_at: None,
        }
    }

    #[test]
    fn a_schedule_names_its_first_hosts_and_its_time() {
        let once = schedule();
        assert_eq!(once.title(), "Isolate web-01, web-02, db-01 +4");
        assert_eq!(once.next_words(Some(18 * time::MINUTE)), "01:00 UTC, in 42 min");
        let nightly = Schedule {
            kind: Kind::Cron,
            cron: Some("30 2 * * *".into()),
            time_zone: Some("Europe/Berlin".into()),
            ..schedule()
        };
        assert_eq!(nightly.kind_words(), "30 2 * * * Europe/Berlin");
        let done = Schedule { state: ScheduleState::Done, next_run_at: None, ..schedule() };
        assert_eq!(done.next_words(Some(0)), "–");
    }

    #[test]
    fn a_release_counts_from_the_effect() {
        let waits = Rollback { schedule_id: "s".into(), of_command: 41, due_at: None, after_seconds: 3_600 };
        assert_eq!(waits.words(Some(0)), "Releases itself 1 h after it takes effect");
        let counts = Rollback { due_at: Some(time::HOUR), ..waits };
        assert_eq!(counts.words(Some(18 * time::MINUTE)), "Releases itself at 01:00 UTC, in 42 min");
        assert_eq!(counts.words(None), "Releases itself at 1970-01-01 01:00 UTC");
        assert_eq!(counts.words(Some(time::HOUR)), "Releases itself now");
    }
}
