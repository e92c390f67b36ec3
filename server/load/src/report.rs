//! What a run has measured, as a text table and as JSON.

use std::{fmt::Write as _, path::Path, time::Duration};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use serde::Serialize;

/// Durations from a microsecond to ten minutes, to three digits.
#[derive(Clone, Debug)]
pub struct Recorder(Histogram<u64>);

const SHORTEST_MICROSECONDS: u64 = 1;
const LONGEST_MICROSECONDS: u64 = 600_000_000;

impl Default for Recorder {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(SHORTEST_MICROSECONDS, LONGEST_MICROSECONDS, 3);
        Self(histogram.expect("the bounds are constants that the histogram takes"))
    }
}

impl Recorder {
    pub fn record(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    pub fn merge(&mut self, other: &Self) {
        // Same bounds, so everything fits.
        let _ = self.0.add(&other.0);
    }

    /// Milliseconds.
    #[must_use]
    pub fn at(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1000.0
    }

    #[must_use]
    pub fn spread(&self) -> Spread {
        let milliseconds = |quantile| self.0.value_at_quantile(quantile) as f64 / 1000.0;
        Spread {
            p50: milliseconds(0.5),
            p90: milliseconds(0.9),
            p99: milliseconds(0.99),
            max: milliseconds(1.0),
            count: self.0.len(),
        }
    }
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub max: f64,
    pub count: u64,
}

/// The outcome of one profile.
#[derive(Debug, Serialize)]
pub struct Report {
    pub profile: &'static str,
    pub seed: u64,
    pub agents: usize,
    pub seconds: f64,
    pub counts: Vec<Count>,
    pub milliseconds: Vec<Latency>,
}

#[derive(Debug, Serialize)]
pub struct Count {
    pub what: &'static str,
    pub count: u64,
}

#[derive(Debug, Serialize)]
pub struct Latency {
    pub what: &'static str,
    #[serde(flatten)]
    pub spread: Spread,
}

impl Report {
    #[must_use]
    pub fn text(&self) -> String {
        let Self { profile, seed, agents, seconds, .. } = self;
        let mut text = format!("{profile}: {agents} agents, seed {seed}, {seconds:.1} s\n\n");
        let _ = writeln!(text, "{:<40}{:>12}{:>12}", "", "total", "a second");
        for Count { what, count } in &self.counts {
            let rate = if *seconds > 0.0 { *count as f64 / seconds } else { 0.0 };
            let _ = writeln!(text, "{what:<40}{count:>12}{rate:>12.1}");
        }
        if !self.milliseconds.is_empty() {
            let heads = ["p50", "p90", "p99", "max", "n"].map(|head| format!("{head:>12}")).concat();
            let _ = writeln!(text, "\n{:<40}{heads}", "milliseconds");
        }
        for Latency { what, spread: Spread { p50, p90, p99, max, count } } in &self.milliseconds {
            let _ = writeln!(text, "{what:<40}{p50:>12.2}{p90:>12.2}{p99:>12.2}{max:>12.2}{count:>12}");
        }
        text
    }
}

pub fn write_json(path: &Path, content: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(content)?;
    std::fs::write(path, format!("{text}\n")).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> Recorder {
        let mut recorder = Recorder::default();
        for milliseconds in 1..=100 {
            recorder.record(Duration::from_millis(milliseconds));
        }
        recorder
    }

    #[test]
    fn a_spread_has_the_percentiles_of_what_was_recorded() {
        let spread = filled().spread();
        assert_eq!(spread.count, 100);
        for (measured, exact) in
            [(spread.p50, 50.0), (spread.p90, 90.0), (spread.p99, 99.0), (spread.max, 100.0)]
        {
            assert!((measured / exact - 1.0_f64).abs() < 0.002, "{measured} for {exact}");
        }
    }

    #[test]
    fn merged_recorders_count_both_and_extremes_are_kept_in_bounds() {
        let mut recorder = filled();
        recorder.merge(&filled());
        recorder.record(Duration::ZERO);
        recorder.record(Duration::from_secs(86_400));
        assert_eq!(recorder.spread().count, 202);
        assert!(recorder.spread().max >= 599_000.0);
    }

    #[test]
    fn a_report_reads_as_a_table_and_as_json() {
        let report = Report {
            profile: "storm",
            seed: 7,
            agents: 10,
            seconds: 2.0,
            counts: vec![Count { what: "executed", count: 500 }],
            milliseconds: vec![Latency { what: "order to answer", spread: filled().spread() }],
        };
        let text = report.text();
        assert!(text.starts_with("storm: 10 agents, seed 7, 2.0 s"), "{text}");
        assert!(text.contains("executed                                         500       250.0"), "{text}");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["milliseconds"][0]["count"], 100);
        assert_eq!(json["counts"][0]["count"], 500);
    }
}
