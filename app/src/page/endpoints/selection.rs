use std::collections::BTreeMap;

use leptos::prelude::*;

use super::list::List;
use crate::{
    api,
    clock::mounted,
    error::ApiError,
    model::{
        Order,
        bulk::{BulkOrder, Choice, Excluded},
        endpoint::Admission,
        endpoint_query::EndpointQuery,
    },
    page::{bulk_dialog::BulkDraft, problem, session},
    ui::{all, dom::spawn, maybe, text, view},
};

/// What is ticked, on whichever page of the list it is.
#[derive(Clone, Copy)]
pub struct Selection {
    /// Ids and names: those that are in, or, while all that match are, those that are out.
    marked: RwSignal<BTreeMap<String, String>>,
    /// What all that is selected matches, and how many these are.
    matching: RwSignal<Option<(EndpointQuery, i64)>>,
    /// Where a range begins.
    last: StoredValue<Option<String>>,
}

impl Selection {
    pub fn new() -> Self {
        Self {
            marked: RwSignal::new(BTreeMap::new()),
            matching: RwSignal::new(None),
            last: StoredValue::new(None),
        }
    }

    /// Reactive.
    pub fn is_ticked(self, id: &str) -> bool {
        self.matching.read().is_some() != self.marked.with(|marked| marked.contains_key(id))
    }

    /// With `range` everything from the one that was ticked last.
    pub fn tick(self, list: List, id: &str, ticked: bool, range: bool) {
        let rows = list.rows.get_untracked();
        let place = |id: &str| rows.iter().position(|row| row.id == id);
        let here = place(id);
        let from = self.last.with_value(|last| last.as_deref().and_then(place)).filter(|_| range).or(here);
        if let (Some(from), Some(here)) = (from, here) {
            for entry in &rows[from.min(here)..=from.max(here)] {
                self.mark(
                    entry.endpoint.with_untracked(|endpoint| {
                        let is_selectable = endpoint.admission == Admission::Active;
                        is_selectable.then(|| (entry.id.clone(), endpoint.hostname.clone()))
                    }),
                    ticked,
                );
            }
        }
        self.last.set_value(Some(id.to_owned()));
    }

    fn mark(self, host: Option<(String, String)>, ticked: bool) {
        let Some((id, hostname)) = host else { return };
        let is_marked = ticked != self.matching.with_untracked(Option::is_some);
        self.marked.update(|marked| {
            if is_marked {
                marked.insert(id, hostname)
            } else {
                marked.remove(&id)
            };
        });
    }

    pub fn clear(self) {
        self.matching.set(None);
        self.marked.set(BTreeMap::new());
    }

    /// The list is of something else now.
    pub fn forget_all_matching(self) {
        if self.matching.with_untracked(Option::is_some) {
            self.clear();
        }
    }

    /// Reactive.
    pub fn count(self) -> i64 {
        let marked = i64::try_from(self.marked.with(BTreeMap::len)).unwrap_or(0);
        self.matching.with(|matching| matching.as_ref().map_or(marked, |(_, all)| (all - marked).max(0)))
    }

    fn draft(self, order: BulkOrder) -> BulkDraft {
        let marked = self.marked.get_untracked();
        match self.matching.get_untracked() {
            None => BulkDraft::new(order, Choice::Hosts(marked.into_keys().collect()), Vec::new()),
            Some((query, _)) => {
                let out = |hostname| Excluded { hostname, reason: String::new() };
                let excluded = marked.into_values().map(out).collect();
                BulkDraft::new(order, Choice::Matching(query.text()), excluded)
            }
        }
    }
}

/// One order for the hosts that are ticked.
#[component]
pub fn SelectionBar(list: List, draft: RwSignal<Option<BulkDraft>>) -> impl IntoView {
    let mounted = mounted();
    let session = StoredValue::new(session());
    let selection = list.selection;
    let count = Memo::new(move |_| selection.count());
    let error = RwSignal::new(None::<ApiError>);
    let button = move |order: BulkOrder| {
        let may = session.with_value(|session| session.may_order(order));
        let press = move |_| {
            if may && count.get_untracked() > 0 {
                draft.set(Some(selection.draft(order)));
            }
        };
        let name = move || match count.get() {
            0 => format!("{} selected", order.verb()),
            count => format!("{} selected ({count})", order.verb()),
        };
        view! {
            <button
                class="button button--small" type="button" on:click=press
                aria-disabled=move || (!may || count.get() == 0).then_some("true")
            >
                {text(name)}
            </button>
        }
    };
    let select_shown = move |event| {
        let ticked = event_target_checked(&event);
        for entry in list.rows.get_untracked() {
            let host = entry.endpoint.with_untracked(|endpoint| {
                (endpoint.admission == Admission::Active)
                    .then(|| (entry.id.clone(), endpoint.hostname.clone()))
            });
            selection.mark(host, ticked);
        }
    };
    let all_shown = Memo::new(move |_| {
        list.rows.with(|rows| {
            let mut rows =
                rows.iter().filter(|row| row.endpoint.read().admission == Admission::Active).peekable();
            rows.peek().is_some() && rows.all(|row| selection.is_ticked(&row.id))
        })
    });
    let select_matching = move |_| {
        let query = list.query.get_untracked().filters();
        spawn(async move {
            match api::resolve_choice(Choice::Matching(query.text())).await {
                Ok(resolved) => {
                    selection.marked.try_set(BTreeMap::new());
                    selection.matching.try_set(Some((query, resolved.hosts)));
                    error.try_set(None);
                }
                Err(refused) => _ = error.try_set(Some(refused)),
            }
        });
    };
    let refusal = session.with_value(|session| session.refusal(session.isolate));
    view! {
        <div class="selection" role="group" aria-label="Selected endpoints">
            <label class="selection__all">
                <input
                    class="tick" type="checkbox" disabled=move || !mounted.get() prop:checked=move || all_shown.get()
                    on:change=select_shown
                />
                "Select all shown"
            </label>
            {all(BulkOrder::ALL.map(button))}
            {maybe(move || {
                let matching = list.filters.with(|counts| counts.matching);
                let is_more = all_shown.get() && selection.matching.with(Option::is_none) && count.get() < matching;
                is_more.then(|| view! {
                    <button class="button button--small" type="button" on:click=select_matching>
                        {format!("Select all {matching} matching")}
                    </button>
                })
            })}
            {maybe(move || (count.get() > 0).then(|| view! {
                <button class="button button--small button--quiet" type="button" on:click=move |_| selection.clear()>
                    "Clear the selection"
                </button>
            }))}
            {refusal.map(|refusal| view! { <span class="muted">{refusal}</span> })}
        </div>
        {problem(error)}
    }
}

impl crate::model::Session {
    fn may_order(&self, order: BulkOrder) -> bool {
        match order {
            BulkOrder::Isolate | BulkOrder::Collect => self.isolate.yes,
            BulkOrder::Restore => self.may(Order::Restore).yes,
            BulkOrder::Check => self.check.yes,
        }
    }
}
