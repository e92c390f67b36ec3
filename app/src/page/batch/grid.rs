use std::{collections::BTreeSet, time::Duration};

use leptos::prelude::*;

use crate::{
    api,
    live::{Change, Live, Mark},
    model::{
        Progress, State,
        bulk::{BatchHost, BulkOrder, Choice},
    },
    page::{
        ask::{Load, More},
        bulk_dialog::BulkDraft,
        session,
    },
    ui::{
        Item, all,
        dom::{Gathered, effect, spawn},
        list, maybe, text, view,
    },
};

const DRAWN_EVERY: Duration = Duration::from_millis(250);

/// A square a host, by what became of its command; some of them can be chosen for another order.
#[component]
pub fn Grid(batch_id: String, queued: i32, mark: Mark, bulk: RwSignal<Option<BulkDraft>>) -> impl IntoView {
    let (hosts, next) = (RwSignal::new(Vec::<BatchHost>::new()), RwSignal::new(None));
    let shown = RwSignal::new(None::<State>);
    let picked = RwSignal::new(BTreeSet::<String>::new());
    follow(batch_id.clone(), hosts, next, mark);
    let load: Load = Callback::new(move |after| {
        let id = batch_id.clone();
        Box::pin(async move {
            let found = api::batch_hosts(id, Some(after)).await?;
            hosts.try_update(|hosts| hosts.extend(found.rows));
            Ok(found.next)
        }) as _
    });
    let squares = move || {
        let is_shown = |host: &&BatchHost| shown.get().is_none_or(|state| host.state == state);
        hosts.with(|hosts| hosts.iter().filter(is_shown).map(|host| square(host, picked)).collect())
    };
    let filter = move |state: State| {
        let count =
            Memo::new(move |_| hosts.with(|hosts| hosts.iter().filter(|host| host.state == state).count()));
        maybe(move || {
            (count.get() > 0).then(|| view! {
                <button
                    class="button button--small" type="button"
                    aria-pressed=move || if shown.get() == Some(state) { "true" } else { "false" }
                    on:click=move |_| shown.update(|shown| *shown = (*shown != Some(state)).then_some(state))
                >
                    <span class=format!("square square--{}", tone(state)) aria-hidden="true"></span>
                    {text(move || format!("{} ({})", state.word(), count.get()))}
                </button>
            })
        })
    };
    let pick_shown = move |_| {
        let state = shown.get_untracked();
        let ids = hosts.with_untracked(|hosts| {
            let fits = hosts.iter().filter(|host| state.is_none_or(|state| host.state == state));
            fits.map(|host| host.endpoint_id.clone()).collect()
        });
        picked.set(ids);
    };
    let session = session();
    let orders = [(BulkOrder::Restore, session.restore.yes), (BulkOrder::Check, session.check.yes)];
    let order = move |(order, may): (BulkOrder, bool)| {
        let press = move |_| {
            let ids: Vec<String> = picked.with_untracked(|picked| picked.iter().cloned().collect());
            if may && !ids.is_empty() {
                bulk.set(Some(BulkDraft::new(order, Choice::Hosts(ids), Vec::new())));
            }
        };
        view! {
            <button
                class="button" type="button" on:click=press
                aria-disabled=move || (!may || picked.read().is_empty()).then_some("true")
            >
                {text(move || format!("{} these {}", order.verb(), picked.read().len()))}
            </button>
        }
    };
    if queued == 0 {
        return ().into_any();
    }
    view! {
        <section class="panel" aria-labelledby="grid-title">
            <h2 id="grid-title">"Hosts"</h2>
            <div class="asks" role="group" aria-label="Show hosts by state">{all(Progress::STATES.map(filter))}</div>
            <div class="grid" role="group" aria-label="Hosts of this batch">{list(squares)}</div>
            <More name="Show more hosts" next load/>
            <div class="asks" role="group" aria-label="Chosen hosts">
                <button class="button button--small" type="button" on:click=pick_shown>"Choose all shown"</button>
                <button class="button button--small button--quiet" type="button" on:click=move |_| picked.set(BTreeSet::new())>
                    "Choose none"
                </button>
                {all(orders.map(order))}
            </div>
        </section>
    }
}

fn square(host: &BatchHost, picked: RwSignal<BTreeSet<String>>) -> Item {
    let (id, state) = (host.endpoint_id.clone(), host.state);
    let words = format!("{}: {}", host.hostname, state.word());
    // With the state in the key, a host is drawn anew when that changes, and no other.
    Item::new(format!("{id} {}", state.word()), move || {
        let (id, ticked) = (id.clone(), id.clone());
        let press = move |event| {
            let is_picked = event_target_checked(&event);
            picked
                .update(|picked| _ = if is_picked { picked.insert(id.clone()) } else { picked.remove(&id) });
        };
        view! {
            <label class=format!("square square--{}", tone(state)) title=words.clone()>
                <input
                    class="square__tick" type="checkbox" aria-label=words.clone()
                    prop:checked=move || picked.with(|picked| picked.contains(&ticked)) on:change=press
                />
            </label>
        }
    })
}

/// In the browser only: a large batch does not weigh on the page's first bytes.
fn follow(batch: String, hosts: RwSignal<Vec<BatchHost>>, next: RwSignal<Option<i64>>, mark: Mark) {
    let live = Live::expect();
    let waiting = StoredValue::new(Vec::<(String, State)>::new());
    let draw = Gathered::new(DRAWN_EVERY, move || {
        let changed = waiting.try_update_value(std::mem::take).unwrap_or_default();
        hosts.try_update(|hosts| {
            for (id, state) in changed {
                if let Some(host) = hosts.iter_mut().find(|host| host.endpoint_id == id) {
                    host.state = state;
                }
            }
        });
    });
    let load = {
        let batch = batch.clone();
        move || {
            let batch = batch.clone();
            spawn(async move {
                if let (Ok(found), since) = live.load(api::batch_hosts(batch.clone(), None)).await {
                    hosts.try_set(found.rows);
                    next.try_set(found.next);
                    let changed = since.into_iter().filter_map(|change| of_batch(change, &batch));
                    waiting.try_update_value(|waiting| waiting.extend(changed));
                    draw.call();
                }
            });
        }
    };
    effect(move || {
        load();
        let (batch, load) = (batch.clone(), load.clone());
        live.follow(mark, move |change| {
            if let Change::Reset = change {
                load();
            } else if let Some(changed) = of_batch(change, &batch) {
                waiting.try_update_value(|waiting| waiting.push(changed));
                draw.call();
            }
        });
    });
}

/// Which host, and how its command is.
fn of_batch(change: Change, batch: &str) -> Option<(String, State)> {
    match change {
        Change::Command(command) if command.batch_id.as_deref() == Some(batch) => {
            Some((command.endpoint_id, command.state))
        }
        Change::Command(_) | Change::Endpoint(_) | Change::Progress(_) | Change::Reset => None,
    }
}

fn tone(state: State) -> &'static str {
    match state {
        State::Executed => "ok",
        State::Failed => "danger",
        State::Expired => "warn",
        State::Delivered => "busy",
        State::Cancelled => "off",
        State::Pending | State::Unknown => "wait",
    }
}
