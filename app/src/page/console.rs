//! The frame around everything behind the sign-in.

mod announce;
mod keyboard;
mod outgoing;
mod places;
mod topbar;

use std::time::Duration;

use leptos::prelude::*;
use leptos_router::{
    hooks::{use_location, use_matched},
    location::Url,
};

pub use self::{
    announce::Announcer,
    keyboard::keys_and_palette,
    outgoing::{Outgoing, UNDO_SECONDS, outgoing_bar, undo_seconds},
};
use self::{
    outgoing::OutgoingBar,
    topbar::{LinkBanner, TopBar},
};
use crate::{
    clock::Clock,
    live::Live,
    model::session::Visitor,
    ui::{
        dom::{effect, focus},
        text, view,
        zone::keep_in_address,
    },
};

/// What all pages behind the sign-in share, for as long as the tab is there.
#[derive(Clone, Copy)]
pub struct Desk {
    /// A page was shown before this one.
    moved: StoredValue<bool>,
    /// What lies above the page.
    overlay: RwSignal<Option<Overlay>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Overlay {
    Palette,
    Keys,
}

impl Desk {
    pub fn provide() {
        Live::provide();
        Announcer::provide();
        Outgoing::provide();
        provide_context(Self { moved: StoredValue::new(false), overlay: RwSignal::new(None) });
    }
}

#[component]
pub fn Console(children: Children) -> impl IntoView {
    let Some(session) = expect_context::<Visitor>().session else {
        return view! { <SignInFirst/> };
    };
    // The page's own: the router's is another page's before that is there.
    let path = use_matched();
    // At once, before the page loads, and when only a part of its address changes.
    Live::look_at(&path.read_untracked());
    effect(move || Live::look_at(&path.read()));
    keep_zone();
    // The link that was followed is gone with its page; without this the keyboard would start from the top.
    let desk = expect_context::<Desk>();
    effect(move || {
        if desk.moved.get_value() {
            focus("main");
        }
        desk.moved.set_value(true);
    });
    let announcer = Announcer::expect();
    view! {
        <a class="skip" href="#main" rel="external">"Skip to content"</a>
        <TopBar session/>
        <LinkBanner/>
        <OutgoingBar/>
        <main class="main" id="main" tabindex="-1">{children()}</main>
        <p class="visually-hidden" role="status" aria-live="polite">{text(move || announcer.words())}</p>
    }
}

/// The address is in place a moment after the page is.
fn keep_zone() {
    let (location, zone) = (use_location(), Clock::expect().zone());
    effect(move || {
        location.pathname.with(|_| ());
        location.search.with(|_| ());
        zone.track();
        set_timeout(move || keep_in_address(zone.try_get_untracked().flatten()), Duration::from_millis(50));
    });
}

#[component]
fn SignInFirst() -> impl IntoView {
    let location = use_location();
    let path = format!(
        "{}{}",
        location.pathname.get_untracked(),
        match location.search.get_untracked() {
            search if search.is_empty() => String::new(),
            search => format!("?{search}"),
        }
    );
    let login = format!("/login?next={}", Url::escape(&path));
    #[cfg(feature = "ssr")]
    redirect(&login);
    view! {
        <main class="gate" id="main">
            <div class="gate__card">
                <h1>"You are signed out"</h1>
                <p><a class="button button--primary" href=login rel="external">"Sign in"</a></p>
            </div>
        </main>
    }
}

/// `path` must be a path on this server: an own one or checked by [`crate::model::next`].
#[cfg(feature = "ssr")]
pub(super) fn redirect(path: &str) {
    let is_a_request = use_context::<axum::http::request::Parts>().is_some();
    if is_a_request && axum::http::HeaderValue::from_str(path).is_ok() {
        leptos_axum::redirect(path);
    }
}
