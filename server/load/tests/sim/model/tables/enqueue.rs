use voltaxe_protocol::ObservedIsolation;
use voltaxe_store::{Enqueue, NewCommand};

use super::*;

impl Tables {
    /// Those that are neither known by their key nor wanted already.
    pub fn insert(&mut self, new: &[NewCommand], now: DateTime<Utc>) -> Outcome<Vec<CommandRecord>> {
        let mut input: Vec<&NewCommand> = new
            .iter()
            .filter(|one| self.endpoints.contains_key(&one.endpoint_id) && !self.is_keyed(one))
            .collect();
        input.sort_by(|a, b| a.endpoint_id.cmp(&b.endpoint_id));
        let (directed, others): (Vec<_>, Vec<_>) = input.into_iter().partition(|one| one.direction.is_some());
        let wanted: Vec<&NewCommand> =
            directed.into_iter().filter(|one| self.is_news(one, now)).chain(others).collect();
        let mut keys: Vec<_> =
            wanted.iter().filter_map(|one| Some((&one.created_by, one.idempotency_key?))).collect();
        keys.sort_unstable();
        if keys.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(StoreError::Taken { constraint: "idempotency_keys_pkey".to_owned() });
        }
        Ok(wanted.into_iter().map(|one| self.queue(one, now)).collect())
    }

    /// Why a command was not inserted. `None`: there is no reason any more.
    pub fn existing(&self, new: &NewCommand) -> Option<Enqueue> {
        if let Some(key) = new.idempotency_key
            && let Some(known) = self.keys.get(&(new.created_by.clone(), key))
        {
            if known.endpoint_id != new.endpoint_id || known.command != new.command {
                return Some(Enqueue::KeyReused);
            }
            return Some(self.command(known.id).map_or(Enqueue::KeyReused, Enqueue::Repeated));
        }
        let direction = new.direction?;
        self.endpoints.get(&new.endpoint_id)?;
        let desired = self.desired.get(&new.endpoint_id).filter(|desired| desired.direction == direction)?;
        self.command(desired.command_id).map(Enqueue::AlreadyWanted)
    }

    fn is_keyed(&self, new: &NewCommand) -> bool {
        new.idempotency_key.is_some_and(|key| self.keys.contains_key(&(new.created_by.clone(), key)))
    }

    fn is_news(&self, new: &NewCommand, now: DateTime<Utc>) -> bool {
        let Some(desired) = self.desired.get(&new.endpoint_id) else { return true };
        if Some(desired.direction) != new.direction {
            return true;
        }
        match desired.state {
            CommandState::Pending | CommandState::Delivered => false,
            CommandState::Executed => {
                let wanted = match desired.direction {
                    IsolationDirection::Isolate => ObservedIsolation::Isolated,
                    IsolationDirection::Restore => ObservedIsolation::NotIsolated,
                };
                let observed = self.observed.get(&new.endpoint_id);
                desired.created_at < now - chrono::TimeDelta::days(1)
                    || observed.is_none_or(|observed| observed.isolation.state != wanted)
            }
            _ => true,
        }
    }

    fn queue(&mut self, new: &NewCommand, now: DateTime<Utc>) -> CommandRecord {
        let id = self.next_id();
        let endpoint = &self.endpoints[&new.endpoint_id];
        let record = CommandRecord {
            id,
            endpoint_id: new.endpoint_id.clone(),
            hostname: endpoint.hostname.clone(),
            command: new.command.to_owned(),
            params: new.params.clone(),
            status: CommandState::Pending,
            created_at: now,
            delivered_at: None,
            started_at: None,
            executed_at: None,
            finished_at: None,
            result: None,
            created_by: new.created_by.clone(),
            reason: new.reason.clone(),
            priority: new.priority,
            attempt: i32::from(new.leased_until.is_some()),
            channel: None,
            not_before: None,
            expires_at: new.expires_at,
            epoch: endpoint.epoch,
            cancelled_by: None,
            cancel_requested_by: None,
            cancel_requested_at: None,
            batch_id: new.batch_id,
            schedule_id: new.schedule_id,
        };
        if let Some(direction) = new.direction {
            let desired =
                Desired { command_id: id, direction, state: CommandState::Pending, created_at: now };
            self.desired.insert(new.endpoint_id.clone(), desired);
        }
        if let Some(key) = new.idempotency_key {
            let keyed = Keyed { endpoint_id: new.endpoint_id.clone(), command: new.command, id };
            self.keys.insert((new.created_by.clone(), key), keyed);
        }
        self.pending.insert(id, Row { record: record.clone(), leased_until: new.leased_until });
        record
    }
}
