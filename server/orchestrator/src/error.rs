use voltaxe_protocol::CommandId;

use crate::authority::Forbidden;

/// Why something an operator or an agent asked for was not done. Every variant says who can do something about it.
#[derive(Debug, thiserror::Error)]
pub enum StrikeError {
    #[error("no endpoint is called {0:?}")]
    UnknownHost(String),
    /// Some of many targets; the text names them. Nothing was done for the others either.
    #[error("no active endpoint: {0}; nothing was queued")]
    UnknownHosts(String),
    /// The text says what there is none of.
    #[error("{0}")]
    NotFound(String),
    #[error("there is no command {0}")]
    UnknownCommand(CommandId),
    /// A value in the request is wrong: `field` names it, `problem` says what it must be.
    #[error("{field}: {problem}")]
    Invalid { field: &'static str, problem: String },
    #[error("{0}")]
    Forbidden(#[from] Forbidden),
    /// True, but not now: the state of things forbids it. The text says what to do.
    #[error("{0}")]
    Conflict(String),
    /// The database is away; nothing was changed. Try again shortly.
    #[error("the database is not available; nothing was changed")]
    Unavailable(#[source] voltaxe_store::StoreError),
    /// The evidence store is away or has lost something: nothing was changed. The source says what to look at.
    #[error("the evidence store cannot be used right now")]
    Storage(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("an internal error")]
    Internal(#[source] voltaxe_store::StoreError),
}

impl From<voltaxe_store::StoreError> for StrikeError {
    fn from(error: voltaxe_store::StoreError) -> Self {
        if error.is_unavailable() {
            Self::Unavailable(error)
        } else if error.is_about_text() {
            let problem = "holds a NUL character, which no text here can have".to_owned();
            Self::Invalid { field: "request", problem }
        } else {
            Self::Internal(error)
        }
    }
}

impl From<crate::evidence::ObjectError> for StrikeError {
    fn from(error: crate::evidence::ObjectError) -> Self {
        Self::Storage(Box::new(error))
    }
}
