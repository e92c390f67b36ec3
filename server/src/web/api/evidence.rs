//! `/api/evidence`: what was collected, file by file, and who had to do with it. What hosts wrote is only ever answered as
//! text in JSON, or as a file to keep.

use std::{net::IpAddr, ops::Range};

use axum::{
    Json,
    body::Body,
    extract::{
        FromRequestParts, Path, Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, Utc};
use futures::stream;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use voltaxe_orchestrator::{
    Strike, StrikeError,
    authority::may,
    evidence::{
        Discarded, EvidenceFile, EvidenceFiles, EvidenceFilter, EvidenceRecord, EvidenceStatus, Visit,
    },
};
use voltaxe_protocol::{CollectionError, CommandId, EndpointId, ManifestEntry};

use super::{ROWS, last_of_full, listed};
use crate::{
    clock,
    problem::ApiError,
    state::AppState,
    web::{records::words, session::Permitted},
};

/// The query of the list of bundles.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundles {
    endpoint: Option<EndpointId>,
    command: Option<CommandId>,
    before: Option<CommandId>,
    limit: Option<i64>,
}

/// The query of the list of a bundle's files.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    #[serde(default)]
    from: u32,
    limit: Option<u32>,
}

/// Why a bundle is not to be kept.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = DiscardEvidence)]
#[serde(deny_unknown_fields)]
pub struct Discard {
    #[schema(min_length = 3, max_length = 500)]
    reason: String,
}

/// Where the request came from, when that is the operator's own address.
pub struct From(Option<IpAddr>);

impl FromRequestParts<AppState> for From {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Self::Rejection> {
        Ok(Self(state.peer_of(&parts.extensions)))
    }
}

impl From {
    fn visit(&self) -> Visit {
        Visit { from: self.0, at: clock::now() }
    }
}

/// `GET /api/evidence?endpoint=&command=&before=&limit=`: newest first.
pub async fn list(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::ViewEvidence>,
    query: Result<Query<Bundles>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(Bundles { endpoint, command, before, limit }) = query?;
    let limit = limit.unwrap_or(ROWS);
    // One command has one bundle at most: with `command` there is no next page.
    let of = endpoint.as_ref().map(|id| format!("&endpoint={id}")).unwrap_or_default();
    let filter = EvidenceFilter { endpoint, command };
    let bundles = strike.evidence_list(&permit, &filter, before, limit).await?;
    let next = last_of_full(&bundles, limit)
        .filter(|_| command.is_none())
        .map(|last| format!("/api/evidence?before={}&limit={limit}{of}", last.command_id));
    Ok(listed(bundles.into_iter().map(Bundle::from).collect::<Vec<_>>(), next))
}

/// `GET /api/evidence/{id}`
pub async fn get(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::ViewEvidence>,
    Path(id): Path<String>,
) -> Result<Json<Bundle>, ApiError> {
    Ok(Json(strike.evidence(&permit, parse_id(&id)?).await?.into()))
}

/// `GET /api/evidence/{id}/files?from=&limit=`: what the manifest lists.
pub async fn files(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::ViewEvidence>,
    from: From,
    Path(id): Path<String>,
    query: Result<Query<Files>, QueryRejection>,
) -> Result<Json<Contents>, ApiError> {
    let Query(Files { from: first, limit }) = query?;
    let listed =
        strike.evidence_files(&permit, parse_id(&id)?, first, limit.unwrap_or(100), from.visit()).await?;
    Ok(Json(listed.into()))
}

/// `GET /api/evidence/{id}/files/{index}`: the beginning of a file as text, at most 1 MiB.
pub async fn text(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::ViewEvidence>,
    from: From,
    Path((id, index)): Path<(String, String)>,
) -> Result<Json<FileText>, ApiError> {
    let index =
        index.parse().map_err(|_| ApiError::invalid("index", "must be the file's number in the list"))?;
    let read = strike.evidence_text(&permit, parse_id(&id)?, index, from.visit()).await?;
    Ok(Json(FileText {
        file: read.file.into(),
        text: read.text,
        is_cut: read.is_cut,
        is_binary: read.is_binary,
    }))
}

/// `GET /api/evidence/{id}/custody`: checked by `voltaxe-server admin verify-evidence`.
pub async fn custody(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::ViewEvidence>,
    from: From,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = parse_id(&id)?;
    let export = strike.export_custody(&permit, id, from.visit()).await?;
    let mut response = Json(export).into_response();
    keep_as(&mut response, &format!("custody-{id}.json"));
    Ok(response)
}

/// `GET /api/evidence/{id}/bundle`: the zip; one range of it when the request names one.
pub async fn bundle(
    State(state): State<AppState>,
    Permitted(permit): Permitted<may::DownloadEvidence>,
    from: From,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Ok(place) = state.places.downloads.clone().try_acquire_owned() else { return Err(ApiError::busy()) };
    let id = parse_id(&id)?;
    let size = state.strike.evidence_size(&permit, id).await?;
    let range = range_of(&headers, size)?;
    let download = state.strike.download_evidence(&permit, id, range.clone(), from.visit()).await?;
    let (sent, sha256, name) =
        (download.range.clone(), download.record.sha256.clone(), download.file_name.clone());
    let pieces = stream::try_unfold((download, place), |(mut download, place)| async move {
        let piece = download.next().await?;
        Ok::<_, StrikeError>(piece.map(|piece| (piece, (download, place))))
    });
    let mut response = Body::from_stream(pieces).into_response();
    keep_as(&mut response, &name);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(sent.end - sent.start));
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{sha256}\"")) {
        headers.insert(header::ETAG, tag);
    }
    if range.is_some() {
        let range = format!("bytes {}-{}/{size}", sent.start, sent.end.saturating_sub(1));
        if let Ok(range) = HeaderValue::from_str(&range) {
            headers.insert(header::CONTENT_RANGE, range);
        }
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// `POST /api/evidence/{id}/discard {"reason": ".."}`: its bytes go for good.
pub async fn discard(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::DiscardEvidence>,
    from: From,
    Path(id): Path<String>,
    body: Result<Json<Discard>, JsonRejection>,
) -> Result<Json<Bundle>, ApiError> {
    let (id, Json(Discard { reason })) = (parse_id(&id)?, body?);
    Ok(Json(strike.discard_evidence(&permit, id, &reason, from.visit()).await?.into()))
}

/// A browser saves it and shows nothing. `name` is made of plain ASCII.
fn keep_as(response: &mut Response, name: &str) {
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox");
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, nothing);
}

