//! From a committed command to its result: pushed, called or fetched; acknowledged; answered; offered again when nobody
//! confirmed it. Written against [`Queue`] and a clock that is an argument, so that the simulation runs this very code.

mod call;
mod ended;
mod gather;
mod handout;
mod queue;
mod reports;

use std::{
    collections::{BTreeSet, HashMap},
    future::Future,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::{
    sync::{Notify, Semaphore, oneshot},
    time::Instant,
};
use voltaxe_protocol::{CommandId, DirectAnswer, DirectOffer, EndpointId, Keypair, PublicKey};
use voltaxe_store::{Enqueue, NewCommand, NewReceipt, NewResult, RecordedResult, StoreError};

use self::ended::Ended;
pub(crate) use self::gather::Gatherer;
pub use self::queue::Queue;
pub use self::reports::ResultOutcome;
use crate::{
    StrikeError,
    events::{Change, Events},
    meters::{Commit, Meters},
    model::{Channel, CommandRecord},
    registry::{Registry, StreamHandle},
};

/// A received command gets this much longer than its expiry for its answer to arrive.
const ANSWER_GRACE: TimeDelta = TimeDelta::hours(1);
/// Commands, receipts or results that share one commit. More gain nothing and make the first wait.
const GROUP: usize = 512;
/// Agents that are called at once.
const CALLS_AT_ONCE: usize = 64;

/// The rules of delivery that a deployment may set.
#[derive(Clone, Debug)]
pub struct DeliveryConfig {
    /// How long a hand-out is waited for before the command is offered again.
    pub lease: TimeDelta,
    pub strategy: Strategy,
}

impl Default for DeliveryConfig {
    fn default() -> Self {
        Self { lease: TimeDelta::seconds(30), strategy: Strategy::Priority }
    }
}

/// In which order one endpoint gets what waits for it. Rate limits hold with either.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Isolate and restore before everything else, then by age.
    #[default]
    Priority,
    /// By age alone.
    Fifo,
}

/// How agents are called (the direct channel): the server brings it, as it is HTTP.
pub type Caller = Arc<dyn Fn(SocketAddr, DirectOffer) -> CallFuture + Send + Sync>;
pub type CallFuture = Pin<Box<dyn Future<Output = Result<DirectAnswer, String>> + Send>>;

/// What came of [`Delivery::enqueue`].
#[derive(Debug)]
pub struct Enqueued {
    pub outcome: Enqueue,
    /// Set when the command went out at once: the channel of its receipt, when that comes.
    pub receipt: Option<oneshot::Receiver<Channel>>,
    pub pushed: Option<Channel>,
}

/// A command to be queued, as it came in.
#[derive(Clone)]
struct Arrival {
    new: NewCommand,
    now: DateTime<Utc>,
    /// For the meters.
    at: Instant,
}

/// Cheap to clone.
pub struct Delivery<Q> {
    shared: Arc<Shared<Q>>,
    enqueues: Gatherer<Arrival, Enqueued>,
    receipts: Gatherer<NewReceipt, ()>,
    results: Gatherer<NewResult, RecordedResult>,
}

/// What the groups' workers and the callers share.
pub(crate) struct Shared<Q> {
    pub(crate) queue: Q,
    pub(crate) key: Keypair,
    pub(crate) config: DeliveryConfig,
    pub(crate) registry: Registry,
    pub(crate) events: Events,
    pub(crate) meters: Meters,
    caller: Option<Caller>,
    calls: Arc<Semaphore>,
    keys: Mutex<HashMap<EndpointId, PublicKey>>,
    /// Commands whose receipt somebody waits for.
    awaited: Mutex<HashMap<CommandId, oneshot::Sender<Channel>>>,
    /// Handed out by this server and not acknowledged, and until when that is waited for.
    leases: Mutex<HashMap<CommandId, (EndpointId, DateTime<Utc>)>>,
    /// Begun, and not written down yet.
    begun: Mutex<HashMap<CommandId, (EndpointId, DateTime<Utc>)>>,
    ended: Mutex<Ended>,
    /// Kinds with a rate limit, as last seen.
    limited: Mutex<BTreeSet<String>>,
    /// Endpoints that wait for a rate limit, in turn.
    deferred: Mutex<std::collections::VecDeque<EndpointId>>,
    /// Endpoints that changed and have not been told about yet.
    dirty: Mutex<BTreeSet<EndpointId>>,
    dirt_came: Notify,
    /// Endpoints whose command another server may have to push.
    hints: Mutex<BTreeSet<EndpointId>>,
}

