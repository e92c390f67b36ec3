use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use leptos::prelude::*;
use leptos_router::{NavigateOptions, hooks::use_navigate};

use super::{super::asked_of_page, selection::Selection};
use crate::{
    api,
    clock::Clock,
    error::ApiError,
    live::{Change, Live, Mark},
    model::{
        Endpoint, Millis,
        endpoint::Admission,
        endpoint_query::{Column, EndpointQuery, Group, Status},
        fleet::{Counts, FleetPage, FleetRow, LoadLine},
        time::SECOND,
    },
    ui::dom::{Gathered, effect, every, spawn},
};

/// The strip is counted anew this often at most.
const COUNT_EVERY: Duration = Duration::from_secs(1);
const LOADS_EVERY: Duration = Duration::from_secs(60);
/// A row does not move while somebody is at the table, and for this long after.
const AT_THE_TABLE: Millis = 3 * SECOND;

/// One endpoint of the page; a change of it draws its row alone.
#[derive(Clone)]
pub struct Entry {
    pub id: String,
    pub endpoint: ArcRwSignal<Endpoint>,
    pub labels: ArcRwSignal<Vec<String>>,
}

/// The page of the list that is shown.
#[derive(Clone, Copy)]
pub struct List {
    /// Of the address.
    pub query: Memo<EndpointQuery>,
    pub rows: RwSignal<Vec<Entry>>,
    pub next: RwSignal<Option<String>>,
    pub previous: RwSignal<Option<String>>,
    /// As of when the page was loaded; the fleet's part of it is live.
    pub counts: RwSignal<Counts>,
    pub filters: RwSignal<Counts>,
    pub loads: RwSignal<BTreeMap<String, LoadLine>>,
    /// Endpoints that are new or would stand elsewhere.
    pub changed: RwSignal<BTreeSet<String>>,
    pub selection: Selection,
    pub failed: RwSignal<Option<ApiError>>,
    visit: Callback<(EndpointQuery, bool)>,
    clock: Clock,
    live: Live,
    /// Which question is the newest; answers to older ones are not shown.
    asked: StoredValue<u32>,
    loaded_at: StoredValue<Option<Millis>>,
    touched_at: StoredValue<Millis>,
}

impl Entry {
    fn new(row: FleetRow) -> Self {
        Self {
            id: row.endpoint.id.clone(),
            endpoint: ArcRwSignal::new(row.endpoint),
            labels: ArcRwSignal::new(row.labels),
        }
    }
}

impl List {
    pub fn new(page: FleetPage) -> Self {
        let asked = asked_of_page();
        let navigate = use_navigate();
        let visit = move |(query, replace): (EndpointQuery, bool)| {
            navigate(&query.path(), NavigateOptions { replace, scroll: false, ..NavigateOptions::default() });
        };
        Self {
            query: Memo::new(move |_| asked.with(|asked| EndpointQuery::read(asked).0)),
            rows: RwSignal::new(page.rows.into_iter().map(Entry::new).collect()),
            next: RwSignal::new(page.next),
            previous: RwSignal::new(page.previous),
            counts: RwSignal::new(page.counts.clone()),
            filters: RwSignal::new(page.counts),
            loads: RwSignal::new(BTreeMap::new()),
            changed: RwSignal::new(BTreeSet::new()),
            selection: Selection::new(),
            failed: RwSignal::new(None),
            visit: Callback::new(visit),
            clock: Clock::expect(),
            live: Live::expect(),
            asked: StoredValue::new(0),
            loaded_at: StoredValue::new(None),
            touched_at: StoredValue::new(0),
        }
    }

    /// Goes to another part of the list; `replace`: instead of the present entry of the history.
    pub fn visit(self, query: EndpointQuery, replace: bool) {
        self.visit.run((query, replace));
    }

    /// Somebody is at the table.
    pub fn touch(self) {
        self.touched_at.set_value(self.clock.read());
    }

    pub fn count_words(self) -> String {
        let all = self.counts.with(|counts| counts.all);
        let matching = self.filters.with(|counts| counts.matching);
        if self.query.with(EndpointQuery::is_filtered) {
            format!("{matching} of {all} endpoints")
        } else {
            format!("{all} endpoints")
        }
    }

    /// Loads what the address asks for.
    pub fn load(self) {
        let query = self.query.get_untracked();
        self.asked.update_value(|asked| *asked += 1);
        let asked = self.asked.get_value();
        spawn(async move {
            let (answer, since) = self.live.load(api::endpoints(query.text())).await;
            if self.asked.try_get_value() != Some(asked) {
                return;
            }
            match answer {
                Ok(page) => {
                    self.show(page);
                    since.into_iter().for_each(|change| self.lay(change));
                }
                Err(error) => _ = self.failed.try_set(Some(error)),
            }
        });
    }

    /// Keeps the signals, and so the rows, of the endpoints that stay.
    fn show(self, page: FleetPage) {
        let old = self.rows.get_untracked();
        let entry = |row: FleetRow| match old.iter().find(|entry| entry.id == row.endpoint.id) {
            Some(entry) => {
                entry.endpoint.set(row.endpoint);
                entry.labels.set(row.labels);
                entry.clone()
            }
            None => Entry::new(row),
        };
        self.rows.set(page.rows.into_iter().map(entry).collect());
        self.next.set(page.next);
        self.previous.set(page.previous);
        self.counts.set(page.counts.clone());
        self.filters.set(page.counts);
        self.changed.set(BTreeSet::new());
        self.failed.set(None);
        self.loaded_at.set_value(Some(self.clock.read()));
    }

