//! One order to all that were chosen, whether by a tick each or by what they have in common.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use voltaxe_protocol::EndpointId;

use super::Strike;
use crate::{
    StrikeError,
    authority::{Operator, Permit, may},
    model::{BatchHost, BatchId, BatchRecord, EndpointSearch, EndpointStatus, ExcludedHost, ScheduleRecord},
    strike::{
        BatchRequest, ScheduleRequest, When, action_of,
        batches::{LARGEST_BATCH, Origin, no_such_batch, some_of},
        request::{check_repeatable, checked_reason, invalid},
    },
};

const MOST_EXCLUSIONS: usize = 500;
const NAMED: usize = 12;
const HOSTS_AT_ONCE: i64 = 2_000;

#[derive(Clone, Debug)]
pub enum Chosen {
    Endpoints(Vec<EndpointId>),
    /// All active ones that match when the order is given.
    Matching(EndpointSearch),
}

/// A host that is left out, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Exclusion {
    pub hostname: String,
    pub reason: String,
}

/// A batch for what was chosen but for what is left out.
#[derive(Clone, Debug)]
pub struct FleetOrder {
    /// Its targets are not used.
    pub request: BatchRequest,
    pub chosen: Chosen,
    pub excluded: Vec<Exclusion>,
    /// How many hosts the operator has confirmed: an order to more than these is refused.
    pub confirmed: usize,
}

/// What a choice comes to now.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Resolved {
    pub hosts: usize,
    /// Of these, such as this server cannot reach right now.
    pub offline: usize,
    /// The first few.
    pub names: Vec<String>,
}

impl Strike {
    pub async fn resolve_chosen(
        &self,
        _permit: &Permit<may::View>,
        chosen: Chosen,
        now: DateTime<Utc>,
    ) -> Result<Resolved, StrikeError> {
        let hosts = self.hosts_of(chosen, now).await?;
        let registry = &self.delivery().shared().registry;
        let offline = hosts.iter().filter(|(id, _)| !registry.is_reachable(id, now)).count();
        let names = hosts.iter().take(NAMED).map(|(_, name)| name.clone()).collect();
        Ok(Resolved { hosts: hosts.len(), offline, names })
    }

    /// Orders the same of all that were chosen and not left out, in one batch that keeps who was left out and why. Refused
    /// whole when these are more hosts than were confirmed.
    pub async fn order_fleet(
        &self,
        operator: &Operator,
        order: FleetOrder,
        now: DateTime<Utc>,
    ) -> Result<BatchRecord, StrikeError> {
        let FleetOrder { request, chosen, excluded, confirmed } = order;
        operator.must(action_of(&request.command))?;
        check_repeatable(&request.command)?;
        let draft = self.draft(request.command, &request.reason, request.expires_at, now)?;
        let hosts = self.hosts_of(chosen, now).await?;
        let (targets, excluded) = leave_out(hosts, excluded)?;
        if targets.is_empty() {
            return Err(invalid("hosts", "are none: nothing that was chosen is left"));
        }
        check_confirmed(targets.len(), confirmed)?;
        let origin = Origin { undo_of: None, idempotency_key: request.idempotency_key, excluded };
        self.make_batch(&operator.username, &draft, targets, origin, now).await
    }

