//! The commands' life on the server: queued, signed, pushed or polled, received, answered.

mod agents;
mod console;
mod dispatch;
mod upkeep;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;
use uuid::Uuid;
use voltaxe_protocol::{EndpointId, Keypair, PublicKey};
use voltaxe_store::Store;

pub use self::agents::{AgentError, ResultOutcome};
pub use self::upkeep::Retention;
pub use crate::registry::StreamHandle;
use crate::{events::Events, registry::Registry};

/// A received command gets this much longer than its expiry for its answer to arrive.
const ANSWER_GRACE: TimeDelta = TimeDelta::hours(1);

/// The rules that a deployment may set.
#[derive(Clone, Debug)]
pub struct StrikeConfig {
    /// Where agents reach the server; enrol strings carry it. Scheme, host and port.
    pub agent_url: String,
    /// How long a command waits for its host before it expires.
    pub command_lifetime: TimeDelta,
    /// How long a hand-out is waited for before the command is offered again.
    pub lease: TimeDelta,
    pub enrolment_token_lifetime: TimeDelta,
    pub telemetry_interval_seconds: u32,
}

impl Default for StrikeConfig {
    fn default() -> Self {
        Self {
            agent_url: "http://127.0.0.1:8080".to_owned(),
            command_lifetime: TimeDelta::days(7),
            lease: TimeDelta::seconds(30),
            enrolment_token_lifetime: TimeDelta::hours(1),
            telemetry_interval_seconds: 15,
        }
    }
}

/// The orchestrator. Cheap to clone.
#[derive(Clone)]
pub struct Strike {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    key: Keypair,
    config: StrikeConfig,
    registry: Registry,
    events: Events,
    /// Endpoints that changed and have not been told about yet.
    dirty: Mutex<BTreeSet<EndpointId>>,
    dirt_came: Notify,
}

/// An isolate or restore, as an operator asks for it.
#[derive(Clone, Debug)]
pub struct Request {
    pub target: Target,
    pub reason: String,
    /// Made where the click was made: the same key is the same command.
    pub idempotency_key: Option<Uuid>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    Endpoint(EndpointId),
    /// The name of an active endpoint.
    Hostname(String),
}

impl Strike {
    /// `key` signs commands; `now` gives the event ids their start.
    #[must_use]
    pub fn new(store: Store, key: Keypair, config: StrikeConfig, now: DateTime<Utc>) -> Self {
        let first_event = u64::try_from(now.timestamp_micros()).unwrap_or(1).max(1);
        Self {
            inner: Arc::new(Inner {
                store,
                key,
                config,
                registry: Registry::default(),
                events: Events::new(first_event),
                dirty: Mutex::default(),
                dirt_came: Notify::new(),
            }),
        }
    }

    /// What changes, as it changes.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.inner.events
    }

    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.inner.key.public()
    }

    #[must_use]
    pub fn config(&self) -> &StrikeConfig {
        &self.inner.config
    }

    /// Has the endpoint's new state told to everybody who watches.
    fn changed(&self, endpoint: &EndpointId) {
        self.inner.dirty.lock().unwrap_or_else(PoisonError::into_inner).insert(endpoint.clone());
        self.inner.dirt_came.notify_one();
    }
}
