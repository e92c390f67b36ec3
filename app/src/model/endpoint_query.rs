//! What the list of endpoints shows, as it stands in the address of the page and of `GET /api/endpoints`.

mod percent;

use std::fmt::Write as _;

use self::percent::{decoded, encoded};

/// Characters of the free text, and values of one filter.
const LONGEST_TEXT: usize = 100;
const MOST_VALUES: usize = 20;
const LONGEST_VALUE: usize = 200;

/// Which endpoints, in which order, from where. Empty filters let everything pass.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct EndpointQuery {
    /// Each word of it is in the name, an address, the system or a label.
    pub text: String,
    /// All of them.
    pub labels: Vec<String>,
    /// One of each of these.
    pub os: Vec<String>,
    pub versions: Vec<String>,
    pub status: Vec<Status>,
    pub isolation: Vec<Group>,
    pub seen: Vec<Seen>,
    pub sort: Sort,
    pub descending: bool,
    /// Of the page only. None: the usual ones.
    pub columns: Option<Vec<Column>>,
    /// Where the page begins.
    pub cursor: Option<String>,
}

/// Something in an address that is not understood.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unclear {
    pub field: String,
    pub problem: String,
}

macro_rules! choices {
    ($($(#[$doc:meta])* $kind:ident { $($choice:ident = $word:literal, $name:literal;)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum $kind { $($choice,)* }

        impl $kind {
            pub const ALL: &'static [Self] = &[$(Self::$choice,)*];

            /// In addresses.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$choice => $word,)* }
            }

            /// For people.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$choice => $name,)* }
            }

            #[must_use]
            pub fn of_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.word() == word)
            }
        }
    )*};
}

choices! {
    Status {
        Connected = "connected", "Online";
        Offline = "offline", "Offline";
        AwaitingApproval = "awaiting-approval", "Awaiting approval";
    }
    /// As the fleet is counted; every endpoint is in exactly one.
    Group {
        Attention = "attention", "Attention";
        Failed = "failed", "Failed";
        Changing = "pending", "Pending";
        Isolated = "isolated", "Isolated";
        Connected = "connected", "Connected";
    }
    /// Each begins where the one before ends.
    Seen {
        WithinQuarter = "15m", "In the last 15 minutes";
        WithinHour = "1h", "15 minutes to 1 hour ago";
        WithinDay = "1d", "1 hour to 1 day ago";
        WithinWeek = "7d", "1 to 7 days ago";
        Longer = "older", "Longer ago, or never";
    }
    Sort {
        Host = "host", "Host";
        Seen = "seen", "Last seen";
        Isolation = "isolation", "Isolation";
        Os = "os", "System";
        Version = "version", "Agent";
        Load = "load", "Load";
    }
    Column {
        Isolation = "isolation", "Isolation";
        Status = "status", "Status";
        Seen = "seen", "Last seen";
        Os = "os", "System";
        Address = "address", "Address";
        Labels = "labels", "Labels";
        Load = "load", "Load";
        Version = "version", "Agent";
    }
}

#[expect(clippy::derivable_impls, reason = "the macro that makes the choices has no place for the attribute")]
impl Default for Sort {
    fn default() -> Self {
        Self::Host
    }
}

impl Column {
    /// All but the agent's version, which is a filter beside the list.
    pub const USUAL: &'static [Self] =
        &[Self::Isolation, Self::Status, Self::Seen, Self::Os, Self::Address, Self::Labels, Self::Load];

    #[must_use]
    pub fn sort(self) -> Option<Sort> {
        Some(match self {
            Self::Isolation => Sort::Isolation,
            Self::Seen => Sort::Seen,
            Self::Os => Sort::Os,
            Self::Load => Sort::Load,
            Self::Version => Sort::Version,
            Self::Status | Self::Address | Self::Labels => return None,
        })
    }
}

