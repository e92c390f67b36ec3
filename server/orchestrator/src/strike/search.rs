//! Commands by what is asked for.

use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};
use voltaxe_protocol::{Command, CommandId, CommandState};
use voltaxe_store::{By, CommandFilter, StoreError};

use super::{Strike, console::COMMANDS_AT_ONCE};
use crate::{
    StrikeError,
    authority::{Permit, may},
    model::{CommandRecord, Found},
    search::{FIRST, HOSTS, Reads, SLACK, search},
};

const LONGEST_CHARS: usize = 200;
/// How far back the first look goes from the newest command: a partition of the history, or two. To plan for 11 of them and open
/// them takes 1.6 ms where these take 0.6.
const RECENT: TimeDelta = TimeDelta::days(7);

impl Strike {
    /// The commands that the filter asks for, newest first, those older than `before`; at most 500, without their results'
    /// `data`. A search that takes long ends early and says where to go on.
    pub async fn find_commands(
        &self,
        permit: &Permit<may::View>,
        filter: CommandFilter,
        before: Option<CommandId>,
        limit: i64,
    ) -> Result<Found<CommandRecord>, StrikeError> {
        let limit = limit.clamp(1, COMMANDS_AT_ONCE);
        let mut filter = checked(filter)?;
        if filter == CommandFilter::default() {
            let rows = self.commands(permit, before, limit).await?;
            let next = last_of_full(&rows, limit).map(id_of);
            return Ok(Found { rows, next });
        }
        let store = self.store();
        let until = match filter.to {
            Some(to) => store.command_id_at(to + SLACK).await?,
            None => i64::MAX,
        };
        let oldest = match filter.from {
            Some(from) => store.command_id_at(from - SLACK).await?,
            None => 0,
        };
        let until = before.map_or(until, |id| until.min(id.0));
        let by = self.index_for(&mut filter).await?;
        let reads = if is_all(&by, &filter) { Reads::Wanted } else { Reads::More };
        let (by, filter) = (&by, &filter);
        let look = |ids, limit| store.find_commands(by, filter, given_since(filter), ids, limit);
        if reads == Reads::Wanted && matches!(by, By::State(_)) {
            // To open all of the history takes these 0.1 ms, no more than to ask which command is the newest.
            return Ok(search(oldest..until, reads, limit, id_of, look).await?);
        }
        let newest = store.command_at_or_before(until.saturating_sub(1)).await?;
        let Some((newest, given_at)) = newest.filter(|(id, _)| *id >= oldest) else {
            return Ok(Found { rows: Vec::new(), next: None });
        };
        let ids = oldest..newest + 1;
        let recent = match by {
            By::Kind(_) | By::Operator(_) if reads == Reads::Wanted => Some(ids.clone()),
            // Where it may read what is not wanted, no more than the search's first statement does.
            By::Kind(_) | By::Operator(_) | By::Endpoints(_) => {
                Some(newest.saturating_sub(FIRST).max(oldest)..ids.end)
            }
            By::State(_) | By::Batch(_) | By::Id => None,
        };
        if let Some(recent) = recent
            && let Some(page) = self.find_recent(by, filter, recent, given_at, limit).await?
        {
            return Ok(page);
        }
        Ok(search(ids, reads, limit, id_of, look).await?)
    }

    /// A whole page of the newest part of the history, where there is one: what ended before that had been given before.
    /// `given_at`: the newest of them all.
    async fn find_recent(
        &self,
        by: &By,
        filter: &CommandFilter,
        ids: Range<i64>,
        given_at: DateTime<Utc>,
        limit: i64,
    ) -> Result<Option<Found<CommandRecord>>, StoreError> {
        let ended_since = given_since(filter).max(given_at - RECENT);
        let rows = self.store().find_commands(by, filter, ended_since, ids, limit).await?;
        let last = last_of_full(&rows, limit).filter(|last| last.created_at >= ended_since + SLACK);
        Ok(last.map(id_of).map(|next| Found { rows, next: Some(next) }))
    }

    /// The index that leaves least; what it answers for need not be compared again where that costs.
    async fn index_for(&self, filter: &mut CommandFilter) -> Result<By, StoreError> {
        if let Some(batch) = filter.batch {
            return Ok(By::Batch(batch));
        }
        if let Some(host) = &filter.host {
            let hosts = self.hosts_named_like(host).await?;
            if !hosts.is_empty() {
                filter.host = None;
                return Ok(By::Endpoints(hosts));
            }
        }
        Ok(match (filter.state, &filter.operator, &filter.kind) {
            (Some(state), _, _) if state != CommandState::Executed => By::State(state),
            (_, Some(operator), _) => By::Operator(operator.clone()),
            (_, _, Some(kind)) => By::Kind(kind.clone()),
            _ => By::Id,
        })
    }

    /// None: no host has it in its name, or too many for an index to help.
    pub(crate) async fn hosts_named_like(&self, part: &str) -> Result<Vec<String>, StoreError> {
        let mut hosts = self.store().endpoints_named_like(part, HOSTS + 1).await?;
        if i64::try_from(hosts.len()).is_ok_and(|count| count > HOSTS) {
            hosts.clear();
        }
        Ok(hosts)
    }
}

/// After which there may be more.
fn last_of_full(rows: &[CommandRecord], limit: i64) -> Option<&CommandRecord> {
    rows.last().filter(|_| i64::try_from(rows.len()).is_ok_and(|count| count == limit))
}

fn id_of(record: &CommandRecord) -> i64 {
    record.id.0
}

/// What ends is given before.
fn given_since(filter: &CommandFilter) -> DateTime<Utc> {
    filter.from.map_or(DateTime::UNIX_EPOCH, |from| from - SLACK)
}

/// Whether the index and the ids answer all that the filter asks for.
fn is_all(by: &By, filter: &CommandFilter) -> bool {
    let mut left = CommandFilter { from: None, to: None, ..filter.clone() };
    match by {
        By::State(_) => left.state = None,
        By::Operator(_) => left.operator = None,
        By::Kind(_) => left.kind = None,
        // A batch may be most of the history, which its plan does not know.
        By::Batch(_) | By::Endpoints(_) | By::Id => {}
    }
    left == CommandFilter::default()
}

fn checked(mut filter: CommandFilter) -> Result<CommandFilter, StrikeError> {
    if let Some(kind) = filter.kind.as_deref().filter(|kind| !Command::KINDS.contains(kind)) {
        let problem = format!("is no command: {kind:?}; it must be one of {}", Command::KINDS.join(", "));
        return Err(StrikeError::Invalid { field: "kind", problem });
    }
    words("host", &mut filter.host)?;
    words("operator", &mut filter.operator)?;
    Ok(filter)
}

/// What is looked for in lower case; nothing that is longer than what there is.
pub(crate) fn words(field: &'static str, words: &mut Option<String>) -> Result<(), StrikeError> {
    let Some(text) = words.take().map(|text| text.trim().to_lowercase()).filter(|text| !text.is_empty())
    else {
        return Ok(());
    };
    if text.chars().count() > LONGEST_CHARS || text.contains('\0') {
        let problem = format!("must be at most {LONGEST_CHARS} characters of text");
        return Err(StrikeError::Invalid { field, problem });
    }
    *words = Some(text);
    Ok(())
}
