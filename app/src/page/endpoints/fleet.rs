use leptos::prelude::*;

use crate::model::{Connection, Endpoint, Isolation, endpoint::Admission, isolation::Group};

/// Which part of the fleet the table shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    All,
    Group(Group),
    Offline,
}

impl Part {
    pub const ALL: [Self; 6] = [
        Self::All,
        Self::Group(Group::Attention),
        Self::Group(Group::Changing),
        Self::Group(Group::Isolated),
        Self::Group(Group::Connected),
        Self::Offline,
    ];

    /// In the page's address.
    pub fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Group(Group::Attention) => "attention",
            Self::Group(Group::Changing) => "changing",
            Self::Group(Group::Isolated) => "isolated",
            Self::Group(Group::Connected) => "connected",
            Self::Offline => "offline",
        }
    }

    pub fn from_word(word: &str) -> Self {
        Self::ALL.into_iter().find(|show| show.word() == word).unwrap_or(Self::All)
    }

    pub fn includes(self, endpoint: &Endpoint) -> bool {
        match self {
            Self::All => true,
            Self::Group(group) => Isolation::of(endpoint).group() == group,
            Self::Offline => Connection::of(endpoint) != Connection::Online,
        }
    }
}

/// One endpoint, and whether it is ticked.
#[derive(Clone)]
pub struct Entry {
    pub id: String,
    pub endpoint: ArcRwSignal<Endpoint>,
    pub ticked: ArcRwSignal<bool>,
}

impl PartialEq for Entry {
    /// An endpoint keeps its signals for as long as it is in the fleet.
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Entry {
    fn new(endpoint: Endpoint) -> Self {
        Self {
            id: endpoint.id.clone(),
            endpoint: ArcRwSignal::new(endpoint),
            ticked: ArcRwSignal::new(false),
        }
    }

    /// Reactive. What takes no orders cannot be selected.
    pub fn is_selectable(&self) -> bool {
        self.endpoint.read().admission == Admission::Active
    }

    fn is_selected(&self) -> bool {
        self.ticked.get() && self.is_selectable()
    }
}

/// All endpoints, each a signal of its own: a change of one draws one row.
#[derive(Clone, Copy)]
pub struct Fleet(RwSignal<Vec<Entry>>);

impl Fleet {
    pub fn new(endpoints: Vec<Endpoint>) -> Self {
        Self(RwSignal::new(endpoints.into_iter().map(Entry::new).collect()))
    }

    pub fn put(self, endpoint: Endpoint) {
        let known = self.0.try_with_untracked(|entries| {
            entries.iter().find(|entry| entry.id == endpoint.id).map(|entry| entry.endpoint.clone())
        });
        match known {
            Some(Some(signal)) => signal.set(endpoint),
            Some(None) => self.0.update(|entries| {
                let place = entries.partition_point(|entry| {
                    let other = entry.endpoint.read_untracked();
                    (&other.hostname, &entry.id) < (&endpoint.hostname, &endpoint.id)
                });
                entries.insert(place, Entry::new(endpoint));
            }),
            // The page is gone.
            None => {}
        }
    }

    /// Keeps the signals, and so the rows and their ticks, of the endpoints that stay.
    pub fn replace(self, endpoints: Vec<Endpoint>) {
        let Some(old) = self.0.try_get_untracked() else { return };
        let entries = endpoints
            .into_iter()
            .map(|endpoint| match old.iter().find(|entry| entry.id == endpoint.id) {
                Some(entry) => {
                    if *entry.endpoint.read_untracked() != endpoint {
                        entry.endpoint.set(endpoint);
                    }
                    entry.clone()
                }
                None => Entry::new(endpoint),
            })
            .collect();
        self.0.set(entries);
    }

    /// Reactive, as all below but for `select_matching`.
    pub fn matching(self, filter: &str, show: Part) -> Vec<Entry> {
        let needle = filter.trim().to_ascii_lowercase();
        self.0.with(|entries| {
            entries
                .iter()
                .filter(|entry| {
                    let endpoint = entry.endpoint.read();
                    show.includes(&endpoint) && (needle.is_empty() || endpoint.matches(&needle))
                })
                .cloned()
                .collect()
        })
    }

    /// Ids and names.
    pub fn selected(self) -> Vec<(String, String)> {
        self.0.with(|entries| {
            let selected = entries.iter().filter(|entry| entry.is_selected());
            selected.map(|entry| (entry.id.clone(), entry.endpoint.read().hostname.clone())).collect()
        })
    }

    pub fn selected_offline(self) -> usize {
        self.0.with(|entries| {
            entries.iter().filter(|entry| entry.is_selected() && !entry.endpoint.read().live).count()
        })
    }

    pub fn all_are_selected(self, filter: &str, show: Part) -> bool {
        let mut shown = self.matching(filter, show);
        shown.retain(Entry::is_selectable);
        !shown.is_empty() && shown.iter().all(|entry| entry.ticked.get())
    }

    pub fn select_matching(self, filter: &str, show: Part, ticked: bool) {
        for entry in untrack(|| self.matching(filter, show)) {
            entry.ticked.set(ticked && untrack(|| entry.is_selectable()));
        }
    }

    pub fn count(self, show: Part) -> usize {
        self.0.with(|entries| entries.iter().filter(|entry| show.includes(&entry.endpoint.read())).count())
    }

    pub fn len(self) -> usize {
        self.0.with(Vec::len)
    }

    pub fn is_empty(self) -> bool {
        self.0.with(Vec::is_empty)
    }
}
