//! What was ordered of the host and what happened to it, newest first.

mod entry;
mod filter;

use leptos::prelude::*;

use self::{
    entry::{EventEntry, entry, version},
    filter::{KINDS, is_shown},
};
use super::Host;
use crate::{
    api,
    clock::mounted,
    model::{Command, Millis, command::Of, log::Event},
    page::ask::{Load, More},
    ui::{Item, all, dom::effect, list, maybe, view},
};

#[component]
pub fn Timeline(host: Host, endpoint_id: String) -> impl IntoView {
    let Host { commands, older, events, older_events, .. } = host;
    let filter = RwSignal::new(KINDS[0].0.to_owned());
    let mounted = mounted();
    // Any number: there is more of the one or the other.
    let more = RwSignal::new(None::<i64>);
    effect(move || more.set(older.get().or(older_events.get())));
    let load: Load = Callback::new(move |_| {
        let id = endpoint_id.clone();
        Box::pin(async move {
            if let Some(before) = older.get_untracked() {
                let found = api::commands(Of::Endpoint(id.clone()), Some(before)).await?;
                commands.try_update(|commands| commands.extend(found.rows));
                older.try_set(found.next);
            }
            if let Some(before) = older_events.get_untracked() {
                let found = api::endpoint_log(id, Some(before)).await?.events;
                events.try_update(|events| events.extend(found.rows));
                older_events.try_set(found.next);
            }
            Ok(older.try_get_untracked().flatten().or(older_events.try_get_untracked().flatten()))
        }) as _
    });
    let entries = move || {
        let filter = filter.get();
        let since = commands.with(|commands| {
            events.with(|events| known_since(commands, older.get(), events, older_events.get()))
        });
        let commands = commands.get().into_iter().filter(|command| is_shown(&filter, &command.kind));
        let events = events.get().into_iter().filter(|event| is_shown(&filter, &event.action));
        let commands = commands.map(|command| {
            let at = command.created_at;
            (at, Item::new(version(&command), move || entry(command.clone(), host)))
        });
        let events = events.map(|event| {
            let at = event.at;
            (at, Item::new(format!("e{}", event.id), move || view! { <EventEntry event=event.clone()/> }))
        });
        let mut all: Vec<(Millis, Item)> = commands.chain(events).filter(|(at, _)| *at >= since).collect();
        all.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        all.into_iter().map(|(_, item)| item).collect::<Vec<_>>()
    };
    let is_empty = Memo::new(move |_| entries().is_empty());
    let options = KINDS.map(|(value, words)| view! { <option value=value>{words}</option> });
    view! {
        <section class="panel" aria-labelledby="timeline-title">
            <div class="timeline__head">
                <h2 id="timeline-title">"Timeline"</h2>
                <label class="timeline__filter">
                    "Show"
                    <select
                        class="select select--small" disabled=move || !mounted.get()
                        on:change=move |event| filter.set(event_target_value(&event))
                    >
                        {all(options)}
                    </select>
                </label>
            </div>
            {maybe(move || {
                is_empty
                    .get()
                    .then(|| view! { <p class="muted">"Nothing of this kind was ordered or happened yet."</p> })
            })}
            <ol class="timeline">{list(entries)}</ol>
            <More name="Load older" next=more load/>
        </section>
    }
}

/// Of the list that is loaded less far back, what is older is not known yet: showing the other one's would leave holes.
fn known_since(
    commands: &[Command],
    older: Option<i64>,
    events: &[Event],
    older_events: Option<i64>,
) -> Millis {
    let of = |has_older: bool, oldest: Option<Millis>| if has_older { oldest } else { None };
    let commands = of(older.is_some(), commands.last().map(|command| command.created_at));
    let events = of(older_events.is_some(), events.last().map(|event| event.at));
    commands.max(events).unwrap_or(Millis::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{State, command::tests::command};

    #[test]
    fn nothing_is_shown_from_before_what_is_loaded_of_both() {
        let commands = [Command { created_at: 50, ..command(State::Executed) }];
        let event = Event {
            id: 1,
            at: 20,
            action: "endpoint.enrol".to_owned(),
            by: "agent".to_owned(),
            command_id: None,
            words: String::new(),
        };
        let events = [event];
        assert_eq!(known_since(&commands, None, &events, None), Millis::MIN);
        assert_eq!(known_since(&commands, Some(7), &events, None), 50);
        assert_eq!(known_since(&commands, Some(7), &events, Some(1)), 50);
        assert_eq!(known_since(&commands, None, &events, Some(1)), 20);
    }
}
