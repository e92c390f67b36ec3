use std::collections::BTreeSet;

use voltaxe_store::Lease;

use super::*;

const AT_ONCE: usize = 32;

impl Tables {
    pub fn lease(
        &mut self,
        endpoint: &EndpointId,
        lease: &Lease<'_>,
        now: DateTime<Utc>,
    ) -> Vec<CommandRecord> {
        let only = |id: &CommandId| lease.only.is_none_or(|only| only.contains(id));
        let ids: Vec<CommandId> =
            self.in_order(endpoint, lease, now).map(|record| record.id).filter(only).take(AT_ONCE).collect();
        ids.into_iter()
            .filter_map(|id| {
                let row = self.pending.get_mut(&id)?;
                row.record.attempt += 1;
                row.leased_until = Some(lease.until);
                Some(row.record.clone())
            })
            .collect()
    }

    pub fn due(
        &self,
        endpoint: &EndpointId,
        lease: &Lease<'_>,
        now: DateTime<Utc>,
    ) -> Vec<(CommandId, String)> {
        let due = self.in_order(endpoint, lease, now).take(AT_ONCE);
        due.map(|record| (record.id, record.command.clone())).collect()
    }

    pub fn end_leases(&mut self, ids: &[CommandId]) {
        self.begin_relaxed();
        for id in ids {
            if let Some(row) = self.row_to_change(*id)
                && row.record.status == CommandState::Pending
            {
                row.leased_until = None;
            }
        }
    }

    pub fn unanswered(&self, endpoint: &EndpointId) -> Vec<CommandId> {
        self.of_endpoint(endpoint)
            .map(|row| &row.record)
            .filter(|record| record.status == CommandState::Delivered && record.cancel_requested_at.is_none())
            .map(|record| record.id)
            .take(AT_ONCE)
            .collect()
    }

    pub fn asked_back(&self, endpoint: &EndpointId) -> Vec<CommandRecord> {
        self.of_endpoint(endpoint)
            .map(|row| &row.record)
            .filter(|record| record.cancel_requested_at.is_some())
            .take(AT_ONCE)
            .cloned()
            .collect()
    }

    pub fn take_receipt_back(&mut self, endpoint: &EndpointId, id: CommandId) -> Option<CommandRecord> {
        let row = self.pending.get_mut(&id)?;
        let record = &mut row.record;
        if record.endpoint_id != *endpoint || record.status != CommandState::Delivered {
            return None;
        }
        record.status = CommandState::Pending;
        (record.delivered_at, record.started_at, record.channel) = (None, None, None);
        row.leased_until = None;
        let record = record.clone();
        if let Some(desired) = self.desired.get_mut(endpoint)
            && desired.command_id == id
            && desired.state == CommandState::Delivered
        {
            desired.state = CommandState::Pending;
        }
        Some(record)
    }

    pub fn overdue_endpoints(&self, among: &[EndpointId], now: DateTime<Utc>) -> Vec<EndpointId> {
        let is_overdue = |row: &&Row| {
            let record = &row.record;
            record.cancel_requested_at.is_some()
                || (record.status == CommandState::Pending
                    && record.expires_at > now
                    && record.not_before.is_none_or(|at| at <= now)
                    && row.leased_until.is_none_or(|until| until <= now))
        };
        distinct(among, self.pending.values().filter(is_overdue))
    }

    pub fn silent_endpoints(&self, among: &[EndpointId], delivered_before: DateTime<Utc>) -> Vec<EndpointId> {
        let is_silent = |row: &&Row| {
            row.record.status == CommandState::Delivered
                && row.record.delivered_at.is_some_and(|at| at < delivered_before)
        };
        distinct(among, self.pending.values().filter(is_silent))
    }

    pub fn limited_kinds(&self) -> BTreeSet<String> {
        self.buckets.keys().cloned().collect()
    }

    pub fn take_tokens(&mut self, kind: &str, wanted: i32, now: DateTime<Utc>) -> i32 {
        self.begin_relaxed();
        let level = |bucket: &Bucket| {
            let seconds = (now - bucket.refilled_at).as_seconds_f64().max(0.0);
            (bucket.tokens + bucket.per_minute * seconds / 60.0).min(f64::from(bucket.burst))
        };
        let names = [kind, "*"];
        let levels = names.iter().filter_map(|name| self.buckets.get(*name)).map(level);
        let least =
            levels.fold(None, |least: Option<f64>, level| Some(least.map_or(level, |l| l.min(level))));
        let granted = least.map_or(wanted, |least| wanted.min(least.floor() as i32));
        for name in names {
            if let Some(bucket) = self.bucket_to_change(name) {
                bucket.tokens = level(bucket) - f64::from(granted);
                bucket.refilled_at = bucket.refilled_at.max(now);
            }
        }
        granted
    }

    fn in_order(
        &self,
        endpoint: &EndpointId,
        lease: &Lease<'_>,
        now: DateTime<Utc>,
    ) -> impl Iterator<Item = &CommandRecord> {
        let is_due = |row: &&Row| {
            let record = &row.record;
            record.status == CommandState::Pending
                && record.expires_at > now
                && record.cancel_requested_at.is_none()
                && record.not_before.is_none_or(|at| at <= now)
                && (lease.renew || row.leased_until.is_none_or(|until| until <= now))
        };
        let due = self.pending.values().filter(|row| row.record.endpoint_id == *endpoint).filter(is_due);
        let mut due: Vec<&CommandRecord> = due.map(|row| &row.record).collect();
        due.sort_by_key(|record| (if lease.fifo { 0 } else { -record.priority }, record.id));
        due.into_iter()
    }
}

fn distinct<'a>(among: &[EndpointId], rows: impl Iterator<Item = &'a Row>) -> Vec<EndpointId> {
    let of_rows: BTreeSet<&EndpointId> = rows.map(|row| &row.record.endpoint_id).collect();
    of_rows.into_iter().filter(|endpoint| among.contains(endpoint)).cloned().collect()
}
