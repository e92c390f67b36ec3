//! A page whose code is a piece of its own comes when that is loaded, which can take long or fail. What is pressed meanwhile
//! counts, though the router may have nobody to give it to: the browser loads that page whole.

use std::{
    cell::Cell,
    rc::{Rc, Weak},
    time::Duration,
};

use leptos::prelude::*;
use leptos_router::{
    hooks::{use_location, use_matched},
    location::Location,
};

use super::console::Outgoing;
use crate::{
    api,
    error::ApiError,
    ui::{
        Code,
        dom::{sleep, spawn},
        loaded_piece,
    },
};

/// How soon a press is seen.
const GLANCE: Duration = Duration::from_millis(250);
/// For the page that the browser was sent to. If it is not there by then, somebody stopped it, or there is no server.
const UNDER_WAY: Duration = Duration::from_secs(30);

thread_local! {
    /// This tab's first page, which the server drew, is not alive yet.
    static IS_FIRST: Cell<bool> = const { Cell::new(true) };
    /// Of the arrivals in this tab. An earlier one whose page was gone to again is to draw nothing.
    static NEWEST: Cell<u32> = const { Cell::new(0) };
}

/// To be called with a page that is drawn without [`page`].
pub fn is_there() {
    IS_FIRST.set(false);
}

/// Draws a page by its code.
pub async fn page(code: fn() -> Code) -> AnyView {
    let view = arrive(code).await;
    is_there();
    view
}

async fn arrive(code: fn() -> Code) -> AnyView {
    if cfg!(feature = "ssr") {
        return loaded_piece(code, async |_| false).await.map_or_else(|| ().into_any(), |draw| draw());
    }
    let arrival = Rc::new(Arrival::begin());
    arrival.watch();
    loop {
        let draw = loaded_piece(code, async |pause| arrival.wait(pause).await).await;
        match (arrival.goal(), draw) {
            // The browser brings a page already.
            _ if arrival.is_loading.get() => sleep(GLANCE).await,
            (Goal::Here, Some(draw)) => return draw(),
            (Goal::Load, _) => sleep(GLANCE).await,
            // The router would put what this gives in the place of the page, if that had been gone to again.
            (Goal::Elsewhere, _) if arrival.is_at_its_path() => sleep(GLANCE).await,
            (Goal::Here | Goal::Elsewhere, _) => return ().into_any(),
        }
    }
}

struct Arrival {
    number: u32,
    /// The page is in sight already: all that it lacks is code.
    is_first: bool,
    address: Address,
    began_at: Option<[String; 2]>,
    /// The path, as the router gave it to this page's route.
    matched: Memo<String>,
    began_as: Option<String>,
    outgoing: Option<Outgoing>,
    is_loading: Cell<bool>,
}

/// Where the router is to go.
struct Address {
    pathname: Memo<String>,
    search: Memo<String>,
    hash: Memo<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Goal {
    /// This page.
    Here,
    /// What the address says, which nothing but the browser will bring.
    Load,
    /// Another page, which the router brings.
    Elsewhere,
}

impl Arrival {
    fn begin() -> Self {
        let (Location { pathname, search, hash, .. }, matched) = (use_location(), use_matched());
        let address = Address { pathname, search, hash };
        NEWEST.set(NEWEST.get().wrapping_add(1));
        Self {
            number: NEWEST.get(),
            is_first: IS_FIRST.get(),
            began_at: address.read(),
            address,
            matched,
            began_as: matched.try_get_untracked(),
            outgoing: use_context(),
            is_loading: Cell::new(false),
        }
    }

    fn goal(&self) -> Goal {
        let (Some(now), Some(before)) = (self.address.read(), &self.began_at) else { return Goal::Elsewhere };
        let is_here = if self.is_first { now == *before } else { now[0] == before[0] };
        if NEWEST.get() != self.number {
            Goal::Elsewhere
        } else if is_here {
            Goal::Here
        } else if self.is_first || self.matched.try_get_untracked() != self.began_as {
            // The router gave the press to this page, which is not alive.
            Goal::Load
        } else {
            Goal::Elsewhere
        }
    }

    fn is_at_its_path(&self) -> bool {
        let now = self.address.read();
        now.zip(self.began_at.as_ref()).is_some_and(|(now, before)| now[0] == before[0])
    }

    /// Follows what is pressed until the page is there.
    fn watch(self: &Rc<Self>) {
        let arrival = Rc::downgrade(self);
        spawn(async move {
            loop {
                sleep(GLANCE).await;
                let Some(arrival) = Weak::upgrade(&arrival) else { return };
                if arrival.goal() == Goal::Load && (arrival.is_first || server_answers().await) {
                    arrival.load().await;
                }
            }
        });
    }

    /// Before the code is tried again. False: it is wanted no more.
    async fn wait(&self, pause: Duration) -> bool {
        // The server may have another version of it. A page in sight stays until somebody wants another.
        if !self.is_first && server_answers().await && self.goal() == Goal::Here {
            self.load().await;
        }
        let mut left = pause;
        while !left.is_zero() && self.goal() != Goal::Elsewhere {
            sleep(GLANCE).await;
            left = left.saturating_sub(GLANCE);
        }
        self.goal() != Goal::Elsewhere
    }

    /// Has the browser load what the address says, unless an order would be lost by that.
    async fn load(&self) {
        if self.is_loading.get() || self.may_lose() {
            return sleep(GLANCE).await;
        }
        self.is_loading.set(true);
        let wanted = self.address.read();
        self.address.load();
        let mut left = UNDER_WAY;
        while !left.is_zero() {
            sleep(GLANCE).await;
            left = left.saturating_sub(GLANCE);
            if self.may_lose() || self.goal() == Goal::Elsewhere {
                let _ = window().stop();
                break;
            }
            if self.address.read() != wanted {
                break;
            }
        }
        self.is_loading.set(false);
    }

    fn may_lose(&self) -> bool {
        self.outgoing.is_some_and(Outgoing::has_unsent)
    }
}

async fn server_answers() -> bool {
    matches!(api::session().await, Ok(()) | Err(ApiError::SignedOut))
}

impl Address {
    /// Path and query.
    fn read(&self) -> Option<[String; 2]> {
        Some([self.pathname.try_get_untracked()?, self.search.try_get_untracked()?])
    }

    fn load(&self) {
        let Some([path, search]) = self.read() else { return };
        let (start, hash) = (if search.is_empty() { "" } else { "?" }, self.hash.try_get_untracked());
        let address = [path.as_str(), start, &search].concat();
        let shown = window().location();
        // A step back in the history is there before its page, and setting the address that is there would do nothing.
        let is_shown =
            [shown.pathname(), shown.search()].into_iter().flatten().collect::<String>() == address;
        if is_shown {
            let _ = shown.reload();
        } else {
            super::load(&(address + &hash.unwrap_or_default()));
        }
    }
}
