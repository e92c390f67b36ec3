//! Bundles of evidence and their custody. Whatever changes a bundle's row writes its custody in the same transaction.

mod change;
mod discard;

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use voltaxe_protocol::{CommandId, EndpointId, Envelope, Epoch};

use crate::{
    Store, StoreError,
    commands::endpoint_id,
    custody::CustodyEvent,
    model::{Discarded, EvidenceRecord},
};

/// What of a collection's command is kept with its bundle.
#[derive(Clone, Debug, PartialEq)]
pub struct EvidenceOfCommand {
    pub command_id: CommandId,
    pub endpoint_id: EndpointId,
    pub epoch: Epoch,
    pub hostname: String,
    pub requested_by: String,
    pub requested_at: DateTime<Utc>,
    pub reason: String,
    pub profile: String,
    /// Opens the chain of custody.
    pub requested: CustodyEvent,
}

/// What the agent's result says of its bundle.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportedEvidence {
    pub sha256: [u8; 32],
    pub size_bytes: u64,
    pub files: u32,
    pub errors: u32,
    pub partial: Option<String>,
    pub collected: CustodyEvent,
}

/// What the agent claims of its bundle and has signed.
#[derive(Clone, Debug, PartialEq)]
pub struct OfferedEvidence {
    pub sha256: [u8; 32],
    pub size_bytes: u64,
    pub claims: Envelope,
    pub agent_key: [u8; 32],
    pub offered: CustodyEvent,
}

/// What came of [`Store::offer_evidence`].
#[derive(Clone, Debug, PartialEq)]
pub enum Offer {
    /// It may be uploaded, or is stored already. `is_new`: what had arrived under other claims is of no use any more.
    Accepted { record: EvidenceRecord, is_new: bool },
    /// The collection's result, or the stored bundle, has another digest or size.
    Differs(EvidenceRecord),
    /// The evidence that is kept or under way takes so many bytes, and this one does not fit beside it.
    Full { used_bytes: u64 },
    /// Somebody has discarded it: it is not wanted any more.
    Discarded,
}

/// What came of [`Store::discard_evidence`].
#[derive(Clone, Debug, PartialEq)]
pub enum Discard {
    Done(EvidenceRecord),
    /// Somebody has done it before.
    Already(EvidenceRecord),
    Unknown,
}

/// Which bundles to list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EvidenceFilter {
    pub endpoint: Option<EndpointId>,
    pub command: Option<CommandId>,
}

macro_rules! evidence_rows {
    ($with:literal, $from:literal $(, $arg:expr)* $(,)?) => {
        sqlx::query_as!(
            EvidenceRow,
            $with
                + r#" SELECT command_id AS "command_id!", endpoint_id AS "endpoint_id!", epoch AS "epoch!",
                        hostname AS "hostname!", requested_by AS "requested_by!", requested_at AS "requested_at!",
                        reason AS "reason!", profile AS "profile!", state AS "state!", sha256 AS "sha256!",
                        size_bytes AS "size_bytes!", received_bytes AS "received_bytes!",
                        is_reported AS "is_reported!", files AS "files?", errors AS "errors?", partial AS "partial?",
                        claims AS "claims?: Json<Envelope>", agent_key AS "agent_key?",
                        announced_at AS "announced_at!", touched_at AS "touched_at!", stored_at AS "stored_at?",
                        problems AS "problems?: Json<Vec<String>>",
                        discarded_by AS "discarded_by?", discarded_at AS "discarded_at?",
                        discard_reason AS "discard_reason?" "#
                + $from
            $(, $arg)*
        )
    };
}

use evidence_rows;

impl Store {
    #[tracing::instrument(name = "db.evidence.get", skip_all, err(level = "debug"))]
    pub async fn evidence(&self, id: CommandId) -> Result<Option<EvidenceRecord>, StoreError> {
        evidence_rows!("", "FROM evidence WHERE command_id = $1", id.0)
            .fetch_optional(&self.durable)
            .await?
            .map(EvidenceRecord::try_from)
            .transpose()
    }

    /// Newest first, those of commands before `before`.
    #[tracing::instrument(name = "db.evidence.list", skip_all, err(level = "debug"))]
    pub async fn evidence_list(
        &self,
        filter: &EvidenceFilter,
        before: Option<CommandId>,
        limit: i64,
    ) -> Result<Vec<EvidenceRecord>, StoreError> {
        evidence_rows!(
            "",
            "FROM evidence
             WHERE ($1::text IS NULL OR endpoint_id = $1) AND ($2::bigint IS NULL OR command_id = $2)
               AND ($3::bigint IS NULL OR command_id < $3)
             ORDER BY command_id DESC LIMIT $4",
            filter.endpoint.as_ref().map(EndpointId::as_str),
            filter.command.map(|id| id.0),
            before.map(|id| id.0),
            limit
        )
        .fetch_all(&self.durable)
        .await?
        .into_iter()
        .map(EvidenceRecord::try_from)
        .collect()
    }

