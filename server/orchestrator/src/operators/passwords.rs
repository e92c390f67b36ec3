//! argon2id on a bounded pool: each hash takes 19 MiB and a core for some milliseconds, so a flood of sign-ins must
//! queue, not take the server down.

use std::sync::{Arc, LazyLock};

use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

const AT_ONCE: usize = 2;
const WAITING: usize = 32;
const NEW_CHARS: std::ops::RangeInclusive<usize> = 12..=256;

/// Hash of nothing anybody knows, for names that do not exist.
static NOBODY: LazyLock<String> =
    LazyLock::new(|| hash_now(&crate::enrolment::new_secret()).unwrap_or_default());

pub(super) struct Passwords {
    /// How many may wait or run.
    admitted: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

impl Passwords {
    pub(super) fn new() -> Self {
        Self {
            admitted: Arc::new(Semaphore::new(AT_ONCE + WAITING)),
            running: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// `None`: too many are waiting.
    pub(super) async fn hash(&self, password: SecretString) -> Option<String> {
        self.run(move || hash_now(password.expose_secret())).await.flatten()
    }

    /// `None`: too many are waiting. Without a stored hash the answer is `false`, after the same work.
    pub(super) async fn verify(&self, password: SecretString, stored: Option<String>) -> Option<bool> {
        self.run(move || {
            let known = stored.is_some();
            let stored = stored.unwrap_or_else(|| NOBODY.clone());
            let matches = Argon2::default()
                .verify_password(password.expose_secret().as_bytes(), stored.as_str())
                .is_ok();
            matches && known
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let _admitted = self.admitted.try_acquire().ok()?;
        let running = Arc::clone(&self.running).acquire_owned().await.ok()?;
        tokio::task::spawn_blocking(move || {
            let _running = running;
            work()
        })
        .await
        .ok()
    }
}

/// What a new password must be. Length is what counts (NIST SP 800-63B, section 3.1.1).
pub(super) fn check_new(password: &SecretString, username: &str) -> Result<(), String> {
    let password = password.expose_secret();
    let chars = password.chars().count();
    if !NEW_CHARS.contains(&chars) {
        return Err("must be 12 to 256 characters long".to_owned());
    }
    if password.to_lowercase().contains(username) {
        return Err("must not contain the user name".to_owned());
    }
    let mut seen: Vec<char> = password.chars().collect();
    seen.sort_unstable();
    seen.dedup();
    if seen.len() < 5 { Err("must not repeat the same few characters".to_owned()) } else { Ok(()) }
}

/// OWASP's parameters, which are the crate's default: 19 MiB, 2 passes, 1 lane.
fn hash_now(password: &str) -> Option<String> {
    Argon2::default().hash_password(password.as_bytes()).ok().map(|hash| hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_a_known_name_passes() {
        let passwords = Passwords::new();
        let secret = |text: &str| SecretString::from(text);
        let stored = passwords.hash(secret("correct horse battery")).await.unwrap();
        assert!(stored.starts_with("$argon2id$"));
        assert_eq!(passwords.verify(secret("correct horse battery"), Some(stored.clone())).await, Some(true));
        assert_eq!(passwords.verify(secret("wrong"), Some(stored)).await, Some(false));
        assert_eq!(passwords.verify(secret("wrong"), None).await, Some(false));
    }

    #[test]
    fn new_passwords_are_checked() {
        let check = |text: &str| check_new(&SecretString::from(text), "admin");
        assert_eq!(check("correct horse battery"), Ok(()));
        for bad in ["short", "aaaaaaaaaaaaaaaa", "Admin-of-the-year", &"x".repeat(300)] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
