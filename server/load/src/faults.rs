//! A line that loses, repeats, delays and so reorders what passes over it, by the run's seed.

use std::{
    cmp::Ordering,
    collections::BinaryHeap,
    time::{Duration, Instant},
};

/// Shares between 0 and 1; the default is a line without faults.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    pub lose: f64,
    pub repeat: f64,
    pub delay: f64,
    /// A delayed frame is late by up to this.
    pub delay_up_to: Duration,
}

impl Faults {
    pub const NONE: Self = Self { lose: 0.0, repeat: 0.0, delay: 0.0, delay_up_to: Duration::ZERO };
}

/// One direction of one agent's line.
pub struct Line<T> {
    faults: Faults,
    random: fastrand::Rng,
    held: BinaryHeap<Held<T>>,
    serial: u64,
}

impl<T: Clone> Line<T> {
    #[must_use]
    pub fn new(faults: Faults, random: fastrand::Rng) -> Self {
        Self { faults, random, held: BinaryHeap::new(), serial: 0 }
    }

    /// What of `frame` comes out at once, at most two of it; the rest later, by [`Line::due`].
    pub fn pass(&mut self, frame: T, now: Instant) -> Vec<T> {
        if self.faults == Faults::NONE {
            return vec![frame];
        }
        if self.happens(self.faults.lose) {
            return vec![];
        }
        let copies = if self.happens(self.faults.repeat) { 2 } else { 1 };
        let mut out = Vec::with_capacity(copies);
        for _ in 0..copies {
            if self.happens(self.faults.delay) {
                let late = self.faults.delay_up_to.mul_f64(self.random.f64());
                self.serial += 1;
                self.held.push(Held { at: now + late, serial: self.serial, frame: frame.clone() });
            } else {
                out.push(frame.clone());
            }
        }
        out
    }

    /// A delayed frame whose time has come.
    pub fn due(&mut self, now: Instant) -> Option<T> {
        if self.next_due().is_some_and(|at| at <= now) {
            self.held.pop().map(|held| held.frame)
        } else {
            None
        }
    }

    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.held.peek().map(|held| held.at)
    }

    fn happens(&mut self, share: f64) -> bool {
        // Always drawn, so that the faults after it do not depend on which shares are zero.
        self.random.f64() < share
    }
}

struct Held<T> {
    at: Instant,
    serial: u64,
    frame: T,
}

/// The earliest is the greatest, as the heap gives the greatest first.
impl<T> Ord for Held<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.serial).cmp(&(self.at, self.serial))
    }
}

impl<T> PartialOrd for Held<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Held<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Held<T> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed;

    const BAD: Faults = Faults { lose: 0.2, repeat: 0.2, delay: 0.3, delay_up_to: Duration::from_secs(1) };

    fn sent_over(faults: Faults, seed: u64) -> Vec<u32> {
        let mut line = Line::new(faults, seed::generator(seed, "line", 0));
        let start = Instant::now();
        let mut out: Vec<u32> = (0..1_000).flat_map(|frame| line.pass(frame, start)).collect();
        let later = start + Duration::from_secs(2);
        while let Some(frame) = line.due(later) {
            out.push(frame);
        }
        out
    }

    #[test]
    fn a_line_without_faults_changes_nothing() {
        assert_eq!(sent_over(Faults::NONE, 1), (0..1_000).collect::<Vec<_>>());
    }

    #[test]
    fn a_bad_line_loses_repeats_and_reorders_the_same_way_for_the_same_seed() {
        let out = sent_over(BAD, 1);
        assert_eq!(out, sent_over(BAD, 1));
        assert_ne!(out, sent_over(BAD, 2));
        assert!(!out.is_sorted());
        let kept: std::collections::BTreeSet<u32> = out.iter().copied().collect();
        assert!((700..900).contains(&kept.len()), "{} of 1000 came through", kept.len());
        assert!(out.len() > kept.len());
    }

    #[test]
    fn delayed_frames_come_out_when_their_time_has_come() {
        let delay = Faults { delay: 1.0, delay_up_to: Duration::from_secs(1), ..Faults::NONE };
        let mut line = Line::new(delay, seed::generator(1, "line", 0));
        let start = Instant::now();
        assert_eq!(line.pass('a', start), []);
        let at = line.next_due().unwrap();
        assert_eq!(line.due(at - Duration::from_nanos(1)), None);
        assert_eq!(line.due(at), Some('a'));
        assert_eq!(line.next_due(), None);
    }
}
