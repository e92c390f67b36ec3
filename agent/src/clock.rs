//! The one place where this binary reads a clock.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::core::Now;

/// Wall clock and a monotonic clock that starts at zero with the agent.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    #[must_use]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    #[must_use]
    pub fn now(&self) -> Now {
        Now { wall: wall(), uptime: self.started.elapsed() }
    }

    /// The monotonic instant at which `uptime` is reached.
    #[must_use]
    pub fn instant_at(&self, uptime: Duration) -> Instant {
        self.started + uptime
    }
}

/// The host's wall clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock module")]
pub fn wall() -> DateTime<Utc> {
    Utc::now()
}