impl EndpointQuery {
    /// What of an address's query is understood, and the first thing that is not. With or without its `?`.
    #[must_use]
    pub fn read(query: &str) -> (Self, Option<Unclear>) {
        let mut read = Self::default();
        let mut unclear = None;
        for pair in query.trim_start_matches('?').split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name), decoded(value));
            if let Err(problem) = read.take(&name, value)
                && unclear.is_none()
            {
                unclear = Some(Unclear { field: name, problem });
            }
        }
        (read, unclear)
    }

    fn take(&mut self, name: &str, value: String) -> Result<(), String> {
        if value.chars().any(char::is_control) {
            return Err("must not hold control characters".to_owned());
        }
        match name {
            "q" if value.chars().count() > LONGEST_TEXT => {
                return Err(format!("must be at most {LONGEST_TEXT} characters"));
            }
            "q" => self.text = value,
            "label" => add(&mut self.labels, value)?,
            "os" => add(&mut self.os, value)?,
            "version" => add(&mut self.versions, value)?,
            "status" => choose(&mut self.status, Status::ALL, Status::word, &value)?,
            "isolation" => choose(&mut self.isolation, Group::ALL, Group::word, &value)?,
            "seen" => choose(&mut self.seen, Seen::ALL, Seen::word, &value)?,
            "sort" => {
                let word = value.trim_start_matches('-');
                self.sort = Sort::of_word(word).ok_or_else(|| one_of(Sort::ALL, Sort::word))?;
                self.descending = value.starts_with('-');
            }
            "columns" => {
                let mut columns = Vec::new();
                for word in value.split(',').filter(|word| !word.is_empty()) {
                    choose(&mut columns, Column::ALL, Column::word, word)?;
                }
                self.columns = Some(columns);
            }
            "cursor" => self.cursor = Some(value),
            _ => return Err("is not known here".to_owned()),
        }
        Ok(())
    }

    /// The query of an address, without its `?`; empty for the whole fleet by name.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut put = |name: &str, value: &str| {
            let separator = if text.is_empty() { "" } else { "&" };
            let _ = write!(text, "{separator}{name}={}", encoded(value));
        };
        if !self.text.is_empty() {
            put("q", &self.text);
        }
        self.labels.iter().for_each(|label| put("label", label));
        self.os.iter().for_each(|os| put("os", os));
        self.versions.iter().for_each(|version| put("version", version));
        self.status.iter().for_each(|one| put("status", one.word()));
        self.isolation.iter().for_each(|one| put("isolation", one.word()));
        self.seen.iter().for_each(|one| put("seen", one.word()));
        if self.descending {
            put("sort", &["-", self.sort.word()].concat());
        } else if self.sort != Sort::Host {
            put("sort", self.sort.word());
        }
        if let Some(columns) = &self.columns {
            put("columns", &columns.iter().map(|one| one.word()).collect::<Vec<_>>().join(","));
        }
        if let Some(cursor) = &self.cursor {
            put("cursor", cursor);
        }
        text
    }

    /// The page's address.
    #[must_use]
    pub fn path(&self) -> String {
        match self.text() {
            text if text.is_empty() => "/".to_owned(),
            text => ["/?", &text].concat(),
        }
    }

    /// The same from the start.
    #[must_use]
    pub fn from_start(&self) -> Self {
        Self { cursor: None, ..self.clone() }
    }

    /// What is searched for alone: without order, columns and place.
    #[must_use]
    pub fn filters(&self) -> Self {
        Self { sort: Sort::Host, descending: false, columns: None, cursor: None, ..self.clone() }
    }

    #[must_use]
    pub fn is_filtered(&self) -> bool {
        self.filters() != Self::default()
    }

    /// By this, or the other way round if it is by this already.
    #[must_use]
    pub fn sorted_by(&self, sort: Sort) -> Self {
        Self { sort, descending: self.sort == sort && !self.descending, ..self.from_start() }
    }

    #[must_use]
    pub fn columns(&self) -> &[Column] {
        self.columns.as_deref().unwrap_or(Column::USUAL)
    }

    #[must_use]
    pub fn with_column(&self, column: Column, shown: bool) -> Self {
        let is_shown = |one: &&Column| if **one == column { shown } else { self.columns().contains(one) };
        let columns: Vec<Column> = Column::ALL.iter().filter(is_shown).copied().collect();
        Self { columns: (columns != Column::USUAL).then_some(columns), ..self.clone() }
    }

    /// Takes a value of a filter into the query or out of it.
    #[must_use]
    pub fn toggled(&self, filter: &str, value: &str) -> Self {
        let mut query = self.from_start();
        match filter {
            "label" => toggle(&mut query.labels, value.to_owned()),
            "os" => toggle(&mut query.os, value.to_owned()),
            "version" => toggle(&mut query.versions, value.to_owned()),
            "status" => toggle_some(&mut query.status, Status::of_word(value)),
            "isolation" => toggle_some(&mut query.isolation, Group::of_word(value)),
            "seen" => toggle_some(&mut query.seen, Seen::of_word(value)),
            _ => {}
        }
        query
    }

    #[must_use]
    pub fn has(&self, filter: &str, value: &str) -> bool {
        match filter {
            "label" => self.labels.iter().any(|one| one == value),
            "os" => self.os.iter().any(|one| one == value),
            "version" => self.versions.iter().any(|one| one == value),
            "status" => self.status.iter().any(|one| one.word() == value),
            "isolation" => self.isolation.iter().any(|one| one.word() == value),
            "seen" => self.seen.iter().any(|one| one.word() == value),
            _ => false,
        }
    }
}

fn toggle_some<T: PartialEq>(values: &mut Vec<T>, value: Option<T>) {
    if let Some(value) = value {
        toggle(values, value);
    }
}

fn toggle<T: PartialEq>(values: &mut Vec<T>, value: T) {
    match values.iter().position(|one| *one == value) {
        Some(place) => drop(values.remove(place)),
        None => values.push(value),
    }
}

fn add(values: &mut Vec<String>, value: String) -> Result<(), String> {
    if value.chars().count() > LONGEST_VALUE {
        return Err(format!("must be at most {LONGEST_VALUE} characters"));
    }
    if values.len() >= MOST_VALUES {
        return Err(format!("must be given at most {MOST_VALUES} times"));
    }
    if !values.contains(&value) {
        values.push(value);
    }
    Ok(())
}

fn choose<T: Copy + PartialEq>(
    values: &mut Vec<T>,
    all: &[T],
    word_of: fn(T) -> &'static str,
    word: &str,
) -> Result<(), String> {
    let value = all.iter().copied().find(|one| word_of(*one) == word).ok_or_else(|| one_of(all, word_of))?;
    if !values.contains(&value) {
        values.push(value);
    }
    Ok(())
}

fn one_of<T: Copy>(all: &[T], word: fn(T) -> &'static str) -> String {
    let words: Vec<_> = all.iter().map(|one| word(*one)).collect();
    ["must be one of ", &words.join(", ")].concat()
}

#[cfg(test)]
mod tests;
