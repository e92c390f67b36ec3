//! The tables that delivery works on, and each statement of `server/store/src/commands` as a function over them.

mod ending;
mod enqueue;
mod handout;
mod outcome;
mod relaxed;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;
use voltaxe_protocol::{CommandId, CommandState, EndpointId, Epoch, IsolationObservation, PublicKey};
use voltaxe_store::{
    StoreError,
    model::{CommandRecord, IsolationDirection},
};

pub use outcome::is_result_of;
use relaxed::Undo;

#[derive(Default)]
pub struct Tables {
    /// How many ids were given out.
    ids: i64,
    endpoints: BTreeMap<EndpointId, Endpoint>,
    pending: BTreeMap<CommandId, Row>,
    history: BTreeMap<CommandId, CommandRecord>,
    desired: BTreeMap<EndpointId, Desired>,
    observed: BTreeMap<EndpointId, Observed>,
    keys: BTreeMap<(String, Uuid), Keyed>,
    buckets: BTreeMap<String, Bucket>,
    undo: Undo,
}

pub struct Endpoint {
    pub hostname: String,
    pub epoch: Epoch,
    pub key: PublicKey,
}

#[derive(Clone, Debug)]
struct Row {
    record: CommandRecord,
    leased_until: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug)]
struct Desired {
    command_id: CommandId,
    direction: IsolationDirection,
    state: CommandState,
    created_at: DateTime<Utc>,
}

#[derive(Clone, Debug)]
struct Observed {
    isolation: IsolationObservation,
    received_at: DateTime<Utc>,
}

struct Keyed {
    endpoint_id: EndpointId,
    command: &'static str,
    id: CommandId,
}

#[derive(Clone, Debug)]
struct Bucket {
    per_minute: f64,
    burst: i32,
    tokens: f64,
    refilled_at: DateTime<Utc>,
}

pub type Outcome<T> = Result<T, StoreError>;

impl Tables {
    /// An active endpoint.
    pub fn add_endpoint(&mut self, id: EndpointId, endpoint: Endpoint) {
        self.endpoints.insert(id, endpoint);
    }

    pub fn set_rate_limit(&mut self, kind: &str, per_minute: f64, burst: i32, now: DateTime<Utc>) {
        let bucket = Bucket { per_minute, burst, tokens: f64::from(burst), refilled_at: now };
        self.buckets.insert(kind.to_owned(), bucket);
    }

    pub fn command(&self, id: CommandId) -> Option<CommandRecord> {
        self.pending.get(&id).map(|row| &row.record).or_else(|| self.history.get(&id)).cloned()
    }

    pub fn commands(&self) -> impl Iterator<Item = &CommandRecord> {
        self.history.values().chain(self.pending.values().map(|row| &row.record))
    }

    /// Commands that are not final.
    pub fn open(&self) -> impl Iterator<Item = &CommandRecord> {
        self.pending.values().map(|row| &row.record)
    }

    pub fn active_key(&self, endpoint: &EndpointId) -> Option<PublicKey> {
        self.endpoints.get(endpoint).map(|endpoint| endpoint.key.clone())
    }

    /// `record_telemetry`, as far as delivery can tell.
    pub fn observe(&mut self, endpoint: &EndpointId, isolation: IsolationObservation, now: DateTime<Utc>) {
        let is_older = self.observed.get(endpoint).is_some_and(|known| {
            known.isolation.observed_at > isolation.observed_at
                && known.received_at >= now - chrono::TimeDelta::seconds(10)
        });
        if !is_older {
            self.observed.insert(endpoint.clone(), Observed { isolation, received_at: now });
        }
    }

    fn next_id(&mut self) -> CommandId {
        self.ids += 1;
        CommandId(self.ids)
    }

    fn of_endpoint<'a>(&'a self, endpoint: &'a EndpointId) -> impl Iterator<Item = &'a Row> {
        self.pending.values().filter(move |row| row.record.endpoint_id == *endpoint)
    }

    /// What became of what the console wants of a host, if this command is what it wants.
    fn set_desired(&mut self, record: &CommandRecord, state: CommandState) {
        if let Some(desired) = self.desired.get_mut(&record.endpoint_id)
            && desired.command_id == record.id
        {
            desired.state = state;
        }
    }
}