/// One range (RFC 9110, 14.2). Any other form of the header counts as none, as the RFC allows.
fn range_of(headers: &HeaderMap, size: u64) -> Result<Option<Range<u64>>, ApiError> {
    let text = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let Some((first, last)) = text.and_then(|text| text.strip_prefix("bytes=")?.split_once('-')) else {
        return Ok(None);
    };
    let range = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(size),
        (Ok(first), Err(_)) if last.trim().is_empty() => first..size,
        (Err(_), Ok(last)) if first.trim().is_empty() => size.saturating_sub(last)..size,
        _ => return Ok(None),
    };
    if range.is_empty() {
        return Err(ApiError::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "range-not-satisfiable",
            "The range lies outside of the bundle",
        )
        .detail(format!("the bundle has {size} bytes")));
    }
    Ok(Some(range))
}

fn parse_id(text: &str) -> Result<CommandId, ApiError> {
    super::parse_id(text, "a bundle's id is that of the command that collected it, a whole number")
}

/// What one collection brought, under its command's id.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EvidenceBundle)]
pub struct Bundle {
    #[schema(value_type = i64)]
    command_id: CommandId,
    #[schema(value_type = String)]
    endpoint_id: EndpointId,
    hostname: String,
    requested_by: String,
    requested_at: DateTime<Utc>,
    reason: String,
    #[schema(example = "quick")]
    profile: String,
    #[schema(value_type = words::EvidenceState)]
    state: EvidenceStatus,
    /// Of the bundle, hexadecimal.
    sha256: String,
    size_bytes: u64,
    received_bytes: u64,
    files: Option<u32>,
    errors: Option<u32>,
    /// Why the collection ended early.
    partial: Option<String>,
    announced_at: DateTime<Utc>,
    stored_at: Option<DateTime<Utc>>,
    /// What the server found wrong with it; `null` until it has looked, empty when everything holds.
    problems: Option<Vec<String>>,
    /// When its bytes were deleted, by whom and why.
    #[schema(value_type = Option<words::Discarded>)]
    discarded: Option<Discarded>,
}

impl std::convert::From<EvidenceRecord> for Bundle {
    fn from(record: EvidenceRecord) -> Self {
        Self {
            command_id: record.command_id,
            endpoint_id: record.endpoint_id,
            hostname: record.hostname,
            requested_by: record.requested_by,
            requested_at: record.requested_at,
            reason: record.reason,
            profile: record.profile,
            state: record.state,
            sha256: record.sha256,
            size_bytes: record.size_bytes,
            received_bytes: record.received_bytes,
            files: record.files,
            errors: record.errors,
            partial: record.partial,
            announced_at: record.announced_at,
            stored_at: record.stored_at,
            problems: record.problems,
            discarded: record.discarded,
        }
    }
}

/// What the manifest of a bundle says, and a page of its files.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EvidenceContents)]
pub struct Contents {
    #[schema(value_type = i64)]
    command_id: CommandId,
    #[schema(value_type = String)]
    endpoint_id: EndpointId,
    hostname: String,
    agent_version: String,
    started_at: DateTime<Utc>,
    finished_at: DateTime<Utc>,
    partial: Option<String>,
    /// What could not be collected: the first 500.
    #[schema(value_type = Vec<Object>)]
    errors: Vec<CollectionError>,
    total: u32,
    files: Vec<File>,
}

impl std::convert::From<EvidenceFiles> for Contents {
    fn from(listed: EvidenceFiles) -> Self {
        Self {
            command_id: listed.command_id,
            endpoint_id: listed.endpoint_id,
            hostname: listed.hostname,
            agent_version: listed.agent_version,
            started_at: listed.started_at,
            finished_at: listed.finished_at,
            partial: listed.partial,
            errors: listed.errors,
            total: listed.total,
            files: listed.files.into_iter().map(Into::into).collect(),
        }
    }
}

/// A file of a bundle: its line in the manifest, and its number.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EvidenceFile)]
pub struct File {
    #[serde(flatten)]
    #[schema(value_type = words::ManifestEntry)]
    entry: ManifestEntry,
    index: u32,
}

impl std::convert::From<EvidenceFile> for File {
    fn from(file: EvidenceFile) -> Self {
        Self { entry: file.entry, index: file.index }
    }
}

/// The beginning of a file, at most 1 MiB.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EvidenceText)]
pub struct FileText {
    #[serde(flatten)]
    file: File,
    text: String,
    /// There is more of it.
    is_cut: bool,
    /// It holds a NUL or what is no UTF-8.
    is_binary: bool,
}
