use std::fmt::Write as _;

use serde::Serialize;

/// One promise and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    pub figure: &'static str,
    pub target: String,
    pub measured: f64,
    /// What the same machine does without us, in the same unit, where the promise is relative to it.
    pub floor: Option<f64>,
    pub unit: &'static str,
    pub verdict: Verdict,
    /// How it was measured, and what else is in the figure.
    pub note: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Kept,
    NotKept,
    /// Shown beside another row; nothing is promised.
    Shown,
}

impl Verdict {
    #[must_use]
    pub fn of(kept: bool) -> Self {
        if kept { Self::Kept } else { Self::NotKept }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::NotKept => "NOT kept",
            Self::Shown => "-",
        }
    }
}

impl Row {
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        self.floor.filter(|floor| *floor > 0.0).map(|floor| self.measured / floor)
    }
}

/// The table, and the notes below it by number.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut text = String::new();
    let line = |text: &mut String, cells: [&str; 6]| {
        let [figure, target, measured, floor, ratio, verdict] = cells;
        let _ = writeln!(text, "{figure:<58} {target:<26} {measured:>16} {floor:>16} {ratio:>7}  {verdict}");
    };
    line(&mut text, ["figure", "target", "measured", "floor", "ratio", ""]);
    for (number, row) in rows.iter().enumerate() {
        let with_unit = |value: f64| format!("{} {}", short(value), row.unit);
        line(
            &mut text,
            [
                &format!("{:>2} {}", number + 1, row.figure),
                &row.target,
                &with_unit(row.measured),
                &row.floor.map(with_unit).unwrap_or_default(),
                &row.ratio().map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
                row.verdict.word(),
            ],
        );
    }
    text.push('\n');
    for (number, row) in rows.iter().enumerate().filter(|(_, row)| !row.note.is_empty()) {
        let _ = writeln!(text, "{:>2} {}", number + 1, row.note);
    }
    text
}

/// Three digits or so, as people read them.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => {
            let digits = format!("{value:.0}");
            let split = digits.len().saturating_sub(3);
            format!("{},{}", &digits[..split], &digits[split..])
        }
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_shows_its_ratio_and_its_verdict() {
        let row = Row {
            figure: "single durable enqueues",
            target: ">= 1.0 x floor".to_owned(),
            measured: 12_345.0,
            floor: Some(10_000.0),
            unit: "/s",
            verdict: Verdict::of(true),
            note: "64 callers".to_owned(),
        };
        let text = table(std::slice::from_ref(&row));
        assert!(text.contains("12,345 /s"), "{text}");
        assert!(text.contains("10,000 /s    1.23  kept"), "{text}");
        assert!(text.ends_with(" 1 64 callers\n"), "{text}");
        assert!(table(&[Row { verdict: Verdict::of(false), ..row }]).contains("NOT kept"));
    }

    #[test]
    fn a_row_without_a_floor_has_no_ratio() {
        let row = Row {
            figure: "batch",
            target: "<= 3 s".to_owned(),
            measured: 1.234,
            floor: None,
            unit: "s",
            verdict: Verdict::Kept,
            note: String::new(),
        };
        assert_eq!(row.ratio(), None);
        assert!(table(&[row]).contains("1.23 s"));
    }
}
