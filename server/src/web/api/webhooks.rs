//! `/api/webhooks`: what happens, told to other systems.

use axum::{
    Json,
    extract::{Path, Query, State, rejection::JsonRejection, rejection::QueryRejection},
    http::StatusCode,
    response::Response,
};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Value, json};
use voltaxe_orchestrator::{
    Strike,
    authority::may,
    model::{DeliveryId, DeliveryRecord, WebhookId, WebhookRecord},
    webhooks::{NewSecret, ROTATED_SECRET_HOLDS, WebhookRequest},
};

use super::{Moment, Page, accepted, parse_id};
use crate::{clock, problem::ApiError, web::session::Permitted};

type May = Permitted<may::ManageWebhooks>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    name: String,
    url: String,
    #[serde(default = "generic")]
    preset: String,
    events: Vec<String>,
    #[serde(default)]
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
pub async fn list(State(strike): State<Strike>, Permitted(permit): May) -> Result<Json<Value>, ApiError> {
    Ok(Json(strike.webhooks(&permit).await?.iter().map(webhook_json).collect()))
}

/// `POST /api/webhooks {"name", "url", "preset"?, "events", "kinds"?}`; the answer has the secret, this once.
pub async fn create(
    State(strike): State<Strike>,
    Permitted(permit): May,
    body: Result<Json<Body>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let Json(body) = body?;
    let made = strike.create_webhook(&permit, &body.into(), clock::now()).await?;
    Ok((StatusCode::CREATED, Json(secret_json(&made))))
}

/// `GET /api/webhooks/{id}`
pub async fn get(
    State(strike): State<Strike>,
    Permitted(permit): May,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(webhook_json(&strike.webhook(&permit, webhook_id(&id)?).await?)))
}

/// `PUT /api/webhooks/{id}`: all that can be set, as when it is created.
pub async fn change(
    State(strike): State<Strike>,
    Permitted(permit): May,
    Path(id): Path<String>,
    body: Result<Json<Body>, JsonRejection>,
) -> Result<Json<Value>, ApiError> {
    let Json(body) = body?;
    let id = webhook_id(&id)?;
    strike.change_webhook(&permit, id, &body.into(), clock::now()).await?;
    Ok(Json(webhook_json(&strike.webhook(&permit, id).await?)))
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
) -> Result<Json<Value>, ApiError> {
    let now = clock::now();
    let made = strike.rotate_webhook(&permit, webhook_id(&id)?, now).await?;
    let mut answer = secret_json(&made);
    answer["old_secret_until"] = json!(now + ROTATED_SECRET_HOLDS);
    Ok(Json(answer))
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
    Ok(accepted(&location, json!({ "delivery_id": delivery.to_string() })))
}

/// `GET /api/webhooks/{id}/deliveries?before=TIME&limit=`, newest first.
pub async fn deliveries(
    State(strike): State<Strike>,
    Permitted(permit): May,
    Path(id): Path<String>,
    page: Result<Query<Page<Moment>>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(page) = page?;
    let id = webhook_id(&id)?;
    strike.webhook(&permit, id).await?;
    let found = strike.deliveries(&permit, id, page.before, page.limit()).await?;
    Ok(Json(found.iter().map(delivery_json).collect()))
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

fn secret_json(made: &NewSecret) -> Value {
    json!({ "id": made.id.to_string(), "secret": made.secret.expose_secret() })
}

fn webhook_json(webhook: &WebhookRecord) -> Value {
    json!({
        "id": webhook.id.to_string(),
        "name": webhook.name,
        "url": webhook.url,
        "preset": webhook.preset.as_str(),
        "events": webhook.events,
        "kinds": webhook.kinds,
        "state": webhook.state.as_str(),
        "rotated_at": webhook.rotated_at,
        "created_by": webhook.created_by,
        "created_at": webhook.created_at,
    })
}

fn delivery_json(delivery: &DeliveryRecord) -> Value {
    json!({
        "id": delivery.id.to_string(),
        "event": delivery.event,
        "state": delivery.state.as_str(),
        "created_at": delivery.created_at,
        "attempts": delivery.attempts,
        "next_attempt_at": delivery.next_attempt_at,
        "last_attempt_at": delivery.last_attempt_at,
        "last_status": delivery.last_status,
        "last_answer": delivery.last_answer,
    })
}
