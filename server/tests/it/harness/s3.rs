//! As much of S3 as the evidence store asks for. It answers nobody without a signature of its access key, and compares none.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Query, Request, State},
    http::{Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};

pub const BUCKET: &str = "evidence";
pub const ACCESS_KEY_ID: &str = "voltaxe-test";

/// Ends with the test's runtime.
#[derive(Clone)]
pub struct FakeS3 {
    pub url: String,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    is_away: AtomicBool,
    objects: Mutex<HashMap<String, Vec<u8>>>,
    uploads: Mutex<HashMap<String, BTreeMap<u32, Vec<u8>>>>,
}

impl FakeS3 {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::new(Inner::default());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, inner }
    }

    /// From now on it refuses everything, or does not any more.
    pub fn is_away(&self, away: bool) {
        self.inner.is_away.store(away, Ordering::SeqCst);
    }

    pub fn objects(&self) -> Vec<(String, Vec<u8>)> {
        self.inner.objects.lock().unwrap().iter().map(|(key, bytes)| (key.clone(), bytes.clone())).collect()
    }

    /// Uploads that were begun and neither completed nor aborted.
    pub fn open_uploads(&self) -> usize {
        self.inner.uploads.lock().unwrap().len()
    }
}

async fn answer(
    State(inner): State<Arc<Inner>>,
    Query(query): Query<HashMap<String, String>>,
    request: Request<Body>,
) -> Response {
    if inner.is_away.load(Ordering::SeqCst) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let (parts, body) = request.into_parts();
    let signature = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let expected = format!("AWS4-HMAC-SHA256 Credential={ACCESS_KEY_ID}/");
    if !signature.is_some_and(|signature| signature.starts_with(&expected)) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let Some(key) = parts.uri.path().strip_prefix(&format!("/{BUCKET}/")).map(str::to_owned) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let body = to_bytes(body, 32 * 1024 * 1024).await.unwrap().to_vec();
    let upload = query.get("uploadId").cloned();
    match (parts.method, upload) {
        (Method::POST, None) => {
            let id = uuid::Uuid::new_v4().to_string();
            inner.uploads.lock().unwrap().insert(id.clone(), BTreeMap::new());
            format!(
                "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
            )
            .into_response()
        }
        (Method::PUT, Some(id)) => {
            let number = query["partNumber"].parse().unwrap();
            inner.uploads.lock().unwrap().get_mut(&id).unwrap().insert(number, body);
            [(header::ETAG, format!("\"part-{number}\""))].into_response()
        }
        (Method::POST, Some(id)) => {
            let pieces = inner.uploads.lock().unwrap().remove(&id).unwrap();
            inner.objects.lock().unwrap().insert(key, pieces.into_values().flatten().collect());
            "<CompleteMultipartUploadResult><ETag>\"whole\"</ETag></CompleteMultipartUploadResult>"
                .into_response()
        }
        (Method::DELETE, Some(id)) => {
            inner.uploads.lock().unwrap().remove(&id);
            StatusCode::NO_CONTENT.into_response()
        }
        (Method::DELETE, None) => {
            inner.objects.lock().unwrap().remove(&key);
            StatusCode::NO_CONTENT.into_response()
        }
        (Method::HEAD | Method::GET, None) => {
            let objects = inner.objects.lock().unwrap();
            let Some(bytes) = objects.get(&key) else { return StatusCode::NOT_FOUND.into_response() };
            let range = parts.headers.get(header::RANGE).and_then(|value| value.to_str().ok());
            let range = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
            let common = [
                (header::ETAG, "\"whole\"".to_owned()),
                (header::LAST_MODIFIED, "Wed, 25 Nov 2026 03:00:00 GMT".to_owned()),
            ];
            match range {
                Some((first, last)) => {
                    let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
                    let piece = bytes[first..=last.min(bytes.len() - 1)].to_vec();
                    let told = format!("bytes {first}-{last}/{}", bytes.len());
                    (StatusCode::PARTIAL_CONTENT, common, [(header::CONTENT_RANGE, told)], piece)
                        .into_response()
                }
                None => (common, bytes.clone()).into_response(),
            }
        }
        (method, _) => panic!("{method} {key} is not what a store of evidence asks for"),
    }
}
