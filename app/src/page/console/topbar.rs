use leptos::prelude::*;
use leptos_router::hooks::use_location;

use super::{
    Desk, Overlay,
    places::{Group, PLACES},
};
use crate::{
    api,
    clock::mounted,
    live::{Link, Live},
    model::Session,
    page::load,
    ui::{
        Brand, Icon, Moment, Shape, all, dom::spawn, maybe, text, theme::ThemeSwitch, view, zone::ZoneSwitch,
    },
};

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
    let overlay = expect_context::<Desk>().overlay;
    let mounted = mounted();
    view! {
        <header class="topbar">
            <a class="topbar__brand" href="/" aria-label="Voltaxe Sentinel, all endpoints"><Brand/></a>
            <nav class="topbar__nav" aria-label="Main">
                {links(Group::Daily)}
                <More/>
            </nav>
            <div class="topbar__end">
                <button
                    class="button button--small topbar__find" type="button" disabled=move || !mounted.get()
                    aria-keyshortcuts="Control+K Meta+K" on:click=move |_| overlay.set(Some(Overlay::Palette))
                >
                    <Icon shape=Shape::Search/>"Find" <kbd>"Ctrl K"</kbd>
                </button>
                <LiveIndicator/>
                <ZoneSwitch/>
                <ThemeSwitch/>
                <span class="topbar__who">
                    <span class="topbar__name">{session.username}</span>
                    <span class="topbar__role">{session.role.as_str()}</span>
                </span>
                <button class="button button--small button--quiet" id="sign-out" type="button" on:click=sign_out>
                    {text(move || if failed.get() { "Sign out failed, retry" } else { "Sign out" })}
                </button>
            </div>
        </header>
    }
}

fn links(group: Group) -> AnyView {
    let path = use_location().pathname;
    all(PLACES.iter().copied().filter(|place| place.group == group).map(|place| {
        let current = move || place.is_current(&path.read()).then_some("page");
        view! { <a href=place.path aria-current=current>{place.name}</a> }
    }))
}

/// The pages that are not needed every day.
#[component]
fn More() -> impl IntoView {
    let path = use_location().pathname;
    let is_here = move || {
        let path = path.read();
        PLACES.iter().any(|place| place.group == Group::More && place.is_current(&path))
    };
    view! {
        <details class="menu">
            <summary class=move || if is_here() { "menu__head menu__head--here" } else { "menu__head" }>"More"</summary>
            <div class="menu__body">{links(Group::More)}</div>
        </details>
    }
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
        Link::Paused { data_as_of: None } => Some(("Live updates paused, no connection yet", None)),
        Link::Paused { data_as_of } => Some(("Live updates paused, data as of ", data_as_of)),
        Link::SignedOut => Some(("You are signed out; this page no longer changes", None)),
    };
    view! {
        <div role="status" class=move || if sentence().is_some() { "banner banner--shown" } else { "banner" }>
            {maybe(move || {
                sentence()
                    .map(|(words, at)| {
                        view! {
                            <Icon shape=Shape::Pause/>
                            <span>{words} {at.map(|at| view! { <Moment at/> })}</span>
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
