//! `GET /api/openapi.json`: the API as an OpenAPI 3.1 document.
//!
//! Methods, paths and roles come from the table of routes; [`operations`] has one entry a route beside it. A test names the
//! routes that lack one, and the entries that no route is for.

mod operation;
mod operations;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use serde_json::{Map, Value, json};

pub use self::{operation::Operation, operations::operations};
use crate::routes::{Access, console_routes};

/// `GET /api/openapi.json`
pub async fn document() -> Response {
    static TEXT: OnceLock<Arc<str>> = OnceLock::new();
    let text = TEXT.get_or_init(|| describe().to_string().into()).to_string();
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response()
}

/// What there is to say of the routes that have an entry.
#[must_use]
pub fn describe() -> Value {
    let routes = console_routes();
    let mut schemas = BTreeMap::new();
    let mut paths = Map::<String, Value>::new();
    for operation in operations() {
        let of = |route: &&crate::routes::Route| {
            (&route.method, route.path) == (&operation.method, operation.path)
        };
        let Some(route) = routes.iter().find(of) else { continue };
        let Access::Operator(action) = route.access else { continue };
        let (path, method) = (operation.path, operation.method.as_str().to_ascii_lowercase());
        let described = operation.describe(action, &mut schemas);
        paths.entry(path).or_insert_with(|| json!({}))[method] = described;
    }
    schemas.insert("Problem".to_owned(), problem());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Voltaxe Sentinel",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }, { "session": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http", "scheme": "bearer", "bearerFormat": "vxt_ and 72 hexadecimal digits",
                    "description": "An API token, made by an administrator on the page /tokens.",
                },
                "session": {
                    "type": "apiKey", "in": "cookie", "name": "__Host-voltaxe",
                    "description": "The session of somebody signed in, from the console's own pages.",
                },
            },
        },
    })
}

const ABOUT: &str = "What the console's pages do, for machines. Every request is answered for an operator's session or an API token \
    (`Authorization: Bearer vxt_..`) by the role it has. Errors are `application/problem+json` (RFC 9457): `type` is a stable word, \
    `field` names what is wrong, `detail` says what to do. Orders answer 202 with `Location` once they are on disk, and a repeated \
    `Idempotency-Key` answers with what the first made. A list that goes on names its next page in `Link: <..>; rel=\"next\"`. Bodies are at \
    most 256 KiB.";

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "RFC 9457.",
        "required": ["type", "title", "status"],
        "properties": {
            "type": { "type": "string", "pattern": "^urn:voltaxe:problem:[a-z-]+$" },
            "title": { "type": "string" },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "detail": { "type": "string", "description": "What happened this time and what to do about it." },
            "field": { "type": "string", "description": "The part of the request that is wrong." },
            "request_id": { "type": "string" },
        },
    })
}
