//! The audit log: who did what, on which host, why, and what came of it.

mod export;

use chrono::{DateTime, Utc};
use serde_json::json;
use voltaxe_protocol::CommandState;
use voltaxe_store::{AuditBy, AuditEntry, CommandOutcome, StoreError};
pub use voltaxe_store::{AuditFilter, AuditRecord};

pub use self::export::{CSV_HEAD, Format};
use crate::{
    Strike, StrikeError,
    authority::{Permit, may},
    model::Found,
    search::{Reads, SLACK, search},
    strike::search_words,
};

/// Rows of an export; a longer one is cut, and says so.
pub const EXPORTED: usize = 100_000;
const AT_ONCE: i64 = 500;

/// A row, and what became of its command.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditLine {
    pub record: AuditRecord,
    /// `None`: it is about no command, or about one that is past its retention.
    pub outcome: Option<CommandOutcome>,
}

impl AuditLine {
    /// `executed`, `failed`; `None` where there is no command.
    #[must_use]
    pub fn result(&self) -> Option<CommandState> {
        self.outcome.as_ref().map(|outcome| outcome.status)
    }
}

impl Strike {
    /// What the filter asks for, newest first, what is older than `before`; at most 500. A search that takes long ends early
    /// and says where to go on.
    pub async fn audit_log(
        &self,
        _permit: &Permit<may::ViewAudit>,
        filter: AuditFilter,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Found<AuditLine>, StrikeError> {
        let mut filter = checked(filter)?;
        let store = self.store();
        let mut end = before.unwrap_or(i64::MAX).min(store.next_audit_id().await?);
        let mut oldest = 0;
        if let Some(to) = filter.to
            && let Some(id) = store.audit_id_at(to + SLACK).await?
        {
            end = end.min(id);
        }
        if let Some(from) = filter.from {
            oldest = store.audit_id_at(from - SLACK).await?.unwrap_or(end);
        }
        let by = self.audit_index_for(&mut filter).await?;
        let mut left = AuditFilter { from: None, to: None, ..filter.clone() };
        match by {
            AuditBy::Action(_) => left.action = None,
            AuditBy::Actor(_) => left.actor = None,
            AuditBy::Endpoints(_) | AuditBy::Id => {}
        }
        let reads = if left == AuditFilter::default() { Reads::Wanted } else { Reads::More };
        let (by, filter) = (&by, &filter);
        let look = |ids, limit| store.find_audit(by, filter, ids, limit);
        let limit = limit.clamp(1, AT_ONCE);
        let Found { rows, next } =
            search(oldest..end, reads, limit, |record: &AuditRecord| record.id, look).await?;
        Ok(Found { rows: self.with_outcomes(rows).await?, next })
    }

    pub async fn audit_line(
        &self,
        _permit: &Permit<may::ViewAudit>,
        id: i64,
    ) -> Result<AuditLine, StrikeError> {
        let record = self.store().audit_entry(id).await?;
        let record = record.ok_or_else(|| StrikeError::NotFound(format!("there is no audit row {id}")))?;
        let mut lines = self.with_outcomes(vec![record]).await?;
        lines.pop().ok_or_else(|| StrikeError::NotFound(format!("there is no audit row {id}")))
    }

    /// Notes that somebody takes the log away. To be called before the first row is given out.
    pub async fn note_export(
        &self,
        permit: &Permit<may::ViewAudit>,
        filter: &AuditFilter,
        format: Format,
        now: DateTime<Utc>,
    ) -> Result<(), StrikeError> {
        checked(filter.clone())?;
        let AuditFilter { actor, action, host, reason, from, to } = filter;
        let detail = json!({
            "format": format.as_str(), "actor": actor, "action": action, "host": host, "reason": reason,
            "from": from, "to": to,
        });
        let actor = &permit.operator().username;
        let entry =
            AuditEntry { actor, action: "audit.export", detail: Some(detail), ..AuditEntry::default() };
        self.audit(entry, now).await
    }

    async fn audit_index_for(&self, filter: &mut AuditFilter) -> Result<AuditBy, StoreError> {
        if let Some(host) = &filter.host {
            let hosts = self.hosts_named_like(host).await?;
            if !hosts.is_empty() {
                filter.host = None;
                return Ok(AuditBy::Endpoints(hosts));
            }
        }
        Ok(match (&filter.action, &filter.actor) {
            (Some(action), _) if action.contains('.') => AuditBy::Action(action.clone()),
            (_, Some(actor)) => AuditBy::Actor(actor.clone()),
            _ => AuditBy::Id,
        })
    }

    async fn with_outcomes(&self, records: Vec<AuditRecord>) -> Result<Vec<AuditLine>, StoreError> {
        let mut ids: Vec<i64> = records.iter().filter_map(|record| Some(record.command_id?.0)).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut outcomes =
            if ids.is_empty() { Vec::new() } else { self.store().command_outcomes(&ids).await? };
        outcomes.sort_unstable_by_key(|outcome| outcome.id.0);
        let of = |record: &AuditRecord| {
            let id = record.command_id?.0;
            let place = outcomes.binary_search_by_key(&id, |outcome| outcome.id.0).ok()?;
            outcomes.get(place).cloned()
        };
        Ok(records.into_iter().map(|record| AuditLine { outcome: of(&record), record }).collect())
    }
}

fn checked(mut filter: AuditFilter) -> Result<AuditFilter, StrikeError> {
    search_words("actor", &mut filter.actor)?;
    search_words("action", &mut filter.action)?;
    search_words("host", &mut filter.host)?;
    search_words("reason", &mut filter.reason)?;
    Ok(filter)
}
