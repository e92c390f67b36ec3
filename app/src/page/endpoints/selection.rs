use leptos::prelude::*;

use super::fleet::{Fleet, Part};
use crate::{
    clock::mounted,
    model::Order,
    page::{
        order_dialog::{Draft, Target},
        session,
    },
    ui::{all, text, view},
};

/// One order for the hosts that are ticked.
#[component]
pub fn SelectionBar(
    fleet: Fleet,
    filter: RwSignal<String>,
    show: RwSignal<Part>,
    draft: RwSignal<Option<Draft>>,
) -> impl IntoView {
    let mounted = mounted();
    let session = StoredValue::new(session());
    let count = Memo::new(move |_| fleet.selected().len());
    let button = move |order: Order| {
        let may = session.with_value(|session| session.may(order).yes);
        let press = move |_| {
            let hosts = untrack(|| fleet.selected());
            if may && !hosts.is_empty() {
                draft.set(Some(Draft::new(order, Target::Hosts(hosts), String::new())));
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
    let refusal = session.with_value(|session| session.refusal(session.isolate));
    let select_shown = move |event| {
        fleet.select_matching(&filter.read_untracked(), show.get_untracked(), event_target_checked(&event));
    };
    let all_shown = move || fleet.all_are_selected(&filter.read(), show.get());
    view! {
        <div class="selection" role="group" aria-label="Selected endpoints">
            <label class="selection__all">
                <input
                    class="tick" type="checkbox" disabled=move || !mounted.get() prop:checked=all_shown
                    on:change=select_shown
                />
                "Select all shown"
            </label>
            {all(Order::ALL.map(button))}
            {refusal.map(|refusal| view! { <span class="muted">{refusal}</span> })}
        </div>
    }
}
