//! The list of endpoints: a page of it, and what there is beside it.

use serde::{Deserialize, Serialize};

use super::{
    Endpoint, Isolation,
    endpoint_query::{EndpointQuery, Group, Seen, Sort, Status},
    isolation,
};

/// A page of the list, with what the whole fleet looks like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FleetPage {
    pub rows: Vec<FleetRow>,
    /// To be given back as they are.
    pub next: Option<String>,
    pub previous: Option<String>,
    pub counts: Counts,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FleetRow {
    pub endpoint: Endpoint,
    pub labels: Vec<String>,
}

/// How many endpoints there are, and how many match.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    pub all: i64,
    pub all_offline: i64,
    /// In the order of [`Group::ALL`].
    pub all_isolation: Vec<i64>,
    pub matching: i64,
    pub filters: Vec<Filter>,
}

/// The values of a filter, each with how many endpoints it would leave.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Filter {
    /// Its name in addresses.
    pub word: String,
    pub values: Vec<FilterValue>,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct FilterValue {
    pub value: String,
    pub count: i64,
}

/// The load of one endpoint over the last hour, the oldest part first, in hundredths. None: it was silent.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct LoadLine {
    pub endpoint_id: String,
    pub parts: Vec<Option<i32>>,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct SavedView {
    pub id: String,
    pub name: String,
    /// Of the list's address.
    pub query: String,
    pub is_shared: bool,
    /// None: the operator's own.
    pub by: Option<String>,
}

impl Filter {
    #[must_use]
    pub fn title(&self) -> &'static str {
        match self.word.as_str() {
            "label" => "Label",
            "os" => "System",
            "version" => "Agent version",
            "status" => "Status",
            "isolation" => "Isolation",
            "seen" => "Last seen",
            _ => "",
        }
    }

    /// A value, for people.
    #[must_use]
    pub fn name<'a>(&self, value: &'a str) -> &'a str {
        match self.word.as_str() {
            "status" => Status::of_word(value).map_or(value, |one| one.name()),
            "isolation" => Group::of_word(value).map_or(value, |one| one.name()),
            "seen" => Seen::of_word(value).map_or(value, |one| one.name()),
            _ => value,
        }
    }
}

impl Group {
    #[must_use]
    pub fn of(endpoint: &Endpoint) -> Self {
        let isolation = Isolation::of(endpoint);
        match (&isolation, isolation.group()) {
            (Isolation::Failed { .. }, _) => Self::Failed,
            (_, isolation::Group::Attention) => Self::Attention,
            (_, isolation::Group::Changing) => Self::Changing,
            (_, isolation::Group::Isolated) => Self::Isolated,
            (_, isolation::Group::Connected) => Self::Connected,
        }
    }
}

impl EndpointQuery {
    /// Whether the change of a shown endpoint would move its row, or take it out of the list. What hosts report all the time
    /// moves nothing: its order is of when the page was loaded.
    #[must_use]
    pub fn is_moved_by(&self, before: &Endpoint, after: &Endpoint) -> bool {
        let group = |endpoint: &Endpoint| Group::of(endpoint);
        let isolation_counts = self.sort == Sort::Isolation || !self.isolation.is_empty();
        let version_counts = self.sort == Sort::Version || !self.versions.is_empty();
        let os_counts = self.sort == Sort::Os || !self.os.is_empty();
        before.admission != after.admission
            || (isolation_counts && group(before) != group(after))
            || (!self.status.is_empty() && before.live != after.live)
            || (version_counts && before.agent_version != after.agent_version)
            || (os_counts && before.os != after.os)
    }
}

/// The points of a polyline in a box of `width` by `height`, one for each part that has a load; the highest is at least `full`.
#[must_use]
pub fn polyline(parts: &[Option<i32>], width: i32, height: i32, full: i32) -> String {
    let top = parts.iter().flatten().copied().max().unwrap_or(0).max(full).max(1);
    let last = i32::try_from(parts.len()).unwrap_or(1).saturating_sub(1).max(1);
    let mut points = String::new();
    for (place, load) in (0_i32..).zip(parts) {
        let Some(load) = load else { continue };
        let y = i64::from(height) - i64::from(*load) * i64::from(height) / i64::from(top);
        if !points.is_empty() {
            points.push(' ');
        }
        points.push_str(&(place * width / last).to_string());
        points.push(',');
        points.push_str(&y.to_string());
    }
    points
}

/// `1.25`.
#[must_use]
pub fn hundredths(load: i32) -> String {
    let rest = load % 100;
    let point = if rest < 10 { ".0" } else { "." };
    [(load / 100).to_string().as_str(), point, &rest.to_string()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::endpoint::tests::endpoint;

    #[test]
    fn a_line_leaves_out_what_was_silent() {
        assert_eq!(polyline(&[Some(0), None, Some(100), Some(50)], 30, 10, 100), "0,10 20,0 30,5");
        assert_eq!(polyline(&[], 30, 10, 100), "");
        assert_eq!((hundredths(125), hundredths(7)), ("1.25".to_owned(), "0.07".to_owned()));
    }

    #[test]
    fn a_row_moves_only_by_what_the_list_is_about() {
        let (before, mut after) = (endpoint(), endpoint());
        after.live = false;
        after.last_seen_at = Some(900_000);
        assert!(!EndpointQuery::default().is_moved_by(&before, &after));
        assert!(EndpointQuery::default().toggled("status", "connected").is_moved_by(&before, &after));
        assert!(!EndpointQuery::default().sorted_by(Sort::Seen).is_moved_by(&before, &after));
    }
}
