use voltaxe_protocol::{PollKey, RequestParts, SignedHeaders, sign_poll, sign_request};

use crate::{agent::Identity, clock, http, target::Target};

/// The bytes of a request with an agent's RFC 9421 signature, made now: good once, and for a minute.
#[must_use]
pub fn signed_request(
    target: &Target,
    identity: &Identity,
    method: &str,
    path_and_query: &str,
    body: &[u8],
) -> Vec<u8> {
    with_headers(target, method, path_and_query, body, |parts| {
        sign_request(parts, body, identity.id.clone(), &identity.key, clock::now().timestamp())
    })
}

/// The bytes of a poll, authenticated with the key that the agent shares with the server: good once, and for a minute.
#[must_use]
pub fn signed_poll(target: &Target, identity: &Identity, key: &PollKey, path_and_query: &str) -> Vec<u8> {
    with_headers(target, "GET", path_and_query, b"", |parts| {
        sign_poll(parts, identity.id.clone(), key, clock::now().timestamp())
    })
}

fn with_headers(
    target: &Target,
    method: &str,
    path_and_query: &str,
    body: &[u8],
    sign: impl FnOnce(RequestParts<'_>) -> SignedHeaders,
) -> Vec<u8> {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let query = format!("?{query}");
    let signed =
        sign(RequestParts { method, authority: target.authority(), path, query: &query, content_digest: "" });
    let headers = [
        ("content-type", "application/json"),
        ("content-digest", signed.content_digest.as_str()),
        ("signature-input", signed.signature_input.as_str()),
        ("signature", signed.signature.as_str()),
    ];
    http::request(method, path_and_query, target, &headers, body)
}
