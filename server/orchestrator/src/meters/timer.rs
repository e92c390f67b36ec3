//! How long something takes, to be read as percentiles.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

const BUCKETS: usize = 64;

/// Upper bounds in microseconds, from 0.1 ms on a fifth apart: a percentile is that exact.
static BOUNDS: LazyLock<[u64; BUCKETS]> = LazyLock::new(|| {
    let mut next = 100;
    std::array::from_fn(|_| {
        let bound = next;
        next = bound * 6 / 5;
        bound
    })
});

pub(crate) struct Timer([AtomicU64; BUCKETS]);

/// What was measured since the start, by bucket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Timed([u64; BUCKETS]);

impl Default for Timer {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Default for Timed {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl Timer {
    pub(crate) fn observe(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < micros).min(BUCKETS - 1);
        self.0[bucket].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Timed {
        Timed(std::array::from_fn(|bucket| self.0[bucket].load(Ordering::Relaxed)))
    }
}

impl Timed {
    /// In microseconds, of what was measured after `before`. `None`: nothing was.
    pub(crate) fn percentile_since(&self, before: &Self, percent: u64) -> Option<u64> {
        let counts: [u64; BUCKETS] =
            std::array::from_fn(|bucket| self.0[bucket].saturating_sub(before.0[bucket]));
        let total: u64 = counts.iter().sum();
        let wanted = (total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let bucket = counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        bucket.map(|bucket| BOUNDS[bucket])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_what_came_since() {
        let timer = Timer::default();
        timer.observe(Duration::from_secs(5));
        let before = timer.read();
        assert_eq!(timer.read().percentile_since(&before, 99), None);
        for millis in 1..=100 {
            timer.observe(Duration::from_millis(millis));
        }
        let now = timer.read();
        let near = |percent: u64, micros: u64| {
            let found = now.percentile_since(&before, percent).unwrap();
            assert!((micros..=micros * 6 / 5).contains(&found), "p{percent}: {found}");
        };
        near(50, 50_000);
        near(99, 99_000);
    }

    #[test]
    fn what_takes_too_long_is_in_the_last_bucket() {
        let timer = Timer::default();
        timer.observe(Duration::from_secs(3600));
        assert!(timer.read().percentile_since(&Timed::default(), 50).unwrap() > 5_000_000);
    }
}
