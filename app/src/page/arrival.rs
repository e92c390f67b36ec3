//! A page whose code is a piece of its own comes when that is loaded, which can take long or fail. What was pressed meanwhile counts.

use std::{cell::Cell, time::Duration};

use leptos::prelude::*;
use leptos_router::{
    hooks::{use_location, use_params_map},
    location::Location,
    params::ParamsMap,
};

use super::console::Outgoing;
use crate::{
    api,
    error::ApiError,
    ui::{Drawn, NotLoaded, dom::sleep, loaded_piece},
};

/// How soon another press is seen.
const GLANCE: Duration = Duration::from_millis(250);
/// For the page that the browser was sent to. After that nothing came: there is no server, or somebody stopped it.
const UNDERWAY: Duration = Duration::from_secs(30);

thread_local! {
    static IS_FIRST: Cell<bool> = const { Cell::new(true) };
}

/// Draws a page by its code.
pub async fn page<F>(code: impl Fn() -> F) -> AnyView
where
    F: Future<Output = Result<Drawn, NotLoaded>>,
{
    let arrival = Arrival::begin();
    loop {
        let Some(draw) = loaded_piece(&code, async |wait| arrival.wait(wait).await).await else {
            return ().into_any();
        };
        match arrival.goal() {
            Goal::Here => return draw(),
            Goal::Elsewhere => return ().into_any(),
            Goal::Load(address) => arrival.load(&address).await,
        }
    }
}

struct Arrival {
    /// The page came with the tab and is in sight already: all that it lacks is code.
    is_first: bool,
    address: Address,
    began_at: Option<[String; 2]>,
    params: Memo<ParamsMap>,
    began_with: Option<ParamsMap>,
}

struct Address {
    pathname: Memo<String>,
    search: Memo<String>,
    hash: Memo<String>,
}

enum Goal {
    /// This page.
    Here,
    /// A page that nothing but its address will bring: that a press asked for it, the router does not know any more.
    Load(String),
    /// Another page, which the router brings.
    Elsewhere,
}

impl Arrival {
    fn begin() -> Self {
        let (Location { pathname, search, hash, .. }, params) = (use_location(), use_params_map());
        let address = Address { pathname, search, hash };
        let began_at = address.read();
        let is_first = cfg!(not(feature = "ssr")) && IS_FIRST.replace(false) && is_shown(began_at.as_ref());
        Self { is_first, began_at, address, params, began_with: params.try_get_untracked() }
    }

    fn goal(&self) -> Goal {
        let (Some(now), Some(before)) = (self.address.read(), &self.began_at) else { return Goal::Elsewhere };
        let is_other = if self.is_first { now != *before } else { now[0] != before[0] };
        if !is_other {
            return Goal::Here;
        }
        // The router gave the press to this page: to the one that waits for its code, or as other parameters of its route.
        if self.is_first || self.params.try_get_untracked() != self.began_with {
            return Goal::Load(self.address.whole());
        }
        Goal::Elsewhere
    }

    /// Before the code is tried again. False: it is wanted no more.
    async fn wait(&self, wait: Duration) -> bool {
        // The server may have another version of it. What is in sight stays until somebody wants it anew.
        if !self.is_first
            && matches!(api::session().await, Ok(()) | Err(ApiError::SignedOut))
            && matches!(self.goal(), Goal::Here)
        {
            self.load(&self.address.whole()).await;
        }
        let mut left = wait;
        loop {
            match self.goal() {
                Goal::Here => {}
                Goal::Elsewhere => return false,
                Goal::Load(address) => self.load(&address).await,
            }
            if left.is_zero() {
                return true;
            }
            sleep(GLANCE).await;
            left = left.saturating_sub(GLANCE);
        }
    }

    /// Has the browser load the page, unless an order would be lost by that.
    async fn load(&self, address: &str) {
        if use_context::<Outgoing>().is_some_and(Outgoing::has_unsent) {
            return sleep(GLANCE).await;
        }
        super::load(address);
        sleep(UNDERWAY).await;
    }
}

impl Address {
    /// Path and query; none when the page is gone.
    fn read(&self) -> Option<[String; 2]> {
        Some([self.pathname.try_get_untracked()?, self.search.try_get_untracked()?])
    }

    fn whole(&self) -> String {
        let [path, search] = self.read().unwrap_or_default();
        let hash = self.hash.try_get_untracked().unwrap_or_default();
        let start = if search.is_empty() { "" } else { "?" };
        [path.as_str(), start, &search, &hash].concat()
    }
}

/// Whether the tab is at this path. A page that is gone to is there first, and its path is shown then.
fn is_shown(address: Option<&[String; 2]>) -> bool {
    window().location().pathname().is_ok_and(|shown| address.is_some_and(|[path, _]| *path == shown))
}
