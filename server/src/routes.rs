//! Every route of the server in one table, each with who may use it. The routers are built from the table, so a route
//! without an access rule does not exist; handlers that act for an operator extract the permit of their action besides.

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{Method, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{MethodRouter, delete, get, patch, post, put},
};
use tokio::sync::Semaphore;
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer,
        predicate::{DefaultPredicate, NotForContentType, Predicate as _},
    },
    services::{ServeDir, ServeFile},
};
use voltaxe_orchestrator::authority::Action;

use crate::{
    gateway::{
        enroll::enroll, evidence as gateway_evidence, poll::poll, probe::probe, report, stream::stream,
    },
    limits,
    problem::ApiError,
    state::AppState,
    web::{
        api::{
            self, audit, batches, commands, endpoints, evidence, limits as rate_limits, operators, schedules,
            tokens, webhooks,
        },
        docs, events, headers, health, install, openapi, pages, request_log,
        session::{self, SignedIn},
    },
};

/// Who may use a route.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// Anybody: it tells nothing about hosts and changes nothing.
    Public,
    /// An agent that presents an enrolment token in a signed envelope.
    EnrolmentToken,
    /// An enrolled agent: a signed request, or a signed answer to the stream's challenge.
    Agent,
    /// An operator whose role allows the action.
    Operator(Action),
}

pub struct Route {
    pub method: Method,
    pub path: &'static str,
    pub access: Access,
    handler: MethodRouter<AppState>,
}

/// What agents call.
#[must_use]
pub fn gateway_routes() -> Vec<Route> {
    use Access::{Agent, EnrolmentToken, Public};
    vec![
        route(Method::GET, "/healthz", Public, get(health::healthz)),
        route(Method::GET, "/readyz", Public, get(health::readyz)),
        route(Method::GET, "/install.sh", Public, get(install::script)),
        route(Method::GET, "/packages/{file}", Public, get(install::package)),
        route(Method::POST, "/agent/enroll", EnrolmentToken, post(enroll)),
        route(Method::GET, "/agent/stream", Agent, get(stream)),
        route(Method::GET, "/agent/probe", Agent, get(probe)),
        route(Method::GET, "/command/poll", Agent, get(poll)),
        route(Method::POST, "/command/receipt", Agent, post(report::receipt)),
        route(Method::POST, "/command/result", Agent, post(report::result)),
        route(Method::POST, "/command/not-known", Agent, post(report::not_known)),
        route(Method::POST, "/telemetry", Agent, post(report::telemetry)),
        route(Method::POST, "/agent/evidence", Agent, post(gateway_evidence::offer)),
        route(Method::GET, "/agent/evidence/{command_id}", Agent, get(gateway_evidence::state)),
        route(Method::PUT, "/agent/evidence/{command_id}", Agent, put(gateway_evidence::piece)),
    ]
}

