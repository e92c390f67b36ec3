//! Requests that change something, and upgrades, must come from our own pages.
//!
//! A session cookie is sent whoever wrote the page, so a POST alone proves nothing. Browsers say where a request comes
//! from in headers that pages cannot set: `Sec-Fetch-Site`, or at least `Origin`.

use axum::{
    extract::Request,
    http::{HeaderMap, Method, StatusCode, Uri, header},
};

use crate::problem::ApiError;

pub fn check(request: &Request) -> Result<(), ApiError> {
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let upgrades = request.headers().contains_key(header::UPGRADE);
    if (is_safe && !upgrades) || is_same_origin(request.headers()) {
        return Ok(());
    }
    Err(ApiError::new(StatusCode::FORBIDDEN, "cross-site", "The request does not come from this console")
        .detail(
            "it needs the header Sec-Fetch-Site: same-origin, or an Origin that equals the console's address",
        ))
}

fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &axum::http::HeaderValue| value.to_str().ok());
    if let Some(site) = text(header::HeaderName::from_static("sec-fetch-site")) {
        return site == "same-origin";
    }
    let (Some(origin), Some(host)) = (text(header::ORIGIN), text(header::HOST)) else { return false };
    origin
        .parse::<Uri>()
        .ok()
        .and_then(|origin| origin.authority().map(|authority| authority.as_str().eq_ignore_ascii_case(host)))
        .unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|&(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_our_own_origin_passes() {
        let host = ("host", "console.example:8080");
        assert!(is_same_origin(&headers(&[host, ("sec-fetch-site", "same-origin")])));
        assert!(is_same_origin(&headers(&[host, ("origin", "http://console.example:8080")])));
        for bad in [
            &[host][..],
            &[host, ("sec-fetch-site", "cross-site")],
            &[host, ("sec-fetch-site", "same-site")],
            &[host, ("sec-fetch-site", "none")],
            &[host, ("sec-fetch-site", "cross-site"), ("origin", "http://console.example:8080")],
            &[host, ("origin", "http://console.example")],
            &[host, ("origin", "http://evil.example")],
            &[host, ("origin", "null")],
            &[("origin", "http://console.example:8080")],
        ] {
            assert!(!is_same_origin(&headers(bad)), "{bad:?}");
        }
    }
}
