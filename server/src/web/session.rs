//! Who asks: the session cookie becomes an operator, and an operator a permit.

use axum::{
    extract::{FromRequestParts, Request, State},
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

/// The operator who sent the request and the session they sent it in; in the request's extensions when there is one.
#[derive(Clone)]
pub struct SignedIn {
    pub operator: Operator,
    pub session: SessionToken,
}

/// Before everything of the console: refuses what another site sent, and looks the session up once a request.
pub async fn admit(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    if let Err(refused) = same_origin::check(&request) {
        return refused.into_response();
    }
    if let Some(session) = session_of(request.headers()) {
        match state.operators.operator_of(&session, clock::now()).await {
            Ok(Some(operator)) => {
                request.extensions_mut().insert(SignedIn { operator, session });
            }
            Ok(None) => {}
            Err(error) => return ApiError::from(error).into_response(),
        }
    }
    let who = request.extensions().get::<SignedIn>().map(|signed_in| signed_in.operator.username.clone());
    let mut response = next.run(request).await;
    if let Some(who) = who {
        response.extensions_mut().insert(super::request_log::Operator(who));
    }
    response
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
