//! Errors as the outside sees them: `application/problem+json` (RFC 9457). What a 500 was about stays in the log.

use std::{error::Error, fmt::Write as _, sync::Arc};

use axum::{
    Json,
    extract::rejection::{JsonRejection, QueryRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use voltaxe_orchestrator::{
    StrikeError, api_tokens::TokenError, authority::Forbidden, operators::SetupError, strike::AgentError,
};
use voltaxe_protocol::{Problem, RefusalReason, RequestSignatureError};
use voltaxe_store::StoreError;

/// An error on its way out.
#[derive(Debug)]
pub struct ApiError {
    problem: Box<Problem>,
    retry_after_seconds: Option<u64>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What the request log adds to its line; travels in the response's extensions.
#[derive(Clone, Debug)]
pub struct LoggedError(pub Arc<str>);

impl ApiError {
    #[must_use]
    pub fn new(status: StatusCode, word: &str, title: &str) -> Self {
        let problem = Box::new(Problem::new(status.as_u16(), word, title));
        Self { problem, retry_after_seconds: None, source: None }
    }

    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.problem.detail = Some(detail.into());
        self
    }

    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.problem.field = Some(field.into());
        self
    }

    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    fn source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    #[must_use]
    pub fn internal(source: impl Error + Send + Sync + 'static) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal Server Error").source(source)
    }

    #[must_use]
    pub fn unavailable(source: impl Error + Send + Sync + 'static) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "database-unavailable", "The database is not available")
            .detail("Nothing was changed. Try again in a few seconds.")
            .retry_after(2)
            .source(source)
    }

    /// The evidence store, or the disk that uploads are on.
    #[must_use]
    pub fn storage(source: Box<dyn Error + Send + Sync>) -> Self {
        let mut problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "evidence-store-unavailable",
            "The evidence store is not available",
        );
        problem.source = Some(source);
        problem.detail("Nothing was changed. The server's log says why; try again later.").retry_after(10)
    }

    #[must_use]
    pub fn signed_out() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "signed-out", "Not signed in")
            .detail("Sign in at /login, as the session may have ended; or send an API token: Authorization: Bearer vxt_..")
    }

    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is nothing here").detail(detail)
    }

    #[must_use]
    pub fn invalid(field: &str, problem: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "A value in the request is not valid")
            .field(field)
            .detail(format!("{field} {problem}"))
    }

    /// A body that cannot be read to its end.
    #[must_use]
    pub fn unreadable(error: axum::Error) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large or broke off")
            .detail(error.to_string())
    }

    #[must_use]
    pub fn busy() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Too much to do at once")
            .detail("Try again in a few seconds.")
            .retry_after(2)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(&self.problem)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(Problem::MEDIA_TYPE));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(source) = &self.source {
            response.extensions_mut().insert(LoggedError(chain(source.as_ref()).into()));
        }
        response
    }
}

/// The error and what caused it, outermost first.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

impl From<SetupError> for ApiError {
    fn from(error: SetupError) -> Self {
        match error {
            SetupError::Invalid { field: "id", .. } => Self::not_found("there is no such operator"),
            SetupError::Invalid { field, problem } => Self::invalid(field, problem),
            SetupError::LinkInvalid | SetupError::AlreadySetUp => {
                Self::new(StatusCode::CONFLICT, "conflict", "That cannot be done now")
                    .detail(error.to_string())
            }
            SetupError::Throttled { retry_after_seconds } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "throttled", "Too many attempts")
                    .detail("Wrong passwords came from this address. Wait, then try again.")
                    .retry_after(retry_after_seconds)
            }
            SetupError::Busy => Self::busy(),
            SetupError::Unavailable(source) => Self::unavailable(source),
            SetupError::Internal(source) => Self::internal(source),
        }
    }
}

