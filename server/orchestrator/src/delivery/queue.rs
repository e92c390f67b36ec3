use std::{collections::BTreeSet, future::Future};

use chrono::{DateTime, Utc};
use voltaxe_protocol::{CommandId, EndpointId, PublicKey};
use voltaxe_store::{
    Cancel, Enqueue, Lease, NewCommand, NewReceipt, NewResult, NewStart, RecordedResult, Store, StoreError,
};

use crate::model::CommandRecord;

type Outcome<T> = Result<T, StoreError>;

/// The durable queue as delivery needs it. Two of them: [`Store`], and the model that the simulation crashes at will.
/// What each method promises stands at the store's method of the same name.
pub trait Queue: Clone + Send + Sync + 'static {
    fn enqueue(
        &self,
        new: &[NewCommand],
        now: DateTime<Utc>,
    ) -> impl Future<Output = Outcome<Vec<Enqueue>>> + Send;
    fn lease(
        &self,
        endpoint: &EndpointId,
        lease: &Lease<'_>,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Outcome<Vec<CommandRecord>>> + Send;
    fn due(
        &self,
        endpoint: &EndpointId,
        lease: &Lease<'_>,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Outcome<Vec<(CommandId, String)>>> + Send;
    fn end_leases(&self, ids: &[CommandId]) -> impl Future<Output = Outcome<()>> + Send;
    fn unanswered(&self, endpoint: &EndpointId) -> impl Future<Output = Outcome<Vec<CommandId>>> + Send;
    fn asked_back(&self, endpoint: &EndpointId) -> impl Future<Output = Outcome<Vec<CommandRecord>>> + Send;
    fn take_receipt_back(
        &self,
        endpoint: &EndpointId,
        id: CommandId,
    ) -> impl Future<Output = Outcome<Option<CommandRecord>>> + Send;
    fn overdue_endpoints(
        &self,
        among: &[EndpointId],
        now: DateTime<Utc>,
    ) -> impl Future<Output = Outcome<Vec<EndpointId>>> + Send;
    fn silent_endpoints(
        &self,
        among: &[EndpointId],
        delivered_before: DateTime<Utc>,
    ) -> impl Future<Output = Outcome<Vec<EndpointId>>> + Send;
    fn record_receipts(
        &self,
        receipts: &[NewReceipt],
    ) -> impl Future<Output = Outcome<Vec<CommandRecord>>> + Send;
    fn record_starts(&self, starts: &[NewStart]) -> impl Future<Output = Outcome<Vec<CommandRecord>>> + Send;
    fn record_results(
        &self,
        results: &[NewResult],
    ) -> impl Future<Output = Outcome<Vec<RecordedResult>>> + Send;
    fn record_late_result(
        &self,
        late: &NewResult,
        stands: &CommandRecord,
    ) -> impl Future<Output = Outcome<()>> + Send;
    fn cancel(
        &self,
        id: CommandId,
        by: &str,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Outcome<Cancel>> + Send;
    fn expire(
        &self,
        now: DateTime<Utc>,
        handed_out_before: DateTime<Utc>,
    ) -> impl Future<Output = Outcome<Vec<CommandRecord>>> + Send;
    /// Kinds with a rate limit, `*` among them.
    fn limited_kinds(&self, now: DateTime<Utc>) -> impl Future<Output = Outcome<BTreeSet<String>>> + Send;
    fn take_tokens(
        &self,
        kind: &str,
        wanted: i32,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Outcome<i32>> + Send;
    /// The key of an active endpoint.
    fn active_key(&self, endpoint: &EndpointId) -> impl Future<Output = Outcome<Option<PublicKey>>> + Send;
}

impl Queue for Store {
    async fn enqueue(&self, new: &[NewCommand], now: DateTime<Utc>) -> Outcome<Vec<Enqueue>> {
        Store::enqueue(self, new, now).await
    }

    async fn lease(
        &self,
        endpoint: &EndpointId,
        lease: &Lease<'_>,
        now: DateTime<Utc>,
    ) -> Outcome<Vec<CommandRecord>> {
        Store::lease(self, endpoint, lease, now).await
    }

    async fn due(
        &self,
        endpoint: &EndpointId,
        lease: &Lease<'_>,
        now: DateTime<Utc>,
    ) -> Outcome<Vec<(CommandId, String)>> {
        Store::due(self, endpoint, lease, now).await
    }

    async fn end_leases(&self, ids: &[CommandId]) -> Outcome<()> {
        Store::end_leases(self, ids).await
    }

    async fn unanswered(&self, endpoint: &EndpointId) -> Outcome<Vec<CommandId>> {
        Store::unanswered(self, endpoint).await
    }

    async fn asked_back(&self, endpoint: &EndpointId) -> Outcome<Vec<CommandRecord>> {
        Store::asked_back(self, endpoint).await
    }

    async fn take_receipt_back(
        &self,
        endpoint: &EndpointId,
        id: CommandId,
    ) -> Outcome<Option<CommandRecord>> {
        Store::take_receipt_back(self, endpoint, id).await
    }

    async fn overdue_endpoints(&self, among: &[EndpointId], now: DateTime<Utc>) -> Outcome<Vec<EndpointId>> {
        Store::overdue_endpoints(self, among, now).await
    }

    async fn silent_endpoints(
        &self,
        among: &[EndpointId],
        delivered_before: DateTime<Utc>,
    ) -> Outcome<Vec<EndpointId>> {
        Store::silent_endpoints(self, among, delivered_before).await
    }

    async fn record_receipts(&self, receipts: &[NewReceipt]) -> Outcome<Vec<CommandRecord>> {
        Store::record_receipts(self, receipts).await
    }

    async fn record_starts(&self, starts: &[NewStart]) -> Outcome<Vec<CommandRecord>> {
        Store::record_starts(self, starts).await
    }

    async fn record_results(&self, results: &[NewResult]) -> Outcome<Vec<RecordedResult>> {
        Store::record_results(self, results).await
    }

    async fn record_late_result(&self, late: &NewResult, stands: &CommandRecord) -> Outcome<()> {
        Store::record_late_result(self, late, stands).await
    }

    async fn cancel(&self, id: CommandId, by: &str, now: DateTime<Utc>) -> Outcome<Cancel> {
        Store::cancel(self, id, by, now).await
    }

    async fn expire(
        &self,
        now: DateTime<Utc>,
        handed_out_before: DateTime<Utc>,
    ) -> Outcome<Vec<CommandRecord>> {
        Store::expire(self, now, handed_out_before).await
    }

    async fn limited_kinds(&self, now: DateTime<Utc>) -> Outcome<BTreeSet<String>> {
        Ok(self.rate_limits(now).await?.into_iter().map(|limit| limit.kind).collect())
    }

    async fn take_tokens(&self, kind: &str, wanted: i32, now: DateTime<Utc>) -> Outcome<i32> {
        Store::take_tokens(self, kind, wanted, now).await
    }

    async fn active_key(&self, endpoint: &EndpointId) -> Outcome<Option<PublicKey>> {
        let known = self.endpoint_key(endpoint).await?;
        let active = known.filter(|known| known.status == crate::model::EndpointStatus::Active);
        Ok(active.and_then(|known| PublicKey::from_bytes(&known.public_key).ok()))
    }
}
