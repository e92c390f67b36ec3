use std::time::Duration;

/// Spreads timers so that a fleet does not knock at the same moment. Seeded from outside; not for secrets.
#[derive(Debug)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Evenly from `low` to `high`.
    pub(super) fn between(&mut self, low: Duration, high: Duration) -> Duration {
        low + high.saturating_sub(low).mul_f64(self.fraction())
    }

    /// Exponential from `base`, at most `cap`, then evenly from half of it to all of it.
    pub(super) fn backoff(&mut self, failures: u32, base: Duration, cap: Duration) -> Duration {
        let full = base.saturating_mul(1 << failures.min(16)).min(cap);
        self.between(full / 2, full)
    }

    /// SplitMix64 (Steele, Lea, Flood 2014), its upper 53 bits as a number from 0 to 1.
    fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_to_its_cap_and_keeps_half_as_jitter() {
        let mut jitter = Jitter::new(7);
        let (base, cap) = (Duration::from_millis(500), Duration::from_secs(30));
        for failures in 0..40 {
            let full = base.saturating_mul(1 << failures.min(16)).min(cap);
            let wait = jitter.backoff(failures, base, cap);
            assert!(wait >= full / 2 && wait <= full, "{failures}: {wait:?}");
        }
    }
}
