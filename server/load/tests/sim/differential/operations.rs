//! One operation on both queues.

use serde_json::json;
use uuid::Uuid;
use voltaxe_orchestrator::delivery::Queue;
use voltaxe_protocol::{CommandResult, IsolationObservation, ObservedIsolation};
use voltaxe_store::{
    Lease, NewCommand, NewReceipt, NewResult, NewStart,
    model::{Channel, IsolationDirection},
};

use super::*;

const CHANNELS: [Channel; 3] = [Channel::Stream, Channel::Direct, Channel::Polling];

impl Pair {
    pub(super) async fn one_operation(&mut self) {
        self.now += TimeDelta::milliseconds(self.random.i64(0..15_000));
        match self.random.u8(..22) {
            0..=4 => self.enqueue().await,
            5..=7 => self.lease().await,
            8 => self.end_leases().await,
            9 => self.take_receipt_back().await,
            10 => self.look().await,
            11..=13 => self.receipts().await,
            14 => self.starts().await,
            15..=17 => self.results().await,
            18..=19 => self.cancel().await,
            20 => self.expire(self.now, self.now - TimeDelta::minutes(10)).await,
            _ => self.tokens().await,
        }
    }

    /// Compares every row, and leaves nothing behind for the next sequence.
    pub(super) async fn clear(&mut self) {
        let late = self.now + TimeDelta::days(50);
        self.expire(late, late).await;
        for (ours, theirs) in &self.of_store {
            let theirs = self.store.command(*theirs).await.unwrap().map(|record| self.like_model(record));
            assert_eq!(theirs, self.model.look(|tables| tables.command(*ours)), "the row of {ours}");
        }
        for kind in ["*", "agent_check"] {
            self.store.remove_rate_limit(kind, "sim", self.now).await.unwrap();
        }
    }

    async fn enqueue(&mut self) {
        let mut endpoints = self.endpoints.clone();
        self.random.shuffle(&mut endpoints);
        endpoints.truncate(self.random.usize(1..=ENDPOINTS));
        if self.random.u8(..20) == 0 {
            let unknown: EndpointId = "ep_00000000000000000000000000000000".parse().unwrap();
            endpoints.push(unknown);
        }
        let new: Vec<NewCommand> = endpoints.into_iter().map(|endpoint| self.command(endpoint)).collect();
        let theirs = self.store.enqueue(&new, self.now).await;
        let ours = Queue::enqueue(&self.model, &new, self.now).await;
        let (Ok(theirs), Ok(ours)) = (&theirs, &ours) else {
            assert!(theirs.is_err() && ours.is_err(), "{theirs:?}\n{ours:?}");
            return;
        };
        for (theirs, ours) in theirs.iter().zip(ours) {
            if let (Enqueue::New(theirs), Enqueue::New(ours)) = (theirs, ours) {
                self.correspond(ours.id, theirs.id);
            }
        }
        let theirs: Vec<_> = theirs.iter().cloned().map(|one| self.enqueue_like_model(one)).collect();
        assert_eq!(&theirs, ours, "enqueue {new:?}");
    }

    fn command(&mut self, endpoint: EndpointId) -> NewCommand {
        let (command, direction) = match self.random.u8(..4) {
            0 | 1 => ("agent_check", None),
            2 => ("network_isolate", Some(IsolationDirection::Isolate)),
            _ => ("network_restore", Some(IsolationDirection::Restore)),
        };
        let key = match self.random.u8(..4) {
            0 => Some(Uuid::from_u128(self.keys[self.random.usize(..self.keys.len())])),
            1 => Some(Uuid::from_u128(self.random.u128(..))),
            _ => None,
        };
        NewCommand {
            endpoint_id: endpoint,
            direction,
            command,
            params: json!({ "n": self.random.u8(..) }),
            priority: if direction.is_some() { 10 } else { 5 },
            created_by: ["ada", "bob"][self.random.usize(..2)].to_owned(),
            reason: "because".to_owned(),
            expires_at: self.now + TimeDelta::seconds(self.random.i64(10..2000)),
            leased_until: self.random.bool().then(|| self.now + TimeDelta::seconds(self.random.i64(1..60))),
            idempotency_key: key,
            batch_id: None,
            schedule_id: None,
            rollback_after_seconds: None,
        }
    }

