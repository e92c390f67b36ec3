//! `/api/webhooks`: what happens, told to other systems.

use axum::{
    Json,
    extract::{Path, Query, State, rejection::JsonRejection, rejection::QueryRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use voltaxe_orchestrator::{
    Strike,
    authority::may,
    model::{DeliveryId, DeliveryRecord, WebhookId, WebhookRecord},
    webhooks::{NewSecret, ROTATED_SECRET_HOLDS, WebhookRequest},
};

use super::{Moment, Page, accepted, cursor, last_of_full, listed, parse_id};
use crate::{
    clock,
    problem::ApiError,
    web::{records::words, session::Permitted},
};

type May = Permitted<may::ManageWebhooks>;

/// All of a webhook that can be set.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewWebhook)]
#[serde(deny_unknown_fields)]
pub struct Body {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// `https`, to an address that the server may call.
    #[schema(max_length = 2000)]
    url: String,
    #[serde(default = "generic")]
    #[schema(value_type = words::WebhookPreset)]
    preset: String,
    #[schema(min_items = 1, example = json!(["command.failed", "isolation.drift"]))]
    events: Vec<String>,
    /// Of events of commands, only those of these kinds; empty: of all.
    #[serde(default)]
    #[schema(value_type = Vec<words::Kind>)]
    kinds: Vec<String>,
}

fn generic() -> String {
    "generic".to_owned()
}

impl From<Body> for WebhookRequest {
    fn from(Body { name, url, preset, events, kinds }: Body) -> Self {
        Self { name, url, preset, events, kinds }
    }
}

/// `GET /api/webhooks`
pub async fn list(
    State(strike): State<Strike>,
    Permitted(permit): May,
) -> Result<Json<Vec<Webhook>>, ApiError> {
    Ok(Json(strike.webhooks(&permit).await?.into_iter().map(Into::into).collect()))
}

/// `POST /api/webhooks {"name", "url", "preset"?, "events", "kinds"?}`; the answer has the secret, this once.
pub async fn create(
    State(strike): State<Strike>,
    Permitted(permit): May,
    body: Result<Json<Body>, JsonRejection>,
) -> Result<Response, ApiError> {
    let Json(body) = body?;
    let made = strike.create_webhook(&permit, &body.into(), clock::now()).await?;
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((StatusCode::CREATED, no_store, Json(Secret::of(&made, None))).into_response())
}

/// `GET /api/webhooks/{id}`
pub async fn get(
    State(strike): State<Strike>,
    Permitted(permit): May,
    Path(id): Path<String>,
) -> Result<Json<Webhook>, ApiError> {
    Ok(Json(strike.webhook(&permit, webhook_id(&id)?).await?.into()))
}

/// `PUT /api/webhooks/{id}`: all that can be set, as when it is created.
pub async fn change(
    State(strike): State<Strike>,
    Permitted(permit): May,
    Path(id): Path<String>,
    body: Result<Json<Body>, JsonRejection>,
) -> Result<Json<Webhook>, ApiError> {
    let Json(body) = body?;
    let id = webhook_id(&id)?;
    strike.change_webhook(&permit, id, &body.into(), clock::now()).await?;
    Ok(Json(strike.webhook(&permit, id).await?.into()))
}

/// `DELETE /api/webhooks/{id}`, with its deliveries.
pub async fn delete(
    State(strike): State<Strike>,
    Permitted(permit): May,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    strike.delete_webhook(&permit, webhook_id(&id)?, clock::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/webhooks/{id}/pause`
pub async fn pause(
    State(strike): State<Strike>,
    Permitted(permit): May,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    strike.set_webhook_active(&permit, webhook_id(&id)?, false, clock::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/webhooks/{id}/resume`
pub async fn resume(
    State(strike): State<Strike>,
    Permitted(permit): May,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    strike.set_webhook_active(&permit, webhook_id(&id)?, true, clock::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/webhooks/{id}/rotate`: the answer has the new secret, this once.
pub async fn rotate(
    State(strike): State<Strike>,
    Permitted(permit): May,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let now = clock::now();
    let made = strike.rotate_webhook(&permit, webhook_id(&id)?, now).await?;
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((no_store, Json(Secret::of(&made, Some(now + ROTATED_SECRET_HOLDS)))).into_response())
}

/// `POST /api/webhooks/{id}/test`: has a `webhook.test` sent.
pub async fn test(
    State(strike): State<Strike>,
    Permitted(permit): May,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let webhook = webhook_id(&id)?;
    let delivery = strike.test_webhook(&permit, webhook, clock::now()).await?;
    let location = format!("/api/webhooks/{webhook}/deliveries");
    Ok(accepted(&location, Test { delivery_id: delivery.0 }))
}

/// `GET /api/webhooks/{id}/deliveries?before=TIME&limit=`, newest first.
pub async fn deliveries(
    State(strike): State<Strike>,
    Permitted(permit): May,
    Path(id): Path<String>,
    page: Result<Query<Page<Moment>>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(page) = page?;
    let id = webhook_id(&id)?;
    strike.webhook(&permit, id).await?;
    let limit = page.limit();
    let found = strike.deliveries(&permit, id, page.before.map(Into::into), limit).await?;
    let next = last_of_full(&found, limit).map(|last| {
        format!("/api/webhooks/{id}/deliveries?before={}&limit={limit}", cursor(Moment(last.created_at)))
    });
    Ok(listed(found.into_iter().map(Delivery::from).collect::<Vec<_>>(), next))
}

/// `POST /api/webhooks/deliveries/{id}/retry`: attempts one that waits or has failed now.
pub async fn retry(
    State(strike): State<Strike>,
    Permitted(permit): May,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let id: DeliveryId = parse_id(&id, "a UUID, as GET /api/webhooks/ID/deliveries lists them")?;
    strike.retry_delivery(&permit, id, clock::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn webhook_id(text: &str) -> Result<WebhookId, ApiError> {
    parse_id(text, "a UUID, as GET /api/webhooks lists them")
}

/// What happens, told to another system.
#[derive(Debug, Serialize, ToSchema)]
pub struct Webhook {
    id: Uuid,
    name: String,
    url: String,
    #[schema(value_type = words::WebhookPreset)]
    preset: &'static str,
    events: Vec<String>,
    /// Of events of commands, only those of these kinds; empty: of all.
    kinds: Vec<String>,
    #[schema(value_type = words::WebhookState)]
    state: &'static str,
    /// When its secret was.
    rotated_at: Option<DateTime<Utc>>,
    created_by: String,
    created_at: DateTime<Utc>,
}

impl From<WebhookRecord> for Webhook {
    fn from(webhook: WebhookRecord) -> Self {
        Self {
            id: webhook.id.0,
            name: webhook.name,
            url: webhook.url,
            preset: webhook.preset.as_str(),
            events: webhook.events,
            kinds: webhook.kinds,
            state: webhook.state.as_str(),
            rotated_at: webhook.rotated_at,
            created_by: webhook.created_by,
            created_at: webhook.created_at,
        }
    }
}

/// Nobody is shown `secret` again.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookSecret)]
pub struct Secret {
    id: Uuid,
    #[schema(example = "whsec_..")]
    secret: String,
    /// After a rotation: until then what is sent is signed with the old one as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    old_secret_until: Option<DateTime<Utc>>,
}

impl Secret {
    fn of(made: &NewSecret, old_secret_until: Option<DateTime<Utc>>) -> Self {
        Self { id: made.id.0, secret: made.secret.expose_secret().to_owned(), old_secret_until }
    }
}

/// What a test sends.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookTest)]
pub struct Test {
    delivery_id: Uuid,
}

/// One event on its way to one webhook.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
pub struct Delivery {
    id: Uuid,
    #[schema(example = "command.failed")]
    event: String,
    #[schema(value_type = words::DeliveryState)]
    state: &'static str,
    created_at: DateTime<Utc>,
    attempts: i32,
    next_attempt_at: Option<DateTime<Utc>>,
    last_attempt_at: Option<DateTime<Utc>>,
    /// `null`: there was no answer.
    last_status: Option<i32>,
    /// The beginning of the answer, or why there was none.
    last_answer: Option<String>,
}

impl From<DeliveryRecord> for Delivery {
    fn from(delivery: DeliveryRecord) -> Self {
        Self {
            id: delivery.id.0,
            event: delivery.event,
            state: delivery.state.as_str(),
            created_at: delivery.created_at,
            attempts: delivery.attempts,
            next_attempt_at: delivery.next_attempt_at,
            last_attempt_at: delivery.last_attempt_at,
            last_status: delivery.last_status,
            last_answer: delivery.last_answer,
        }
    }
}
