use super::*;

impl Tables {
    pub fn cancel_unsent(&mut self, id: CommandId, by: &str, now: DateTime<Utc>) -> Option<CommandRecord> {
        let record = &self.pending.get(&id)?.record;
        if record.status != CommandState::Pending || record.attempt != 0 {
            return None;
        }
        let record = self.pending.remove(&id)?.record;
        let (status, cancelled_by) = (CommandState::Cancelled, Some(by.to_owned()));
        Some(self.end(CommandRecord { status, cancelled_by, started_at: None, ..record }, now))
    }

    pub fn ask_back(&mut self, id: CommandId, by: &str, now: DateTime<Utc>) -> Option<CommandRecord> {
        let record = &mut self.pending.get_mut(&id)?.record;
        if record.attempt == 0 || record.cancel_requested_at.is_some() {
            return None;
        }
        record.cancel_requested_by = Some(by.to_owned());
        record.cancel_requested_at = Some(now);
        Some(record.clone())
    }

    pub fn expire(&mut self, now: DateTime<Utc>, handed_out_before: DateTime<Utc>) -> Vec<CommandRecord> {
        let ran_out = |row: &&Row| {
            let record = &row.record;
            record.expires_at <= now && (record.attempt == 0 || record.expires_at <= handed_out_before)
        };
        let ids: Vec<CommandId> = self.pending.values().filter(ran_out).map(|row| row.record.id).collect();
        ids.into_iter()
            .filter_map(|id| {
                let record = self.pending.remove(&id)?.record;
                Some(self.end(CommandRecord { status: CommandState::Expired, ..record }, now))
            })
            .collect()
    }

    fn end(&mut self, record: CommandRecord, now: DateTime<Utc>) -> CommandRecord {
        let record = CommandRecord { finished_at: Some(now), ..record };
        self.set_desired(&record, record.status);
        self.history.insert(record.id, record.clone());
        record
    }
}