/// What operators' browsers and tools call, besides the pages and their server functions.
#[must_use]
pub fn console_routes() -> Vec<Route> {
    use Access::Operator;
    vec![
        route(Method::POST, "/api/isolate", Operator(Action::Isolate), post(commands::isolate)),
        route(Method::POST, "/api/restore", Operator(Action::Restore), post(commands::restore)),
        // The least of the roles that its commands need; the orchestrator asks for the one of the command.
        route(Method::POST, "/api/commands", Operator(Action::CheckAgent), post(commands::create)),
        route(Method::GET, "/api/commands", Operator(Action::View), get(commands::list)),
        route(Method::GET, "/api/commands/{id}", Operator(Action::View), get(commands::get)),
        route(
            Method::POST,
            "/api/commands/{id}/cancel",
            Operator(Action::CancelCommand),
            post(commands::cancel),
        ),
        route(Method::GET, "/api/endpoints", Operator(Action::View), get(endpoints::list)),
        route(Method::GET, "/api/endpoints/{id}/notes", Operator(Action::View), get(endpoints::notes)),
        route(
            Method::PATCH,
            "/api/endpoints/{id}",
            Operator(Action::AnnotateEndpoint),
            patch(endpoints::annotate),
        ),
        route(
            Method::POST,
            "/api/endpoints/{id}/release-ticket",
            Operator(Action::ReleaseTicket),
            post(endpoints::release_ticket),
        ),
        route(Method::POST, "/api/batches", Operator(Action::CheckAgent), post(batches::create)),
        route(Method::GET, "/api/batches", Operator(Action::View), get(batches::list)),
        route(Method::GET, "/api/batches/{id}", Operator(Action::View), get(batches::get)),
        route(Method::GET, "/api/batches/{id}/commands", Operator(Action::View), get(batches::commands)),
        route(
            Method::POST,
            "/api/batches/{id}/cancel",
            Operator(Action::CancelCommand),
            post(batches::cancel),
        ),
        route(Method::POST, "/api/batches/{id}/undo", Operator(Action::Restore), post(batches::undo)),
        route(Method::POST, "/api/schedules", Operator(Action::CheckAgent), post(schedules::create)),
        route(Method::GET, "/api/schedules", Operator(Action::View), get(schedules::list)),
        route(Method::GET, "/api/schedules/{id}", Operator(Action::View), get(schedules::get)),
        route(
            Method::POST,
            "/api/schedules/{id}/cancel",
            Operator(Action::CancelCommand),
            post(schedules::cancel),
        ),
        route(Method::POST, "/api/schedules/{id}/extend", Operator(Action::Isolate), post(schedules::extend)),
        route(Method::GET, "/api/rate-limits", Operator(Action::View), get(rate_limits::list)),
        route(
            Method::PUT,
            "/api/rate-limits/{kind}",
            Operator(Action::ManageRateLimits),
            put(rate_limits::set),
        ),
        route(
            Method::DELETE,
            "/api/rate-limits/{kind}",
            Operator(Action::ManageRateLimits),
            delete(rate_limits::remove),
        ),
        route(Method::GET, "/api/evidence", Operator(Action::ViewEvidence), get(evidence::list)),
        route(Method::GET, "/api/evidence/{id}", Operator(Action::ViewEvidence), get(evidence::get)),
        route(Method::GET, "/api/evidence/{id}/files", Operator(Action::ViewEvidence), get(evidence::files)),
        route(
            Method::GET,
            "/api/evidence/{id}/files/{index}",
            Operator(Action::ViewEvidence),
            get(evidence::text),
        ),
        route(
            Method::GET,
            "/api/evidence/{id}/custody",
            Operator(Action::ViewEvidence),
            get(evidence::custody),
        ),
        route(
            Method::GET,
            "/api/evidence/{id}/bundle",
            Operator(Action::DownloadEvidence),
            get(evidence::bundle),
        ),
        route(
            Method::POST,
            "/api/evidence/{id}/discard",
            Operator(Action::DiscardEvidence),
            post(evidence::discard),
        ),
        route(Method::GET, "/api/webhooks", Operator(Action::ManageWebhooks), get(webhooks::list)),
        route(Method::POST, "/api/webhooks", Operator(Action::ManageWebhooks), post(webhooks::create)),
        route(Method::GET, "/api/webhooks/{id}", Operator(Action::ManageWebhooks), get(webhooks::get)),
        route(Method::PUT, "/api/webhooks/{id}", Operator(Action::ManageWebhooks), put(webhooks::change)),
        route(
            Method::DELETE,
            "/api/webhooks/{id}",
            Operator(Action::ManageWebhooks),
            delete(webhooks::delete),
        ),
        route(
            Method::POST,
            "/api/webhooks/{id}/pause",
            Operator(Action::ManageWebhooks),
            post(webhooks::pause),
        ),
        route(
            Method::POST,
            "/api/webhooks/{id}/resume",
            Operator(Action::ManageWebhooks),
            post(webhooks::resume),
        ),
        route(
            Method::POST,
            "/api/webhooks/{id}/rotate",
            Operator(Action::ManageWebhooks),
            post(webhooks::rotate),
        ),
        route(
            Method::POST,
            "/api/webhooks/{id}/test",
            Operator(Action::ManageWebhooks),
            post(webhooks::test),
        ),
        route(
            Method::GET,
            "/api/webhooks/{id}/deliveries",
            Operator(Action::ManageWebhooks),
            get(webhooks::deliveries),
        ),
        route(
            Method::POST,
            "/api/webhooks/deliveries/{id}/retry",
            Operator(Action::ManageWebhooks),
            post(webhooks::retry),
        ),
        route(Method::GET, "/api/audit", Operator(Action::ViewAudit), get(audit::list)),
        route(Method::GET, "/api/audit/{id}", Operator(Action::ViewAudit), get(audit::get)),
        route(Method::GET, "/api/operators", Operator(Action::ManageOperators), get(operators::list)),
        route(Method::POST, "/api/operators", Operator(Action::ManageOperators), post(operators::create)),
        route(
            Method::PATCH,
            "/api/operators/{id}",
            Operator(Action::ManageOperators),
            patch(operators::change),
        ),
        route(
            Method::PUT,
            "/api/operators/{id}/password",
            Operator(Action::ManageOperators),
            put(operators::reset_password),
        ),
        route(
            Method::GET,
            "/api/operators/{id}/sessions",
            Operator(Action::ManageOperators),
            get(operators::sessions),
        ),
        route(
            Method::DELETE,
            "/api/operators/{id}/sessions",
            Operator(Action::ManageOperators),
            delete(operators::revoke_all),
        ),
        route(
            Method::DELETE,
            "/api/operators/{id}/sessions/{session}",
            Operator(Action::ManageOperators),
            delete(operators::revoke),
        ),
        route(Method::GET, "/api/tokens", Operator(Action::ManageApiTokens), get(tokens::list)),
        route(Method::POST, "/api/tokens", Operator(Action::ManageApiTokens), post(tokens::create)),
        route(Method::DELETE, "/api/tokens/{id}", Operator(Action::ManageApiTokens), delete(tokens::revoke)),
        route(Method::GET, "/api/openapi.json", Operator(Action::View), get(openapi::document)),
        route(Method::GET, "/metrics", Operator(Action::View), get(api::metrics)),
        route(Method::GET, "/telemetry", Operator(Action::View), get(api::telemetry)),
        route(Method::GET, "/events", Operator(Action::View), get(events::events)),
    ]
}

