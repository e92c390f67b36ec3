//! Sends webhooks: the HTTP of it. What is sent, and what an answer means, the orchestrator decides.

use std::{
    error::Error,
    fmt::Write as _,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use reqwest::{
    Client, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use tokio::{net::lookup_host, task::JoinSet};
use voltaxe_orchestrator::{
    Strike, StrikeError,
    webhooks::{Allowance, Answer, Attempt, MOST_ANSWER_CHARS},
};

use crate::clock;

/// Attempts that are under way at once.
const AT_ONCE: usize = 16;
/// From the look-up of the name to the last byte that is read.
const ATTEMPT_WITHIN: Duration = Duration::from_secs(10);
const READ_EVERY: Duration = Duration::from_millis(500);
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Reads events and sends them, until it is dropped.
pub async fn run(strike: Strike) {
    let sender = Sender::new(&strike.config().webhook_allowance);
    let mut under_way = JoinSet::new();
    let mut timer = tokio::time::interval(READ_EVERY);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = timer.tick() => {}
            Some(_) = under_way.join_next() => {}
        }
        while under_way.try_join_next().is_some() {}
        if let Err(error) = step(&strike, &sender, &mut under_way).await {
            strike.meters().upkeep_failed();
            tracing::warn!(%error, "webhooks could not be looked after: {error}");
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }
}

async fn step(strike: &Strike, sender: &Sender, under_way: &mut JoinSet<()>) -> Result<(), StrikeError> {
    while strike.read_events(clock::now()).await? {}
    let room = AT_ONCE.saturating_sub(under_way.len());
    if room == 0 {
        return Ok(());
    }
    for attempt in strike.due_attempts(room, clock::now()).await? {
        let (strike, sender) = (strike.clone(), sender.clone());
        under_way.spawn(async move {
            let answer = sender.send(&attempt).await;
            // Without this the lease runs out, and the same is sent again.
            if let Err(error) = strike.attempted(&attempt, &answer, clock::now()).await {
                tracing::warn!(webhook = %attempt.webhook, delivery = %attempt.id, %error, "what became of a delivery could not be written: {error}");
            }
        });
    }
    Ok(())
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Sender {
    allowance: Allowance,
    https: Client,
    http: Client,
}

impl Sender {
    #[must_use]
    pub fn new(allowance: &Allowance) -> Self {
        Self { allowance: allowance.clone(), https: client(allowance, true), http: client(allowance, false) }
    }

    /// Never follows a redirect, reads only the beginning of an answer, and connects to no address that was not checked.
    pub async fn send(&self, attempt: &Attempt) -> Answer {
        match tokio::time::timeout(ATTEMPT_WITHIN, self.exchange(attempt)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(problem)) => Answer::None { problem },
            Err(_) => Answer::None { problem: format!("no answer within {} s", ATTEMPT_WITHIN.as_secs()) },
        }
    }

    async fn exchange(&self, attempt: &Attempt) -> Result<Answer, String> {
        // Checked again: what is allowed may have changed since the URL was set.
        let url = self.allowance.check_url(&attempt.url).map_err(|problem| format!("the URL {problem}"))?;
        let client = if url.scheme() == "https" { &self.https } else { &self.http };
        let mut response = client
            .post(Url::clone(&url))
            .header("content-type", "application/json")
            .header("webhook-id", attempt.id.to_string())
            .header("webhook-timestamp", attempt.timestamp.to_string())
            .header("webhook-signature", &attempt.signature)
            .body(attempt.body.clone())
            .send()
            .await
            .map_err(|error| chain(&error.without_url()))?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        // A character has at most 4 bytes.
        while body.len() < MOST_ANSWER_CHARS * 4 {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                // The status is what counts.
                Ok(None) | Err(_) => break,
            }
        }
        body.truncate(MOST_ANSWER_CHARS * 4);
        Ok(Answer::Answered { status, text: String::from_utf8_lossy(&body).trim().to_owned() })
    }
}

fn client(allowance: &Allowance, is_https: bool) -> Client {
    let builder = || {
        Client::builder()
            .user_agent(concat!("voltaxe-server/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .no_proxy()
            .timeout(ATTEMPT_WITHIN)
            .pool_max_idle_per_host(1)
            .dns_resolver(Arc::new(Guarded { allowance: allowance.clone(), is_https }))
    };
    builder().build().unwrap_or_else(|error| {
        tracing::warn!(%error, "webhooks trust no certificate: this machine has none to trust; install ca-certificates");
        builder().tls_certs_only([]).build().expect("a client that trusts nobody needs nothing of the machine")
    })
}

/// Looks names up and leaves out what must not be connected to: what is connected to is what was checked.
struct Guarded {
    allowance: Allowance,
    is_https: bool,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (allowance, is_https) = (self.allowance.clone(), self.is_https);
        Box::pin(async move {
            let found: Vec<IpAddr> =
                lookup_host((name.as_str(), 0)).await?.map(|address| address.ip()).collect();
            let mut blocked = None;
            let mut allowed = Vec::new();
            for address in found {
                match allowance.check(address, is_https) {
                    Ok(()) => allowed.push(SocketAddr::new(address, 0)),
                    Err(why) => blocked = Some(why),
                }
            }
            match (allowed.is_empty(), blocked) {
                (true, Some(why)) => Err(why.into()),
                (true, None) => {
                    Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address").into())
                }
                (false, _) => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