    /// What the bundles that are kept or under way take; one digest counts once.
    #[tracing::instrument(name = "db.evidence.bytes", skip_all, err(level = "debug"))]
    pub async fn evidence_bytes(&self) -> Result<u64, StoreError> {
        let bytes = sqlx::query_scalar!(
            r#"SELECT coalesce(sum(size_bytes), 0)::bigint AS "bytes!" FROM (
                 SELECT DISTINCT ON (sha256) size_bytes FROM evidence WHERE state IN ('uploading', 'stored')
               ) AS kept"#
        )
        .fetch_one(&self.relaxed)
        .await?;
        Ok(u64::try_from(bytes).unwrap_or_default())
    }

    /// Stored, and not looked through yet; those that could not be looked through come last.
    #[tracing::instrument(name = "db.evidence.unverified", skip_all, err(level = "debug"))]
    pub async fn unverified_evidence(&self, limit: i64) -> Result<Vec<EvidenceRecord>, StoreError> {
        evidence_rows!(
            "",
            "FROM evidence WHERE state = 'stored' AND problems IS NULL ORDER BY looked_at NULLS FIRST, command_id LIMIT $1",
            limit
        )
        .fetch_all(&self.durable)
        .await?
        .into_iter()
        .map(EvidenceRecord::try_from)
        .collect()
    }

    /// Discarded, and their bytes may still be in the evidence store; oldest first.
    #[tracing::instrument(name = "db.evidence.unremoved", skip_all, err(level = "debug"))]
    pub async fn unremoved_evidence(&self, limit: i64) -> Result<Vec<EvidenceRecord>, StoreError> {
        evidence_rows!(
            "",
            "FROM evidence WHERE state = 'discarded' AND removed_at IS NULL ORDER BY command_id LIMIT $1",
            limit
        )
        .fetch_all(&self.durable)
        .await?
        .into_iter()
        .map(EvidenceRecord::try_from)
        .collect()
    }

    /// A bundle that is kept or under way has this digest (hexadecimal).
    #[tracing::instrument(name = "db.evidence.is_kept", skip_all, err(level = "debug"))]
    pub async fn is_evidence_kept(&self, sha256: &str) -> Result<bool, StoreError> {
        let is_kept = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM evidence WHERE sha256 = decode($1, 'hex') AND state IN ('uploading', 'stored'))
               AS "is_kept!""#,
            sha256
        )
        .fetch_one(&self.durable)
        .await?;
        Ok(is_kept)
    }

    /// The newest entries before number `before`, oldest first.
    #[tracing::instrument(name = "db.evidence_custody.page", skip_all, err(level = "debug"))]
    pub async fn custody_page(
        &self,
        id: CommandId,
        before: Option<i32>,
        limit: i64,
    ) -> Result<Vec<String>, StoreError> {
        let mut entries = sqlx::query_scalar!(
            "SELECT entry FROM evidence_custody WHERE command_id = $1 AND ($2::integer IS NULL OR sequence < $2)
             ORDER BY sequence DESC LIMIT $3",
            id.0,
            before,
            limit
        )
        .fetch_all(&self.durable)
        .await?;
        entries.reverse();
        Ok(entries)
    }

    /// The whole chain in order: each entry's text as it was hashed, and its SHA-256.
    #[tracing::instrument(name = "db.evidence_custody.list", skip_all, err(level = "debug"))]
    pub async fn custody(&self, id: CommandId) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let rows = sqlx::query!(
            "SELECT entry, sha256 FROM evidence_custody WHERE command_id = $1 ORDER BY sequence",
            id.0
        )
        .fetch_all(&self.durable)
        .await?;
        Ok(rows.into_iter().map(|row| (row.entry, row.sha256)).collect())
    }
}

fn bad(table: &'static str, column: &'static str, id: CommandId) -> StoreError {
    StoreError::BadRow { table, column, id: id.to_string() }
}

struct EvidenceRow {
    command_id: i64,
    endpoint_id: String,
    epoch: i32,
    hostname: String,
    requested_by: String,
    requested_at: DateTime<Utc>,
    reason: String,
    profile: String,
    state: String,
    sha256: Vec<u8>,
    size_bytes: i64,
    received_bytes: i64,
    is_reported: bool,
    files: Option<i32>,
    errors: Option<i32>,
    partial: Option<String>,
    claims: Option<Json<Envelope>>,
    agent_key: Option<Vec<u8>>,
    announced_at: DateTime<Utc>,
    touched_at: DateTime<Utc>,
    stored_at: Option<DateTime<Utc>>,
    problems: Option<Json<Vec<String>>>,
    discarded_by: Option<String>,
    discarded_at: Option<DateTime<Utc>>,
    discard_reason: Option<String>,
}

impl TryFrom<EvidenceRow> for EvidenceRecord {
    type Error = StoreError;

    fn try_from(row: EvidenceRow) -> Result<Self, StoreError> {
        let id = CommandId(row.command_id);
        let bad = |column| bad("evidence", column, id);
        let count = |value: Option<i32>| value.map(|value| u32::try_from(value).unwrap_or_default());
        Ok(Self {
            command_id: id,
            endpoint_id: endpoint_id("evidence", row.endpoint_id)?,
            epoch: Epoch(row.epoch),
            hostname: row.hostname,
            requested_by: row.requested_by,
            requested_at: row.requested_at,
            reason: row.reason,
            profile: row.profile,
            state: row.state.parse().map_err(|()| bad("state"))?,
            sha256: hex::encode(row.sha256),
            size_bytes: u64::try_from(row.size_bytes).map_err(|_| bad("size_bytes"))?,
            received_bytes: u64::try_from(row.received_bytes).map_err(|_| bad("received_bytes"))?,
            is_reported: row.is_reported,
            files: count(row.files),
            errors: count(row.errors),
            partial: row.partial,
            claims: row.claims.map(|Json(claims)| claims),
            agent_key: row.agent_key,
            announced_at: row.announced_at,
            touched_at: row.touched_at,
            stored_at: row.stored_at,
            problems: row.problems.map(|Json(problems)| problems),
            discarded: match (row.discarded_by, row.discarded_at, row.discard_reason) {
                (Some(by), Some(at), Some(reason)) => Some(Discarded { by, at, reason }),
                _ => None,
            },
        })
    }
}
