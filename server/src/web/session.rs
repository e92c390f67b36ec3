//! Who asks: an API token or the session cookie becomes an operator, and an operator a permit.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::{
    extract::{ConnectInfo, FromRequestParts, Request, State},
    http::{HeaderMap, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use voltaxe_app::api::cookie;
use voltaxe_orchestrator::{
    authority::{Act, Operator, Permit},
    operators::SessionToken,
};

use super::same_origin;
use crate::{clock, problem::ApiError, state::AppState};

/// The operator who sent the request, and the session or the API token that they sent it with; in the request's extensions when
/// there is one.
#[derive(Clone)]
pub struct SignedIn {
    pub operator: Operator,
    pub session: SessionToken,
}

/// Before everything of the console: looks up once a request who sent it, and refuses what another site sent.
///
/// A request with an API token is judged by that alone: no page can make a browser send one, so it needs no proof of where it
/// comes from, and a cookie beside it counts for nothing.
pub async fn admit(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let signed_in = match bearer(request.headers()).map(SessionToken::from_bearer) {
        Some(token) => by_token(&state, token, client_of(&request)).await.map(Some),
        None => match same_origin::check(&request) {
            Ok(()) => by_session(&state, session_of(request.headers())).await,
            Err(refused) => Err(refused),
        },
    };
    match signed_in {
        Ok(Some(signed_in)) => {
            request.extensions_mut().insert(signed_in);
        }
        Ok(None) => {}
        Err(refused) => return refused.into_response(),
    }
    let who = request.extensions().get::<SignedIn>().map(|signed_in| signed_in.operator.username.clone());
    let mut response = next.run(request).await;
    if let Some(who) = who {
        response.extensions_mut().insert(super::request_log::Operator(who));
    }
    response
}

async fn by_token(state: &AppState, token: SessionToken, client: IpAddr) -> Result<SignedIn, ApiError> {
    let operator = state.operators.api_tokens().operator_of(token.expose(), client, clock::now()).await?;
    Ok(SignedIn { operator, session: token })
}

async fn by_session(state: &AppState, session: Option<SessionToken>) -> Result<Option<SignedIn>, ApiError> {
    let Some(session) = session else { return Ok(None) };
    let operator = state.operators.operator_of(&session, clock::now()).await?;
    Ok(operator.map(|operator| SignedIn { operator, session }))
}

fn client_of(request: &Request) -> IpAddr {
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>();
    address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip())
}

/// The credentials of the scheme Bearer (RFC 6750). What cannot be a token, or more than one, is an empty one, which no token is.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| {
        let (scheme, rest) = value.as_bytes().split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then(|| std::str::from_utf8(rest).unwrap_or_default().trim())
    });
    match (given.next(), given.next()) {
        (None, _) => None,
        (Some(only), None) => Some(only),
        (Some(_), Some(_)) => Some(""),
    }
}

fn session_of(headers: &HeaderMap) -> Option<SessionToken> {
    let mut cookies = headers.get_all(header::COOKIE).iter();
    let (Some(only), None) = (cookies.next(), cookies.next()) else { return None };
    cookie::read(only.to_str().ok()?).map(SessionToken::from_cookie)
}

/// Extracts the permit for `A`, or answers 401 or 403.
pub struct Permitted<A>(pub Permit<A>);

impl<A: Act, S: Send + Sync> FromRequestParts<S> for Permitted<A> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let signed_in = parts.extensions.get::<SignedIn>().ok_or_else(ApiError::signed_out)?;
        Ok(Self(signed_in.operator.permit()?))
    }
}

/// Extracts the operator, or answers 401; for actions that are only known once the body is read. The method that it is given
/// to checks the role.
pub struct Acting(pub Operator);

impl<S: Send + Sync> FromRequestParts<S> for Acting {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let signed_in = parts.extensions.get::<SignedIn>().ok_or_else(ApiError::signed_out)?;
        Ok(Self(signed_in.operator.clone()))
    }
}
