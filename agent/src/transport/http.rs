use std::{net::SocketAddr, sync::Arc, time::Duration};

use reqwest::{
    Certificate, Client, Method, Response,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{CONTENT_TYPE, HeaderValue},
    redirect::Policy,
};
use serde::{Serialize, de::DeserializeOwned};
use voltaxe_protocol::{
    EnrolRequest, EnrolResponse, PollResponse, Problem, RequestParts, ResultReceipt, SignedHeaders,
    sign_poll, sign_request,
};

use super::{ServerAddress, TlsSettings};
use crate::{
    clock,
    core::{Post, RequestFailure},
    identity::Identity,
};

/// Longer answers are not read on.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Longer than the server waits for a piece of evidence: it says then that the piece is too large for the line.
const PIECE_WITHIN: Duration = Duration::from_secs(40);
pub(super) const JSON: &str = "application/json";

/// Requests to the one server.
#[derive(Clone, Debug)]
pub struct HttpClient {
    client: Client,
    address: Arc<ServerAddress>,
    tls: TlsSettings,
}

impl HttpClient {
    /// # Errors
    /// When the system's certificate authorities cannot be read (https without `ca_file`).
    pub fn new(address: Arc<ServerAddress>, tls: &TlsSettings) -> Result<Self, reqwest::Error> {
        let mut builder = Client::builder()
            .user_agent(concat!("voltaxe-sentinel/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            .redirect(Policy::none())
            // A proxy would be one more host that an isolation has to spare.
            .no_proxy()
            .tcp_nodelay(true)
            .dns_resolver(KnownAddresses(Arc::clone(&address)));
        if let Some(authorities) = tls.authorities() {
            let certificates =
                authorities.iter().map(|der| Certificate::from_der(der)).collect::<Result<Vec<_>, _>>()?;
            builder = builder.tls_certs_only(certificates);
        } else if !address.url().is_tls() {
            // Plain HTTP also works on a host without any certificate authority.
            builder = builder.tls_certs_only([]);
        }
        Ok(Self { client: builder.build()?, address, tls: tls.clone() })
    }

    /// For the same server, without its connections.
    pub(super) fn fresh(&self) -> Result<Self, reqwest::Error> {
        Self::new(Arc::clone(&self.address), &self.tls)
    }

    pub(super) fn address(&self) -> &ServerAddress {
        &self.address
    }

    /// Not signed: the body proves everything.
    pub async fn enrol(&self, request: &EnrolRequest) -> Result<EnrolResponse, RequestFailure> {
        let body = to_json(request);
        let response = self
            .client
            .post(self.address.url().join("/agent/enroll"))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(body)
            .send()
            .await
            .map_err(unavailable)?;
        parse(&answer(response).await?)
    }

    /// The server may keep it open for `wait`.
    pub async fn poll(&self, identity: &Identity, wait: Duration) -> Result<PollResponse, RequestFailure> {
        let mut url = self.address.url().join("/command/poll");
        url.query_pairs_mut().append_pair("host", &identity.grant.hostname);
        if wait > Duration::ZERO {
            url.query_pairs_mut().append_pair("wait", &wait.as_secs().to_string());
        }
        let sign = |parts: RequestParts<'_>, _: &[u8]| {
            let endpoint = identity.grant.endpoint_id.clone();
            sign_poll(parts, endpoint, &identity.poll_key, clock::wall().timestamp())
        };
        let response = self.send(Method::GET, url, Vec::new(), JSON, ANSWER_WITHIN + wait, sign).await?;
        parse(&answer(response).await?)
    }

    pub async fn post(&self, identity: &Identity, post: &Post) -> Result<(), RequestFailure> {
        match post {
            Post::Receipt(receipt) => self.post_to(identity, "/command/receipt", receipt).await?,
            Post::NotKnown(not_known) => self.post_to(identity, "/command/not-known", not_known).await?,
            Post::Result(result) => {
                let answer = self.post_to(identity, "/command/result", result).await?;
                // Forgetting needs more than a status: an answer of some other server must not pass for it.
                let _: ResultReceipt = parse(&answer)?;
                return Ok(());
            }
            Post::Telemetry(telemetry) => self.post_to(identity, "/telemetry", telemetry).await?,
        };
        Ok(())
    }

    async fn post_to(
        &self,
        identity: &Identity,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Vec<u8>, RequestFailure> {
        let url = self.address.url().join(path);
        self.signed(identity, Method::POST, url, to_json(body), ANSWER_WITHIN).await
    }

    /// By the agent's own key.
    pub(super) async fn signed(
        &self,
        identity: &Identity,
        method: Method,
        url: url::Url,
        body: Vec<u8>,
        answer_within: Duration,
    ) -> Result<Vec<u8>, RequestFailure> {
        answer(self.send(method, url, body, JSON, answer_within, by_identity(identity)).await?).await
    }

    /// The answer's status and body, whatever the status is.
    pub(super) async fn exchange(
        &self,
        identity: &Identity,
        method: Method,
        path_and_query: &str,
        body: Vec<u8>,
        content_type: &'static str,
    ) -> Result<(u16, Vec<u8>), RequestFailure> {
        let (path, query) = path_and_query.split_once('?').unzip();
        let mut url = self.address.url().join(path.unwrap_or(path_and_query));
        url.set_query(query);
        let sign = by_identity(identity);
        let response = self.send(method, url, body, content_type, PIECE_WITHIN, sign).await?;
        Ok((response.status().as_u16(), read(response).await?))
    }

    async fn send(
        &self,
        method: Method,
        url: url::Url,
        body: Vec<u8>,
        content_type: &'static str,
        answer_within: Duration,
        sign: impl FnOnce(RequestParts<'_>, &[u8]) -> SignedHeaders,
    ) -> Result<Response, RequestFailure> {
        let authority = self.address.url().authority();
        let query = format!("?{}", url.query().unwrap_or_default());
        let parts = RequestParts {
            method: method.as_str(),
            authority: &authority,
            path: url.path(),
            query: &query,
            content_digest: "",
        };
        let headers = sign(parts, &body);
        self.client
            .request(method, url)
            .header(CONTENT_TYPE, HeaderValue::from_static(content_type))
            .header("content-digest", headers.content_digest)
            .header("signature-input", headers.signature_input)
            .header("signature", headers.signature)
            .timeout(answer_within)
            .body(body)
            .send()
            .await
            .map_err(unavailable)
    }
}

fn by_identity(identity: &Identity) -> impl FnOnce(RequestParts<'_>, &[u8]) -> SignedHeaders {
    |parts, body| {
        let endpoint = identity.grant.endpoint_id.clone();
        sign_request(parts, body, endpoint, &identity.key, clock::wall().timestamp())
    }
}

/// The body of a good answer.
async fn answer(response: Response) -> Result<Vec<u8>, RequestFailure> {
    let status = response.status();
    let body = read(response).await?;
    if status.is_success() {
        return Ok(body);
    }
    let problem = serde_json::from_slice::<Problem>(&body).ok();
    let word = problem.as_ref().map_or("no-reason", |problem| problem.word()).to_owned();
    let detail = problem
        .as_ref()
        .and_then(|problem| problem.detail.clone())
        .or_else(|| problem.as_ref().map(|problem| problem.title.clone()))
        .unwrap_or_else(|| format!("HTTP status {status}"));
    Err(match status.as_u16() {
        401 | 403 => RequestFailure::Refused { word, detail },
        404 if word == "command-not-found" => RequestFailure::CommandNotFound,
        500 => RequestFailure::Failed(detail),
        408 | 425 | 429 | 501.. => RequestFailure::Unavailable(detail),
        _ => RequestFailure::NotAccepted(format!("{detail} ({word}, HTTP status {})", status.as_u16())),
    })
}

pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, RequestFailure> {
    serde_json::from_slice(body)
        .map_err(|error| RequestFailure::NotAccepted(format!("its answer is not understood ({error})")))
}

async fn read(mut response: Response) -> Result<Vec<u8>, RequestFailure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unavailable)? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(RequestFailure::NotAccepted("its answer is longer than 1 MiB".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The whole chain of causes: the outermost one only says that sending failed.
pub(super) fn unavailable(error: reqwest::Error) -> RequestFailure {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    RequestFailure::Unavailable(text)
}

fn to_json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("our wire types have a JSON form")
}

/// Answers reqwest's look-ups from the addresses that the agent keeps.
struct KnownAddresses(Arc<ServerAddress>);

impl Resolve for KnownAddresses {
    fn resolve(&self, _name: Name) -> Resolving {
        let address = Arc::clone(&self.0);
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = address.resolve().await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
