//! What an answer means for a delivery.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{model::DeliveryState, plain};

/// How long a failed attempt is followed by none; after the last one it is given up.
const PAUSES: [TimeDelta; 6] = [
    TimeDelta::seconds(5),
    TimeDelta::seconds(30),
    TimeDelta::minutes(2),
    TimeDelta::minutes(10),
    TimeDelta::hours(1),
    TimeDelta::hours(6),
];
const GONE: u16 = 410;
pub const MOST_ANSWER_CHARS: usize = 500;

/// What came of an attempt.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The status and the beginning of what came with it.
    Answered { status: u16, text: String },
    /// Why nothing was sent or came back.
    None { problem: String },
}

impl Answer {
    pub(super) fn status(&self) -> Option<i32> {
        match self {
            Self::Answered { status, .. } => Some(i32::from(*status)),
            Self::None { .. } => None,
        }
    }

    pub(super) fn words(&self) -> String {
        match self {
            Self::Answered { status: 300..=399, .. } => {
                "a redirect, which is not followed: set the address it leads to".to_owned()
            }
            Self::Answered { text, .. } => plain::shown(text, MOST_ANSWER_CHARS, false),
            Self::None { problem } => plain::shown(problem, MOST_ANSWER_CHARS, false),
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Verdict {
    pub state: DeliveryState,
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub is_gone: bool,
}

/// `attempt`: the how-manieth it was, from 1.
pub(super) fn verdict(attempt: i32, answer: &Answer, now: DateTime<Utc>) -> Verdict {
    let (is_taken, is_gone) = match answer {
        Answer::Answered { status, .. } => ((200..300).contains(status), *status == GONE),
        Answer::None { .. } => (false, false),
    };
    let pause = usize::try_from(attempt - 1).ok().and_then(|index| PAUSES.get(index));
    let next_attempt_at = pause.filter(|_| !is_taken && !is_gone).map(|pause| now + *pause);
    let state = match next_attempt_at {
        _ if is_taken => DeliveryState::Delivered,
        Some(_) => DeliveryState::Waiting,
        None => DeliveryState::Failed,
    };
    Verdict { state, next_attempt_at, is_gone }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16) -> Answer {
        Answer::Answered { status, text: String::new() }
    }

    #[test]
    fn only_a_success_delivers() {
        let now = DateTime::UNIX_EPOCH;
        for status in [200, 204, 299] {
            assert_eq!(verdict(1, &answered(status), now).state, DeliveryState::Delivered);
        }
        for status in [100, 302, 400, 404, 500, 503] {
            assert_eq!(verdict(1, &answered(status), now).state, DeliveryState::Waiting, "{status}");
        }
    }

    #[test]
    fn pauses_grow_and_end() {
        let now = DateTime::UNIX_EPOCH;
        let pauses: Vec<_> = (1..=7)
            .map(|attempt| {
                verdict(attempt, &answered(500), now).next_attempt_at.map(|at| (at - now).num_seconds())
            })
            .collect();
        assert_eq!(pauses, [Some(5), Some(30), Some(120), Some(600), Some(3600), Some(21600), None]);
        assert_eq!(verdict(7, &answered(500), now).state, DeliveryState::Failed);
    }

    #[test]
    fn gone_is_the_end() {
        let verdict = verdict(1, &answered(410), DateTime::UNIX_EPOCH);
        assert_eq!((verdict.state, verdict.is_gone), (DeliveryState::Failed, true));
    }
}
