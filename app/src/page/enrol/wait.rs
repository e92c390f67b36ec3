use leptos::prelude::*;

use crate::{
    clock::Clock,
    live::{Change, Live},
    model::{Millis, time::SECOND},
    page::console::Announcer,
    ui::{all, dom::effect, maybe, part, view},
};

const HINTS_AFTER: Millis = 60 * SECOND;

/// Waits for endpoints that enrolled after `since` and links to them.
#[component]
pub fn Wait(since: Millis, server_url: String) -> impl IntoView {
    let (live, announcer) = (Live::expect(), Announcer::expect());
    let arrived = RwSignal::new(Vec::<(String, String)>::new());
    let mark = live.mark();
    effect(move || {
        live.follow(mark, move |change| {
            let Change::Endpoint(endpoint) = change else { return };
            if endpoint.enrolled_at < since
                || arrived.read_untracked().iter().any(|(id, _)| *id == endpoint.id)
            {
                return;
            }
            announcer.say(format!("{} has enrolled", endpoint.hostname));
            arrived.update(|arrived| arrived.push((endpoint.id, endpoint.hostname)));
        });
    });
    let now = Clock::now();
    let waits_long = Memo::new(move |_| {
        arrived.read().is_empty() && now.get().is_some_and(|now| now - since > HINTS_AFTER)
    });

    view! {
        <div class="wait">
            {part(move || match arrived.get() {
                none if none.is_empty() => view! {
                    <p class="wait__line" role="status">
                        <span class="wait__pulse" aria-hidden="true"></span>
                        "Waiting for the first host…"
                    </p>
                },
                arrived => view! { <ul class="wait__arrived">{all(arrived.into_iter().map(arrival))}</ul> },
            })}
            {maybe(move || waits_long.get().then(|| view! { <Hints server_url=server_url.clone()/> }))}
        </div>
    }
}

fn arrival((id, hostname): (String, String)) -> AnyView {
    view! {
        <li>
            <a class="button button--primary" href=format!("/endpoints/{id}")>{format!("Open {hostname}")}</a>
            " has enrolled."
        </li>
    }
}

#[component]
fn Hints(server_url: String) -> impl IntoView {
    view! {
        <div class="wait__hints">
            <p>"No host yet. What usually stands in the way:"</p>
            <ul>
                <li>"The command printed an error: it names the reason and the fix."</li>
                <li>
                    "It printed " <code>"FAILED"</code>
                    ": the installer is not the one this line was made for. Create another command; if it happens again, somebody alters the download."
                </li>
                <li>
                    "The host does not reach this server: " <code>{["curl -I ", &server_url, "/healthz"].concat()}</code>
                    " must answer from there. No name found: its DNS. Refused: the port or a firewall on the way. An answer of somebody else: a proxy; the agent takes none."
                </li>
                <li>
                    "Its clock is more than a minute off: " <code>"date -u"</code>
                    " there and here must agree; without that no request of the agent counts."
                </li>
                <li>"The agent runs but has not enrolled: " <code>"sudo voltaxe-sentinel status"</code> " says so."</li>
                <li>"The rest is in its log: " <code>"journalctl -u voltaxe-sentinel -n 50"</code></li>
            </ul>
        </div>
    }
}
