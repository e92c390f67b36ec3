use std::fmt::Write as _;

use super::LONGEST_PATH;

/// Whether a path can stand in a bundle: relative, parts between single `/`, none of them `.` or `..`, printable ASCII without
/// what some system gives a meaning (`\ : * ? " < > |`).
#[must_use]
pub fn is_safe_path(path: &str) -> bool {
    path.len() <= LONGEST_PATH
        && path.split('/').all(|part| {
            !part.is_empty()
                && !part.ends_with('.')
                && part.bytes().all(|byte| byte == b'%' || is_plain(byte))
        })
}

/// A path of a host as one in a bundle: without leading `/`, with `%` and two digits for each byte that is not plain.
/// Another path gives another one, unless it is too long: then it is cut.
#[must_use]
pub fn safe_path(path: &[u8]) -> String {
    let mut safe = String::with_capacity(path.len());
    for part in path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
        if !safe.is_empty() {
            safe.push('/');
        }
        for (at, &byte) in part.iter().enumerate() {
            let is_last_dot = byte == b'.' && at + 1 == part.len();
            if is_plain(byte) && !is_last_dot {
                safe.push(char::from(byte));
            } else {
                let _ = write!(safe, "%{byte:02X}");
            }
        }
    }
    safe.truncate(LONGEST_PATH);
    while safe.ends_with(['/', '.']) {
        safe.pop();
    }
    if safe.is_empty() { "%".to_owned() } else { safe }
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
        && !matches!(byte, b'/' | b'\\' | b':' | b'*' | b'?' | b'"' | b'<' | b'>' | b'|' | b'%')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_ones() {
        for (path, safe) in [
            ("/etc/crontab", "etc/crontab"),
            ("//a///b", "a/b"),
            ("../../etc/passwd", ".%2E/.%2E/etc/passwd"),
            ("/", "%"),
            ("/tmp/a\nb\u{202e}", "tmp/a%0Ab%E2%80%AE"),
            ("C:\\x", "C%3A%5Cx"),
            ("100%", "100%25"),
            ("/a/./b.", "a/%2E/b%2E"),
        ] {
            assert_eq!(safe_path(path.as_bytes()), safe);
        }
        for path in ["", "/a", "a//b", "a/../b", "..", "a/", "a\\b", "a\0", "C:x", "é"] {
            assert!(!is_safe_path(path), "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn every_path_becomes_a_safe_one(path in proptest::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert!(is_safe_path(&safe_path(&path)), "{}", safe_path(&path));
        }
    }
}