    /// Follows the address, and lays what happens over what was loaded.
    pub fn follow(self, mark: Mark) {
        let what = Memo::new(move |_| EndpointQuery { columns: None, ..self.query.get() });
        let filters = Memo::new(move |_| self.query.with(EndpointQuery::filters));
        let mut is_first = true;
        effect(move || {
            // Read and not only tracked: a memo that nobody has read follows nothing.
            what.with(|_| ());
            if !std::mem::take(&mut is_first) {
                self.load();
            }
        });
        let mut before = None;
        effect(move || {
            let now = filters.get();
            if before.replace(now.clone()).is_some_and(|before| before != now) {
                self.selection.forget_all_matching();
            }
        });
        let count = Gathered::new(COUNT_EVERY, move || self.count());
        let live = self.live;
        effect(move || {
            self.loaded_at.set_value(Some(self.clock.read()));
            live.follow(mark, move |change| {
                if matches!(change, Change::Endpoint(_)) {
                    count.call();
                }
                self.lay(change);
            });
        });
        let ids = Memo::new(move |_| {
            self.rows.with(|rows| rows.iter().map(|row| row.id.clone()).collect::<Vec<_>>())
        });
        effect(move || self.load_loads(ids.get()));
        every(LOADS_EVERY, move || self.load_loads(ids.get_untracked()));
        every(Duration::from_secs(1), move || self.show_when_quiet());
    }

    /// All of a small fleet is on the page: what is new joins it as soon as nobody is at the table.
    fn show_when_quiet(self) {
        let is_whole =
            self.next.with_untracked(Option::is_none) && self.previous.with_untracked(Option::is_none);
        let is_quiet = self.clock.read() - self.touched_at.get_value() > AT_THE_TABLE;
        if is_whole && is_quiet && self.changed.with_untracked(|changed| !changed.is_empty()) {
            self.load();
        }
    }

    fn lay(self, change: Change) {
        match change {
            Change::Endpoint(endpoint) => self.put(*endpoint),
            Change::Reset => self.load(),
            Change::Command(_) | Change::Progress(_) => {}
        }
    }

    fn put(self, endpoint: Endpoint) {
        let known = self.rows.try_with_untracked(|rows| {
            rows.iter().find(|entry| entry.id == endpoint.id).map(|entry| entry.endpoint.clone())
        });
        let query = self.query;
        match known {
            Some(Some(signal)) => {
                let is_moved =
                    query.with_untracked(|query| query.is_moved_by(&signal.read_untracked(), &endpoint));
                if is_moved {
                    self.changed.update(|changed| _ = changed.insert(endpoint.id.clone()));
                }
                signal.set(endpoint);
            }
            Some(None) if query.with_untracked(|query| self.is_news(query, &endpoint)) => {
                let is_first = self.counts.with_untracked(|counts| counts.all == 0);
                self.changed.update(|changed| _ = changed.insert(endpoint.id));
                if is_first {
                    self.load();
                }
            }
            // On another page of the list, or this page is gone.
            Some(None) | None => {}
        }
    }

    /// An endpoint that is on another page of a long list is none.
    fn is_news(self, query: &EndpointQuery, endpoint: &Endpoint) -> bool {
        let is_new = self.loaded_at.get_value().is_some_and(|at| endpoint.enrolled_at >= at - SECOND);
        let is_whole =
            self.next.with_untracked(Option::is_none) && self.previous.with_untracked(Option::is_none);
        let group = Group::of(endpoint);
        let fits = endpoint.admission != Admission::Revoked
            && query.text.to_lowercase().split_whitespace().all(|word| endpoint.matches(word))
            && (query.isolation.is_empty() || query.isolation.contains(&group))
            && (query.status.is_empty()
                || query.status.contains(&if endpoint.live { Status::Connected } else { Status::Offline }))
            && (query.os.is_empty() || query.os.contains(&endpoint.os))
            && (query.versions.is_empty() || query.versions.contains(&endpoint.agent_version))
            && query.labels.is_empty()
            && query.seen.is_empty();
        fits && (is_new || is_whole)
    }

    fn count(self) {
        let Some(query) = self.query.try_get_untracked() else { return };
        spawn(async move {
            if let Ok(counts) = api::count_endpoints(query.filters().text()).await
                && self.counts.try_with_untracked(|known| *known != counts) == Some(true)
            {
                self.counts.set(counts);
            }
        });
    }

    fn load_loads(self, ids: Vec<String>) {
        if ids.is_empty() || !self.query.with_untracked(|query| query.columns().contains(&Column::Load)) {
            return;
        }
        spawn(async move {
            if let Ok(lines) = api::loads(ids).await {
                let lines = lines.into_iter().map(|line| (line.endpoint_id.clone(), line)).collect();
                self.loads.try_set(lines);
            }
        });
    }
}
