//! What the server says of itself at `/metrics`.

use crate::operator::Operator;

/// One reading.
pub struct Meters(String);

impl Meters {
    pub async fn read(operator: &Operator) -> anyhow::Result<Self> {
        Ok(Self(operator.caller().await?.metrics().await?))
    }

    /// The mean of what a histogram has seen since `before`; `label` is part of its labels (`what="Enqueue"`), or empty.
    /// `None`: nothing, or the server has no such histogram.
    #[must_use]
    pub fn mean_since(&self, before: &Self, histogram: &str, label: &str) -> Option<f64> {
        let grown = |suffix: &str| {
            let name = format!("{histogram}_{suffix}");
            Some(self.value(&name, label)? - before.value(&name, label).unwrap_or(0.0))
        };
        let count = grown("count")?;
        (count > 0.0).then_some(grown("sum")? / count)
    }

    /// The `q` quantile of what a histogram without labels has seen since `before`, interpolated within its bucket.
    #[must_use]
    pub fn quantile_since(&self, before: &Self, histogram: &str, q: f64) -> Option<f64> {
        let grown: Vec<(f64, f64)> = self
            .buckets(histogram)
            .map(|(bound, count)| {
                let earlier = before.buckets(histogram).find(|(other, _)| *other == bound);
                (bound, count - earlier.map_or(0.0, |(_, count)| count))
            })
            .collect();
        let wanted = q * grown.last().filter(|(_, total)| *total > 0.0)?.1;
        let (mut low, mut below) = (0.0, 0.0);
        for (bound, count) in grown {
            if count >= wanted {
                return Some(low + (bound - low) * (wanted - below) / (count - below));
            }
            (low, below) = (bound, count);
        }
        None
    }

    /// Upper bounds with how many are not above them, rising.
    fn buckets(&self, histogram: &str) -> impl Iterator<Item = (f64, f64)> {
        let start = format!("{histogram}_bucket{{le=\"");
        self.0.lines().filter_map(move |line| {
            let (bound, rest) = line.strip_prefix(&start)?.split_once('"')?;
            let bound = if bound == "+Inf" { f64::MAX } else { bound.parse().ok()? };
            Some((bound, rest.rsplit_once(' ')?.1.parse().ok()?))
        })
    }

    fn value(&self, name: &str, label: &str) -> Option<f64> {
        let mut lines = self.0.lines().filter_map(|line| line.strip_prefix(name));
        let line = lines.find(|rest| rest.starts_with([' ', '{']) && rest.contains(label))?;
        line.rsplit_once(' ')?.1.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_of_what_came_between_two_readings() {
        let reading = |sum: f64, count: u32| {
            Meters(format!(
                "# TYPE x histogram\nx_sum{{what=\"A\"}} {sum}\nx_count{{what=\"A\"}} {count}\nx_sum{{what=\"B\"}} 9\ny_sum 4\ny_count 2\n"
            ))
        };
        let (before, after) = (reading(1.0, 2), reading(4.0, 4));
        assert_eq!(after.mean_since(&before, "x", "what=\"A\""), Some(1.5));
        assert_eq!(before.mean_since(&before, "x", "what=\"A\""), None);
        assert_eq!(after.mean_since(&Meters(String::new()), "y", ""), Some(2.0));
        assert_eq!(after.mean_since(&before, "z", ""), None);
    }

    #[test]
    fn a_quantile_is_of_what_came_between_two_readings() {
        let reading = |counts: [u32; 3]| {
            let [one, two, all] = counts;
            Meters(format!(
                "x_bucket{{le=\"0.1\"}} {one}\nx_bucket{{le=\"0.2\"}} {two}\nx_bucket{{le=\"+Inf\"}} {all}\n"
            ))
        };
        let (before, after) = (reading([100, 100, 100]), reading([150, 250, 250]));
        let median = after.quantile_since(&before, "x", 0.5).unwrap();
        assert!((median - 0.125).abs() < 1e-9, "{median}");
        assert_eq!(before.quantile_since(&before, "x", 0.5), None);
        assert_eq!(after.quantile_since(&before, "y", 0.5), None);
    }
}
