use leptos::{ev::MouseEvent, prelude::*};

use super::list::{Entry, List};
use crate::{
    clock::mounted,
    model::{
        Endpoint,
        endpoint::Admission,
        fleet::{hundredths, polyline},
    },
    ui::{Ago, ConnectionBadge, IsolationBadge, all, maybe, part, view},
};

/// Of the line of a load: its box, and the load that fills it at least.
const LINE: (i32, i32, i32) = (80, 18, 100);

#[component]
pub fn Row(list: List, entry: Entry) -> impl IntoView {
    let mounted = mounted();
    let endpoint = RwSignal::from(entry.endpoint.clone());
    let labels = RwSignal::from(entry.labels.clone());
    let is_selectable = Memo::new(move |_| endpoint.with(|endpoint| endpoint.admission == Admission::Active));
    let fact = move |get: fn(&Endpoint) -> String| Memo::new(move |_| endpoint.with(get));
    let last_seen = Memo::new(move |_| endpoint.with(|endpoint| endpoint.last_seen_at));
    let href = endpoint.with_untracked(|endpoint| format!("/endpoints/{}", endpoint.id));
    let id = StoredValue::new(entry.id);
    let is_ticked =
        Memo::new(move |_| is_selectable.get() && id.with_value(|id| list.selection.is_ticked(id)));
    let tick = move |event: MouseEvent| {
        let ticked = event_target_checked(&event);
        id.with_value(|id| list.selection.tick(list, id, ticked, event.shift_key()));
    };
    view! {
        <tr class="row" role="row">
            <td role="cell" class="row__tick">
                <input
                    class="tick" type="checkbox" disabled=move || !mounted.get() || !is_selectable.get()
                    aria-label=move || endpoint.with(|endpoint| format!("Select {}", endpoint.hostname))
                    prop:checked=move || is_ticked.get() on:click=tick
                />
            </td>
            <th scope="row" role="rowheader" data-label="Host">
                <a class="row__link" href=href>{fact(|endpoint| endpoint.hostname.clone())}</a>
            </th>
            <td role="cell" data-label="Isolation" data-column="isolation"><IsolationBadge endpoint short=true/></td>
            <td role="cell" data-label="Status" data-column="status"><ConnectionBadge endpoint/></td>
            <td role="cell" data-label="Last seen" data-column="seen" class="row__seen"><Ago at=last_seen/></td>
            <td role="cell" data-label="System" data-column="os" class="row__system">{fact(|endpoint| endpoint.os.clone())}</td>
            <td role="cell" data-label="Address" data-column="address" class="mono">{fact(addresses)}</td>
            <td role="cell" data-label="Labels" data-column="labels">
                {part(move || all(labels.get().into_iter().map(|label| label_link(list, &label))))}
            </td>
            <td role="cell" data-label="Load" data-column="load">{maybe(move || load(list, endpoint, id))}</td>
            <td role="cell" data-label="Agent" data-column="version" class="mono">
                {fact(|endpoint| endpoint.agent_version.clone())}
            </td>
        </tr>
    }
}

/// Shows what has the label, beside what is filtered already.
fn label_link(list: List, label: &str) -> AnyView {
    let query = list
        .query
        .with(|query| if query.has("label", label) { query.clone() } else { query.toggled("label", label) });
    view! { <a class="label" href=query.path()>{label.to_owned()}</a> }
}

fn load(list: List, endpoint: RwSignal<Endpoint>, id: StoredValue<String>) -> Option<AnyView> {
    let now = endpoint.with(|endpoint| endpoint.telemetry.as_ref().map(|now| now.load[0]))?;
    let now = hundredths(i32::try_from(now).unwrap_or(i32::MAX));
    let (width, height, full) = LINE;
    let line = list.loads.with(|loads| id.with_value(|id| loads.get(id).cloned()));
    let line = line.map(|line| {
        let loads = line.parts.iter().flatten().copied();
        let (least, most) = (loads.clone().min().unwrap_or(0), loads.max().unwrap_or(0));
        let words = format!("Load over the last hour: {} to {}", hundredths(least), hundredths(most));
        view! {
            <svg class="spark" viewBox="-1 -1 82 20" role="img" aria-label=words focusable="false">
                <polyline points=polyline(&line.parts, width, height, full)></polyline>
            </svg>
        }
    });
    Some(view! { <span class="load">{line}<span class="mono">{now}</span></span> })
}

fn addresses(endpoint: &Endpoint) -> String {
    let addresses = endpoint.telemetry.as_ref().map(|now| now.addresses.as_slice()).unwrap_or_default();
    match addresses {
        [] => "–".to_owned(),
        [only] => only.clone(),
        [first, rest @ ..] => format!("{first} +{}", rest.len()),
    }
}
