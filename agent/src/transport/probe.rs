//! A signed round trip over a connection of its own: whether the server is reached, and not only an old connection lives on.

use std::time::Duration;

use reqwest::Method;
use voltaxe_protocol::ProbeAnswer;

use super::http::{HttpClient, parse, unavailable};
use crate::{core::RequestFailure, identity::Identity};

/// Far less than new rules are on probation for.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The caller verifies the answer. A server that does not know the route is not reached: an answer that nobody signed shows
/// nothing.
pub async fn probe(
    http: &HttpClient,
    identity: &Identity,
    nonce: &str,
) -> Result<ProbeAnswer, RequestFailure> {
    let http = http.fresh().map_err(unavailable)?;
    let mut url = http.address().url().join("/agent/probe");
    url.query_pairs_mut().append_pair("nonce", nonce);
    match http.signed(identity, Method::GET, url, Vec::new(), ANSWER_WITHIN).await {
        Ok(body) => parse(&body),
        Err(RequestFailure::NotAccepted(why)) if why.contains("HTTP status 404") => {
            Err(RequestFailure::NotAccepted(format!("{why}; a server without probes is too old: update it")))
        }
        Err(failure) => Err(failure),
    }
}
