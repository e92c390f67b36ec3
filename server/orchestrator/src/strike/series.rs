//! An endpoint's telemetry over time.

use chrono::{DateTime, TimeDelta, Utc};
use voltaxe_protocol::EndpointId;
use voltaxe_store::SeriesPoint;

use super::Strike;
use crate::{
    StrikeError,
    authority::{Permit, may},
};

/// How far back a series goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Window {
    Day,
    Week,
}

/// Stretches of equal length up to now; those that nothing was reported in are missing.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub start: DateTime<Utc>,
    pub step: TimeDelta,
    pub count: i32,
    pub points: Vec<SeriesPoint>,
}

impl Window {
    /// The length of a stretch in seconds, and how many there are.
    fn stretches(self) -> (i32, i32) {
        match self {
            Self::Day => (600, 144),
            Self::Week => (3_600, 168),
        }
    }
}

impl Strike {
    pub async fn series(
        &self,
        _permit: &Permit<may::View>,
        id: &EndpointId,
        window: Window,
        now: DateTime<Utc>,
    ) -> Result<Series, StrikeError> {
        let (step_seconds, count) = window.stretches();
        let (start, end) = bounds(now, step_seconds, count);
        let points = self.store().series(id, start, end, step_seconds).await?;
        Ok(Series { start, step: TimeDelta::seconds(step_seconds.into()), count, points })
    }
}

/// The last stretch is the one that holds `now`. They begin at the same times however often one looks.
fn bounds(now: DateTime<Utc>, step_seconds: i32, count: i32) -> (DateTime<Utc>, DateTime<Utc>) {
    let step = i64::from(step_seconds);
    let into = TimeDelta::seconds(now.timestamp().rem_euclid(step));
    let sub_second = TimeDelta::nanoseconds(now.timestamp_subsec_nanos().into());
    let end = now - into - sub_second + TimeDelta::seconds(step);
    (end - TimeDelta::seconds(step * i64::from(count)), end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_stretch_holds_now() {
        let now = DateTime::from_timestamp(1_700_000_123, 456_000_000).unwrap();
        let (start, end) = bounds(now, 600, 144);
        assert!(end > now && end - now <= TimeDelta::seconds(600));
        assert_eq!(end.timestamp() % 600, 0);
        assert_eq!((end - start, end.timestamp_subsec_nanos()), (TimeDelta::days(1), 0));
        assert_eq!(bounds(end, 600, 144).0, start + TimeDelta::seconds(600), "a full stretch has ended");
    }
}