/// The pages about the API, for browsers.
#[must_use]
pub fn docs_routes() -> Vec<Route> {
    use Access::Operator;
    vec![
        route(Method::GET, "/docs", Operator(Action::View), get(docs::page)),
        route(Method::GET, "/docs/{file}", Operator(Action::View), get(docs::file)),
    ]
}

fn route(method: Method, path: &'static str, access: Access, handler: MethodRouter<AppState>) -> Route {
    Route { method, path, access, handler }
}

/// For the networks that only agents are on.
pub fn gateway(state: &AppState) -> Router {
    let router = mount(Router::new(), gateway_routes()).fallback(nothing_here);
    finish(router, state)
}

/// For a monitoring system on an address of its own: nothing but `/metrics` and whether the server works.
pub fn metrics(state: &AppState) -> Router {
    let routes = vec![
        route(Method::GET, "/healthz", Access::Public, get(health::healthz)),
        route(Method::GET, "/readyz", Access::Public, get(health::readyz)),
        route(Method::GET, "/metrics", Access::Public, get(api::metrics)),
    ];
    finish(compressed(mount(Router::new(), routes)).fallback(nothing_here), state)
}

/// Everything: the gateway, the console and the dashboard.
pub fn everything(state: &AppState) -> Router {
    // Rendering spawns tasks. A second call, as in tests that start several servers, changes nothing.
    let _ = any_spawner::Executor::init_tokio();
    let server_functions = Router::new()
        .route("/rpc/{function}", post(pages::server_function))
        .layer(middleware::from_fn(pages::guard_server_functions));
    let dashboard = mount(mount(Router::new(), console_routes()), docs_routes())
        .merge(server_functions)
        .fallback(pages::page)
        .layer(middleware::from_fn_with_state(state.clone(), session::admit));
    let files = Router::new()
        .nest_service(
            "/pkg",
            ServiceBuilder::new().layer(middleware::from_fn(pages::keep_for_good)).service(pkg(state)),
        )
        .route_service("/favicon.svg", ServeFile::new(site_file(state, "favicon.svg")));
    let router = mount(Router::new(), gateway_routes()).merge(compressed(files.merge(dashboard)));
    finish(router, state)
}

