use leptos::prelude::*;
use leptos_router::hooks::use_location;

use crate::{
    api,
    live::{Link, Live},
    model::{Millis, Session},
    page::load,
    ui::{Brand, Icon, Shape, all, dom::spawn, local_time, maybe, text, theme::ThemeSwitch, view},
};

const PAGES: [(&str, &str); 6] = [
    ("/", "Endpoints"),
    ("/commands", "Commands"),
    ("/batches", "Batches"),
    ("/schedules", "Schedules"),
    ("/enrol", "Enrol"),
    ("/tokens", "API tokens"),
];

#[component]
pub fn TopBar(session: Session) -> impl IntoView {
    let busy = RwSignal::new(false);
    let failed = RwSignal::new(false);
    let sign_out = move |_| {
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        spawn(async move {
            // Signed out already is as good.
            match api::sign_out().await {
                Ok(()) | Err(crate::error::ApiError::SignedOut) => load("/login"),
                Err(_) => {
                    failed.set(true);
                    busy.set(false);
                }
            }
        });
    };
    let path = use_location().pathname;
    let link = move |(page, name): (&'static str, &'static str)| {
        let current = move || is_current(&path.read(), page).then_some("page");
        view! { <a href=page aria-current=current>{name}</a> }
    };
    view! {
        <header class="topbar">
            <a class="topbar__brand" href="/" aria-label="Voltaxe Sentinel, all endpoints"><Brand/></a>
            <nav class="topbar__nav" aria-label="Main">
                {all(PAGES.map(link))}
            </nav>
            <div class="topbar__end">
                <LiveIndicator/>
                <ThemeSwitch/>
                <span class="topbar__who">
                    <span class="topbar__name">{session.username}</span>
                    <span class="topbar__role">{session.role.as_str()}</span>
                </span>
                <button class="button button--small button--quiet" type="button" on:click=sign_out>
                    {text(move || if failed.get() { "Sign out failed, retry" } else { "Sign out" })}
                </button>
            </div>
        </header>
    }
}

/// Also for what lies below a page.
fn is_current(path: &str, page: &str) -> bool {
    path.strip_prefix(page).is_some_and(|rest| rest.is_empty() || (page != "/" && rest.starts_with('/')))
}

#[component]
fn LiveIndicator() -> impl IntoView {
    let live = Live::expect();
    let state = move || match live.link() {
        Link::Connecting => ("live live--connecting", Shape::Hollow, "Connecting"),
        Link::Live => ("live live--on", Shape::Dot, "Live"),
        Link::Paused { .. } => ("live live--off", Shape::Pause, "Paused"),
        Link::SignedOut => ("live live--off", Shape::Pause, "Signed out"),
    };
    view! {
        <span class=move || state().0 title="Live updates">
            <Icon shape=Signal::derive(move || state().1)/>
            <span class="visually-hidden">"Live updates: "</span>
            {text(move || state().2)}
        </span>
    }
}

/// Says that what the page shows may be old, for as long as it may.
#[component]
pub fn LinkBanner() -> impl IntoView {
    let live = Live::expect();
    let sentence = move || match live.link() {
        Link::Connecting | Link::Live => None,
        Link::Paused { data_as_of: None } => Some("Live updates paused, no connection yet".to_owned()),
        Link::Paused { data_as_of: Some(at) } => Some(paused(at)),
        Link::SignedOut => Some("You are signed out; this page no longer changes".to_owned()),
    };
    view! {
        <div role="status" class=move || if sentence().is_some() { "banner banner--shown" } else { "banner" }>
            {maybe(move || {
                sentence()
                    .map(|sentence| {
                        view! {
                            <Icon shape=Shape::Pause/>
                            <span>{sentence}</span>
                        }
                    })
            })}
            {maybe(move || {
                (live.link() == Link::SignedOut)
                    .then(|| view! { <a href="/login" rel="external">"Sign in again"</a> })
            })}
        </div>
    }
}

fn paused(at: Millis) -> String {
    format!("Live updates paused, data as of {}", local_time(at))
}
