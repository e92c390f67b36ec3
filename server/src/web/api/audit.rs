//! `/api/audit`: who did what, on which host, why, and what came of it.

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, Utc};
use futures::stream;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use voltaxe_orchestrator::{
    Strike, StrikeError,
    audit::{AuditFilter, CSV_HEAD, EXPORTED, Format},
    authority::{Permit, may},
};

use super::{Moment, with_next};
use crate::{clock, problem::ApiError, state::AppState, web::session::Permitted};

const AT_ONCE: i64 = 500;

/// The query of the log, and of its export.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    actor: Option<String>,
    action: Option<String>,
    host: Option<String>,
    reason: Option<String>,
    from: Option<Moment>,
    to: Option<Moment>,
    before: Option<i64>,
    limit: Option<i64>,
    /// Not a page of the log but all of it, as a download.
    format: Option<String>,
}

/// `GET /api/audit?actor=&action=&host=&reason=&from=&to=&before=&limit=`: a page, newest first; where it goes on is in the
/// header `Link`. With `format=csv`, `ocsf` or `json` all that fits is answered as a download, a line a row.
pub async fn list(
    State(state): State<AppState>,
    Permitted(permit): Permitted<may::ViewAudit>,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(asked) = query?;
    let Asked { actor, action, host, reason, from, to, before, limit, format } = asked;
    let filter =
        AuditFilter { actor, action, host, reason, from: from.map(Into::into), to: to.map(Into::into) };
    if let Some(format) = format {
        let format = format
            .parse()
            .map_err(|()| ApiError::invalid("format", "must be csv, ocsf or json, or left out for a page"))?;
        return export(&state, permit, filter, before, format).await;
    }
    let found = state.strike.audit_log(&permit, filter.clone(), before, limit.unwrap_or(100)).await?;
    let body: Value = found.rows.iter().map(voltaxe_orchestrator::audit::AuditLine::json).collect();
    let mut query = words(&filter);
    query.extend(limit.map(|limit| ("limit", limit.to_string())));
    Ok(with_next(Json(body), "/api/audit", &query, found.next))
}

/// `GET /api/audit/{id}`
pub async fn get(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::ViewAudit>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let id = super::parse_id(&id, "an audit row's id is a whole number")?;
    Ok(Json(strike.audit_line(&permit, id).await?.json()))
}

fn words(filter: &AuditFilter) -> Vec<(&'static str, String)> {
    let AuditFilter { actor, action, host, reason, from, to } = filter;
    let texts = [("actor", actor), ("action", action), ("host", host), ("reason", reason)];
    let times = [("from", from), ("to", to)];
    let text = |(name, text): (&'static str, &Option<String>)| text.clone().map(|text| (name, text));
    let time = |(name, at): (&'static str, &Option<DateTime<Utc>>)| at.map(|at| (name, at.to_rfc3339()));
    texts.into_iter().filter_map(text).chain(times.into_iter().filter_map(time)).collect()
}

/// An export on its way.
struct Export {
    strike: Strike,
    permit: Permit<may::ViewAudit>,
    filter: AuditFilter,
    format: Format,
    before: Option<i64>,
    written: usize,
    is_done: bool,
    _place: OwnedSemaphorePermit,
}

async fn export(
    state: &AppState,
    permit: Permit<may::ViewAudit>,
    filter: AuditFilter,
    before: Option<i64>,
    format: Format,
) -> Result<Response, ApiError> {
    let place = state.places.downloads.clone().try_acquire_owned().map_err(|_| ApiError::busy())?;
    state.strike.note_export(&permit, &filter, format, clock::now()).await?;
    let export = Export {
        strike: state.strike.clone(),
        permit,
        filter,
        format,
        before,
        written: 0,
        is_done: false,
        _place: place,
    };
    let pieces = stream::try_unfold(export, |mut export| async move {
        let piece = export.next().await?;
        Ok::<_, StrikeError>(piece.map(|piece| (piece, export)))
    });
    let (kind, name) = match format {
        Format::Csv => ("text/csv; charset=utf-8", "attachment; filename=\"voltaxe-audit.csv\""),
        Format::Json => ("application/x-ndjson", "attachment; filename=\"voltaxe-audit.ndjson\""),
        Format::Ocsf => ("application/x-ndjson", "attachment; filename=\"voltaxe-audit-ocsf.ndjson\""),
    };
    let mut response = Body::from_stream(pieces).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(name));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

impl Export {
    /// The next lines; `None` after the last.
    async fn next(&mut self) -> Result<Option<String>, StrikeError> {
        if self.is_done {
            return Ok(None);
        }
        let is_first = self.written == 0 && self.format == Format::Csv;
        let mut text = if is_first { CSV_HEAD.to_owned() } else { String::new() };
        let left = i64::try_from(EXPORTED - self.written).unwrap_or(AT_ONCE);
        let found =
            self.strike.audit_log(&self.permit, self.filter.clone(), self.before, left.min(AT_ONCE)).await?;
        text.extend(found.rows.iter().map(|line| self.format.line(line)));
        self.written += found.rows.len();
        self.before = found.next;
        match found.next {
            Some(next) if self.written >= EXPORTED => {
                text.push_str(&self.format.cut(self.written, next));
                self.is_done = true;
            }
            Some(_) => {}
            None => self.is_done = true,
        }
        Ok(Some(text))
    }
}
