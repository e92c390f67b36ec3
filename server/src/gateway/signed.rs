//! Requests signed by an agent: verified before anything in them is looked at.

use std::{
    collections::{HashSet, VecDeque},
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, Uri, header},
};
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use voltaxe_protocol::{
    EndpointId, RequestParts, RequestSignature, RequestSignatureError, SIGNATURE_MAX_AGE_SECONDS,
    SignatureAlgorithm, content_digest, verify_poll_head, verify_request_head,
};

use crate::{clock, limits::LARGEST_BODY_BYTES, problem::ApiError, state::AppState};

/// Signatures that are remembered at once; one more is refused rather than let through unchecked.
const REMEMBERED: usize = 1_000_000;

/// The sender, verified, and the body's bytes.
pub struct Signed {
    pub endpoint: EndpointId,
    pub body: Bytes,
    /// The address that it came from, when no proxy stands between.
    pub peer: Option<IpAddr>,
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
        Head::verify(request, state, &[SignatureAlgorithm::Ed25519])
            .await?
            .with_body(state, LARGEST_BODY_BYTES)
            .await
    }
}

/// For the route of the polls alone: a shared key is enough there, as a poll reports nothing.
pub struct SignedPoll(pub Signed);

impl FromRequest<AppState> for SignedPoll {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let allowed = [SignatureAlgorithm::HmacSha256, SignatureAlgorithm::Ed25519];
        Head::verify(request, state, &allowed).await?.with_body(state, LARGEST_BODY_BYTES).await.map(Self)
    }
}

/// A request whose signature holds and whose body has not been read: nothing is kept for who has no key.
pub(crate) struct Head {
    signature: RequestSignature,
    content_digest: String,
    peer: Option<IpAddr>,
    body: Body,
}

impl Head {
    pub(crate) async fn verify(
        request: Request,
        state: &AppState,
        allowed: &[SignatureAlgorithm],
    ) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let signature = RequestSignature::parse_input(text(&parts.headers, "signature-input")?)?;
        if !allowed.contains(&signature.alg) {
            return Err(RequestSignatureError::WrongAlgorithm.into());
        }
        let now = clock::now().timestamp();
        let query = query_of(&parts.uri);
        let content_digest = text(&parts.headers, "content-digest")?;
        let signed = RequestParts {
            method: parts.method.as_str(),
            authority: &authority_of(&parts.headers)?,
            path: parts.uri.path(),
            query: &query,
            content_digest,
        };
        let header = text(&parts.headers, "signature")?;
        match signature.alg {
            SignatureAlgorithm::Ed25519 => {
                let key = state.strike.agent_key(&signature.keyid).await?;
                verify_request_head(&signed, &signature, header, &key, now)?;
            }
            SignatureAlgorithm::HmacSha256 => {
                let key = state.strike.poll_key(&signature.keyid).await?;
                verify_poll_head(&signed, &signature, header, &key, now)?;
            }
        }
        let content_digest = content_digest.to_owned();
        Ok(Self { signature, content_digest, peer: state.peer_of(&parts.extensions), body })
    }

    /// With a body of at most so many bytes. Each signature is good once.
    pub(crate) async fn with_body(self, state: &AppState, most: usize) -> Result<Signed, ApiError> {
        let Self { signature, content_digest: claimed, peer, body } = self;
        let body = axum::body::to_bytes(body, most).await.map_err(ApiError::unreadable)?;
        if claimed != content_digest(&body) {
            return Err(RequestSignatureError::DigestMismatch.into());
        }
        state.nonces.remember(&signature, clock::now().timestamp())?;
        Ok(Signed { endpoint: signature.keyid, body, peer })
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

/// Signatures seen while they are fresh: each is good once. In memory: what an earlier process has seen is told by its time.
#[derive(Default)]
pub struct Nonces {
    /// Unix seconds; a signature made then or earlier may have been used already.
    begun_at: i64,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    nonces: HashSet<[u8; 16]>,
    /// In order of arrival, with the time until which each must be remembered.
    queue: VecDeque<(i64, [u8; 16])>,
}

impl Nonces {
    /// For a server that started at `now`, in Unix seconds.
    #[must_use]
    pub fn since(now: i64) -> Self {
        Self { begun_at: now, seen: Mutex::default() }
    }

    /// Refuses a nonce that this endpoint has used.
    pub fn remember(&self, signature: &RequestSignature, now: i64) -> Result<(), ApiError> {
        if signature.created <= self.begun_at {
            // No 401: the agent is to sign again soon and not to rest until somebody has looked.
            return Err(ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "restarted",
                "The server was restarted",
            )
            .detail("the request was signed before this server started: sign again")
            .retry_after(1));
        }
        let key = digest(signature);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((_, old)) = seen.queue.pop_front_if(|(until, _)| *until < now) {
            seen.nonces.remove(&old);
        }
        if seen.queue.len() >= REMEMBERED {
            return Err(ApiError::busy());
        }
        if !seen.nonces.insert(key) {
            return Err(ApiError::new(StatusCode::UNAUTHORIZED, "replayed", "The request was seen before")
                .detail("each signature is good once: sign again with a new nonce"));
        }
        // A signature from the future stays fresh for twice the window.
        seen.queue.push_back((now + 2 * SIGNATURE_MAX_AGE_SECONDS + 1, key));
        Ok(())
    }
}

/// Endpoint and nonce in 16 bytes, so that a million of them are 50 MB and not 200.
fn digest(signature: &RequestSignature) -> [u8; 16] {
    let mut hasher = Sha256::new();
    hasher.update(signature.keyid.as_str());
    hasher.update(&signature.nonce);
    let digest: [u8; 32] = hasher.finalize().into();
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    key
}
