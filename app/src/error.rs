//! Why a server function did not do what it was asked for, in a form that the page can match on.

use leptos::server_fn::{
    Bytes,
    codec::JsonEncoding,
    error::{FromServerFnError, ServerFnErrorErr},
};
use serde::{Deserialize, Serialize};

use crate::{json, model::Role};

/// `Display` is a sentence for the operator.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum ApiError {
    #[error("You are signed out. Sign in again, then retry.")]
    SignedOut,
    #[error("This needs the role {needs}. Ask an administrator.")]
    Forbidden { needs: Role },
    /// `field` is the name of the server function's argument.
    #[error("{field}: {problem}")]
    Invalid { field: String, problem: String },
    #[error("It does not exist on this server any more.")]
    NotFound,
    /// True, but not now. The text says what to do.
    #[error("{0}")]
    Conflict(String),
    #[error("Username or password is wrong.")]
    WrongCredentials,
    #[error("Too many attempts. Try again in {retry_after_seconds} s.")]
    Throttled { retry_after_seconds: u64 },
    /// Nothing was changed.
    #[error("The server's database is not available right now. Nothing was changed; try again shortly.")]
    Unavailable,
    /// No answer, so nobody knows whether it was done. A retry with the same idempotency key is safe.
    #[error(
        "The server did not answer. Check the connection, then retry: a retry is never carried out twice."
    )]
    Unreachable,
    /// The details are in the server's log only.
    #[error("Internal Server Error. The details are in the server's log.")]
    Internal,
}

impl ApiError {
    /// The problem with this field, if that is what the error is about.
    #[must_use]
    pub fn of_field(&self, name: &str) -> Option<String> {
        match self {
            Self::Invalid { field, problem } if field == name => Some(problem.clone()),
            _ => None,
        }
    }
}

impl FromServerFnError for ApiError {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        match error {
            ServerFnErrorErr::Request(_) => Self::Unreachable,
            ServerFnErrorErr::Args(problem) | ServerFnErrorErr::MissingArg(problem) => {
                Self::Invalid { field: "request".to_owned(), problem }
            }
            ServerFnErrorErr::Registration(_)
            | ServerFnErrorErr::UnsupportedRequestMethod(_)
            | ServerFnErrorErr::ServerError(_)
            | ServerFnErrorErr::MiddlewareError(_)
            | ServerFnErrorErr::Deserialization(_)
            | ServerFnErrorErr::Serialization(_)
            | ServerFnErrorErr::Response(_) => Self::Internal,
        }
    }

    fn de(data: Bytes) -> Self {
        json::read(&data).unwrap_or_else(|_| Self::of_problem(&data))
    }
}

impl ApiError {
    /// Layers in front of the server functions answer `application/problem+json`.
    fn of_problem(body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Problem {
            status: u16,
            #[serde(default)]
            detail: String,
        }
        match json::read::<Problem>(body) {
            Ok(Problem { status: 401, .. }) => Self::SignedOut,
            Ok(Problem { status: 404, .. }) => Self::NotFound,
            Ok(Problem { status: 400 | 403 | 409 | 413 | 415 | 422, detail }) if !detail.is_empty() => {
                Self::Conflict(detail)
            }
            Ok(Problem { status: 429, .. }) => Self::Throttled { retry_after_seconds: 10 },
            Ok(Problem { status: 408 | 502..=504, .. }) => Self::Unavailable,
            _ => Self::Internal,
        }
    }
}

#[cfg(feature = "ssr")]
mod ssr {
    use axum::{
        Json,
        http::StatusCode,
        response::{IntoResponse, Response},
    };
    use voltaxe_orchestrator::{
        StrikeError,
        authority::Forbidden,
        operators::{SetupError, SignInError},
    };

    use super::ApiError;

    impl ApiError {
        #[must_use]
        pub fn status(&self) -> StatusCode {
            match self {
                Self::SignedOut | Self::WrongCredentials => StatusCode::UNAUTHORIZED,
                Self::Forbidden { .. } => StatusCode::FORBIDDEN,
                Self::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
                Self::NotFound => StatusCode::NOT_FOUND,
                Self::Conflict(_) => StatusCode::CONFLICT,
                Self::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
                Self::Unavailable | Self::Unreachable => StatusCode::SERVICE_UNAVAILABLE,
                Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            }
        }
    }

