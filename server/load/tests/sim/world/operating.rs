//! The operator's side of the world.

use voltaxe_orchestrator::{StrikeError, delivery::Enqueued};
use voltaxe_protocol::CommandId;
use voltaxe_store::{Cancel, Enqueue, StoreError};

use super::*;
use crate::operator;

const GIVEN_AGAIN_AFTER: Duration = Duration::from_secs(5);

impl World {
    pub(super) fn plan_orders(&mut self) {
        for order in 0..self.orders.len() {
            self.after_up_to(self.plan.trouble_lasts, Happening::Order(order));
        }
        if self.random.bool() {
            self.after_up_to(self.plan.trouble_lasts, Happening::Batch);
        }
    }

    pub(super) fn give_order(&mut self, number: usize) {
        let Some(server) = &self.server else {
            return self.after_up_to(GIVEN_AGAIN_AFTER, Happening::Order(number));
        };
        let order = self.orders[number];
        let now = self.clock.now();
        let new = order.command(self.hosts[order.host].id.clone(), now);
        operator::give(server, number, new, now, self.tell.clone());
        self.note(format_args!("order {number}: {order:?}"));
    }

    pub(super) fn order_answered(&mut self, number: usize, outcome: Option<Result<Enqueued, StrikeError>>) {
        match outcome {
            Some(Ok(Enqueued { outcome, .. })) => {
                self.unanswered_orders -= 1;
                let (Enqueue::New(record) | Enqueue::Repeated(record) | Enqueue::AlreadyWanted(record)) =
                    outcome
                else {
                    panic!("order {number} is answered with {outcome:?}");
                };
                self.note(format_args!("order {number} is command {}, {}", record.id, record.status));
                self.acknowledged(&record);
            }
            Some(Err(error)) if !matches!(error, StrikeError::Unavailable(_)) => {
                panic!("order {number} is answered with {error}");
            }
            Some(Err(_)) | None => self.after_up_to(GIVEN_AGAIN_AFTER, Happening::Order(number)),
        }
    }

    pub(super) fn give_batch(&mut self) {
        let Some(server) = &self.server else { return };
        let now = self.clock.now();
        let draws: Vec<Order> =
            (0..self.hosts.len()).map(|_| Order::draw(&mut self.random, &self.plan)).collect();
        let commands =
            draws.iter().zip(&self.hosts).map(|(order, host)| order.command(host.id.clone(), now)).collect();
        operator::give_batch(server, commands, self.random.u128(..), now, self.tell.clone());
        self.note(format_args!("a batch"));
    }

    pub(super) fn batch_answered(&mut self, outcome: Option<Result<Vec<CommandRecord>, StoreError>>) {
        // One that failed is in the queue or not: nobody was told anything.
        for record in outcome.and_then(Result::ok).into_iter().flatten() {
            self.note(format_args!("the batch has command {}", record.id));
            self.acknowledged(&record);
        }
    }

    pub(super) fn cancel(&mut self, id: CommandId) {
        let Some(server) = &self.server else { return };
        operator::cancel(server, id, self.clock.now(), self.tell.clone());
        self.note(format_args!("cancel {id}"));
    }

    pub(super) fn cancel_answered(&mut self, outcome: Option<Result<Cancel, StrikeError>>) {
        match outcome {
            Some(Ok(Cancel::Cancelled(record) | Cancel::AlreadyFinal(record))) => self.saw(&record),
            // One that is unknown is lost; the verdict says so.
            Some(Ok(Cancel::Requested(_) | Cancel::Unknown) | Err(_)) | None => {}
        }
    }

    fn acknowledged(&mut self, record: &CommandRecord) {
        self.history.queued(queued(record));
        self.history.acknowledged(record.id);
        if self.random.u32(..self.plan.cancel_one_of) == 0 {
            self.after_up_to(Duration::from_secs(20), Happening::Cancels(record.id));
        }
    }
}
