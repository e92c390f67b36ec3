//! The crate's one clock for times that go into messages. Durations are measured with [`std::time::Instant`].

use chrono::{DateTime, Utc};

#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock that everything else is given")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}