    /// In the encoding that the page reads; for layers that refuse a server function before it runs.
    impl IntoResponse for ApiError {
        fn into_response(self) -> Response {
            (self.status(), Json(self)).into_response()
        }
    }

    impl From<Forbidden> for ApiError {
        fn from(forbidden: Forbidden) -> Self {
            Self::Forbidden { needs: forbidden.needs.into() }
        }
    }

    /// The sources of what is not the operator's doing are logged here, once.
    impl From<StrikeError> for ApiError {
        fn from(error: StrikeError) -> Self {
            match error {
                StrikeError::UnknownHost(_) | StrikeError::UnknownCommand(_) | StrikeError::NotFound(_) => {
                    Self::NotFound
                }
                StrikeError::UnknownHosts(names) => {
                    let problem = format!("no active endpoint is {names}; nothing was queued");
                    Self::Invalid { field: "hostnames".to_owned(), problem }
                }
                StrikeError::Invalid { field, problem } => Self::Invalid { field: field.to_owned(), problem },
                StrikeError::Forbidden(forbidden) => forbidden.into(),
                StrikeError::Conflict(problem) => Self::Conflict(sentence(&problem)),
                StrikeError::Unavailable(source) => {
                    tracing::warn!(error = %chain(&source), "the database is not available for a page");
                    Self::Unavailable
                }
                StrikeError::Storage(source) => {
                    tracing::error!(error = %chain(source.as_ref()), "the evidence store cannot be used for a page");
                    Self::Conflict(
                        "The evidence store cannot be used right now; the server's log says why.".to_owned(),
                    )
                }
                StrikeError::Internal(source) => {
                    tracing::error!(error = %chain(&source), "a page's request failed");
                    Self::Internal
                }
            }
        }
    }

    impl From<SignInError> for ApiError {
        fn from(error: SignInError) -> Self {
            match error {
                SignInError::Wrong => Self::WrongCredentials,
                SignInError::Throttled { retry_after_seconds } => Self::Throttled { retry_after_seconds },
                SignInError::Busy => Self::Throttled { retry_after_seconds: 2 },
                SignInError::Unavailable(source) => StrikeError::Unavailable(source).into(),
                SignInError::Internal(source) => StrikeError::Internal(source).into(),
            }
        }
    }

    impl From<SetupError> for ApiError {
        fn from(error: SetupError) -> Self {
            match error {
                SetupError::LinkInvalid | SetupError::AlreadySetUp => Self::Conflict(sentence(&error)),
                SetupError::Invalid { field, problem } => Self::Invalid { field: field.to_owned(), problem },
                SetupError::Throttled { retry_after_seconds } => Self::Throttled { retry_after_seconds },
                SetupError::Busy => Self::Throttled { retry_after_seconds: 2 },
                SetupError::Unavailable(source) => StrikeError::Unavailable(source).into(),
                SetupError::Internal(source) => StrikeError::Internal(source).into(),
            }
        }
    }

    /// The orchestrator's messages start small, to be put behind a field's name or into a log line.
    fn sentence(error: &impl ToString) -> String {
        let text = error.to_string();
        let mut chars = text.chars();
        match chars.next() {
            Some(first) => format!("{}{}.", first.to_uppercase(), chars.as_str()),
            None => text,
        }
    }

    fn chain(error: &dyn std::error::Error) -> String {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_survive_the_wire() {
        for error in [
            ApiError::SignedOut,
            ApiError::Forbidden { needs: Role::Responder },
            ApiError::Invalid { field: "reason".into(), problem: "too short".into() },
            ApiError::Conflict("no".into()),
            ApiError::Throttled { retry_after_seconds: 30 },
        ] {
            assert_eq!(ApiError::de(error.ser()), error);
        }
    }

    #[test]
    fn problems_of_the_layers_in_front_are_understood() {
        let de = |text: &'static str| ApiError::de(Bytes::from_static(text.as_bytes()));
        assert_eq!(de(r#"{"type":"about:blank","title":"x","status":503}"#), ApiError::Unavailable);
        assert_eq!(de(r#"{"status":403,"detail":"cross-site"}"#), ApiError::Conflict("cross-site".into()));
        assert_eq!(de(r#"{"status":401}"#), ApiError::SignedOut);
        assert_eq!(de("<html>"), ApiError::Internal);
    }
}
