//! The direct channel: the server calls an agent that has no stream and said that it can be called.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio::time::timeout;
use voltaxe_protocol::{DirectOffer, Envelope, PayloadType, PublicKey, ReceiptClaims};
use voltaxe_store::NewReceipt;

use super::{Queue, Shared, lock};
use crate::model::{Channel, CommandRecord};

/// A call that takes longer has failed; the agent's next poll brings the command.
const CALL_WITHIN: Duration = Duration::from_secs(5);

impl<Q: Queue> Shared<Q> {
    /// Calls the agent in a task of its own. `false`: too many calls are under way, or this server makes none.
    pub(super) fn call(
        self: &Arc<Self>,
        record: &CommandRecord,
        address: SocketAddr,
        envelope: Envelope,
        now: DateTime<Utc>,
    ) -> bool {
        let Some(caller) = self.caller.clone() else { return false };
        let Ok(place) = Arc::clone(&self.calls).try_acquire_owned() else { return false };
        let (shared, record) = (Arc::clone(self), record.clone());
        tokio::spawn(async move {
            let began = tokio::time::Instant::now();
            let offer = DirectOffer { attempt: record.attempt, envelope };
            let answer = timeout(CALL_WITHIN, caller(address, offer)).await;
            drop(place);
            let outcome = match answer {
                Err(_) => Err("no answer within 5 s".to_owned()),
                Ok(Err(problem)) => Err(problem),
                Ok(Ok(answer)) => shared.check_receipt(&record, &answer.receipt).await,
            };
            let elapsed = chrono::TimeDelta::from_std(began.elapsed()).unwrap_or_default();
            let at = now + elapsed;
            shared.registry.note_direct(&record.endpoint_id, outcome.clone(), at);
            match outcome {
                Ok(()) => {
                    let receipt = NewReceipt {
                        endpoint_id: record.endpoint_id.clone(),
                        id: record.id,
                        channel: Channel::Direct,
                        at,
                    };
                    if let Err(error) = Arc::clone(&shared).commit_receipts(vec![receipt]).await {
                        tracing::warn!(command_id = record.id.0, %error, "a receipt could not be recorded; the command is offered again: {error}");
                    }
                }
                Err(problem) => {
                    let (id, hostname) = (record.id, &record.hostname);
                    tracing::info!(command_id = id.0, %address, "calling {hostname} with command {id} failed ({problem}); it waits for a poll");
                    lock(&shared.awaited).remove(&id);
                    shared.end_lease_later(id, record.endpoint_id.clone());
                }
            }
            shared.changed(&record.endpoint_id);
        });
        true
    }

    /// Whoever sits at the address must hold the agent's key.
    async fn check_receipt(&self, record: &CommandRecord, receipt: &Envelope) -> Result<(), String> {
        let key = self.key_of(record).await?;
        let claims: ReceiptClaims = receipt
            .open(PayloadType::Receipt, &key)
            .map_err(|error| format!("its answer is not the agent's: {error}"))?;
        let is_it = claims.command_id == record.id && claims.endpoint_id == record.endpoint_id;
        if is_it { Ok(()) } else { Err("its answer is for another command".to_owned()) }
    }

    async fn key_of(&self, record: &CommandRecord) -> Result<PublicKey, String> {
        if let Some(key) = lock(&self.keys).get(&record.endpoint_id) {
            return Ok(key.clone());
        }
        let key = self.queue.active_key(&record.endpoint_id).await.map_err(|error| error.to_string())?;
        let key = key.ok_or_else(|| "the endpoint is not active any more".to_owned())?;
        lock(&self.keys).insert(record.endpoint_id.clone(), key.clone());
        Ok(key)
    }
}
