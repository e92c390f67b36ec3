use leptos::prelude::*;

use super::fleet::Entry;
use crate::{
    clock::mounted,
    model::Endpoint,
    ui::{Ago, ConnectionBadge, IsolationBadge, view},
};

#[component]
pub fn Row(entry: Entry) -> impl IntoView {
    let mounted = mounted();
    let endpoint = RwSignal::from(entry.endpoint.clone());
    let ticked = RwSignal::from(entry.ticked.clone());
    let is_selectable = Memo::new(move |_| entry.is_selectable());
    let fact = move |get: fn(&Endpoint) -> String| Memo::new(move |_| endpoint.with(get));
    let last_seen = Memo::new(move |_| endpoint.with(|endpoint| endpoint.last_seen_at));
    let href = endpoint.with_untracked(|endpoint| format!("/endpoints/{}", endpoint.id));
    view! {
        <tr class="row" role="row">
            <td role="cell" class="row__tick">
                <input
                    class="tick" type="checkbox" disabled=move || !mounted.get() || !is_selectable.get()
                    aria-label=move || endpoint.with(|endpoint| format!("Select {}", endpoint.hostname))
                    prop:checked=move || ticked.get() on:change=move |event| ticked.set(event_target_checked(&event))
                />
            </td>
            <th scope="row" role="rowheader" data-label="Host">
                <a class="row__link" href=href>{fact(|endpoint| endpoint.hostname.clone())}</a>
            </th>
            <td role="cell" data-label="Isolation"><IsolationBadge endpoint short=true/></td>
            <td role="cell" data-label="Status"><ConnectionBadge endpoint/></td>
            <td role="cell" data-label="Last seen" class="row__seen"><Ago at=last_seen/></td>
            <td role="cell" data-label="System" class="row__system">{fact(|endpoint| endpoint.os.clone())}</td>
            <td role="cell" data-label="Address" class="mono">{fact(addresses)}</td>
            <td role="cell" data-label="Agent" class="mono">{fact(|endpoint| endpoint.agent_version.clone())}</td>
        </tr>
    }
}

/// The first, and how many more.
fn addresses(endpoint: &Endpoint) -> String {
    let addresses = endpoint.telemetry.as_ref().map(|now| now.addresses.as_slice()).unwrap_or_default();
    match addresses {
        [] => "–".to_owned(),
        [only] => only.clone(),
        [first, rest @ ..] => format!("{first} +{}", rest.len()),
    }
}
