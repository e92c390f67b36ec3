//! `GET /agent/stream`: the WebSocket that an agent holds. Challenge, hello, then frames both ways.

use std::{net::IpAddr, time::Duration};

use axum::{
    extract::{
        Request, State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code},
    },
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use voltaxe_orchestrator::{
    Strike, StrikeError,
    enrolment::new_secret,
    model::{Channel, ProgressNote},
    strike::{AgentError, StreamHandle},
};
use voltaxe_protocol::{AgentFrame, EndpointId, Envelope, MAX_FRAME_BYTES, RefusalReason, ServerFrame};

use crate::{clock, problem::ApiError, state::AppState};

const HELLO_WITHIN: Duration = Duration::from_secs(10);
const SEND_WITHIN: Duration = Duration::from_secs(10);
const PING_EVERY: Duration = Duration::from_secs(15);
/// An agent that says nothing for this long, not even a pong, is gone.
const SILENT_FOR: Duration = Duration::from_secs(45);
/// The library's default is 128 KiB a connection, which fifteen thousand idle agents would pay for. Most frames are shorter.
const READ_BUFFER_BYTES: usize = 1024;

pub async fn stream(State(state): State<AppState>, upgrade: WebSocketUpgrade, request: Request) -> Response {
    let peer = state.peer_of(request.extensions());
    let Ok(place) = state.places.streams.clone().try_acquire_owned() else {
        return ApiError::busy().into_response();
    };
    upgrade
        .max_message_size(MAX_FRAME_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .on_upgrade(async move |mut socket| {
            let reason = serve(&state, peer, &mut socket).await;
            let frame = CloseFrame { code: close_code::NORMAL, reason: reason.into() };
            let _ = timeout(SEND_WITHIN, socket.send(Message::Close(Some(frame)))).await;
            drop(place);
        })
}

/// Serves one agent until either side ends; says why.
async fn serve(state: &AppState, peer: Option<IpAddr>, socket: &mut WebSocket) -> &'static str {
    let mut handle = match timeout(HELLO_WITHIN, greet(&state.strike, socket)).await {
        Ok(Ok(handle)) => handle,
        Ok(Err(Turned::Away(reason, detail))) => {
            tracing::warn!(?reason, "an agent's stream was refused: {detail}");
            let _ = send(socket, &ServerFrame::Refused { reason, detail }).await;
            return "refused";
        }
        Ok(Err(Turned::Gone)) => return "gone",
        Err(_) => return "no hello within 10 s",
    };
    tracing::info!(endpoint = %handle.endpoint, "{} opened its stream", handle.endpoint);
    if let Err(error) = catch_up(&state.strike, &handle.endpoint).await {
        tracing::warn!(endpoint = %handle.endpoint, %error, "what waits for {} could not be offered: {error}", handle.endpoint);
    }
    let why = talk(state, peer, socket, &mut handle).await;
    state.strike.close_stream(&handle, clock::now());
    tracing::info!(endpoint = %handle.endpoint, why, "the stream of {} ended: {why}", handle.endpoint);
    why
}

/// Everything that waits for this agent: questions about what it has, and what it does not have yet.
async fn catch_up(strike: &Strike, endpoint: &EndpointId) -> Result<(), StrikeError> {
    strike.delivery().ask_on_stream(endpoint).await?;
    strike.delivery().offer_on_stream(endpoint, true, clock::now()).await?;
    Ok(())
}

enum Turned {
    Away(RefusalReason, String),
    Gone,
}

async fn greet(strike: &Strike, socket: &mut WebSocket) -> Result<StreamHandle, Turned> {
    let nonce = new_secret();
    let challenge = ServerFrame::Challenge { nonce: nonce.clone(), server_time: clock::now() };
    send(socket, &challenge).await.map_err(|()| Turned::Gone)?;
    let envelope = loop {
        match socket.recv().await {
            Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                Ok(AgentFrame::Hello { envelope }) => break envelope,
                _ => {
                    return Err(Turned::Away(
                        RefusalReason::BadSignature,
                        "the first frame must be a hello".into(),
                    ));
                }
            },
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            _ => return Err(Turned::Gone),
        }
    };
    let claimed = claimed_endpoint(&envelope)
        .ok_or_else(|| Turned::Away(RefusalReason::BadSignature, "the hello names no endpoint".into()))?;
    match strike.open_stream(&envelope, &claimed, &nonce, clock::now()).await {
        Ok(handle) => Ok(handle),
        Err(AgentError::Refused { reason, detail }) => Err(Turned::Away(reason, detail.to_owned())),
        Err(error) => {
            tracing::warn!(%error, "an agent's hello could not be checked: {error}");
            Err(Turned::Away(RefusalReason::Busy, "the server cannot check this now; try again".to_owned()))
        }
    }
}

