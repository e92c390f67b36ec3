//! `GET /events?show=..&after=ID`: what changes, as it changes, one stream a tab. A reconnecting browser names the last
//! event it has seen and gets what it missed; when that is not known any more it is told to load anew.

use std::{
    collections::VecDeque,
    convert::Infallible,
    time::{Duration, Instant},
};

use axum::{
    extract::{Extension, Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{
        IntoResponse as _, Response,
        sse::{Event as Frame, Sse},
    },
};
use futures::stream;
use tokio::{
    sync::{OwnedSemaphorePermit, broadcast, watch},
    time::{Interval, MissedTickBehavior, interval, sleep_until},
};
use voltaxe_app::model;
use voltaxe_orchestrator::{
    authority::may,
    events::{Change, Coalescer, Event, EventId, Missed, Show},
};

use super::session::{Permitted, SignedIn};
use crate::{clock, problem::ApiError, state::AppState};

/// How often a page learns that the connection lives.
const PING_EVERY: Duration = Duration::from_secs(5);
/// How often, in pings, the session is looked at again.
const SESSION_CHECK_PINGS: u32 = 6;
/// A watcher who hears of little learns its place after so many events of others, while they are still known.
const PLACE_EVERY: u64 = 1024;

pub async fn events(
    State(state): State<AppState>,
    Permitted(_permit): Permitted<may::View>,
    Extension(signed_in): Extension<SignedIn>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let asked = match query.map_err(ApiError::from).and_then(|Query(pairs)| Asked::of(pairs)) {
        Ok(asked) => asked,
        Err(error) => return error.into_response(),
    };
    let Ok(place) = state.places.watchers.clone().try_acquire_owned() else {
        return ApiError::busy().into_response();
    };
    // A browser that reconnects by itself repeats the address; its header is newer.
    let seen = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok())
        .map(EventId);
    let after = seen.or(asked.after);
    let subscription = state.strike.events().subscribe(after);
    let mut coalescer = Coalescer::default();
    let mut ready = VecDeque::new();
    let mut told = subscription.at;
    match subscription.missed {
        Missed::Events(events) => {
            // Nothing before it is told again.
            told = after.unwrap_or(told);
            events
                .into_iter()
                .filter(|event| asked.show.includes(&event.change))
                .for_each(|event| coalescer.push(event));
        }
        Missed::Nothing if after.is_some() => {}
        // A page that connects for the first time may have missed something since it was rendered: it loads anew as well.
        Missed::Nothing | Missed::Unknown => ready.push_back(reset(subscription.at)),
    }
    let mut ping = interval(PING_EVERY);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watcher = Watcher {
        changes: state.operators.changes(),
        state,
        signed_in,
        show: asked.show,
        ready,
        coalescer,
        live: subscription.live,
        at: subscription.at,
        told,
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

/// The query. One that is not understood is refused: a watcher that waits for what never comes is worse off.
struct Asked {
    show: Show,
    after: Option<EventId>,
}

impl Asked {
    fn of(pairs: Vec<(String, String)>) -> Result<Self, ApiError> {
        let (mut show, mut after) = (None, None);
        for (name, value) in pairs {
            match name.as_str() {
                "show" if show.is_none() => {
                    show = Some(value.parse().map_err(|error| malformed("show", error))?);
                }
                "after" if after.is_none() => {
                    let id = value.parse().map_err(|_| malformed("after", "is not the id of an event"))?;
                    after = Some(EventId(id));
                }
                "show" => return Err(malformed("show", "is there twice; put commas between what it names")),
                "after" => return Err(malformed("after", "is there twice")),
                _ => return Err(malformed("query", "takes show and after, and nothing else")),
            }
        }
        Ok(Self { show: show.unwrap_or_else(Show::all), after })
    }
}

fn malformed(field: &str, problem: impl std::fmt::Display) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "invalid", "A value in the query is not valid")
        .field(field)
        .detail(format!("{field} {problem}"))
}

struct Watcher {
    state: AppState,
    signed_in: SignedIn,
    show: Show,
    ready: VecDeque<Frame>,
    coalescer: Coalescer,
    live: broadcast::Receiver<Event>,
    /// The newest event that was looked at, and the place that the watcher knows.
    at: EventId,
    told: EventId,
    ping: Interval,
    pings: u32,
    /// Of operators: after one the session is looked at again at once.
    changes: watch::Receiver<u64>,
    _place: OwnedSemaphorePermit,
}

impl Watcher {
    /// `None` ends the stream: the server shuts down, or the session has ended.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Some(frame);
            }
            let now = Instant::now();
            let due = self.coalescer.take(now);
            if let Some(last) = due.last() {
                self.told = last.id;
                self.ready.extend(due.iter().map(frame));
                continue;
            }
            if self.coalescer.is_empty() && self.at.0 - self.told.0 >= PLACE_EVERY {
                return Some(self.ping());
            }
            let due = self.coalescer.poll_timeout(now);
            tokio::select! {
                biased;
                () = self.state.shutdown.cancelled() => return None,
                // An operator was changed, perhaps this one.
                Ok(()) = self.changes.changed() => {
                    if self.session_ended().await {
                        return None;
                    }
                }
                () = sleep_until(due.unwrap_or(now).into()), if due.is_some() => {}
                event = self.live.recv() => match event {
                    Ok(event) => {
                        self.at = event.id;
                        if self.show.includes(&event.change) {
                            self.coalescer.push(event);
                        }
                    }
                    // Too slow for what happened: it loads anew instead.
                    Err(broadcast::error::RecvError::Lagged(_)) => {
                        let subscription = self.state.strike.events().subscribe(None);
                        self.live = subscription.live;
                        self.at = subscription.at;
                        self.told = subscription.at;
                        self.coalescer = Coalescer::default();
                        return Some(reset(self.at));
                    }
                    Err(broadcast::error::RecvError::Closed) => return None,
                },
                _ = self.ping.tick() => {
                    self.pings += 1;
                    if self.pings.is_multiple_of(SESSION_CHECK_PINGS) && self.session_ended().await {
                        return None;
                    }
                    return Some(self.ping());
                }
            }
        }
    }

    /// Its id is the watcher's place, which is not beyond what still waits to be told.
    fn ping(&mut self) -> Frame {
        if self.coalescer.is_empty() {
            self.told = self.at;
        }
        let now = clock::now().timestamp_millis().to_string();
        Frame::default().event("ping").id(self.told.0.to_string()).data(now)
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
