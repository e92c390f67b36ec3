//! When to connect, when to poll, when to leave the server alone.

use std::time::Duration;

use voltaxe_protocol::RefusalReason;

use super::{
    effect::{Now, RequestFailure, StreamLoss},
    jitter::Jitter,
};

const RECONNECT_BASE: Duration = Duration::from_millis(500);
const RECONNECT_CAP: Duration = Duration::from_secs(30);
/// A refusal is ended by a person, not by trying: the first wait and the longest.
const REFUSED_BASE: Duration = Duration::from_secs(30);
const REFUSED_CAP: Duration = Duration::from_secs(600);
/// The stream's head start over the first request.
pub(super) const FIRST_POLL: Duration = Duration::from_secs(2);
/// After a lost stream, requests of a fleet begin within this time.
const LOST_SPREAD: Duration = Duration::from_secs(1);
/// The least time between the starts of two long polls.
const LONG_POLL_PACE: Duration = Duration::from_millis(100);

/// How commands are polled for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Polling {
    pub interval: Duration,
    /// The server may keep a poll open for so long, if it is not zero; the next one then follows at once.
    pub wait: Duration,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stream {
    Off,
    Waiting { until: Duration },
    Connecting,
    Live,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) stream: Stream,
    stream_failures: u32,
    /// `None` when polling is switched off.
    polling: Option<Polling>,
    next_poll: Duration,
    poll_in_flight: bool,
    poll_started: Duration,
    http_failures: u32,
    /// No signed request before this time.
    held_until: Duration,
}

impl Link {
    pub(super) fn new(now: Now, stream: bool, polling: Option<Polling>) -> Self {
        let first_request = now.uptime + if stream { FIRST_POLL } else { Duration::ZERO };
        Self {
            stream: if stream { Stream::Waiting { until: now.uptime } } else { Stream::Off },
            stream_failures: 0,
            polling,
            next_poll: first_request,
            poll_in_flight: false,
            poll_started: now.uptime,
            http_failures: 0,
            held_until: first_request,
        }
    }

    pub(super) fn is_live(&self) -> bool {
        self.stream == Stream::Live
    }

    /// When signed requests may be sent again.
    pub(super) fn held_until(&self) -> Duration {
        self.held_until
    }

    pub(super) fn stream_due(&self) -> Option<Duration> {
        match self.stream {
            Stream::Waiting { until } => Some(until),
            Stream::Off | Stream::Connecting | Stream::Live => None,
        }
    }

    /// Polling rests while the stream is live: the stream replays what is pending when it opens.
    pub(super) fn poll_due(&self) -> Option<Duration> {
        (self.polling.is_some() && !self.poll_in_flight && !self.is_live())
            .then(|| self.next_poll.max(self.held_until))
    }

    pub(super) fn poll_started(&mut self, now: Now) {
        self.poll_in_flight = true;
        self.poll_started = now.uptime;
    }

    /// `is_empty` when it brought nothing, or failed.
    pub(super) fn poll_ended(&mut self, now: Now, is_empty: bool, jitter: &mut Jitter) {
        self.poll_in_flight = false;
        let Some(Polling { interval, wait }) = self.polling else { return };
        // One that came back empty at once was not kept open: such a server is polled as if we did not wait.
        let was_kept_open = !is_empty || now.uptime >= self.poll_started + wait / 2;
        self.next_poll = if wait > Duration::ZERO && was_kept_open {
            now.uptime.max(self.poll_started + LONG_POLL_PACE)
        } else {
            now.uptime + jitter.between(interval.mul_f64(0.9), interval.mul_f64(1.1))
        };
    }

    pub(super) fn stream_live(&mut self) {
        self.stream = Stream::Live;
        self.stream_failures = 0;
        self.http_answered();
    }

    pub(super) fn stream_lost(&mut self, now: Now, loss: &StreamLoss, jitter: &mut Jitter) -> Duration {
        if self.is_live() {
            self.next_poll = now.uptime + jitter.between(Duration::ZERO, FIRST_POLL);
            self.held_until = now.uptime + jitter.between(Duration::ZERO, LOST_SPREAD);
        }
        let wait = match loss {
            StreamLoss::Unreachable(_) | StreamLoss::Closed(_) => {
                jitter.backoff(self.stream_failures, RECONNECT_BASE, RECONNECT_CAP)
            }
            StreamLoss::Refused { reason: RefusalReason::Busy, .. } => {
                jitter.backoff(self.stream_failures.max(3), RECONNECT_BASE, RECONNECT_CAP)
            }
            StreamLoss::Refused { .. } => jitter.backoff(self.stream_failures, REFUSED_BASE, REFUSED_CAP),
        };
        self.stream_failures = self.stream_failures.saturating_add(1);
        self.stream = Stream::Waiting { until: now.uptime + wait };
        wait
    }

    /// The server is there and lets us in.
    pub(super) fn http_answered(&mut self) {
        self.http_failures = 0;
        self.held_until = Duration::ZERO;
    }

    /// Returns how long signed requests rest.
    pub(super) fn http_failed(
        &mut self,
        now: Now,
        failure: &RequestFailure,
        jitter: &mut Jitter,
    ) -> Duration {
        let wait = match failure {
            RequestFailure::Refused { .. } => jitter.backoff(self.http_failures, REFUSED_BASE, REFUSED_CAP),
            RequestFailure::Unavailable(_) | RequestFailure::Failed(_) => {
                jitter.backoff(self.http_failures, RECONNECT_BASE, RECONNECT_CAP)
            }
            RequestFailure::CommandNotFound | RequestFailure::NotAccepted(_) => return Duration::ZERO,
        };
        self.http_failures = self.http_failures.saturating_add(1);
        self.held_until = self.held_until.max(now.uptime + wait);
        wait
    }
}
