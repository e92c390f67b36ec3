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
}
