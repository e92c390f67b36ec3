//! Commands by what is asked for.

use chrono::{DateTime, TimeDelta, Utc};
use voltaxe_protocol::{Command, CommandId, CommandState};
use voltaxe_store::{By, CommandFilter, StoreError};

use super::{Strike, console::COMMANDS_AT_ONCE};
use crate::{
    StrikeError,
    authority::{Permit, may},
    model::{CommandRecord, Found},
    search::{HOSTS, Reads, SLACK, search},
};

const LONGEST_CHARS: usize = 200;
/// How far back the first look goes: a partition of the history, or two. With all of 11 partitions planned for and opened, the page
/// of one kind took 1.33 times what it takes with one, and so 0.94 times.
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
        at: DateTime<Utc>,
    ) -> Result<Found<CommandRecord>, StrikeError> {
        let limit = limit.clamp(1, COMMANDS_AT_ONCE);
        let mut filter = checked(filter)?;
        if filter == CommandFilter::default() {
            let rows = self.commands(permit, before, limit).await?;
            let is_full = i64::try_from(rows.len()).is_ok_and(|count| count == limit);
            let next = rows.last().map(|row| row.id.0).filter(|_| is_full);
            return Ok(Found { rows, next });
        }
        let store = self.store();
        let newest = match filter.to {
            Some(to) => store.command_id_at(to + SLACK).await?,
            None => store.next_command_id().await?,
        };
        let oldest = match filter.from {
            Some(from) => store.command_id_at(from - SLACK).await?,
            None => 0,
        };
        let end = before.map_or(newest, |id| newest.min(id.0));
        let by = self.index_for(&mut filter).await?;
        let reads = if is_all(&by, &filter) { Reads::Wanted } else { Reads::More };
        let (by, filter) = (&by, &filter);
        // What ended had been given before.
        let given_since = filter.from.map_or(DateTime::UNIX_EPOCH, |from| from - SLACK);
        if reads == Reads::Wanted {
            let recent = given_since.max(at - RECENT);
            let rows = store.find_commands(by, filter, recent, oldest..end, limit).await?;
            // All that ended before are older than these.
            let last = rows.last().filter(|last| last.created_at >= recent + SLACK);
            if let Some(last) = last
                && i64::try_from(rows.len()).is_ok_and(|count| count == limit)
            {
                return Ok(Found { next: Some(last.id.0), rows });
            }
        }
        let look = |ids, limit| store.find_commands(by, filter, given_since, ids, limit);
        Ok(search(oldest..end, reads, limit, |record: &CommandRecord| record.id.0, look).await?)
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
