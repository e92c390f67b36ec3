//! Forms and figures that the server describes, so that a page needs no code for each of them.

use serde::{Deserialize, Serialize};

/// Fields and a button.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Form {
    /// Unique on its page: the ids of its elements begin with it.
    pub id: String,
    /// Folded up under these words; empty: it is open.
    pub title: String,
    pub about: String,
    /// The page that its fields are the query of; `None`: it asks the server to do something.
    pub finds: Option<String>,
    /// Sent along: names and values.
    pub hidden: Vec<(String, String)>,
    pub fields: Vec<Input>,
    pub button: String,
    /// The class of its button, after `button--`.
    pub tone: String,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Input {
    pub name: String,
    pub label: String,
    pub about: String,
    pub value: String,
    pub kind: Kind,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Text,
    /// Of somebody who has it.
    Password,
    /// That is being set.
    NewPassword,
    Number,
    /// Without a zone: UTC.
    Time,
    /// Values and words.
    Choice(Vec<(String, String)>),
}

/// Something that was measured, and how it was over the last hour.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    pub name: String,
    /// What it is now.
    pub words: String,
    pub about: String,
    /// One a minute, the oldest first.
    pub points: Vec<u64>,
}

impl Figure {
    /// The points of a line in a box of 60 by 20, a unit a minute, the newest at the right.
    #[must_use]
    pub fn line(&self) -> String {
        let most = self.points.iter().copied().max().unwrap_or_default().max(1);
        let mut line = String::new();
        let skipped = self.points.len().saturating_sub(61);
        let shown = &self.points[skipped..];
        for (place, point) in shown.iter().enumerate() {
            let x = 60 + place + 1 - shown.len();
            // Of large values a 1024th is exact enough.
            let (point, most) = if most > u64::MAX / 18 { (point >> 10, most >> 10) } else { (*point, most) };
            let y = 19 - point * 18 / most;
            line.push_str(&x.to_string());
            line.push(',');
            line.push_str(&y.to_string());
            line.push(' ');
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(points: Vec<u64>) -> String {
        Figure { points, ..Figure::default() }.line()
    }

    #[test]
    fn a_line_ends_at_the_right_and_never_leaves_its_box() {
        assert_eq!(line(vec![]), "");
        assert_eq!(line(vec![0, 5, 10]), "58,19 59,10 60,1 ");
        assert_eq!(line(vec![0, 0]), "59,19 60,19 ");
        assert_eq!(line(vec![u64::MAX]), "60,1 ");
        assert!(line(vec![1; 100]).starts_with("0,1 1,1 "));
    }
}
