//! `/docs`: the API to read and to try, by Swagger UI. Its files are part of this program: nothing comes from elsewhere.

use axum::{
    extract::Path,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse as _, Response},
};

use crate::problem::ApiError;

/// Compressed when this program was built.
const SCRIPT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui-bundle.js.gz"));
const STYLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui.css.gz"));
const PAGE: &str = include_str!("docs/index.html");
const START: &str = include_str!("docs/start.js");

/// Swagger UI writes styles into its elements, and draws its icons from `data:`. Scripts are its own files alone.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// `GET /docs`
pub async fn page() -> Response {
    let policy = (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    ([policy, kind("text/html; charset=utf-8")], PAGE).into_response()
}

/// `GET /docs/{file}`
pub async fn file(Path(file): Path<String>) -> Result<Response, ApiError> {
    let script = kind("text/javascript; charset=utf-8");
    let packed = (header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    let kept = (header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=3600"));
    Ok(match file.as_str() {
        "start.js" => ([script], START).into_response(),
        "swagger-ui-bundle.js" => ([script, packed, kept], SCRIPT).into_response(),
        "swagger-ui.css" => ([kind("text/css; charset=utf-8"), packed, kept], STYLE).into_response(),
        _ => return Err(ApiError::not_found("the page /docs has no such file")),
    })
}

fn kind(name: &'static str) -> (HeaderName, HeaderValue) {
    (header::CONTENT_TYPE, HeaderValue::from_static(name))
}
