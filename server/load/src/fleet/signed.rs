use voltaxe_protocol::{RequestParts, sign_request};

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
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let query = format!("?{query}");
    let parts =
        RequestParts { method, authority: target.authority(), path, query: &query, content_digest: "" };
    let signed = sign_request(parts, body, identity.id.clone(), &identity.key, clock::now().timestamp());
    let headers = [
        ("content-type", "application/json"),
        ("content-digest", signed.content_digest.as_str()),
        ("signature-input", signed.signature_input.as_str()),
        ("signature", signed.signature.as_str()),
    ];
    http::request(method, path_and_query, target, &headers, body)
}
