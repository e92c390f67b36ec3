//! Times and amounts in words. Nothing here reads a clock or looks for a zone: the server renders UTC, the browser replaces
//! it by the zone that was chosen.

/// Milliseconds of Unix time, UTC.
pub type Millis = i64;

pub const SECOND: Millis = 1_000;
pub const MINUTE: Millis = 60 * SECOND;
pub const HOUR: Millis = 60 * MINUTE;
pub const DAY: Millis = 24 * HOUR;

/// RFC 3339 in UTC, for the `datetime` attribute.
#[must_use]
pub fn rfc3339(at: Millis) -> String {
    let (date, time) = utc(at);
    format!("{date}T{time}Z")
}

/// The same for a person: `2025-11-23 11:33:20 UTC`.
#[must_use]
pub fn utc_words(at: Millis) -> String {
    let (date, time) = utc(at);
    format!("{date} {time} UTC")
}

/// In a zone so many minutes east of UTC: `2025-11-23 12:33:20 UTC+1`, without the date `12:33:20 UTC+1`.
#[must_use]
pub fn zoned_words(at: Millis, minutes_east: i64, with_date: bool) -> String {
    let (date, time) = utc(at + minutes_east * MINUTE);
    let (sign, distance) = (if minutes_east < 0 { '-' } else { '+' }, minutes_east.abs());
    let zone = match (distance / 60, distance % 60) {
        (0, 0) => String::new(),
        (hours, 0) => format!("{sign}{hours}"),
        (hours, minutes) => format!("{sign}{hours}:{minutes:02}"),
    };
    if with_date { format!("{date} {time} UTC{zone}") } else { format!("{time} UTC{zone}") }
}

/// Whether both are on one day in a zone so many minutes east of UTC.
#[must_use]
pub fn is_same_day(one: Millis, other: Millis, minutes_east: i64) -> bool {
    let day = |at: Millis| (at + minutes_east * MINUTE).div_euclid(DAY);
    day(one) == day(other)
}

/// `4 s ago`, `in 42 min`.
#[must_use]
pub fn distance(at: Millis, now: Millis) -> String {
    // The clocks of servers and browsers differ a little.
    if at - now > 2 * SECOND { format!("in {}", span(at - now)) } else { ago(at, now) }
}

/// `4 s ago`. A time in the future (the clocks differ) is `0 s ago`.
#[must_use]
pub fn ago(at: Millis, now: Millis) -> String {
    format!("{} ago", span(now - at))
}

/// `14:30 UTC, in 42 min`, with the date when that is not today. A time that has passed is `now`.
#[must_use]
pub fn due(at: Millis, now: Option<Millis>) -> String {
    let (date, clock) = utc(at);
    let clock = &clock[..5];
    match now {
        None => format!("{date} {clock} UTC"),
        Some(now) if at <= now => format!("{clock} UTC, now"),
        Some(now) if utc(now).0 == date => format!("{clock} UTC, in {}", span(at - now)),
        Some(now) => format!("{date} {clock} UTC, in {}", span(at - now)),
    }
}

/// The two greatest units: `4 s`, `3 min`, `2 h 5 min`, `6 d 23 h`. Never negative.
#[must_use]
pub fn span(length: Millis) -> String {
    let length = length.max(0);
    let two = |big: Millis, big_word: &str, small: Millis, small_word: &str| {
        let (whole, rest) = (length / big, length % big / small);
        if rest == 0 {
            format!("{whole} {big_word}")
        } else {
            format!("{whole} {big_word} {rest} {small_word}")
        }
    };
    match length {
        0..MINUTE => format!("{} s", length / SECOND),
        MINUTE..HOUR => format!("{} min", length / MINUTE),
        HOUR..DAY => two(HOUR, "h", MINUTE, "min"),
        _ => two(DAY, "d", HOUR, "h"),
    }
}

/// Between two steps of one command: `3 ms`, `1.25 s`, then as [`span`].
#[must_use]
pub fn short_span(length: Millis) -> String {
    match length.max(0) {
        length @ 0..SECOND => format!("{length} ms"),
        length @ SECOND..MINUTE => format!("{}.{:02} s", length / SECOND, length % SECOND / 10),
        length => span(length),
    }
}

