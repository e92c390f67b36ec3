//! The API's side of `ctl`: what a status means, and when to try again.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read, stdin},
    path::Path,
    time::Duration,
};

use reqwest::{
    Certificate, Method, StatusCode,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
};
use serde_json::Value;
use url::Url;
use uuid::Uuid;
use voltaxe_orchestrator::api_tokens;
use voltaxe_protocol::Problem;

use super::{Arguments, Failure};

const ANSWER_WITHIN: Duration = Duration::from_secs(35);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// An order carries a key, so that trying again makes nothing twice.
const ATTEMPTS: u32 = 3;
const RETRY_AFTER: Duration = Duration::from_secs(1);
const LONGEST_TOKEN_FILE: u64 = 4096;

pub(super) struct Client {
    http: reqwest::Client,
    server: Url,
}

impl Client {
    pub(super) fn new(arguments: &Arguments) -> Result<Self, Failure> {
        let server = arguments
            .server
            .clone()
            .ok_or_else(|| usage("no server is named: give --server URL, or set VOLTAXE_SERVER"))?;
        let is_loopback = match server.host() {
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        };
        match server.scheme() {
            "https" => {}
            "http" if is_loopback => {}
            _ => {
                return Err(usage(format!(
                    "{server} would carry the API token across the network in the clear: use https"
                )));
            }
        }
        let file = arguments.token_file.as_deref().ok_or_else(|| {
            usage("no API token is given: give --token-file FILE, or set VOLTAXE_TOKEN_FILE")
        })?;
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", read_token(file)?))
            .map_err(|_| usage("the API token holds what no header can"))?;
        authorization.set_sensitive(true);
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .default_headers(HeaderMap::from_iter([(AUTHORIZATION, authorization)]))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN);
        if is_loopback {
            builder = builder.no_proxy();
        }
        if let Some(path) = &arguments.ca_file {
            let cannot = |error: &dyn std::fmt::Display| {
                usage(format!("--ca-file: {} holds no certificate that can be read: {error}", path.display()))
            };
            let pem = std::fs::read(path).map_err(|error| cannot(&error))?;
            let trusted = Certificate::from_pem_bundle(&pem).map_err(|error| cannot(&error))?;
            if trusted.is_empty() {
                return Err(cannot(&"it has no PEM block of a certificate"));
            }
            builder = builder.tls_certs_only(trusted);
        }
        let http =
            builder.build().map_err(|error| usage(format!("TLS cannot be used: {}", chain(&error))))?;
        Ok(Self { http, server })
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send(Method::GET, path, None, None).await
    }

    pub(super) async fn post(&self, path: &str, key: Option<Uuid>, body: &Value) -> Result<Value, Failure> {
        self.send(Method::POST, path, key, Some(body)).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        key: Option<Uuid>,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let url = self.server.join(path).map_err(|error| usage(format!("--server: {error}")))?;
        let may_repeat = method == Method::GET || key.is_some();
        let mut attempt = 1;
        loop {
            let mut request = self.http.request(method.clone(), url.clone());
            if let Some(key) = key {
                request = request.header("idempotency-key", key.to_string());
            }
            if let Some(body) = body {
                request = request.json(body);
            }
            let failure = match request.send().await {
                Ok(response) if response.status() != StatusCode::SERVICE_UNAVAILABLE => {
                    return self.read(response).await;
                }
                Ok(response) => match self.read(response).await {
                    Ok(answer) => return Ok(answer),
                    Err(failure) => failure,
                },
                Err(error) => self.unreachable(&error),
            };
            if !may_repeat || attempt == ATTEMPTS {
                return Err(failure);
            }
            attempt += 1;
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }

    async fn read(&self, response: reqwest::Response) -> Result<Value, Failure> {
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|_| {
                Failure::Unreachable(format!("{} answers no JSON: is it a Voltaxe server?", self.server))
            });
        }
        let words = match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) => problem.detail.unwrap_or(problem.title),
            Err(_) => format!("{} answers {status}: is it a Voltaxe server?", self.server),
        };
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::Refused(words),
            StatusCode::CONFLICT => Failure::Impossible(words),
            status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
                Failure::Usage(words)
            }
            _ => Failure::Unreachable(words),
        })
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        Failure::Unreachable(format!(
            "{} does not answer: {}; check --server, the network, and --ca-file for a certificate of your own",
            self.server,
            chain(error)
        ))
    }
}

fn usage(words: impl Into<String>) -> Failure {
    Failure::Usage(words.into())
}

/// The innermost cause says most.
fn chain(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}

fn read_token(path: &Path) -> Result<String, Failure> {
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(stdin())
    } else {
        let file = File::open(path)
            .map_err(|error| usage(format!("--token-file: cannot read {}: {error}", path.display())))?;
        Box::new(file)
    };
    let mut line = String::new();
    BufReader::new(source.take(LONGEST_TOKEN_FILE))
        .read_line(&mut line)
        .map_err(|error| usage(format!("--token-file: cannot read {}: {error}", path.display())))?;
    let token = line.trim();
    if api_tokens::is_well_formed(token) {
        Ok(token.to_owned())
    } else {
        Err(usage(format!(
            "the first line of {} is no API token (vxt_ and 72 hexadecimal digits), or it is mistyped",
            path.display()
        )))
    }
}
