//! Secrets that are shown once and kept as a hash, and the names hosts may have.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

/// 256 random bits as 43 base64url characters.
///
/// # Panics
/// If the operating system gives no random bytes, which leaves nothing safe to do.
#[must_use]
pub fn new_secret() -> String {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    URL_SAFE_NO_PAD.encode(bytes)
}

/// SHA-256: enough for secrets of 256 random bits, which nobody can guess at any speed.
#[must_use]
pub fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// RFC 1123: labels of letters, digits and hyphens, joined by dots; underscores are seen in the field and do no harm.
pub(crate) fn check_hostname(name: &str) -> Result<(), String> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() <= 253 && name.split('.').all(is_label) {
        Ok(())
    } else {
        Err("must be a host name: letters, digits, hyphens and dots, at most 253 characters".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_checked() {
        for good in ["web-01", "a", "db_1.example.org", "10"] {
            assert_eq!(check_hostname(good), Ok(()));
        }
        for bad in ["", "-a", "a-", "a..b", "a b", "<script>", "a\n", &"a".repeat(64), "é"] {
            assert!(check_hostname(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn secrets_differ_and_have_the_length_of_256_bits() {
        let (one, other) = (new_secret(), new_secret());
        assert_eq!(one.len(), 43);
        assert_ne!(one, other);
    }
}