impl From<StrikeError> for ApiError {
    fn from(error: StrikeError) -> Self {
        match error {
            StrikeError::UnknownHost(ref name) => {
                Self::new(StatusCode::NOT_FOUND, "unknown-host", "There is no such endpoint")
                    .field("hostname")
                    .detail(format!("no endpoint is called {name:?}; GET /telemetry lists them"))
            }
            StrikeError::UnknownHosts(ref names) => {
                Self::new(StatusCode::NOT_FOUND, "unknown-host", "There is no such endpoint")
                    .field("hostnames")
                    .detail(format!(
                        "no active endpoint: {names}; nothing was queued, GET /telemetry lists them"
                    ))
            }
            StrikeError::NotFound(detail) => Self::not_found(detail),
            StrikeError::UnknownCommand(id) => {
                Self::new(StatusCode::NOT_FOUND, "command-not-found", "There is no such command")
                    .detail(format!("there is no command {id}"))
            }
            StrikeError::Invalid { field, problem } => Self::invalid(field, problem),
            StrikeError::Forbidden(forbidden) => forbidden.into(),
            StrikeError::Conflict(detail) => {
                Self::new(StatusCode::CONFLICT, "conflict", "The state of things does not allow this")
                    .detail(detail)
            }
            StrikeError::Unavailable(source) => Self::unavailable(source),
            StrikeError::Storage(source) => Self::storage(source),
            StrikeError::Internal(source) => Self::internal(source),
        }
    }
}

impl From<Forbidden> for ApiError {
    fn from(forbidden: Forbidden) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Your role does not allow this")
            .detail(forbidden.to_string())
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Wrong => {
                Self::new(StatusCode::UNAUTHORIZED, "token-wrong", "The API token does not hold").detail(
                    "It is mistyped, expired or revoked. An administrator makes another on the page /tokens.",
                )
            }
            TokenError::Throttled { retry_after_seconds } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "throttled", "Too many wrong API tokens from here")
                    .detail(format!("Try again in {retry_after_seconds} s."))
                    .retry_after(retry_after_seconds)
            }
            TokenError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if error.is_unavailable() { Self::unavailable(error) } else { Self::internal(error) }
    }
}

impl From<AgentError> for ApiError {
    fn from(error: AgentError) -> Self {
        match error {
            AgentError::Refused { reason, detail } => refusal(reason).detail(detail),
            AgentError::EnrolmentTokenInvalid => Self::new(
                StatusCode::UNAUTHORIZED,
                "enrolment-token-invalid",
                "The enrolment token does not hold",
            )
            .detail(AgentError::EnrolmentTokenInvalid.to_string()),
            AgentError::KeyKnown => {
                Self::new(StatusCode::CONFLICT, "key-known", "This key is enrolled already")
                    .detail(AgentError::KeyKnown.to_string())
            }
            AgentError::Invalid { field, problem } => Self::invalid(field, problem),
            AgentError::Strike(error) => error.into(),
        }
    }
}

fn refusal(reason: RefusalReason) -> ApiError {
    let (status, word) = match reason {
        RefusalReason::NotEnrolled => (StatusCode::UNAUTHORIZED, "not-enrolled"),
        RefusalReason::BadSignature => (StatusCode::UNAUTHORIZED, "bad-signature"),
        RefusalReason::WrongEpoch => (StatusCode::FORBIDDEN, "wrong-epoch"),
        RefusalReason::ClonedKey => (StatusCode::FORBIDDEN, "cloned-key"),
        RefusalReason::AwaitingApproval => (StatusCode::FORBIDDEN, "awaiting-approval"),
        RefusalReason::Revoked => (StatusCode::FORBIDDEN, "revoked"),
        RefusalReason::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
        RefusalReason::Unknown => (StatusCode::FORBIDDEN, "refused"),
    };
    ApiError::new(status, word, "The agent is turned away")
}

impl From<RequestSignatureError> for ApiError {
    fn from(error: RequestSignatureError) -> Self {
        let word = match error {
            RequestSignatureError::Malformed => "signature-missing",
            RequestSignatureError::DigestMismatch => "digest-mismatch",
            RequestSignatureError::Stale => "signature-stale",
            RequestSignatureError::BadSignature => "bad-signature",
            RequestSignatureError::WrongAlgorithm => "wrong-algorithm",
        };
        Self::new(StatusCode::UNAUTHORIZED, word, "The request is not signed by an enrolled agent")
            .detail(error.to_string())
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        let (word, title) = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => ("body-too-large", "The body is too large"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => ("not-json", "The body must be application/json"),
            StatusCode::UNPROCESSABLE_ENTITY => ("invalid", "A value in the request is not valid"),
            _ => ("malformed-json", "The body is not valid JSON"),
        };
        Self::new(rejection.status(), word, title).detail(rejection.body_text())
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "A value in the query is not valid")
            .field("query")
            .detail(rejection.body_text())
    }
}