impl<Q> Clone for Delivery<Q> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            enqueues: self.enqueues.clone(),
            receipts: self.receipts.clone(),
            results: self.results.clone(),
        }
    }
}

impl<Q: Queue> Delivery<Q> {
    /// Starts the three tasks that commit groups; they end with the last clone. Needs a tokio runtime.
    #[must_use]
    pub fn new(
        queue: Q,
        key: Keypair,
        config: DeliveryConfig,
        events: Events,
        meters: Meters,
        caller: Option<Caller>,
    ) -> Self {
        let shared = Arc::new(Shared {
            queue,
            key,
            config,
            registry: Registry::default(),
            events,
            meters,
            caller,
            calls: Arc::new(Semaphore::new(CALLS_AT_ONCE)),
            keys: Mutex::default(),
            awaited: Mutex::default(),
            leases: Mutex::default(),
            begun: Mutex::default(),
            ended: Mutex::default(),
            limited: Mutex::default(),
            deferred: Mutex::default(),
            dirty: Mutex::default(),
            dirt_came: Notify::new(),
            hints: Mutex::default(),
        });
        let enqueues = {
            let shared = Arc::clone(&shared);
            Gatherer::start(
                GROUP,
                |arrival: &Arrival| arrival.new.endpoint_id.clone(),
                move |group| {
                    let shared = Arc::clone(&shared);
                    async move { shared.commit_enqueues(group).await }
                },
            )
        };
        let receipts = {
            let shared = Arc::clone(&shared);
            Gatherer::start(
                GROUP,
                |receipt: &NewReceipt| receipt.id,
                move |group: Vec<NewReceipt>| {
                    let shared = Arc::clone(&shared);
                    async move { shared.commit_receipts(group).await }
                },
            )
        };
        let results = {
            let shared = Arc::clone(&shared);
            Gatherer::start(
                GROUP,
                |new: &NewResult| new.result.command_id,
                move |group: Vec<NewResult>| {
                    let shared = Arc::clone(&shared);
                    async move { shared.commit_results(group).await }
                },
            )
        };
        Self { shared, enqueues, receipts, results }
    }

    /// Queues a command and sends it out. Answered when it is on disk. `new.leased_until` is decided here.
    pub async fn enqueue(&self, new: NewCommand, now: DateTime<Utc>) -> Result<Enqueued, StrikeError> {
        Ok(self.enqueues.submit(Arrival { new, now, at: Instant::now() }).await?)
    }

    /// Sends out commands that somebody else has just committed: those of a batch or of a schedule.
    pub fn send_out(&self, records: Vec<CommandRecord>, now: DateTime<Utc>) {
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            for record in records {
                shared.announce(&record);
                shared.send(&record, None, None, now);
            }
        });
    }

    /// When a command for this endpoint, committed now, should count as handed out: it will be pushed or called.
    #[must_use]
    pub fn lease_for(&self, endpoint: &EndpointId, kind: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.shared.lease_for(endpoint, kind, now)
    }

    pub fn connect(&self, endpoint: &EndpointId, number: u64, now: DateTime<Utc>) -> StreamHandle {
        self.shared.registry.connect(endpoint, number, now)
    }

    /// The stream's socket is gone. `false` when another stream has taken its place already.
    pub fn disconnect(&self, handle: &StreamHandle, now: DateTime<Utc>) -> bool {
        self.shared.registry.disconnect(handle, now)
    }

    /// Where the agent says that it can be called: a port at the address that its signed message came from.
    pub fn advertise(&self, endpoint: &EndpointId, peer: IpAddr, port: Option<u16>) {
        self.shared.registry.advertise(endpoint, peer, port);
    }

    /// Ends the stream of an endpoint that may not speak any more, and forgets its key.
    pub(crate) fn forget(&self, endpoint: &EndpointId, now: DateTime<Utc>) {
        lock(&self.shared.keys).remove(endpoint);
        self.shared.registry.drop_stream(endpoint, now);
        self.shared.changed(endpoint);
    }

    pub(crate) fn shared(&self) -> &Shared<Q> {
        &self.shared
    }
}

