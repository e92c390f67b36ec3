//! The dashboard: rendered pages, their server functions and the built files.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use leptos::{config::LeptosOptions, prelude::provide_context};
use voltaxe_app::{
    api::{Access, SERVER_FUNCTIONS, caller::Caller},
    error::ApiError as PageError,
};

use super::{headers, session::SignedIn};
use crate::{clock, problem::ApiError, state::AppState};

/// Renders the page of a path, or the page that says there is none, with status 404.
pub async fn page(State(state): State<AppState>, request: Request) -> Response {
    let caller = match caller(&state, Visit::of(&request)).await {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    let options = LeptosOptions::clone(&state.leptos);
    let render = leptos_axum::render_app_async_with_context(
        move || {
            provide_context(caller.clone());
            headers::page_policy();
        },
        move || voltaxe_app::shell(options.clone()),
    );
    render(request).await.into_response()
}

/// Runs a server function.
pub async fn server_function(State(state): State<AppState>, request: Request) -> Response {
    let caller = match caller(&state, Visit::of(&request)).await {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    leptos_axum::handle_server_fns_with_context(move || provide_context(caller.clone()), request)
        .await
        .into_response()
}

/// Refuses a server function that the dashboard's table does not name, or not for this caller.
pub async fn guard_server_functions(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let Some((_, access)) = SERVER_FUNCTIONS.iter().find(|(listed, _)| *listed == path) else {
        return ApiError::not_found("there is no such server function").into_response();
    };
    let operator = request.extensions().get::<SignedIn>().map(|signed_in| &signed_in.operator);
    let refusal = match (access, operator) {
        (Access::Public, _) | (Access::SignedIn, Some(_)) => None,
        (Access::SignedIn | Access::Action(_), None) => Some(PageError::SignedOut),
        (Access::Action(action), Some(operator)) => {
            let needs = action.role();
            (operator.role < needs).then(|| PageError::Forbidden { needs: needs.into() })
        }
    };
    match refusal {
        None => next.run(request).await,
        Some(error) => error.into_response(),
    }
}

/// Files under `/pkg` carry their hash in the name, so a browser may keep them for good.
pub async fn keep_for_good(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if response.status() == StatusCode::OK {
        let value = HeaderValue::from_static("public, max-age=31536000, immutable");
        response.headers_mut().insert(header::CACHE_CONTROL, value);
    }
    response
}

/// What is taken from a request to know its caller.
struct Visit {
    signed_in: Option<SignedIn>,
    client: IpAddr,
}

impl Visit {
    fn of(request: &Request) -> Self {
        let address = request.extensions().get::<ConnectInfo<SocketAddr>>();
        Self {
            signed_in: request.extensions().get().cloned(),
            client: address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip()),
        }
    }
}

async fn caller(state: &AppState, visit: Visit) -> Result<Caller, ApiError> {
    if visit.signed_in.as_ref().is_some_and(|signed_in| signed_in.operator.is_api_token()) {
        return Err(ApiError::new(StatusCode::FORBIDDEN, "not-for-tokens", "Pages are for people")
            .detail("API tokens are for the addresses that /api/openapi.json lists."));
    }
    // Once there is an operator there always is one, so a session answers this without a look.
    let setup_open = visit.signed_in.is_none() && state.operators.setup_is_open().await?;
    let (operator, session) =
        visit.signed_in.map(|signed_in| (signed_in.operator, signed_in.session)).unzip();
    Ok(Caller {
        strike: state.strike.clone(),
        operators: state.operators.clone(),
        operator,
        session,
        client: visit.client,
        now: clock::now(),
        installer_digest: {
            let installer = state.installer.clone();
            Arc::new(move || installer.digest())
        },
        setup_open,
    })
}
