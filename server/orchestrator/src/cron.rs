//! When a cron expression comes due next, in a time zone.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;

/// A checked expression (five fields, as in crontab(5)) and the zone it is read in.
#[derive(Clone, Debug)]
pub(crate) struct Recurrence {
    cron: Cron,
    zone: Tz,
}

impl Recurrence {
    /// The error names the field and says what would be right.
    pub(crate) fn parse(expression: &str, zone: &str) -> Result<Self, (&'static str, String)> {
        let fields = expression.split_whitespace().count();
        if fields != 5 && !expression.trim_start().starts_with('@') {
            return Err((
                "cron",
                format!(
                    "has {fields} fields and needs 5: minute hour day month weekday, as in \"30 2 * * 1-5\""
                ),
            ));
        }
        let cron = expression.parse::<Cron>().map_err(|error| {
            (
                "cron",
                format!("is not understood ({error}); as in \"30 2 * * 1-5\": minute hour day month weekday"),
            )
        })?;
        let zone = zone.parse::<Tz>().map_err(|_| {
            ("time_zone", format!("{zone:?} is no IANA time zone; as in Europe/Berlin or UTC"))
        })?;
        Ok(Self { cron, zone })
    }

    /// The first time after `after`; `None` when there is none in the years to come.
    pub(crate) fn next(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let after = after.with_timezone(&self.zone);
        self.cron.find_next_occurrence(&after, false).ok().map(|next| next.with_timezone(&Utc))
    }

    /// `Sun 29 Mar 2026 03:30 CEST`.
    pub(crate) fn in_zone(&self, at: DateTime<Utc>) -> String {
        at.with_timezone(&self.zone).format("%a %d %b %Y %H:%M %Z").to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(cron: &str, zone: &str, after: &str) -> String {
        let after = after.parse().unwrap();
        Recurrence::parse(cron, zone).unwrap().next(after).map_or("never".to_owned(), |at| at.to_rfc3339())
    }

    #[test]
    fn the_zone_decides() {
        assert_eq!(next("30 2 * * *", "UTC", "2026-01-10T00:00:00Z"), "2026-01-10T02:30:00+00:00");
        assert_eq!(next("30 2 * * *", "Asia/Tokyo", "2026-01-10T00:00:00Z"), "2026-01-10T17:30:00+00:00");
    }

    #[test]
    fn a_time_that_the_clocks_skip_or_repeat_comes_once() {
        // Berlin skips 02:00 to 03:00 on 29 March 2026 and repeats it on 25 October.
        let spring = next("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z");
        assert!(spring.starts_with("2026-03-29T01"), "{spring}");
        let autumn = next("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z");
        let again = next("30 2 * * *", "Europe/Berlin", &autumn);
        assert!(again.starts_with("2026-10-26"), "{autumn} then {again}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(Recurrence::parse("61 * * * *", "UTC").unwrap_err().0, "cron");
        assert_eq!(Recurrence::parse("* * *", "UTC").unwrap_err().0, "cron");
        assert_eq!(Recurrence::parse("* * * * *", "Mars/Olympus").unwrap_err().0, "time_zone");
    }

    #[test]
    fn a_date_that_never_comes_is_never() {
        assert_eq!(next("0 0 30 2 *", "UTC", "2026-01-10T00:00:00Z"), "never");
    }
}
