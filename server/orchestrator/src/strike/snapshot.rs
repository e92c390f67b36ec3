//! A snapshot of what an isolation would let go stale, ordered together with it.

use chrono::{DateTime, Utc};
use uuid::Uuid;
use voltaxe_protocol::{CollectForensics, Command, EvidenceLimits, ForensicsProfile, NetworkIsolate};

use super::{Request, Strike};
use crate::{StrikeError, authority::Operator, model::Accepted};

impl Strike {
    /// Orders a quick collection and the isolation. The collection is in the queue first and nothing waits for it: the isolation
    /// follows with the next commit. That there is no snapshot keeps no host on the network: what came of it stands beside.
    pub async fn isolate_with_snapshot(
        &self,
        operator: &Operator,
        isolate: NetworkIsolate,
        request: Request,
        now: DateTime<Utc>,
    ) -> Result<(Accepted, Result<Accepted, StrikeError>), StrikeError> {
        let snapshot = Command::CollectForensics(CollectForensics {
            profile: ForensicsProfile::Quick,
            limits: EvidenceLimits::default(),
        });
        let beside =
            Request { idempotency_key: request.idempotency_key.map(key_of_snapshot), ..request.clone() };
        let (collected, isolated) = tokio::join!(
            biased;
            self.order(operator, snapshot, beside, now),
            self.order(operator, Command::NetworkIsolate(isolate), request, now),
        );
        Ok((isolated?, collected))
    }
}

/// The same for the same click, and another than the isolation's.
fn key_of_snapshot(key: Uuid) -> Uuid {
    Uuid::from_u128(key.as_u128() ^ 1)
}
