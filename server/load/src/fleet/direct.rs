//! An agent's own listener: the server brings commands to `POST /command`.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Instant,
};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    routing::post,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use voltaxe_protocol::{AgentFrame, DirectAnswer, DirectOffer, MAX_FRAME_BYTES};

use super::{Counters, Shared, Step};
use crate::{
    agent::{Offered, SimAgent},
    clock,
};

#[derive(Clone)]
struct Listener {
    agent: Arc<SimAgent>,
    shared: Arc<Shared>,
}

/// Listens at a free port of the address that the agent's requests come from, until `stop`.
pub(super) async fn listen(agent: &Arc<SimAgent>, shared: &Arc<Shared>, stop: &CancellationToken) {
    let address = shared.target.source_of(agent.identity.index).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let Ok(listener) = TcpListener::bind((address, 0)).await else { return };
    let Ok(local) = listener.local_addr() else { return };
    agent.listens_at(local.port());
    let state = Listener { agent: agent.clone(), shared: shared.clone() };
    let router = Router::new()
        .route("/command", post(command))
        .layer(DefaultBodyLimit::max(MAX_FRAME_BYTES))
        .with_state(state);
    let stop = stop.clone();
    let _ = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
}

/// Acknowledged when it is on the agent's disk; executed and reported by the loop that holds the agent's connection.
async fn command(
    State(Listener { agent, shared }): State<Listener>,
    Json(offer): Json<DirectOffer>,
) -> Result<Json<DirectAnswer>, StatusCode> {
    Counters::add(&shared.counters.offers);
    let arrived = Instant::now();
    let receipt = match agent.offered(offer.attempt, &offer.envelope, clock::now()) {
        Offered::Accepted { receipt, id, is_new } => {
            if !is_new {
                Counters::add(&shared.counters.repeats);
            }
            shared.watch.command(agent.identity.index, id, Step::Offered, arrived);
            receipt
        }
        Offered::Known { receipt, .. } => {
            Counters::add(&shared.counters.repeats);
            receipt
        }
        Offered::Rejected(_) => {
            Counters::add(&shared.counters.rejected);
            return Err(StatusCode::UNAUTHORIZED);
        }
    };
    let AgentFrame::Receipt { command_id, attempt } = receipt else {
        return Err(StatusCode::INTERNAL_SERVER_ERROR);
    };
    Counters::add(&shared.counters.receipts);
    shared.watch.command(agent.identity.index, command_id, Step::Receipted, Instant::now());
    agent.wake.notify_one();
    Ok(Json(DirectAnswer { receipt: agent.signed_receipt(command_id, attempt) }))
}