/// Binary units, one decimal below ten: `3.9 GiB`, `128 MiB`.
#[must_use]
pub fn bytes(amount: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if amount < 1024 {
        return format!("{amount} B");
    }
    // Tenths, in whole numbers: f64's printing would be the largest part of this page.
    // In 1024ths of the unit, so that shifts do.
    let (mut unit, mut rest) = if amount >> 40 == 0 { (0, amount) } else { (2, amount >> 20) };
    while (rest * 10 + 512) >> 10 >= 10_240 && unit + 1 < UNITS.len() {
        (unit, rest) = (unit + 1, rest >> 10);
    }
    let tenths = (rest * 10 + 512) >> 10;
    if tenths < 100 {
        format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
    } else {
        format!("{} {}", tenths / 10, UNITS[unit])
    }
}

/// Days to civil date after Howard Hinnant, <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>.
fn utc(at: Millis) -> (String, String) {
    let (days, in_day) = (at.div_euclid(DAY), at.rem_euclid(DAY));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (in_day / HOUR, in_day % HOUR / MINUTE, in_day % MINUTE / SECOND);
    (format!("{year:04}-{month:02}-{day:02}"), format!("{hour:02}:{minute:02}:{second:02}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_civil() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(utc_words(1_700_000_000_123), "2023-11-14 22:13:20 UTC");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn a_zone_is_always_said() {
        let at = 1_700_000_000_123;
        assert_eq!(zoned_words(at, 0, true), "2023-11-14 22:13:20 UTC");
        assert_eq!(zoned_words(at, 120, true), "2023-11-15 00:13:20 UTC+2");
        assert_eq!(zoned_words(at, 330, false), "03:43:20 UTC+5:30");
        assert_eq!(zoned_words(at, -210, false), "18:43:20 UTC-3:30");
        assert_eq!(zoned_words(-1, 0, true), utc_words(-1));
    }

    #[test]
    fn a_day_is_one_of_the_zone() {
        let (evening, morning) = (DAY - HOUR, DAY + HOUR);
        assert!(!is_same_day(evening, morning, 0));
        assert!(is_same_day(evening, morning, 120));
        assert!(is_same_day(evening, morning, -120));
    }

    #[test]
    fn a_distance_goes_both_ways() {
        assert_eq!(distance(0, 4 * SECOND), "4 s ago");
        assert_eq!(distance(SECOND, 0), "0 s ago");
        assert_eq!(distance(HOUR, 18 * MINUTE), "in 42 min");
    }

    #[test]
    fn spans_use_two_units_at_most() {
        assert_eq!(ago(1_000, 5_400), "4 s ago");
        assert_eq!(ago(9_000, 5_000), "0 s ago");
        assert_eq!(span(59 * SECOND), "59 s");
        assert_eq!(span(HOUR + 5 * MINUTE), "1 h 5 min");
        assert_eq!(span(7 * DAY - SECOND), "6 d 23 h");
        assert_eq!(span(7 * DAY), "7 d");
        assert_eq!(short_span(3), "3 ms");
        assert_eq!(short_span(1_250), "1.25 s");
        assert_eq!(short_span(90 * SECOND), "1 min");
    }

    #[test]
    fn what_is_due_says_when_and_how_soon() {
        assert_eq!(due(HOUR, Some(18 * MINUTE)), "01:00 UTC, in 42 min");
        assert_eq!(due(DAY + HOUR, Some(HOUR)), "1970-01-02 01:00 UTC, in 1 d");
        assert_eq!(due(HOUR, Some(HOUR)), "01:00 UTC, now");
        assert_eq!(due(HOUR, None), "1970-01-01 01:00 UTC");
    }

    #[test]
    fn bytes_are_binary() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1024), "1.0 KiB");
        assert_eq!(bytes(4_187_593_113), "3.9 GiB");
        assert_eq!(bytes(134_217_728), "128 MiB");
        assert_eq!(bytes(u64::MAX), "16384 PiB");
    }
}