    async fn lease(&mut self) {
        let endpoint = self.endpoint();
        let (now, until) = (self.now, self.now + TimeDelta::seconds(self.random.i64(1..60)));
        let lease = Lease { until, renew: self.random.u8(..4) == 0, fifo: self.random.bool(), only: None };
        let theirs = self.store.due(&endpoint, &lease, now).await.unwrap();
        let ours = Queue::due(&self.model, &endpoint, &lease, now).await.unwrap();
        let theirs: Vec<_> = theirs.into_iter().map(|(id, kind)| (self.id_like_model(id), kind)).collect();
        assert_eq!(theirs, ours, "due {endpoint} {lease:?}");
        let only: Option<Vec<CommandId>> = self
            .random
            .bool()
            .then(|| ours.iter().map(|(id, _)| *id).filter(|_| self.random.bool()).collect());
        let only_theirs: Option<Vec<CommandId>> =
            only.as_ref().map(|only| only.iter().map(|id| self.of_store[id]).collect());
        let theirs =
            self.store.lease(&endpoint, &Lease { only: only_theirs.as_deref(), ..lease }, now).await.unwrap();
        let lease = Lease { only: only.as_deref(), ..lease };
        let ours = Queue::lease(&self.model, &endpoint, &lease, now).await.unwrap();
        let theirs: Vec<_> = theirs.into_iter().map(|record| self.like_model(record)).collect();
        assert_eq!(theirs, ours, "lease {endpoint} {lease:?}");
    }

    async fn end_leases(&mut self) {
        let ids = self.some_ids();
        self.store.end_leases(&self.ids_of_store(&ids)).await.unwrap();
        Queue::end_leases(&self.model, &ids).await.unwrap();
    }

    async fn take_receipt_back(&mut self) {
        let Some(id) = self.some_id() else { return };
        let endpoint = self.endpoint_for(id);
        let theirs = self.store.take_receipt_back(&endpoint, self.of_store[&id]).await.unwrap();
        let ours = Queue::take_receipt_back(&self.model, &endpoint, id).await.unwrap();
        assert_eq!(theirs.map(|record| self.like_model(record)), ours, "take_receipt_back {id}");
    }

    /// All that only reads.
    async fn look(&mut self) {
        let (endpoint, now) = (self.endpoint(), self.now);
        let theirs = self.store.unanswered(&endpoint).await.unwrap();
        let theirs: Vec<_> = theirs.into_iter().map(|id| self.id_like_model(id)).collect();
        assert_eq!(theirs, Queue::unanswered(&self.model, &endpoint).await.unwrap(), "unanswered");
        let theirs = self.store.asked_back(&endpoint).await.unwrap();
        assert_eq!(
            self.all_like_model(theirs),
            Queue::asked_back(&self.model, &endpoint).await.unwrap(),
            "asked_back"
        );
        let among = &self.endpoints[..self.random.usize(..=ENDPOINTS)];
        let mut theirs = self.store.overdue_endpoints(among, now).await.unwrap();
        theirs.sort();
        assert_eq!(theirs, Queue::overdue_endpoints(&self.model, among, now).await.unwrap(), "overdue");
        let before = now - TimeDelta::seconds(self.random.i64(0..300));
        let mut theirs = self.store.silent_endpoints(among, before).await.unwrap();
        theirs.sort();
        assert_eq!(theirs, Queue::silent_endpoints(&self.model, among, before).await.unwrap(), "silent");
        for ours in self.some_ids() {
            let theirs = self.store.command(self.of_store[&ours]).await.unwrap();
            let theirs = theirs.map(|record| self.like_model(record));
            assert_eq!(theirs, self.model.look(|tables| tables.command(ours)), "the row of {ours}");
        }
    }

    async fn receipts(&mut self) {
        let ids = self.some_ids();
        let channel = self.channel();
        let ours: Vec<NewReceipt> = ids
            .into_iter()
            .map(|id| NewReceipt { endpoint_id: self.endpoint_for(id), id, channel, at: self.now })
            .collect();
        let theirs: Vec<NewReceipt> =
            ours.iter().map(|one| NewReceipt { id: self.of_store[&one.id], ..one.clone() }).collect();
        let theirs = self.store.record_receipts(&theirs).await.unwrap();
        let received = Queue::record_receipts(&self.model, &ours).await.unwrap();
        assert_eq!(self.all_like_model(theirs), received, "receipts {ours:?}");
    }

    async fn starts(&mut self) {
        let ids = self.some_ids();
        let ours: Vec<NewStart> = ids
            .into_iter()
            .map(|id| NewStart { endpoint_id: self.endpoint_for(id), id, at: self.now })
            .collect();
        let theirs: Vec<NewStart> =
            ours.iter().map(|one| NewStart { id: self.of_store[&one.id], ..one.clone() }).collect();
        let theirs = self.store.record_starts(&theirs).await.unwrap();
        let begun = Queue::record_starts(&self.model, &ours).await.unwrap();
        assert_eq!(self.all_like_model(theirs), begun, "starts {ours:?}");
    }

