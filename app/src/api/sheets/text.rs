//! What hosts say, made fit to be shown: whoever holds a host must not draw on the operator's page.

use chrono::{DateTime, Utc};
use voltaxe_orchestrator::plain::shown;

use crate::model::time;

const LONGEST_CHARS: usize = 1_000;

/// One line. What would move the cursor or turn the direction of writing stands there as its code.
pub(crate) fn of_host(text: &str) -> String {
    shown(text, LONGEST_CHARS, false)
}

/// Many lines.
pub(in crate::api) fn lines_of_host(text: &str, most: usize) -> String {
    shown(text, most, true)
}

pub(super) fn at(at: DateTime<Utc>) -> String {
    time::utc_words(at.timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_deceive_is_shown_as_its_code() {
        assert_eq!(of_host("a\u{202e}txt.exe"), r"a\u{202e}txt.exe");
        assert_eq!(of_host("\u{1b}[2Jx\ny"), r"\u{1b}[2Jx\u{a}y");
        assert_eq!(of_host("/opt/наш\u{200b}/λ"), r"/opt/наш\u{200b}/λ");
        assert_eq!(lines_of_host("a\n\tb\rc", 100), "a\n\tb\\u{d}c");
    }

    #[test]
    fn what_is_long_is_cut() {
        assert_eq!(of_host(&"x".repeat(5_000)).chars().count(), LONGEST_CHARS + 1);
        assert_eq!(lines_of_host("abc", 2), "ab…");
    }
}
