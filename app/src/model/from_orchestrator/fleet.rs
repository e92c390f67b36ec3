//! The list of endpoints and orders to many of them.

use voltaxe_orchestrator::{
    model::{
        BatchHost as HostRecord, ConnectionIs, EndpointSearch, EndpointView, ExcludedHost, IsolationIs,
        SavedView as ViewRecord, SeenIs, SortBy,
    },
    strike::fleet::{Counts as CountedFleet, EndpointList, Resolved as ResolvedHosts},
};

use crate::{
    api::of_host,
    model::{
        bulk::{BatchHost, Excluded, Resolved},
        endpoint_query::{EndpointQuery, Group, Seen, Sort, Status},
        fleet::{Counts, Filter, FilterValue, FleetRow, SavedView},
    },
};

/// More words than these narrow nothing any further.
const MOST_WORDS: usize = 8;

impl EndpointQuery {
    #[must_use]
    pub fn search(&self) -> EndpointSearch {
        EndpointSearch {
            words: self.text.to_lowercase().split_whitespace().take(MOST_WORDS).map(str::to_owned).collect(),
            labels: self.labels.clone(),
            os: self.os.clone(),
            versions: self.versions.clone(),
            connection: self
                .status
                .iter()
                .map(|status| match status {
                    Status::Connected => ConnectionIs::Connected,
                    Status::Offline => ConnectionIs::Offline,
                    Status::AwaitingApproval => ConnectionIs::AwaitingApproval,
                })
                .collect(),
            isolation: self
                .isolation
                .iter()
                .map(|group| match group {
                    Group::Attention => IsolationIs::Attention,
                    Group::Failed => IsolationIs::Failed,
                    Group::Changing => IsolationIs::Changing,
                    Group::Isolated => IsolationIs::Isolated,
                    Group::Connected => IsolationIs::Connected,
                })
                .collect(),
            seen: self
                .seen
                .iter()
                .map(|seen| match seen {
                    Seen::WithinQuarter => SeenIs::WithinQuarter,
                    Seen::WithinHour => SeenIs::WithinHour,
                    Seen::WithinDay => SeenIs::WithinDay,
                    Seen::WithinWeek => SeenIs::WithinWeek,
                    Seen::Longer => SeenIs::Longer,
                })
                .collect(),
        }
    }

    #[must_use]
    pub fn list(&self, limit: Option<i64>) -> EndpointList {
        EndpointList {
            search: self.search(),
            by: match self.sort {
                Sort::Host => SortBy::Host,
                Sort::Seen => SortBy::Seen,
                Sort::Isolation => SortBy::Isolation,
                Sort::Os => SortBy::Os,
                Sort::Version => SortBy::Version,
                Sort::Load => SortBy::Load,
            },
            descending: self.descending,
            cursor: self.cursor.clone(),
            limit,
        }
    }
}

impl From<&(EndpointView, Vec<String>)> for FleetRow {
    fn from((view, labels): &(EndpointView, Vec<String>)) -> Self {
        Self { endpoint: view.into(), labels: labels.clone() }
    }
}

impl From<&CountedFleet> for Counts {
    fn from(counts: &CountedFleet) -> Self {
        let named = |word: &str, values: &[(String, i64)]| Filter {
            word: word.to_owned(),
            values: values.iter().map(|(value, count)| value_of(value, *count)).collect(),
        };
        // In the order of the words, as they are numbered on both sides.
        let known = |word: &str, words: Vec<&'static str>, counts: &[i64]| Filter {
            word: word.to_owned(),
            values: words.iter().zip(counts).map(|(value, count)| value_of(value, *count)).collect(),
        };
        Self {
            all: counts.all,
            all_offline: counts.all_offline,
            all_isolation: counts.all_isolation.to_vec(),
            matching: counts.matching,
            filters: vec![
                known("status", Status::ALL.iter().map(|one| one.word()).collect(), &counts.connection),
                known("isolation", Group::ALL.iter().map(|one| one.word()).collect(), &counts.isolation),
                known("seen", Seen::ALL.iter().map(|one| one.word()).collect(), &counts.seen),
                named("label", &counts.labels),
                named("os", &counts.os),
                named("version", &counts.versions),
            ],
        }
    }
}

/// Systems and versions are the hosts' words: one that would turn the page's writing round is shown in its place, and finds
/// nothing when it is chosen.
fn value_of(value: &str, count: i64) -> FilterValue {
    FilterValue { value: of_host(value), count }
}

impl From<ResolvedHosts> for Resolved {
    fn from(resolved: ResolvedHosts) -> Self {
        let number = |count| i64::try_from(count).unwrap_or(i64::MAX);
        Self {
            hosts: number(resolved.hosts),
            offline: number(resolved.offline),
            names: resolved.names.iter().map(|name| of_host(name)).collect(),
        }
    }
}

impl From<&HostRecord> for BatchHost {
    fn from(host: &HostRecord) -> Self {
        Self {
            command_id: host.command_id.0,
            endpoint_id: host.endpoint_id.to_string(),
            hostname: host.hostname.clone(),
            state: host.state.into(),
        }
    }
}

impl SavedView {
    #[must_use]
    pub fn of(view: &ViewRecord, operator: &str) -> Self {
        Self {
            id: view.id.to_string(),
            name: view.name.clone(),
            query: view.query.clone(),
            is_shared: view.is_shared,
            by: (view.operator != operator).then(|| view.operator.clone()),
        }
    }
}

impl From<&ExcludedHost> for Excluded {
    fn from(host: &ExcludedHost) -> Self {
        Self { hostname: host.hostname.clone(), reason: host.reason.clone() }
    }
}
