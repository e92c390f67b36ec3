use std::{net::IpAddr, sync::Arc};

use axum::http::{HeaderName, HeaderValue};
use chrono::{DateTime, Utc};
use leptos::prelude::*;
use leptos_axum::ResponseOptions;
use voltaxe_orchestrator::{
    Strike,
    authority::{Act, Action, Operator, Permit},
    operators::{Operators, SessionToken},
};

use crate::{
    error::ApiError,
    model::{
        Session,
        session::{Allowed, Visitor},
    },
};

/// Who asks, and of what: the server provides it as context to every page and server function.
#[derive(Clone)]
pub struct Caller {
    pub strike: Strike,
    pub operators: Operators,
    pub operator: Option<Operator>,
    pub session: Option<SessionToken>,
    pub client: IpAddr,
    pub now: DateTime<Utc>,
    /// SHA-256 of `/install.sh` as it is served now, in hex; `None` when this server has no packages.
    pub installer_digest: Arc<dyn Fn() -> Option<String> + Send + Sync>,
    /// No administrator exists yet.
    pub setup_open: bool,
}

impl Caller {
    pub(crate) fn expect() -> Result<Self, ApiError> {
        use_context().ok_or_else(|| {
            tracing::error!("a server function runs without a Caller in its context");
            ApiError::Internal
        })
    }

    pub(crate) fn operator(&self) -> Result<&Operator, ApiError> {
        self.operator.as_ref().ok_or(ApiError::SignedOut)
    }

    pub(crate) fn permit<A: Act>(&self) -> Result<Permit<A>, ApiError> {
        Ok(self.operator()?.permit()?)
    }
}

/// What the page knows of its visitor when it starts.
pub(crate) fn visitor() -> Visitor {
    let Some(caller) = use_context::<Caller>() else { return Visitor::default() };
    Visitor { session: caller.operator.as_ref().map(session_of), setup_open: caller.setup_open }
}

pub(crate) fn session_of(operator: &Operator) -> Session {
    let allowed =
        |action: Action| Allowed { yes: operator.role >= action.role(), needs: action.role().into() };
    Session {
        username: operator.username.clone(),
        role: operator.role.into(),
        isolate: allowed(Action::Isolate),
        restore: allowed(Action::Restore),
        check: allowed(Action::CheckAgent),
        cancel: allowed(Action::CancelCommand),
        annotate: allowed(Action::AnnotateEndpoint),
        enrol: allowed(Action::CreateEnrolmentToken),
        approve: allowed(Action::ApproveEndpoint),
    }
}

/// Gives the response the error's status. During the rendering of a page that is the page's status.
pub(crate) fn answer<T>(result: Result<T, ApiError>) -> Result<T, ApiError> {
    if let (Err(error), Some(response)) = (&result, use_context::<ResponseOptions>()) {
        response.set_status(error.status());
        if let ApiError::Throttled { retry_after_seconds } = error {
            response.insert_header(
                HeaderName::from_static("retry-after"),
                HeaderValue::from(*retry_after_seconds),
            );
        }
    }
    result
}