/// Whose key to check the hello with. Nothing else is taken from it before it verifies.
fn claimed_endpoint(envelope: &Envelope) -> Option<EndpointId> {
    #[derive(serde::Deserialize)]
    struct Claimed {
        endpoint_id: EndpointId,
    }
    let payload = STANDARD.decode(&envelope.payload).ok()?;
    serde_json::from_slice::<Claimed>(&payload).ok().map(|claimed| claimed.endpoint_id)
}

async fn talk(
    state: &AppState,
    peer: Option<IpAddr>,
    socket: &mut WebSocket,
    handle: &mut StreamHandle,
) -> &'static str {
    let mut ping = interval(PING_EVERY);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard_at = Instant::now();
    loop {
        tokio::select! {
            biased;
            () = state.shutdown.cancelled() => return "the server is shutting down",
            frame = handle.frames.recv() => match frame {
                Some(out) => {
                    if send(socket, &out.frame).await.is_err() { return "it does not take frames" }
                    if let Some(began) = out.commit_began { state.strike.meters().written(began.elapsed()) }
                }
                None => return "a newer stream took its place, or it took no frames for too long",
            },
            message = socket.recv() => {
                heard_at = Instant::now();
                match message {
                    Some(Ok(Message::Text(text))) => {
                        let Ok(frame) = serde_json::from_str(&text) else { return "it sent a frame that is no JSON of ours" };
                        if let Err(why) = hear(&state.strike, peer, socket, &handle.endpoint, frame).await { return why }
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => state.strike.saw(&handle.endpoint, clock::now()),
                    Some(Ok(Message::Binary(_))) => return "it sent a binary frame",
                    Some(Ok(Message::Close(_))) | None => return "the agent closed it",
                    Some(Err(_)) => return "the connection broke",
                }
            },
            _ = ping.tick() => {
                if heard_at.elapsed() > SILENT_FOR {
                    return "it was silent for 45 s";
                }
                if timeout(SEND_WITHIN, socket.send(Message::Ping(Vec::new().into()))).await.is_err() {
                    return "it does not take frames";
                }
            }
        }
    }
}

async fn hear(
    strike: &Strike,
    peer: Option<IpAddr>,
    socket: &mut WebSocket,
    endpoint: &EndpointId,
    frame: AgentFrame,
) -> Result<(), &'static str> {
    let now = clock::now();
    let delivery = strike.delivery();
    let outcome: Result<(), AgentError> = match frame {
        AgentFrame::Receipt { command_id, .. } => {
            delivery.receipt(endpoint, command_id, Channel::Stream, now).await.map_err(Into::into)
        }
        AgentFrame::Started { command_id } => {
            delivery.started(endpoint, command_id, now);
            Ok(())
        }
        AgentFrame::Result(result) => {
            let command_id = result.command_id;
            match strike.result(endpoint, result, Channel::Stream, now).await {
                // A command that this server never issued: told as recorded, or the agent would report it for ever.
                Ok(_) | Err(StrikeError::UnknownCommand(_)) => {
                    send(socket, &ServerFrame::ResultRecorded { command_id })
                        .await
                        .map_err(|()| "it does not take frames")?;
                    Ok(())
                }
                Err(error) => Err(error.into()),
            }
        }
        AgentFrame::Telemetry(telemetry) => strike.telemetry(endpoint, *telemetry, peer, now).await,
        AgentFrame::Rejected { reason } => {
            let reason: String = reason.chars().take(300).collect();
            tracing::warn!(%endpoint, reason, "{endpoint} threw an envelope away: {reason}");
            Ok(())
        }
        AgentFrame::NotKnown { command_id } => {
            delivery.not_known(endpoint, command_id, now).await.map_err(Into::into)
        }
        AgentFrame::Hello { .. } => return Err("it said hello twice"),
        AgentFrame::Progress { command_id, step, done_steps, total_steps, bytes } => {
            let endpoint_id = endpoint.clone();
            let (done, total) = (done_steps, total_steps);
            strike.progress(ProgressNote { endpoint_id, command_id, step, done, total, bytes }, now);
            Ok(())
        }
        AgentFrame::Unknown => {
            tracing::debug!(%endpoint, "a frame of a kind this version does not know");
            Ok(())
        }
    };
    if let Err(error) = outcome {
        // Not acknowledged, so the agent says it again.
        tracing::warn!(%endpoint, error = %chain(&error), "a frame of {endpoint} could not be recorded: {error}");
    }
    Ok(())
}

fn chain(error: &AgentError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

async fn send(socket: &mut WebSocket, frame: &ServerFrame) -> Result<(), ()> {
    let text = serde_json::to_string(frame).map_err(|_| ())?;
    timeout(SEND_WITHIN, socket.send(Message::Text(text.into()))).await.map_err(|_| ())?.map_err(|_| ())
}
