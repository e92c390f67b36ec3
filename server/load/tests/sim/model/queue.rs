//! Each method as the store makes it of its statements.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use voltaxe_orchestrator::delivery::Queue;
use voltaxe_protocol::{CommandId, EndpointId, PublicKey};
use voltaxe_store::{
    Cancel, Enqueue, Lease, NewCommand, NewReceipt, NewResult, NewStart, RecordedResult, model::CommandRecord,
};

use super::{
    ModelQueue,
    tables::{Outcome, is_result_of},
};

impl Queue for ModelQueue {
    async fn enqueue(&self, new: &[NewCommand], now: DateTime<Utc>) -> Outcome<Vec<Enqueue>> {
        let inserted = self.insert_batch(new.to_vec(), now).await?;
        let mut answers = Vec::with_capacity(new.len());
        for one in new {
            let record = inserted.iter().find(|record| record.endpoint_id == one.endpoint_id);
            answers.push(match record {
                Some(record) => Enqueue::New(record.clone()),
                None => self.enqueue_contested(one, now).await?,
            });
        }
        Ok(answers)
    }

    async fn lease(
        &self,
        endpoint: &EndpointId,
        lease: &Lease<'_>,
        now: DateTime<Utc>,
    ) -> Outcome<Vec<CommandRecord>> {
        self.durable(|tables| {
            let leased = tables.lease(endpoint, lease, now);
            (!leased.is_empty(), leased)
        })
        .await
    }

    async fn due(
        &self,
        endpoint: &EndpointId,
        lease: &Lease<'_>,
        now: DateTime<Utc>,
    ) -> Outcome<Vec<(CommandId, String)>> {
        self.read(|tables| tables.due(endpoint, lease, now)).await
    }

    async fn end_leases(&self, ids: &[CommandId]) -> Outcome<()> {
        self.relaxed(|tables| tables.end_leases(ids)).await
    }

    async fn unanswered(&self, endpoint: &EndpointId) -> Outcome<Vec<CommandId>> {
        self.read(|tables| tables.unanswered(endpoint)).await
    }

    async fn asked_back(&self, endpoint: &EndpointId) -> Outcome<Vec<CommandRecord>> {
        self.read(|tables| tables.asked_back(endpoint)).await
    }

    async fn take_receipt_back(
        &self,
        endpoint: &EndpointId,
        id: CommandId,
    ) -> Outcome<Option<CommandRecord>> {
        self.durable(|tables| {
            let record = tables.take_receipt_back(endpoint, id);
            (record.is_some(), record)
        })
        .await
    }

    async fn overdue_endpoints(&self, among: &[EndpointId], now: DateTime<Utc>) -> Outcome<Vec<EndpointId>> {
        self.read(|tables| tables.overdue_endpoints(among, now)).await
    }

    async fn silent_endpoints(
        &self,
        among: &[EndpointId],
        delivered_before: DateTime<Utc>,
    ) -> Outcome<Vec<EndpointId>> {
        self.read(|tables| tables.silent_endpoints(among, delivered_before)).await
    }

    async fn record_receipts(&self, receipts: &[NewReceipt]) -> Outcome<Vec<CommandRecord>> {
        self.relaxed(|tables| tables.record_receipts(receipts)).await
    }

    async fn record_starts(&self, starts: &[NewStart]) -> Outcome<Vec<CommandRecord>> {
        self.relaxed(|tables| tables.record_starts(starts)).await
    }

    async fn record_results(&self, results: &[NewResult]) -> Outcome<Vec<RecordedResult>> {
        let mut filed = self.file(results).await?;
        let mut answers = Vec::with_capacity(results.len());
        for one in results {
            let place = filed.iter().position(|record| is_result_of(one, record));
            answers.push(match place {
                Some(place) => RecordedResult::Recorded(filed.swap_remove(place)),
                None => self.record_contested(one).await?,
            });
        }
        Ok(answers)
    }

    /// It goes to the audit log, which no decision reads.
    async fn record_late_result(&self, _late: &NewResult, _stands: &CommandRecord) -> Outcome<()> {
        self.durable(|_| (true, ())).await
    }

    async fn cancel(&self, id: CommandId, by: &str, now: DateTime<Utc>) -> Outcome<Cancel> {
        for _ in 0..3 {
            let cancelled = self.durable(|tables| {
                let record = tables.cancel_unsent(id, by, now);
                (record.is_some(), record)
            });
            if let Some(record) = cancelled.await? {
                return Ok(Cancel::Cancelled(record));
            }
            let asked = self.durable(|tables| {
                let record = tables.ask_back(id, by, now);
                (record.is_some(), record)
            });
            if let Some(record) = asked.await? {
                return Ok(Cancel::Requested(record));
            }
            match self.read(|tables| tables.command(id)).await? {
                None => return Ok(Cancel::Unknown),
                Some(record) if record.status.is_final() => return Ok(Cancel::AlreadyFinal(record)),
                Some(record) if record.cancel_requested_at.is_some() => return Ok(Cancel::Requested(record)),
                Some(_) => {}
            }
        }
        Ok(Cancel::Unknown)
    }

    async fn expire(
        &self,
        now: DateTime<Utc>,
        handed_out_before: DateTime<Utc>,
    ) -> Outcome<Vec<CommandRecord>> {
        self.durable(|tables| {
            let expired = tables.expire(now, handed_out_before);
            (!expired.is_empty(), expired)
        })
        .await
    }

    async fn limited_kinds(&self, _now: DateTime<Utc>) -> Outcome<BTreeSet<String>> {
        self.read(|tables| tables.limited_kinds()).await
    }

    async fn take_tokens(&self, kind: &str, wanted: i32, now: DateTime<Utc>) -> Outcome<i32> {
        self.relaxed(|tables| tables.take_tokens(kind, wanted, now)).await
    }

    async fn active_key(&self, endpoint: &EndpointId) -> Outcome<Option<PublicKey>> {
        self.read(|tables| tables.active_key(endpoint)).await
    }
}

impl ModelQueue {
    async fn file(&self, results: &[NewResult]) -> Outcome<Vec<CommandRecord>> {
        self.durable(|tables| {
            let filed = tables.file(results);
            (!filed.is_empty(), filed)
        })
        .await
    }

    async fn record_contested(&self, one: &NewResult) -> Outcome<RecordedResult> {
        for _ in 0..3 {
            if let Some(answer) = self.read(|tables| tables.contested(one)).await? {
                return Ok(answer);
            }
            if let Some(record) = self.file(std::slice::from_ref(one)).await?.pop() {
                return Ok(RecordedResult::Recorded(record));
            }
        }
        Ok(RecordedResult::Unknown)
    }
}
