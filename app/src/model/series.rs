//! An endpoint's telemetry over time.

use serde::{Deserialize, Serialize};

use super::Millis;

/// Stretches of `step` from `start` on.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Series {
    pub start: Millis,
    pub step: Millis,
    pub count: u32,
    /// In order; stretches that nothing was reported in are missing.
    pub points: Vec<Point>,
}

/// The least, the mean and the most of a stretch.
pub type Spread = [i32; 3];

#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Which stretch, from 0.
    pub at: u32,
    /// In hundredths.
    pub load: Spread,
    /// Used, in thousandths.
    pub memory: Option<Spread>,
    /// Used of the fullest disk, in thousandths.
    pub disk: Option<Spread>,
    /// In any part of the stretch.
    pub isolated: bool,
}

impl Series {
    #[must_use]
    pub fn time(&self, stretch: u32) -> Millis {
        self.start + self.step * Millis::from(stretch)
    }

    #[must_use]
    pub fn at(&self, stretch: u32) -> Option<&Point> {
        self.points.iter().find(|point| point.at == stretch)
    }
}

/// `1.25`
#[must_use]
pub fn hundredths(amount: i32) -> String {
    format!("{}.{:02}", amount / 100, amount % 100)
}

/// `62 %`
#[must_use]
pub fn percent_of_thousandths(amount: i32) -> String {
    format!("{} %", (amount + 5) / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_without_fractions() {
        assert_eq!((hundredths(125), hundredths(7)), ("1.25".to_owned(), "0.07".to_owned()));
        assert_eq!(
            (percent_of_thousandths(625), percent_of_thousandths(1000)),
            ("63 %".into(), "100 %".into())
        );
    }

    #[test]
    fn a_stretch_is_found_by_its_number() {
        let point = Point { at: 3, ..Point::default() };
        let series = Series { start: 1_000, step: 600, count: 5, points: vec![point.clone()] };
        assert_eq!((series.time(3), series.at(3), series.at(2)), (2_800, Some(&point), None));
    }

    #[test]
    fn the_page_reads_what_the_server_writes() {
        let point = Point { load: [1, 2, 3], memory: Some([4, 5, 6]), isolated: true, ..Point::default() };
        let series = Series { start: -1, step: 600, count: 5, points: vec![point] };
        let written = serde_json::to_vec(&series).unwrap();
        assert_eq!(crate::json::read::<Series>(&written), Ok(series));
    }
}
