//! One route in the document. What every route of its kind answers is said here once.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::Method;
use serde_json::{Value, json};
use utoipa::ToSchema;
use voltaxe_orchestrator::authority::{Action, Role};
use voltaxe_protocol::Problem;

use crate::limits::LARGEST_BODY_BYTES;

type Schemas = BTreeMap<String, Value>;

/// An entry beside a route of the same method and path.
pub struct Operation {
    pub method: Method,
    pub path: &'static str,
    summary: &'static str,
    about: &'static str,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: BTreeMap<u16, Value>,
    refusals: BTreeSet<u16>,
    schemas: Schemas,
}

#[must_use]
pub fn get(path: &'static str, summary: &'static str) -> Operation {
    Operation::new(Method::GET, path, summary)
}

#[must_use]
pub fn post(path: &'static str, summary: &'static str) -> Operation {
    Operation::new(Method::POST, path, summary)
}

#[must_use]
pub fn put(path: &'static str, summary: &'static str) -> Operation {
    Operation::new(Method::PUT, path, summary)
}

#[must_use]
pub fn patch(path: &'static str, summary: &'static str) -> Operation {
    Operation::new(Method::PATCH, path, summary)
}

#[must_use]
pub fn delete(path: &'static str, summary: &'static str) -> Operation {
    Operation::new(Method::DELETE, path, summary)
}

impl Operation {
    fn new(method: Method, path: &'static str, summary: &'static str) -> Self {
        // 400: a path that is no UTF-8. 403: the role, or another site's page. 429: wrong tokens. 503: the database, or too much to do.
        let refusals = BTreeSet::from([400, 401, 403, 429, 503]);
        Self {
            method,
            path,
            summary,
            about: "",
            parameters: Vec::new(),
            body: None,
            answers: BTreeMap::new(),
            refusals,
            schemas: Schemas::new(),
        }
    }

    #[must_use]
    pub fn about(mut self, about: &'static str) -> Self {
        self.about = about;
        self
    }

    /// A part of the path.
    #[must_use]
    pub fn path(mut self, name: &str, about: &str, schema: Value) -> Self {
        self.refusals.insert(422);
        self.parameter("path", name, about, schema)
    }

    #[must_use]
    pub fn query(mut self, name: &str, about: &str, schema: Value) -> Self {
        self.refusals.insert(422);
        self.parameter("query", name, about, schema)
    }

    #[must_use]
    pub fn header(mut self, name: &str, about: &str, schema: Value) -> Self {
        self.refusals.insert(422);
        self.parameter("header", name, about, schema)
    }

    fn parameter(mut self, place: &str, name: &str, about: &str, schema: Value) -> Self {
        self.parameters.push(json!({
            "in": place, "name": name, "description": about, "required": place == "path", "schema": schema,
        }));
        self
    }

    /// A list with a cursor and a limit.
    #[must_use]
    pub fn pages(self, cursor: &str, about: &str, schema: Value) -> Self {
        self.query(cursor, about, schema).query(
            "limit",
            "Rows of the answer, 100 when not given. More than 500 counts as 500.",
            json!({ "type": "integer", "minimum": 1, "maximum": 500, "default": 100 }),
        )
    }

    /// The same key is the same order, for a day.
    #[must_use]
    pub fn idempotent(self) -> Self {
        self.header(
            "Idempotency-Key",
            "A UUID made for this request: repeated with the same key it answers what the first made.",
            json!({ "type": "string", "format": "uuid" }),
        )
    }

    /// A body of JSON.
    #[must_use]
    pub fn takes<T: ToSchema>(mut self, example: Value) -> Self {
        self.refusals.extend([413, 415, 422]);
        let schema = self.schema::<T>();
        self.body = Some(json!({
            "required": true,
            "description": format!("At most {} KiB.", LARGEST_BODY_BYTES / 1024),
            "content": { "application/json": { "schema": schema, "example": example } },
        }));
        self
    }

    #[must_use]
    pub fn answers<T: ToSchema>(mut self, status: u16, about: &str) -> Self {
        let schema = self.schema::<T>();
        self.answer(status, about, "application/json", schema)
    }

    /// With a `Link` to the next page, when there may be one.
    #[must_use]
    pub fn lists<T: ToSchema>(mut self, about: &str) -> Self {
        let items = self.schema::<T>();
        let schema = json!({ "type": "array", "items": items });
        let mut listing = self.answer(200, about, "application/json", schema);
        if let Some(answer) = listing.answers.get_mut(&200) {
            answer["headers"] = json!({ "Link": {
                "description": "Of the next page, while there may be one: <address>; rel=\"next\" (RFC 8288).",
                "schema": { "type": "string" },
            } });
        }
        listing
    }

