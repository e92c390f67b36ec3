//! What handlers share.

use std::{
    net::{IpAddr, SocketAddr},
    ops::Deref,
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, FromRef},
    http::Extensions,
};
use leptos::config::LeptosOptions;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use voltaxe_orchestrator::{Strike, operators::Operators};

use crate::{gateway::signed::Nonces, web::install::Installer};

/// Agents that may hold a stream, be joining or wait in a long poll at once.
const STREAMS: usize = 20_000;
/// Browser tabs that may watch at once.
const WATCHERS: usize = 1_000;
/// Pieces of evidence of 1 MiB that are in memory at once.
const PIECES: usize = 32;
/// Bundles that are downloaded at once.
const DOWNLOADS: usize = 16;

/// One pointer: a request clones the state with every layer that it passes.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

pub struct Shared {
    pub strike: Strike,
    pub operators: Operators,
    pub leptos: LeptosOptions,
    pub nonces: Nonces,
    pub places: Places,
    pub installer: Installer,
    /// Whether requests come through a proxy, so that their address is the proxy's.
    pub behind_proxy: bool,
    /// Cancelled when the server begins to shut down: long answers end.
    pub shutdown: CancellationToken,
}

impl From<Shared> for AppState {
    fn from(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }
}

impl Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl FromRef<AppState> for Strike {
    fn from_ref(state: &AppState) -> Self {
        state.strike.clone()
    }
}

impl FromRef<AppState> for Installer {
    fn from_ref(state: &AppState) -> Self {
        state.installer.clone()
    }
}

impl AppState {
    /// Where a request came from, when that is the other end itself.
    pub(crate) fn peer_of(&self, extensions: &Extensions) -> Option<IpAddr> {
        if self.behind_proxy {
            return None;
        }
        extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip())
    }
}

/// Bounds on what lasts.
#[derive(Clone)]
pub struct Places {
    pub streams: Arc<Semaphore>,
    pub watchers: Arc<Semaphore>,
    pub pieces: Arc<Semaphore>,
    pub downloads: Arc<Semaphore>,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            streams: Arc::new(Semaphore::new(STREAMS)),
            watchers: Arc::new(Semaphore::new(WATCHERS)),
            pieces: Arc::new(Semaphore::new(PIECES)),
            downloads: Arc::new(Semaphore::new(DOWNLOADS)),
        }
    }
}