    /// The same once, later, of those that are chosen now.
    pub async fn schedule_fleet(
        &self,
        operator: &Operator,
        order: FleetOrder,
        at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<ScheduleRecord, StrikeError> {
        let FleetOrder { request, chosen, excluded, confirmed } = order;
        operator.must(action_of(&request.command))?;
        if !excluded.is_empty() {
            return Err(invalid(
                "excluded",
                "is not kept with a schedule: take these hosts out of the selection",
            ));
        }
        let hosts = self.hosts_of(chosen, now).await?;
        check_confirmed(hosts.len(), confirmed)?;
        let BatchRequest { command, reason, expires_at, idempotency_key, .. } = request;
        let request = ScheduleRequest {
            command,
            hostnames: Vec::new(),
            endpoint_ids: hosts.into_iter().map(|(id, _)| id).collect(),
            reason,
            when: When::Once(at),
            expires_at,
            idempotency_key,
        };
        self.create_schedule(operator, request, now).await
    }

    /// A batch's hosts by command id, those after `after`; at most 2,000.
    pub async fn hosts_of_batch(
        &self,
        _permit: &Permit<may::View>,
        id: BatchId,
        after: Option<voltaxe_protocol::CommandId>,
    ) -> Result<Vec<BatchHost>, StrikeError> {
        if self.store().batch(id).await?.is_none() {
            return Err(no_such_batch(id));
        }
        Ok(self.store().batch_hosts(id, after, HOSTS_AT_ONCE).await?)
    }

    /// With their names, each once.
    async fn hosts_of(
        &self,
        chosen: Chosen,
        now: DateTime<Utc>,
    ) -> Result<Vec<(EndpointId, String)>, StrikeError> {
        let too_many = || invalid("hosts", format!("are more than {LARGEST_BATCH}; narrow the list down"));
        let hosts = match chosen {
            Chosen::Matching(search) => {
                let limit = i64::try_from(LARGEST_BATCH + 1).unwrap_or(i64::MAX);
                self.store().matching_endpoints(&search, limit, now).await?
            }
            Chosen::Endpoints(ids) if ids.len() > LARGEST_BATCH => return Err(too_many()),
            Chosen::Endpoints(ids) => self.active(ids).await?,
        };
        if hosts.len() > LARGEST_BATCH { Err(too_many()) } else { Ok(hosts) }
    }

    async fn active(&self, ids: Vec<EndpointId>) -> Result<Vec<(EndpointId, String)>, StrikeError> {
        let wanted: BTreeSet<EndpointId> = ids.into_iter().collect();
        let wanted: Vec<EndpointId> = wanted.into_iter().collect();
        let found: HashMap<EndpointId, String> = self
            .store()
            .endpoints_of(&wanted)
            .await?
            .into_iter()
            .filter(|record| record.status == EndpointStatus::Active)
            .map(|record| (record.id, record.hostname))
            .collect();
        let missing: Vec<&str> =
            wanted.iter().filter(|id| !found.contains_key(*id)).map(EndpointId::as_str).collect();
        if !missing.is_empty() {
            return Err(StrikeError::UnknownHosts(some_of(&missing)));
        }
        let mut hosts: Vec<_> = found.into_iter().collect();
        hosts.sort_by(|(_, a), (_, b)| a.cmp(b));
        Ok(hosts)
    }
}

fn check_confirmed(hosts: usize, confirmed: usize) -> Result<(), StrikeError> {
    if hosts > confirmed {
        return Err(StrikeError::Conflict(format!(
            "{hosts} hosts match now and {confirmed} were confirmed: look at them again, nothing was queued"
        )));
    }
    Ok(())
}

fn leave_out(
    mut hosts: Vec<(EndpointId, String)>,
    excluded: Vec<Exclusion>,
) -> Result<(Vec<EndpointId>, Vec<ExcludedHost>), StrikeError> {
    if excluded.len() > MOST_EXCLUSIONS {
        return Err(invalid("excluded", format!("are more than {MOST_EXCLUSIONS} hosts")));
    }
    let mut left_out = Vec::with_capacity(excluded.len());
    for Exclusion { hostname, reason } in excluded {
        let reason = checked_reason(&reason)
            .map_err(|_| invalid("excluded", format!("{hostname:?} has no reason of 3 to 500 characters")))?;
        let place = hosts.iter().position(|(_, name)| *name == hostname);
        let place =
            place.ok_or_else(|| invalid("excluded", format!("{hostname:?} is none of the chosen hosts")))?;
        let (id, hostname) = hosts.remove(place);
        left_out.push(ExcludedHost { endpoint_id: id.to_string(), hostname, reason });
    }
    Ok((hosts.into_iter().map(|(id, _)| id).collect(), left_out))
}
