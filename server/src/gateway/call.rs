//! The direct channel's other half: the HTTP client that calls agents.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use reqwest::{Client, redirect::Policy};
use voltaxe_orchestrator::strike::Caller;
use voltaxe_protocol::{DirectAnswer, DirectOffer, Problem};

/// The orchestrator ends a call after 5 s; this ends what it left behind.
const CALL_WITHIN: Duration = Duration::from_secs(6);
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// A signed receipt is far below this; nothing longer is read.
const LARGEST_ANSWER_BYTES: usize = 16 * 1024;

/// # Errors
/// When the client cannot be set up, which is a fault of the build.
pub fn caller() -> anyhow::Result<Caller> {
    let client = Client::builder()
        .user_agent(concat!("voltaxe-server/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_WITHIN)
        .timeout(CALL_WITHIN)
        .redirect(Policy::none())
        .no_proxy()
        // Agents answer over plain HTTP: both the order and the receipt are signed.
        .tls_certs_only([])
        .build()
        .context("the client for the direct channel cannot be set up")?;
    Ok(Arc::new(move |address, offer| {
        let client = client.clone();
        Box::pin(async move { call(&client, address, &offer).await })
    }))
}

async fn call(client: &Client, address: SocketAddr, offer: &DirectOffer) -> Result<DirectAnswer, String> {
    let request = client.post(format!("http://{address}/command")).json(offer);
    let mut response = request.send().await.map_err(|error| words(&error.without_url()))?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| words(&error.without_url()))? {
        if body.len() + chunk.len() > LARGEST_ANSWER_BYTES {
            return Err("its answer is too long".to_owned());
        }
        body.extend_from_slice(&chunk);
    }
    if status.is_success() {
        return serde_json::from_slice(&body)
            .map_err(|error| format!("its answer is not understood: {error}"));
    }
    let detail = serde_json::from_slice::<Problem>(&body).ok().and_then(|problem| problem.detail);
    let detail: String = detail.unwrap_or_default().chars().take(200).collect();
    Err(format!("it answered {status} {detail}").trim_end().to_owned())
}

/// The whole chain: the outermost error only says that sending failed.
fn words(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
