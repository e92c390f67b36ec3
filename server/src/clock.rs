//! The server's one clock. Everything below it takes `now` as an argument.

use chrono::{DateTime, TimeDelta, Utc};

/// To the microsecond, as Postgres keeps it: what comes back from the database equals what went in.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock that everything else is given")]
pub fn now() -> DateTime<Utc> {
    let now = Utc::now();
    now - TimeDelta::nanoseconds(i64::from(now.timestamp_subsec_nanos() % 1000))
}
