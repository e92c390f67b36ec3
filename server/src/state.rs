//! What handlers share.

use std::sync::Arc;

use axum::extract::FromRef;
use leptos::config::LeptosOptions;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use voltaxe_orchestrator::{Strike, operators::Operators};

use crate::gateway::signed::Nonces;

/// Agents that may hold a stream or be joining at once.
const STREAMS: usize = 20_000;
/// Browser tabs that may watch at once.
const WATCHERS: usize = 1_000;

/// Cheap to clone.
#[derive(Clone, FromRef)]
pub struct AppState {
    pub strike: Strike,
    pub operators: Operators,
    pub leptos: LeptosOptions,
    pub nonces: Arc<Nonces>,
    pub places: Places,
    /// Cancelled when the server begins to shut down: long answers end.
    pub shutdown: CancellationToken,
}

/// Bounds on what lasts.
#[derive(Clone)]
pub struct Places {
    pub streams: Arc<Semaphore>,
    pub watchers: Arc<Semaphore>,
}

impl Default for Places {
    fn default() -> Self {
        Self { streams: Arc::new(Semaphore::new(STREAMS)), watchers: Arc::new(Semaphore::new(WATCHERS)) }
    }
}
