//! The orchestrator: one object, its methods sorted by who calls them.

mod agents;
mod batches;
mod break_glass;
mod console;
mod enrolment;
mod find;
pub mod fleet;
mod isolation;
mod notes;
mod request;
mod retry;
mod schedules;
mod search;
mod series;
mod snapshot;
mod upkeep;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;
use voltaxe_protocol::{CommandId, EndpointId, Keypair, PublicKey};
use voltaxe_store::{NewTelemetry, Store};

pub use self::agents::AgentError;
pub use self::batches::{BatchProgress, BatchRequest};
pub use self::break_glass::IssuedTicket;
pub use self::console::check_rate_limit;
pub use self::notes::{Annotated, NotesChange};
pub(crate) use self::request::checked_reason;
pub use self::request::{Request, Target, action_of};
pub use self::schedules::{ScheduleRequest, When};
pub(crate) use self::search::words as search_words;
pub use self::series::{Series, Window};
pub use self::upkeep::Retention;
pub use crate::delivery::{Caller, ResultOutcome};
pub use crate::registry::StreamHandle;
use crate::{
    StrikeError,
    delivery::{Delivery, DeliveryConfig, Gatherer},
    events::{Change, Events},
    evidence::{Evidence, EvidenceConfig},
    health::{Deployment, Recent},
    meters::{Commit, Meters},
    model::DriftNote,
    plain,
    webhooks::Allowance,
};

/// Of the words of a drift, so much is told to pages.
const LONGEST_DRIFT_CHARS: usize = 500;

/// The rules that a deployment may set.
#[derive(Clone, Debug)]
pub struct StrikeConfig {
    /// Where agents reach the server; enrol strings carry it. Scheme, host and port.
    pub agent_url: String,
    /// How long a command waits for its host before it expires.
    pub command_lifetime: TimeDelta,
    pub delivery: DeliveryConfig,
    pub enrolment_token_lifetime: TimeDelta,
    /// `None`: no evidence is taken or shown, as where only the database is looked after.
    pub evidence: Option<EvidenceConfig>,
    pub telemetry_interval_seconds: u32,
    /// Where agents reach the server, now and soon: isolated hosts keep these open.
    pub announce: Vec<SocketAddr>,
    /// Where operators reach the server: links in what webhooks tell.
    pub console_url: Option<String>,
    pub webhook_allowance: Allowance,
    /// Told on the pages, and nothing else.
    pub deployment: Deployment,
}

impl Default for StrikeConfig {
    fn default() -> Self {
        Self {
            agent_url: "http://127.0.0.1:8080".to_owned(),
            command_lifetime: TimeDelta::days(7),
            delivery: DeliveryConfig::default(),
            enrolment_token_lifetime: TimeDelta::hours(1),
            evidence: None,
            telemetry_interval_seconds: 15,
            announce: Vec::new(),
            console_url: None,
            webhook_allowance: Allowance::default(),
            deployment: Deployment::default(),
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
    delivery: Delivery<Store>,
    telemetry: Gatherer<NewTelemetry, ()>,
    config: StrikeConfig,
    evidence: Option<Evidence>,
    /// Tells this process from others on the same database.
    instance: Uuid,
    /// Agents' keys, as last read; see [`Strike::agent_key`].
    keys: Mutex<HashMap<EndpointId, Arc<agents::KnownAgent>>>,
    /// Active endpoints by name, as last read.
    names: Mutex<HashMap<String, EndpointId>>,
    /// Counts of the fleet, as they were a moment ago.
    counted: fleet::Counted,
    /// When an agent's progress with a command was told last.
    progress: Mutex<HashMap<(EndpointId, CommandId), DateTime<Utc>>>,
    recent: Recent,
}

impl Strike {
    /// `key` signs commands; `now` gives the event ids their start; `caller` calls agents, if the direct channel is on. Starts
    /// tasks: needs a tokio runtime.
    #[must_use]
    pub fn new(
        store: Store,
        key: Keypair,
        config: StrikeConfig,
        caller: Option<Caller>,
        now: DateTime<Utc>,
    ) -> Self {
        let first_event = u64::try_from(now.timestamp_micros()).unwrap_or(1).max(1);
        let meters = Meters::default();
        let events = Events::new(first_event);
        let delivery = Delivery::new(
            store.clone(),
            key,
            config.delivery.clone(),
            events.clone(),
            meters.clone(),
            caller,
        );
        Self {
            inner: Arc::new(Inner {
                telemetry: telemetry_gatherer(store.clone(), meters, events),
                store,
                delivery,
                evidence: config.evidence.clone().map(Evidence::new),
                config,
                instance: Uuid::new_v4(),
                keys: Mutex::default(),
                names: Mutex::default(),
                counted: fleet::Counted::default(),
                progress: Mutex::default(),
                recent: Recent::since(now),
            }),
        }
    }

    /// What changes, as it changes.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.delivery().shared().events
    }

    /// What the server measures of itself.
    #[must_use]
    pub fn meters(&self) -> &Meters {
        &self.delivery().shared().meters
    }

    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.key().public()
    }

    #[must_use]
    pub fn config(&self) -> &StrikeConfig {
        &self.inner.config
    }

    /// What agents say of their commands, and what waits for them.
    #[must_use]
    pub fn delivery(&self) -> &Delivery<Store> {
        &self.inner.delivery
    }

    pub(crate) fn recent(&self) -> &Recent {
        &self.inner.recent
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn instance(&self) -> Uuid {
        self.inner.instance
    }

    pub(crate) fn evidence_store(&self) -> Option<&Evidence> {
        self.inner.evidence.as_ref()
    }

    pub(crate) fn evidence_parts(&self) -> Result<&Evidence, StrikeError> {
        self.evidence_store()
            .ok_or_else(|| StrikeError::Conflict("this server keeps no evidence: ask another one".to_owned()))
    }

    pub(crate) fn key(&self) -> &Keypair {
        &self.delivery().shared().key
    }

    /// Has the endpoint's new state told to everybody who watches.
    fn changed(&self, endpoint: &EndpointId) {
        self.delivery().shared().changed(endpoint);
    }
}

fn telemetry_gatherer(store: Store, meters: Meters, events: Events) -> Gatherer<NewTelemetry, ()> {
    const GROUP: usize = 512;

    Gatherer::start(
        GROUP,
        |message: &NewTelemetry| message.endpoint_id.clone(),
        move |group: Vec<NewTelemetry>| {
            let (store, meters, events) = (store.clone(), meters.clone(), events.clone());
            async move {
                let count = group.len();
                let drifted = meters.time(Commit::Telemetry, count, store.record_telemetry(&group)).await?;
                for (endpoint, hostname) in drifted {
                    let message = group.iter().find(|message| message.endpoint_id == endpoint);
                    let drift = message.and_then(|message| message.telemetry.isolation.drift.clone());
                    if let Some(drift) = drift {
                        tell_drift(DriftNote { endpoint_id: endpoint, hostname, drift }, &meters, &events);
                    }
                }
                Ok(vec![(); count])
            }
        },
    )
}

fn tell_drift(mut note: DriftNote, meters: &Meters, events: &Events) {
    note.drift.found = plain::shown(&note.drift.found, LONGEST_DRIFT_CHARS, false);
    let DriftNote { endpoint_id, hostname, drift } = &note;
    let outcome = if drift.put_back { "put back" } else { "not put back" };
    tracing::warn!(endpoint = %endpoint_id, count = drift.count, "the isolation of {hostname} was changed by somebody else, and {outcome}");
    meters.drifted();
    if events.is_watched() {
        events.publish(Change::Drift(Arc::new(note)));
    }
}