fn mount(mut router: Router<AppState>, routes: Vec<Route>) -> Router<AppState> {
    for route in routes {
        let handler = match route.access {
            Access::Operator(action) => route
                .handler
                .layer(middleware::from_fn(move |request, next| require_action(action, request, next))),
            Access::Public | Access::EnrolmentToken | Access::Agent => route.handler,
        };
        router = router.route(route.path, handler);
    }
    router
}

/// The table's word, before the handler's own permit: a handler that forgot is refused as well.
async fn require_action(action: Action, request: Request, next: Next) -> Response {
    let Some(signed_in) = request.extensions().get::<SignedIn>() else {
        return ApiError::signed_out().into_response();
    };
    if let Err(forbidden) = signed_in.operator.must(action) {
        return ApiError::from(forbidden).into_response();
    }
    as_problem(next.run(request).await)
}

/// What axum refuses by itself, such as a path that is no UTF-8, is told like every other error.
fn as_problem(response: Response) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE);
    if !response.status().is_client_error()
        || kind.is_none_or(|kind| !kind.as_bytes().starts_with(b"text/plain"))
    {
        return response;
    }
    ApiError::new(response.status(), "malformed", "The request cannot be read")
        .detail(
            "The path holds what is no UTF-8, or another part of the request is not what its address takes.",
        )
        .into_response()
}

/// For browsers; agents ask for no compression, and their answers are too short for it.
fn compressed(router: Router<AppState>) -> Router<AppState> {
    // A bundle is compressed, and a range of it must stay that range.
    let worthwhile = DefaultPredicate::new().and(NotForContentType::const_new("application/zip"));
    router.layer(CompressionLayer::new().compress_when(worthwhile))
}

fn finish(router: Router<AppState>, state: &AppState) -> Router {
    router
        .method_not_allowed_fallback(wrong_method)
        .layer(
            ServiceBuilder::new()
                .layer(middleware::from_fn_with_state(limits::requests(), edge))
                .layer(CatchPanicLayer::custom(limits::panicked))
                .layer(DefaultBodyLimit::max(limits::LARGEST_BODY_BYTES)),
        )
        .with_state(state.clone())
}

/// What every request passes, as one layer: each one more copies all that are below it, for every request.
async fn edge(State(places): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    let entry = request_log::Entry::begin(&request);
    let mut response = limits::bound(places, request, next).await;
    headers::add(response.headers_mut());
    entry.end(&mut response);
    response
}

/// The build leaves a compressed copy beside each file.
fn pkg(state: &AppState) -> ServeDir {
    ServeDir::new(site_file(state, &state.leptos.site_pkg_dir)).precompressed_br().precompressed_gzip()
}

fn site_file(state: &AppState, name: &str) -> std::path::PathBuf {
    std::path::Path::new(&*state.leptos.site_root).join(name)
}

async fn nothing_here(uri: Uri) -> ApiError {
    ApiError::not_found(format!("{} is not an address of the gateway", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "wrong-method", "This address takes another method")
        .detail(format!("{} does not take {method}", uri.path()))
}
