//! Slows guessing down without ever locking anybody out.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};

/// Failed attempts from one address that cost nothing.
const FREE: u32 = 5;
const LONGEST_WAIT: TimeDelta = TimeDelta::seconds(30);
/// An address that was quiet this long starts anew.
const FORGET_AFTER: TimeDelta = TimeDelta::minutes(15);
/// A name's answers are never slower than this, so that its owner gets in while somebody else guesses.
const LONGEST_DELAY: Duration = Duration::from_secs(2);
/// Beyond this many, the oldest entries are forgotten.
const LARGEST: usize = 10_000;

#[derive(Default)]
pub(crate) struct Throttle {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    clients: HashMap<IpAddr, Failures>,
    names: HashMap<String, u32>,
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: DateTime<Utc>,
}

impl Throttle {
    /// `Err`: the seconds to wait.
    pub(crate) fn admit(&self, client: IpAddr, now: DateTime<Utc>) -> Result<(), u64> {
        let state = self.lock();
        let Some(failures) = state.clients.get(&client) else { return Ok(()) };
        let over = failures.count.saturating_sub(FREE);
        if over == 0 || now - failures.last > FORGET_AFTER {
            return Ok(());
        }
        let wait = TimeDelta::seconds(1 << over.min(5)).min(LONGEST_WAIT);
        let left = failures.last + wait - now;
        if left > TimeDelta::zero() {
            Err(u64::try_from(left.num_milliseconds().div_euclid(1000) + 1).unwrap_or(1))
        } else {
            Ok(())
        }
    }

    /// How long the answer for this name is held back.
    pub(super) fn delay_of(&self, username: &str) -> Duration {
        let failures = self.lock().names.get(username).copied().unwrap_or(0);
        let over = failures.saturating_sub(FREE);
        (Duration::from_millis(100) * over).min(LONGEST_DELAY)
    }

    pub(crate) fn failed(&self, client: IpAddr, username: &str, now: DateTime<Utc>) {
        let mut state = self.lock();
        if state.clients.len() >= LARGEST {
            state.clients.retain(|_, failures| now - failures.last <= FORGET_AFTER);
        }
        if state.names.len() >= LARGEST {
            state.names.clear();
        }
        let failures = state.clients.entry(client).or_insert(Failures { count: 0, last: now });
        if now - failures.last > FORGET_AFTER {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
        let count = state.names.entry(username.chars().take(64).collect()).or_default();
        *count = count.saturating_add(1);
    }

    pub(super) fn succeeded(&self, client: IpAddr, username: &str) {
        let mut state = self.lock();
        state.clients.remove(&client);
        state.names.remove(username);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn guessing_gets_slower_and_never_stops_for_good() {
        let throttle = Throttle::default();
        let mut now = DateTime::UNIX_EPOCH;
        for _ in 0..FREE {
            assert_eq!(throttle.admit(CLIENT, now), Ok(()));
            throttle.failed(CLIENT, "admin", now);
        }
        assert_eq!(throttle.admit(CLIENT, now), Ok(()));
        for _ in 0..20 {
            throttle.failed(CLIENT, "admin", now);
            let wait = throttle.admit(CLIENT, now).unwrap_err();
            assert!((1..=31).contains(&wait));
            now += TimeDelta::seconds(i64::try_from(wait).unwrap());
            assert_eq!(throttle.admit(CLIENT, now), Ok(()));
        }
        assert_eq!(throttle.admit(OTHER, now), Ok(()), "another address is not slowed");
        assert_eq!(throttle.delay_of("admin"), LONGEST_DELAY);
        throttle.succeeded(CLIENT, "admin");
        assert_eq!(throttle.admit(CLIENT, now), Ok(()));
        assert_eq!(throttle.delay_of("admin"), Duration::ZERO);
    }
}
