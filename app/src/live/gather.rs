use crate::model::Millis;

/// In a storm the page is painted so often.
const PAUSE: Millis = 250;
/// More than so many changes in one pause are a storm.
const CALM: usize = 16;

/// Changes on their way to the page: at once while it is calm, else gathered and painted together four times a second.
pub struct Gather<T> {
    waiting: Vec<T>,
    /// The present span of [`PAUSE`], and how much came in it.
    began: Millis,
    came: usize,
    is_storm: bool,
}

impl<T> Gather<T> {
    pub fn new() -> Self {
        Self { waiting: Vec::new(), began: 0, came: 0, is_storm: false }
    }

    pub fn push(&mut self, change: T) {
        self.came += 1;
        self.waiting.push(change);
    }

    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    /// How long what waits still has to; None: nothing waits.
    pub fn poll_timeout(&self, now: Millis) -> Option<Millis> {
        let spent = now - self.began;
        if self.waiting.is_empty() {
            None
        } else if (self.is_storm || self.came > CALM) && (0..PAUSE).contains(&spent) {
            Some(PAUSE - spent)
        } else {
            Some(0)
        }
    }

    pub fn take(&mut self, now: Millis) -> Vec<T> {
        if self.poll_timeout(now) != Some(0) {
            return Vec::new();
        }
        let spent = now - self.began;
        if !(0..PAUSE).contains(&spent) {
            // What came in a span that is long over says nothing about now.
            self.is_storm = self.came > CALM && spent < 2 * PAUSE;
            self.began = now;
            self.came = 0;
        }
        std::mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn painted(from: Millis, to: Millis, a_millisecond: usize) -> (usize, usize) {
        let mut gather = Gather::new();
        let (mut paints, mut changes) = (0, 0);
        for now in from..to {
            (0..a_millisecond).for_each(|_| gather.push(()));
            let taken = gather.take(now);
            paints += usize::from(!taken.is_empty());
            changes += taken.len();
        }
        changes += gather.take(to + PAUSE).len();
        (paints, changes)
    }

    #[test]
    fn one_change_is_painted_at_once() {
        let mut gather = Gather::new();
        for now in [1_000_000, 1_000_001, 1_000_100] {
            gather.push(now);
            assert_eq!(gather.poll_timeout(now), Some(0));
            assert_eq!(gather.take(now), [now]);
            assert_eq!(gather.poll_timeout(now), None);
        }
    }

    #[test]
    fn a_storm_is_painted_four_times_a_second_and_nothing_of_it_is_lost() {
        let (paints, changes) = painted(1_000_000, 1_010_000, 1);
        assert!(paints <= 40 + CALM, "{paints} paints in 10 s");
        assert_eq!(changes, 10_000);
    }

    #[test]
    fn a_clock_that_is_set_back_stops_nothing() {
        let mut gather = Gather::new();
        for now in 1_000_000..1_000_500 {
            gather.push(());
            gather.take(now);
        }
        gather.push(());
        assert!(!gather.take(5).is_empty());
    }
}
