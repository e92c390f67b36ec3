//! `GET /events`: what changes, as it changes, one stream a tab. A reconnecting browser names the last event it has seen
//! and gets what it missed; when that is not known any more it is told to load anew.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::{
    extract::{Extension, State},
    http::{HeaderMap, HeaderValue, header},
    response::{
        IntoResponse as _, Response,
        sse::{Event as Frame, Sse},
    },
};
use futures::stream;
use tokio::{
    sync::{OwnedSemaphorePermit, broadcast, watch},
    time::{Interval, MissedTickBehavior, interval},
};
use voltaxe_app::model;
use voltaxe_orchestrator::{
    authority::may,
    events::{Change, Event, EventId, Missed},
};

use super::session::{Permitted, SignedIn};
use crate::{clock, problem::ApiError, state::AppState};

/// How often a page learns that the connection lives.
const PING_EVERY: Duration = Duration::from_secs(5);
/// How often, in pings, the session is looked at again.
const SESSION_CHECK_PINGS: u32 = 6;

pub async fn events(
    State(state): State<AppState>,
    Permitted(_permit): Permitted<may::View>,
    Extension(signed_in): Extension<SignedIn>,
    headers: HeaderMap,
) -> Response {
    let Ok(place) = state.places.watchers.clone().try_acquire_owned() else {
        return ApiError::busy().into_response();
    };
    let after = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok())
        .map(EventId);
    let subscription = state.strike.events().subscribe(after);
    // A page that connects for the first time may have missed something since it was rendered: it loads anew as well.
    let ready = match subscription.missed {
        Missed::Events(events) => events.iter().map(frame).collect(),
        Missed::Nothing if after.is_some() => VecDeque::new(),
        Missed::Nothing | Missed::Unknown => VecDeque::from([reset(subscription.at)]),
    };
    let mut ping = interval(PING_EVERY);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watcher = Watcher {
        changes: state.operators.changes(),
        state,
        signed_in,
        ready,
        live: subscription.live,
        at: subscription.at,
        ping,
        pings: 0,
        _place: place,
    };
    let frames = stream::unfold(watcher, |mut watcher| async move {
        let frame = watcher.next().await?;
        Some((Ok::<_, Infallible>(frame), watcher))
    });
    let mut response = Sse::new(frames).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Tells nginx not to gather the stream up.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

struct Watcher {
    state: AppState,
    signed_in: SignedIn,
    ready: VecDeque<Frame>,
    live: broadcast::Receiver<Event>,
    at: EventId,
    ping: Interval,
    pings: u32,
    /// Of operators: after one the session is looked at again at once.
    changes: watch::Receiver<u64>,
    _place: OwnedSemaphorePermit,
}

impl Watcher {
    /// `None` ends the stream: the server shuts down, or the session has ended.
    async fn next(&mut self) -> Option<Frame> {
        if let Some(frame) = self.ready.pop_front() {
            return Some(frame);
        }
        tokio::select! {
            biased;
            () = self.state.shutdown.cancelled() => None,
            // An operator was changed, perhaps this one. A comment tells a browser nothing.
            Ok(()) = self.changes.changed() => {
                if self.session_ended().await { None } else { Some(Frame::default().comment("")) }
            }
            event = self.live.recv() => match event {
                Ok(event) => {
                    self.at = event.id;
                    Some(frame(&event))
                }
                // Too slow for what happened: it loads anew instead.
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    let subscription = self.state.strike.events().subscribe(None);
                    self.live = subscription.live;
                    self.at = subscription.at;
                    Some(reset(self.at))
                }
                Err(broadcast::error::RecvError::Closed) => None,
            },
            _ = self.ping.tick() => {
                self.pings += 1;
                if self.pings.is_multiple_of(SESSION_CHECK_PINGS) && self.session_ended().await {
                    return None;
                }
                let now = clock::now().timestamp_millis().to_string();
                Some(Frame::default().event("ping").id(self.at.0.to_string()).data(now))
            }
        }
    }

    async fn session_ended(&self) -> bool {
        let holds = self.state.operators.session_holds(&self.signed_in.session, clock::now()).await;
        // A database that is away ends nobody's session.
        matches!(holds, Ok(false))
    }
}

fn frame(event: &Event) -> Frame {
    let id = event.id.0.to_string();
    let (name, data) = match &event.change {
        Change::Endpoint(view) => ("endpoint", serde_json::to_string(&model::Endpoint::from(view.as_ref()))),
        Change::Command(record) => ("command", serde_json::to_string(&model::Command::from(record.as_ref()))),
        Change::Drift(note) => ("drift", serde_json::to_string(note.as_ref())),
        Change::Progress(note) => ("progress", serde_json::to_string(note.as_ref())),
        Change::Evidence(progress) => ("evidence", serde_json::to_string(progress.as_ref())),
    };
    match data {
        Ok(data) => Frame::default().event(name).id(id).data(data),
        Err(_) => Frame::default().event("reset").id(id).data("{}"),
    }
}

fn reset(at: EventId) -> Frame {
    Frame::default().event("reset").id(at.0.to_string()).data("{}")
}
