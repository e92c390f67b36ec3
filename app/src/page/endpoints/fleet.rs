use leptos::prelude::*;

use crate::model::{Connection, Endpoint, Isolation, isolation::Group};

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

type Entry = (String, ArcRwSignal<Endpoint>);

/// All endpoints, each a signal of its own: a change of one draws one row.
#[derive(Clone, Copy)]
pub struct Fleet(RwSignal<Vec<Entry>>);

impl Fleet {
    pub fn new(endpoints: Vec<Endpoint>) -> Self {
        Self(RwSignal::new(endpoints.into_iter().map(entry).collect()))
    }

    pub fn put(self, endpoint: Endpoint) {
        let known = self.0.try_with_untracked(|entries| {
            entries.iter().find(|(id, _)| *id == endpoint.id).map(|(_, signal)| signal.clone())
        });
        match known {
            Some(Some(signal)) => signal.set(endpoint),
            Some(None) => self.0.update(|entries| {
                let place = entries.partition_point(|(id, signal)| {
                    let other = signal.read_untracked();
                    (&other.hostname, id) < (&endpoint.hostname, &endpoint.id)
                });
                entries.insert(place, entry(endpoint));
            }),
            // The page is gone.
            None => {}
        }
    }

    /// Keeps the signals, and so the rows, of the endpoints that stay.
    pub fn replace(self, endpoints: Vec<Endpoint>) {
        let Some(old) = self.0.try_get_untracked() else { return };
        let entries = endpoints
            .into_iter()
            .map(|endpoint| match old.iter().find(|(id, _)| *id == endpoint.id) {
                Some((id, signal)) => {
                    if *signal.read_untracked() != endpoint {
                        signal.set(endpoint);
                    }
                    (id.clone(), signal.clone())
                }
                None => entry(endpoint),
            })
            .collect();
        self.0.set(entries);
    }

    /// Reactive, as all below.
    pub fn matching(self, filter: &str, show: Part) -> Vec<Entry> {
        let needle = filter.trim().to_ascii_lowercase();
        self.0.with(|entries| {
            entries
                .iter()
                .filter(|(_, signal)| {
                    let endpoint = signal.read();
                    show.includes(&endpoint) && (needle.is_empty() || endpoint.matches(&needle))
                })
                .cloned()
                .collect()
        })
    }

    pub fn count(self, show: Part) -> usize {
        self.0.with(|entries| entries.iter().filter(|(_, signal)| show.includes(&signal.read())).count())
    }

    pub fn len(self) -> usize {
        self.0.with(Vec::len)
    }

    pub fn is_empty(self) -> bool {
        self.0.with(Vec::is_empty)
    }
}

fn entry(endpoint: Endpoint) -> Entry {
    (endpoint.id.clone(), ArcRwSignal::new(endpoint))
}