    /// 202, and where to look.
    #[must_use]
    pub fn accepts<T: ToSchema>(self, about: &str) -> Self {
        let mut accepting = self.answers::<T>(202, about);
        if let Some(answer) = accepting.answers.get_mut(&202) {
            answer["headers"] = json!({ "Location": {
                "description": "The address of what was made.", "schema": { "type": "string" },
            } });
        }
        accepting
    }

    /// An object that has a definition of its own elsewhere.
    #[must_use]
    pub fn answers_json(self, status: u16, about: &str) -> Self {
        self.answer(status, about, "application/json", json!({ "type": "object" }))
    }

    /// An answer of another kind.
    #[must_use]
    pub fn answers_with(self, status: u16, about: &str, media_type: &str) -> Self {
        self.answer(status, about, media_type, json!({ "type": "string" }))
    }

    #[must_use]
    pub fn answers_nothing(mut self, about: &str) -> Self {
        self.answers.insert(204, json!({ "description": about }));
        self
    }

    /// Besides what every route of its kind may answer.
    #[must_use]
    pub fn refuses<const N: usize>(mut self, statuses: [u16; N]) -> Self {
        self.refusals.extend(statuses);
        self
    }

    /// The description is that of a status's first answer.
    fn answer(mut self, status: u16, about: &str, media_type: &str, schema: Value) -> Self {
        let answer =
            self.answers.entry(status).or_insert_with(|| json!({ "description": about, "content": {} }));
        answer["content"][media_type] = json!({ "schema": schema });
        self
    }

    fn schema<T: ToSchema>(&mut self) -> Value {
        let mut used = vec![(T::name().into_owned(), T::schema())];
        T::schemas(&mut used);
        for (name, schema) in used {
            self.schemas.insert(name, serde_json::to_value(schema).unwrap_or_default());
        }
        json!({ "$ref": format!("#/components/schemas/{}", T::name()) })
    }

    /// As it stands in the document; `action` is the route's.
    #[must_use]
    pub(super) fn describe(mut self, action: Action, schemas: &mut Schemas) -> Value {
        schemas.append(&mut self.schemas);
        let role = action.role();
        let people = if action.is_for_people() { " API tokens may not, whatever their role." } else { "" };
        let about = format!("{}\n\nRole: {role}.{people}", self.about);
        let mut responses: BTreeMap<String, Value> =
            self.answers.into_iter().map(|(status, answer)| (status.to_string(), answer)).collect();
        for status in self.refusals {
            let content =
                json!({ Problem::MEDIA_TYPE: { "schema": { "$ref": "#/components/schemas/Problem" } } });
            let refusal = json!({ "description": meaning(status, role), "content": content });
            responses.insert(status.to_string(), refusal);
        }
        let mut operation = json!({
            "operationId": operation_id(&self.method, self.path),
            "tags": [tag(self.path)],
            "summary": self.summary,
            "description": about.trim_start(),
            "parameters": self.parameters,
            "responses": responses,
            "x-required-role": role.as_str(),
        });
        if let Some(body) = self.body {
            operation["requestBody"] = body;
        }
        operation
    }
}

/// `/api/batches/{id}/undo` by POST: `post_batches_id_undo`.
fn operation_id(method: &Method, path: &str) -> String {
    let words = path.trim_start_matches("/api").replace(['{', '}'], "").replace(['/', '-', '.'], "_");
    format!("{}{words}", method.as_str().to_ascii_lowercase())
}

fn tag(path: &str) -> &str {
    match path.trim_start_matches("/api").trim_start_matches('/').split('/').next() {
        Some("isolate" | "restore") => "commands",
        Some(
            word @ ("commands" | "batches" | "schedules" | "evidence" | "endpoints" | "rate-limits"
            | "webhooks" | "audit" | "operators" | "tokens"),
        ) => word,
        Some("telemetry") => "endpoints",
        _ => "server",
    }
}

fn meaning(status: u16, role: Role) -> String {
    match status {
        400 => "The request cannot be read: a body that is no JSON, or a path that is no UTF-8.",
        401 => "Not signed in, or the API token does not hold.",
        403 => return format!("It needs the role {role}, or more for what is asked; or the request comes from another site."),
        404 => "There is no such thing.",
        409 => "The state of things does not allow it now; `detail` says why.",
        413 => "The body is too large.",
        415 => "The body is not declared as `application/json`.",
        416 => "The range lies outside.",
        422 => "A value is wrong: `field` names it.",
        429 => "Too many wrong API tokens from this address: `Retry-After` says for how long.",
        503 => "The database, the evidence store or the server cannot do it now: `Retry-After` says when to try again.",
        _ => "Refused.",
    }
    .to_owned()
}
