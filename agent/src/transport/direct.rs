//! The direct channel: `POST /command` from the server, answered with a signed receipt. Nobody else has anything to say
//! here, so everything is small: bodies, headers, times and the number of connections.

use std::{convert::Infallible, future::Future, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, oneshot},
    time::{sleep, timeout},
};
use voltaxe_protocol::{DirectAnswer, DirectOffer, Envelope, PayloadType, Problem};

use crate::{core::DirectVerdict, identity::Identity};

const MAX_BODY_BYTES: usize = 64 * 1024;
const MAX_CONNECTIONS: usize = 16;
const HEADERS_WITHIN: Duration = Duration::from_secs(5);
const BODY_WITHIN: Duration = Duration::from_secs(5);
/// The disk's time.
const VERDICT_WITHIN: Duration = Duration::from_secs(10);
/// From accepting to closing, whatever the other side does.
const CONNECTION_WITHIN: Duration = Duration::from_secs(25);
/// Accepting fails when there are no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// A well-formed offer, still to be verified, and where its verdict is waited for.
pub struct DirectRequest {
    pub offer: DirectOffer,
    pub verdict: oneshot::Sender<DirectVerdict>,
}

/// Accepts connections for ever; one request each. Beyond [`MAX_CONNECTIONS`] they are closed at once.
pub async fn serve(
    listener: TcpListener,
    identity: Arc<Identity>,
    offers: impl Fn(DirectRequest) + Clone + Send + Sync + 'static,
) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("[COMMAND DIRECT] A connection could not be accepted: {error}");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (identity, offers) = (Arc::clone(&identity), offers.clone());
        tokio::spawn(async move {
            let outcome = timeout(CONNECTION_WITHIN, converse(stream, &identity, &offers)).await;
            tracing::trace!(?outcome, "a direct connection ended");
            drop(place);
        });
    }
}

async fn converse(
    stream: TcpStream,
    identity: &Identity,
    offers: &impl Fn(DirectRequest),
) -> Result<(), hyper::Error> {
    let service = service_fn(|request| async {
        let answer = match answer(request, identity, offers).await {
            Ok(answer) => json(StatusCode::OK, "application/json", &answer),
            Err(problem) => refusal(&problem),
        };
        Ok::<_, Infallible>(answer)
    });
    http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(16 * 1024)
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

async fn answer(
    request: Request<Incoming>,
    identity: &Identity,
    offers: &impl Fn(DirectRequest),
) -> Result<DirectAnswer, Problem> {
    if request.uri().path() != "/command" {
        return Err(problem(404, "not-found", "There is nothing here", "POST to /command"));
    }
    if request.method() != Method::POST {
        return Err(problem(405, "method-not-allowed", "Only POST is answered here", "POST to /command"));
    }
    let offer = read(request.into_body()).await?;
    let (verdict, decided) = oneshot::channel();
    offers(DirectRequest { offer, verdict });
    match within(VERDICT_WITHIN, decided).await {
        Some(Ok(DirectVerdict::Receipt(claims))) => {
            Ok(DirectAnswer { receipt: Envelope::seal(PayloadType::Receipt, &claims, &identity.key) })
        }
        Some(Ok(DirectVerdict::NotForUs(reason))) => {
            Err(problem(401, "envelope-not-accepted", "The envelope is not accepted", &reason))
        }
        Some(Ok(DirectVerdict::Unavailable(reason))) => Err(unavailable(&reason)),
        Some(Err(_)) => Err(unavailable("the agent is stopping")),
        None => Err(unavailable("the agent's disk did not answer in time; offer the command again")),
    }
}

async fn read(body: Incoming) -> Result<DirectOffer, Problem> {
    let bad = |detail: &str| problem(400, "body-invalid", "The body is not a command on offer", detail);
    let body = match within(BODY_WITHIN, Limited::new(body, MAX_BODY_BYTES).collect()).await {
        Some(Ok(body)) => body.to_bytes(),
        Some(Err(error)) if error.is::<LengthLimitError>() => {
            return Err(problem(413, "body-too-large", "The body is too large", "at most 64 KiB are read"));
        }
        Some(Err(_)) => return Err(bad("it ended early")),
        None => return Err(bad("it was not complete within 5 s")),
    };
    serde_json::from_slice(&body).map_err(|error| bad(&error.to_string()))
}

async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    timeout(limit, work).await.ok()
}

fn unavailable(detail: &str) -> Problem {
    problem(503, "unavailable", "The command cannot be taken now", detail)
}

fn problem(status: u16, word: &str, title: &str, detail: &str) -> Problem {
    Problem::new(status, word, title).with_detail(detail)
}

fn refusal(problem: &Problem) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(status, Problem::MEDIA_TYPE, problem);
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    }
    response
}

fn json(status: StatusCode, media_type: &'static str, body: &impl Serialize) -> Response<Full<Bytes>> {
    let body = serde_json::to_vec(body).expect("our wire types have a JSON form");
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// For the runtime that is entered.
pub fn adopt(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}
