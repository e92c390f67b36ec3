use std::collections::BTreeSet;

use serde_json::json;
use voltaxe_protocol::CANCELLED;
use voltaxe_store::{NewReceipt, NewResult, NewStart, RecordedResult};

use super::*;

impl Tables {
    pub fn record_receipts(&mut self, receipts: &[NewReceipt]) -> Vec<CommandRecord> {
        self.begin_relaxed();
        let mut received = Vec::new();
        for receipt in receipts {
            let is_waited_for = self.pending.get(&receipt.id).is_some_and(|row| {
                row.record.endpoint_id == receipt.endpoint_id && row.record.status == CommandState::Pending
            });
            if !is_waited_for {
                continue;
            }
            let Some(row) = self.row_to_change(receipt.id) else { continue };
            let record = &mut row.record;
            record.status = CommandState::Delivered;
            record.delivered_at = Some(receipt.at);
            record.channel = Some(receipt.channel);
            record.attempt = record.attempt.max(1);
            let record = record.clone();
            self.set_desired_relaxed(&record, CommandState::Pending, CommandState::Delivered);
            received.push(record);
        }
        received.sort_by_key(|record| record.id);
        received
    }

    pub fn record_starts(&mut self, starts: &[NewStart]) -> Vec<CommandRecord> {
        self.begin_relaxed();
        let mut begun = Vec::new();
        for start in starts {
            let is_news = self.pending.get(&start.id).is_some_and(|row| {
                row.record.endpoint_id == start.endpoint_id && row.record.started_at.is_none()
            });
            if is_news && let Some(row) = self.row_to_change(start.id) {
                row.record.started_at = Some(start.at);
                begun.push(row.record.clone());
            }
        }
        begun.sort_by_key(|record| record.id);
        begun
    }

    /// Those whose commands were waiting for them; the first of a command counts.
    pub fn file(&mut self, results: &[NewResult]) -> Vec<CommandRecord> {
        let mut filed = Vec::new();
        let mut seen = BTreeSet::new();
        for one in results {
            let id = one.result.command_id;
            let is_its = self.pending.get(&id).is_some_and(|row| row.record.endpoint_id == one.endpoint_id);
            if is_its && seen.insert(id) {
                filed.extend(self.pending.remove(&id).map(|row| self.end_by(row.record, one)));
            }
        }
        let mut observed: BTreeMap<&EndpointId, (&IsolationObservation, DateTime<Utc>)> = BTreeMap::new();
        for one in results.iter().filter(|one| filed.iter().any(|record| is_result_of(one, record))) {
            let Some(isolation) = &one.observed else { continue };
            let newest = observed.entry(&one.endpoint_id).or_insert((isolation, one.at));
            if newest.1 < one.at {
                *newest = (isolation, one.at);
            }
        }
        for (endpoint, (isolation, at)) in observed {
            self.observe(endpoint, isolation.clone(), at);
        }
        filed
    }

    /// For a result whose command was not waiting for it. `None`: it waits now, file it.
    pub fn contested(&self, one: &NewResult) -> Option<RecordedResult> {
        match self.command(one.result.command_id) {
            Some(record) if record.endpoint_id != one.endpoint_id => Some(RecordedResult::Unknown),
            Some(record) if record.status.is_final() => Some(RecordedResult::AlreadyFinal(record)),
            Some(_) => None,
            None => Some(RecordedResult::Unknown),
        }
    }

    fn end_by(&mut self, waiting: CommandRecord, one: &NewResult) -> CommandRecord {
        let NewResult { result, channel, started_at, at, .. } = one;
        let taken_back = !result.success && result.refused() == Some(CANCELLED);
        let is_cancelled = taken_back && waiting.cancel_requested_at.is_some();
        let status = match (is_cancelled, result.success) {
            (true, _) => CommandState::Cancelled,
            (false, true) => CommandState::Executed,
            (false, false) => CommandState::Failed,
        };
        let begun = waiting.started_at.or(*started_at).or(waiting.delivered_at).unwrap_or(*at);
        let record = CommandRecord {
            status,
            delivered_at: waiting.delivered_at.or(Some(*at)),
            executed_at: (!is_cancelled).then_some(*at),
            result: Some(
                json!({ "success": result.success, "message": result.message, "data": result.data }),
            ),
            attempt: waiting.attempt.max(1),
            channel: waiting.channel.or(Some(*channel)),
            started_at: (!is_cancelled).then_some(begun),
            finished_at: Some(*at),
            cancelled_by: waiting.cancel_requested_by.clone().filter(|_| is_cancelled),
            ..waiting
        };
        self.set_desired(&record, status);
        self.history.insert(record.id, record.clone());
        record
    }
}

pub fn is_result_of(one: &NewResult, record: &CommandRecord) -> bool {
    one.result.command_id == record.id && one.endpoint_id == record.endpoint_id
}
