//! What happened, in order: hashed to compare two runs, its end kept to explain a failure.

use std::{
    collections::VecDeque,
    fmt,
    hash::{DefaultHasher, Hasher as _},
    time::Duration,
};

const KEPT_LINES: usize = 400;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Detail {
    /// The long form looks at the verdict alone; a failed seed is run again with its trace.
    None,
    Lines,
}

pub struct Trace {
    detail: Detail,
    hash: DefaultHasher,
    lines: VecDeque<String>,
}

impl Trace {
    pub fn new(detail: Detail) -> Self {
        Self { detail, hash: DefaultHasher::new(), lines: VecDeque::new() }
    }

    pub fn note(&mut self, at: Duration, what: fmt::Arguments<'_>) {
        if self.detail == Detail::None {
            return;
        }
        let line = format!("{:>12.6} {what}", at.as_secs_f64());
        self.hash.write(line.as_bytes());
        if self.lines.len() == KEPT_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    pub fn hash(&self) -> u64 {
        self.hash.finish()
    }

    pub fn end(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }
}
