//! The model of the queue against the store on a real Postgres: the same operations give the same answers.

mod operations;
mod postgres;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use voltaxe_protocol::{CommandId, EndpointId, HostFacts, Keypair};
use voltaxe_store::{
    Cancel, Enqueue, EnrolOutcome, NewEndpoint, RecordedResult, Store,
    model::{CommandRecord, EndpointStatus},
};

use crate::{
    host::EPOCH,
    is_full,
    model::{
        Habits, ModelQueue,
        tables::{Endpoint, Tables},
    },
};

const ENDPOINTS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_of_the_queue_answers_as_the_store_does() {
    let seed = match std::env::var("VOLTAXE_SEED") {
        Ok(seed) => seed.parse().expect("VOLTAXE_SEED is a whole number"),
        Err(_) => fastrand::u64(..1 << 48),
    };
    let (sequences, length) = if is_full() { (20, 500) } else { (3, 200) };
    postgres::with_postgres(async move |store| {
        let mut operations = 0;
        for sequence in 0..sequences {
            let random = fastrand::Rng::with_seed(seed + sequence);
            println!("sequence with VOLTAXE_SEED={}", seed + sequence);
            let mut pair = Pair::new(store.clone(), random, sequence).await;
            for _ in 0..length {
                pair.one_operation().await;
            }
            pair.clear().await;
            operations += length;
        }
        println!("chaos: model against store: seed {seed} {operations} operations done, 0 answers differ");
    })
    .await;
}

/// Both queues, and how their ids correspond.
struct Pair {
    store: Store,
    model: ModelQueue,
    random: fastrand::Rng,
    now: DateTime<Utc>,
    endpoints: Vec<EndpointId>,
    /// The store's ids by the model's, and the other way round.
    of_store: BTreeMap<CommandId, CommandId>,
    of_model: BTreeMap<CommandId, CommandId>,
    keys: Vec<u128>,
}

impl Pair {
    async fn new(store: Store, mut random: fastrand::Rng, sequence: u64) -> Self {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap()
            + TimeDelta::days(100) * i32::try_from(sequence).unwrap();
        let token = [u8::try_from(sequence).unwrap(); 32];
        let expires = now + TimeDelta::hours(1);
        store.create_enrolment_token(&token, "sim", 100, "sim", now, expires).await.unwrap();
        let mut tables = Tables::default();
        let mut endpoints = Vec::new();
        for index in 0..ENDPOINTS {
            let key = Keypair::from_seed(&std::array::from_fn(|_| random.u8(..))).public();
            let id = EndpointId::of_key(&key);
            let hostname = format!("host-{sequence}-{index}");
            let new = NewEndpoint {
                id: &id,
                public_key: key.as_bytes(),
                hostname: &hostname,
                machine_id: &hostname,
                agent_version: "0",
                host: &HostFacts::default(),
            };
            let enrolled = store.enrol(&token, &new, now).await.unwrap();
            assert_eq!(enrolled, EnrolOutcome::Enrolled { epoch: EPOCH, status: EndpointStatus::Active });
            tables.add_endpoint(id.clone(), Endpoint { hostname, epoch: EPOCH, key });
            endpoints.push(id);
        }
        let model = ModelQueue::new(tables, Habits::PROMPT, random.fork());
        let keys = (0..6).map(|_| random.u128(..)).collect();
        Self {
            store,
            model,
            random,
            now,
            endpoints,
            of_store: BTreeMap::new(),
            of_model: BTreeMap::new(),
            keys,
        }
    }

    fn correspond(&mut self, model: CommandId, store: CommandId) {
        self.of_store.insert(model, store);
        self.of_model.insert(store, model);
    }

    /// The store's record as the model would have it.
    fn like_model(&self, record: CommandRecord) -> CommandRecord {
        CommandRecord { id: self.id_like_model(record.id), ..record }
    }

    fn id_like_model(&self, id: CommandId) -> CommandId {
        *self.of_model.get(&id).expect("an id that both queues know")
    }

    fn all_like_model(&self, records: Vec<CommandRecord>) -> Vec<CommandRecord> {
        let mut records: Vec<_> = records.into_iter().map(|record| self.like_model(record)).collect();
        records.sort_by_key(|record| record.id);
        records
    }

    fn enqueue_like_model(&self, outcome: Enqueue) -> Enqueue {
        match outcome {
            Enqueue::New(record) => Enqueue::New(self.like_model(record)),
            Enqueue::Repeated(record) => Enqueue::Repeated(self.like_model(record)),
            Enqueue::AlreadyWanted(record) => Enqueue::AlreadyWanted(self.like_model(record)),
            Enqueue::KeyReused => Enqueue::KeyReused,
            Enqueue::NoSuchEndpoint => Enqueue::NoSuchEndpoint,
        }
    }

    fn cancel_like_model(&self, outcome: Cancel) -> Cancel {
        match outcome {
            Cancel::Cancelled(record) => Cancel::Cancelled(self.like_model(record)),
            Cancel::Requested(record) => Cancel::Requested(self.like_model(record)),
            Cancel::AlreadyFinal(record) => Cancel::AlreadyFinal(self.like_model(record)),
            Cancel::Unknown => Cancel::Unknown,
        }
    }

    fn result_like_model(&self, outcome: RecordedResult) -> RecordedResult {
        match outcome {
            RecordedResult::Recorded(record) => RecordedResult::Recorded(self.like_model(record)),
            RecordedResult::AlreadyFinal(record) => RecordedResult::AlreadyFinal(self.like_model(record)),
            RecordedResult::Unknown => RecordedResult::Unknown,
        }
    }
}
