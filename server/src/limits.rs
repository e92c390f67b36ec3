//! Bounds on every request: how many at once, how long, how large.

use std::{
    any::Any,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    extract::Request,
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::{ApiError, LoggedError};

pub(crate) const LARGEST_BODY_BYTES: usize = 256 * 1024;
const REQUESTS_AT_ONCE: usize = 2_048;
/// Until the answer begins; streams and event streams begin at once.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

pub(crate) fn requests() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(REQUESTS_AT_ONCE))
}

/// A request's place among those that are worked on; travels in its extensions.
#[derive(Clone)]
pub struct Place(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Place {
    /// For a request that only waits from now on.
    pub(crate) fn give_back(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

pub(crate) async fn bound(places: Arc<Semaphore>, mut request: Request, next: Next) -> Response {
    let Ok(permit) = places.try_acquire_owned() else { return ApiError::busy().into_response() };
    let place = Place(Arc::new(Mutex::new(Some(permit))));
    request.extensions_mut().insert(place.clone());
    let answer = tokio::time::timeout(ANSWER_WITHIN, next.run(request)).await;
    place.give_back();
    match answer {
        Ok(response) => response,
        Err(_) => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", "The answer took too long")
            .detail("Whether it was done is not known. Look before you repeat it.")
            .retry_after(5)
            .into_response(),
    }
}

/// A panic in a handler ends that request alone.
pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message");
    let mut response =
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal Server Error").into_response();
    response.extensions_mut().insert(LoggedError(format!("panic: {text}").into()));
    response
}
