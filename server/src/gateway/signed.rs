//! Requests signed by an agent: verified before anything in them is looked at.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, PoisonError},
};

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, Uri, header},
};
use serde::de::DeserializeOwned;
use voltaxe_protocol::{
    EndpointId, RequestParts, RequestSignature, RequestSignatureError, SIGNATURE_MAX_AGE_SECONDS,
    verify_request,
};

use crate::{clock, problem::ApiError, state::AppState};

/// Signatures that are remembered at once; one more is refused rather than let through unchecked.
const REMEMBERED: usize = 1_000_000;

/// The sender, verified, and the body's bytes.
pub struct Signed {
    pub endpoint: EndpointId,
    pub body: Bytes,
}

impl Signed {
    /// The body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let (status, word, title) = if error.is_data() {
                (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "A value in the request is not valid")
            } else {
                (StatusCode::BAD_REQUEST, "malformed-json", "The body is not valid JSON")
            };
            ApiError::new(status, word, title).detail(error.to_string())
        })
    }
}

impl FromRequest<AppState> for Signed {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let method = request.method().clone();
        let uri = request.uri().clone();
        let headers = request.headers().clone();
        let signature = RequestSignature::parse_input(text(&headers, "signature-input")?)?;
        let body = Bytes::from_request(request, state).await?;
        let now = clock::now().timestamp();
        let query = query_of(&uri);
        let parts = RequestParts {
            method: method.as_str(),
            authority: &authority_of(&headers)?,
            path: uri.path(),
            query: &query,
            content_digest: text(&headers, "content-digest")?,
        };
        let key = state.strike.agent_key(&signature.keyid).await?;
        verify_request(&parts, &body, &signature, text(&headers, "signature")?, &key, now)?;
        state.nonces.remember(&signature, now)?;
        Ok(Self { endpoint: signature.keyid, body })
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, RequestSignatureError> {
    headers.get(name).and_then(|value| value.to_str().ok()).ok_or(RequestSignatureError::Malformed)
}

fn authority_of(headers: &HeaderMap) -> Result<String, RequestSignatureError> {
    Ok(text(headers, header::HOST.as_str())?.to_ascii_lowercase())
}

fn query_of(uri: &Uri) -> String {
    format!("?{}", uri.query().unwrap_or_default())
}

/// Signatures seen while they are fresh: each is good once.
#[derive(Default)]
pub struct Nonces {
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    nonces: HashSet<(EndpointId, String)>,
    /// In order of arrival, with the time until which each must be remembered.
    queue: VecDeque<(i64, EndpointId, String)>,
}

impl Nonces {
    /// Refuses a nonce that this endpoint has used.
    pub fn remember(&self, signature: &RequestSignature, now: i64) -> Result<(), ApiError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        while seen.queue.front().is_some_and(|(until, ..)| *until < now) {
            if let Some((_, endpoint, nonce)) = seen.queue.pop_front() {
                seen.nonces.remove(&(endpoint, nonce));
            }
        }
        if seen.queue.len() >= REMEMBERED {
            return Err(ApiError::busy());
        }
        let key = (signature.keyid.clone(), signature.nonce.clone());
        if !seen.nonces.insert(key) {
            return Err(ApiError::new(StatusCode::UNAUTHORIZED, "replayed", "The request was seen before")
                .detail("each signature is good once: sign again with a new nonce"));
        }
        // A signature from the future stays fresh for twice the window.
        let until = now + 2 * SIGNATURE_MAX_AGE_SECONDS + 1;
        seen.queue.push_back((until, signature.keyid.clone(), signature.nonce.clone()));
        Ok(())
    }
}