    async fn results(&mut self) {
        let ids = self.some_ids();
        let mut ours: Vec<NewResult> = ids.into_iter().map(|id| self.result(id)).collect();
        // Which of two observations of the same moment counts is left open.
        let mut observed: Vec<EndpointId> = Vec::new();
        for one in &mut ours {
            if observed.contains(&one.endpoint_id) {
                one.observed = None;
            }
            observed.push(one.endpoint_id.clone());
        }
        let theirs: Vec<NewResult> = ours
            .iter()
            .map(|one| {
                let mut one = one.clone();
                one.result.command_id = self.of_store[&one.result.command_id];
                one
            })
            .collect();
        let theirs = self.store.record_results(&theirs).await.unwrap();
        let recorded = Queue::record_results(&self.model, &ours).await.unwrap();
        let theirs: Vec<_> = theirs.into_iter().map(|one| self.result_like_model(one)).collect();
        assert_eq!(theirs, recorded, "results {ours:?}");
    }

    fn result(&mut self, id: CommandId) -> NewResult {
        let success = self.random.bool();
        let refused = (!success && self.random.bool()).then(|| json!({ "refused": "cancelled" }));
        let observed = self.random.bool().then(|| IsolationObservation {
            state: [ObservedIsolation::Isolated, ObservedIsolation::NotIsolated][self.random.usize(..2)],
            generation: None,
            observed_at: self.now - TimeDelta::seconds(self.random.i64(0..30)),
            ..Default::default()
        });
        NewResult {
            endpoint_id: self.endpoint_for(id),
            result: CommandResult { command_id: id, success, message: "said".to_owned(), data: refused },
            observed,
            channel: self.channel(),
            started_at: self.random.bool().then(|| self.now - TimeDelta::seconds(1)),
            at: self.now,
        }
    }

    async fn cancel(&mut self) {
        let Some(id) = self.some_id() else { return };
        let theirs = self.store.cancel(self.of_store[&id], "eve", self.now).await.unwrap();
        let ours = Queue::cancel(&self.model, id, "eve", self.now).await.unwrap();
        assert_eq!(self.cancel_like_model(theirs), ours, "cancel {id}");
    }

    async fn expire(&mut self, now: DateTime<Utc>, handed_out_before: DateTime<Utc>) {
        let theirs = self.store.expire(now, handed_out_before).await.unwrap();
        let ours = Queue::expire(&self.model, now, handed_out_before).await.unwrap();
        assert_eq!(self.all_like_model(theirs), ours, "expire at {now}");
    }

    async fn tokens(&mut self) {
        let (now, kind) = (self.now, ["*", "agent_check"][self.random.usize(..2)]);
        if self.random.u8(..3) == 0 {
            let (per_minute, burst) = (f64::from(self.random.u32(1..100)), self.random.i32(1..10));
            self.store.set_rate_limit(kind, per_minute, burst, "sim", now).await.unwrap();
            self.model.look(|tables| tables.set_rate_limit(kind, per_minute, burst, now));
        }
        let (kind, wanted) =
            (["network_isolate", "agent_check"][self.random.usize(..2)], self.random.i32(0..8));
        let theirs = self.store.take_tokens(kind, wanted, now).await.unwrap();
        let ours = Queue::take_tokens(&self.model, kind, wanted, now).await.unwrap();
        assert_eq!(theirs, ours, "take_tokens {kind} {wanted}");
        let theirs = self.store.limited_kinds(now).await.unwrap();
        assert_eq!(theirs, Queue::limited_kinds(&self.model, now).await.unwrap(), "limited_kinds");
    }

    fn channel(&mut self) -> Channel {
        CHANNELS[self.random.usize(..CHANNELS.len())]
    }

    fn endpoint(&mut self) -> EndpointId {
        self.endpoints[self.random.usize(..ENDPOINTS)].clone()
    }

    /// Mostly its own; now and then another, which must change nothing.
    fn endpoint_for(&mut self, id: CommandId) -> EndpointId {
        let own = self.model.look(|tables| tables.command(id)).expect("a known command").endpoint_id;
        if self.random.u8(..8) == 0 { self.endpoint() } else { own }
    }

    fn some_ids(&mut self) -> Vec<CommandId> {
        let mut ids: Vec<CommandId> = (0..self.random.usize(..6)).filter_map(|_| self.some_id()).collect();
        ids.sort();
        ids.dedup();
        self.random.shuffle(&mut ids);
        ids
    }

    /// Mostly one that is not final.
    fn some_id(&mut self) -> Option<CommandId> {
        let open: Vec<CommandId> = self.model.look(|tables| tables.open().map(|record| record.id).collect());
        if !open.is_empty() && self.random.u8(..6) > 0 {
            return Some(open[self.random.usize(..open.len())]);
        }
        let all: Vec<CommandId> = self.of_store.keys().copied().collect();
        (!all.is_empty()).then(|| all[self.random.usize(..all.len())])
    }

    fn ids_of_store(&self, ids: &[CommandId]) -> Vec<CommandId> {
        ids.iter().map(|id| self.of_store[id]).collect()
    }
}