impl<Q: Queue> Shared<Q> {
    async fn commit_enqueues(self: Arc<Self>, arrivals: Vec<Arrival>) -> Result<Vec<Enqueued>, StoreError> {
        let Some(now) = arrivals.iter().map(|arrival| arrival.now).max() else { return Ok(Vec::new()) };
        let (mut group, came): (Vec<NewCommand>, Vec<Instant>) =
            arrivals.into_iter().map(|arrival| (arrival.new, arrival.at)).unzip();
        for new in &mut group {
            new.leased_until = self.lease_for(&new.endpoint_id, new.command, now);
        }
        let commit_began = Instant::now();
        let outcomes =
            self.meters.time(Commit::Enqueue, group.len(), self.queue.enqueue(&group, now)).await?;
        let answer = |(outcome, came): (Enqueue, Instant)| match outcome {
            Enqueue::New(record) => {
                let (receipt, pushed) = self.send_awaited(&record, commit_began, now);
                if pushed == Some(Channel::Stream) {
                    self.meters.pushed(came.elapsed());
                }
                self.announce(&record);
                Enqueued { outcome: Enqueue::New(record), receipt, pushed }
            }
            outcome => Enqueued { outcome, receipt: None, pushed: None },
        };
        Ok(outcomes.into_iter().zip(came).map(answer).collect())
    }

    fn send_awaited(
        self: &Arc<Self>,
        record: &CommandRecord,
        commit_began: Instant,
        now: DateTime<Utc>,
    ) -> (Option<oneshot::Receiver<Channel>>, Option<Channel>) {
        if record.attempt == 0 {
            return (None, self.send(record, None, None, now));
        }
        let (sender, receiver) = oneshot::channel();
        let pushed = self.send(record, Some(sender), Some(commit_began), now);
        (pushed.is_some().then_some(receiver), pushed)
    }

    /// Tells everybody who watches of a command, and that its endpoint's state has changed.
    pub(crate) fn announce(&self, record: &CommandRecord) {
        let mut ended = lock(&self.ended);
        let is_news = ended.is_news(record);
        if is_news && self.events.is_watched() {
            self.events.publish(Change::Command(Arc::new(record.clone().without_data())));
        }
        drop(ended);
        self.changed(&record.endpoint_id);
    }

    /// Has the endpoint's new state told to everybody who watches.
    pub(crate) fn changed(&self, endpoint: &EndpointId) {
        if !self.events.is_watched() {
            // Who looks later loads everything.
            return self.events.skip();
        }
        self.dirty_set().insert(endpoint.clone());
        self.dirt_came.notify_one();
    }

    pub(crate) fn dirty_set(&self) -> MutexGuard<'_, BTreeSet<EndpointId>> {
        lock(&self.dirty)
    }

    pub(crate) async fn dirt(&self) {
        self.dirt_came.notified().await;
    }

    /// Endpoints that other servers should be told of; they count as told from here on.
    pub(crate) fn take_hints(&self) -> Vec<EndpointId> {
        std::mem::take(&mut *lock(&self.hints)).into_iter().collect()
    }

    pub(crate) fn set_limited(&self, kinds: BTreeSet<String>) {
        *lock(&self.limited) = kinds;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
