//! The frame around everything behind the sign-in.

mod announce;
mod topbar;

use leptos::{either::Either, html, prelude::*};
use leptos_router::{components::Outlet, hooks::use_location, location::Url};

pub use self::announce::Announcer;
use self::topbar::{LinkBanner, TopBar};
use crate::{live::Live, model::session::Visitor};

#[component]
pub fn Console() -> impl IntoView {
    let Some(session) = expect_context::<Visitor>().session else {
        return Either::Left(view! { <SignInFirst/> });
    };
    Live::provide();
    let announcer = Announcer::provide();
    let main = NodeRef::<html::Main>::new();
    focus_after_navigation(main);
    Either::Right(view! {
        <a class="skip" href="#main" rel="external">"Skip to content"</a>
        <TopBar session/>
        <LinkBanner/>
        <main class="main" id="main" tabindex="-1" node_ref=main>
            <Outlet/>
        </main>
        <p class="visually-hidden" role="status" aria-live="polite">{move || announcer.words()}</p>
    })
}

/// The link that was followed is gone with its page; without this the keyboard would start from the top.
fn focus_after_navigation(main: NodeRef<html::Main>) {
    let path = use_location().pathname;
    Effect::new(move |before: Option<String>| {
        let path = path.get();
        if before.is_some_and(|before| before != path)
            && let Some(main) = main.get_untracked()
        {
            let _ = main.focus();
        }
        path
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
