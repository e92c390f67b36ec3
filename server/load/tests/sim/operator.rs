//! What the operator orders. An order whose answer was lost is given again, with the same key.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio::time::timeout;
use uuid::Uuid;
use voltaxe_protocol::{CommandId, EndpointId};
use voltaxe_store::{
    NewCommand,
    model::{BatchId, IsolationDirection},
};

use crate::{
    happening::{Happening, Tell},
    plan::Plan,
    server::Server,
};

const BY: &str = "operator";
/// The console gives a request up after so long.
const PATIENCE: Duration = Duration::from_secs(15);

/// What is ordered of which host.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    pub host: usize,
    kind: Kind,
    lives: TimeDelta,
    key: u128,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Check,
    Isolate,
    Restore,
}

impl Order {
    pub fn draw(random: &mut fastrand::Rng, plan: &Plan) -> Self {
        let kind = match random.u8(..5) {
            0 | 1 => Kind::Check,
            2 | 3 => Kind::Isolate,
            _ => Kind::Restore,
        };
        let lives = if random.u32(..plan.short_lived_one_of) == 0 {
            TimeDelta::seconds(random.i64(10..400))
        } else {
            TimeDelta::days(7)
        };
        Self { host: random.usize(..plan.hosts), kind, lives, key: random.u128(..) }
    }

    pub fn command(&self, endpoint: EndpointId, now: DateTime<Utc>) -> NewCommand {
        let reason = "a simulated reason";
        let (command, direction, params, priority) = match self.kind {
            Kind::Check => ("agent_check", None, json!({}), 5),
            Kind::Isolate => {
                ("network_isolate", Some(IsolationDirection::Isolate), json!({ "reason": reason }), 10)
            }
            Kind::Restore => {
                ("network_restore", Some(IsolationDirection::Restore), json!({ "reason": reason }), 10)
            }
        };
        NewCommand {
            endpoint_id: endpoint,
            direction,
            command,
            params,
            priority,
            created_by: BY.to_owned(),
            reason: reason.to_owned(),
            expires_at: now + self.lives,
            leased_until: None,
            idempotency_key: Some(Uuid::from_u128(self.key)),
            batch_id: None,
            schedule_id: None,
            rollback_after_seconds: None,
        }
    }
}

/// Answered by [`Happening::Ordered`].
pub fn give(server: &Server, order: usize, new: NewCommand, now: DateTime<Utc>, tell: Tell) {
    let delivery = server.delivery.clone();
    tokio::spawn(async move {
        let outcome = timeout(PATIENCE, delivery.enqueue(new, now)).await.ok();
        let _ = tell.send(Happening::Ordered { order, outcome });
    });
}

/// One check for each of many hosts, as one commit. Answered by [`Happening::Batched`].
pub fn give_batch(server: &Server, mut new: Vec<NewCommand>, batch: u128, now: DateTime<Utc>, tell: Tell) {
    let (delivery, queue) = (server.delivery.clone(), server.queue.clone());
    for one in &mut new {
        one.leased_until = delivery.lease_for(&one.endpoint_id, one.command, now);
        one.batch_id = Some(BatchId(Uuid::from_u128(batch)));
        one.idempotency_key = None;
    }
    tokio::spawn(async move {
        let made = timeout(PATIENCE, queue.insert_batch(new, now)).await.ok();
        if let Some(Ok(records)) = &made {
            delivery.send_out(records.clone(), now);
        }
        let _ = tell.send(Happening::Batched { outcome: made });
    });
}

/// Answered by [`Happening::Cancelled`].
pub fn cancel(server: &Server, id: CommandId, now: DateTime<Utc>, tell: Tell) {
    let delivery = server.delivery.clone();
    tokio::spawn(async move {
        let outcome = timeout(PATIENCE, delivery.cancel(id, BY, now)).await.ok();
        let _ = tell.send(Happening::Cancelled { outcome });
    });
}
