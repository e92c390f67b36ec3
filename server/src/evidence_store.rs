//! Where whole bundles are kept: a directory of this machine, or a service that speaks S3. `object_store` does both.

use std::{ops::Range, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use bytes::Bytes;
use futures::TryFutureExt as _;
use object_store::{
    ClientOptions, MultipartUpload, ObjectStore, ObjectStoreExt as _, PutPayload, RetryConfig,
    aws::AmazonS3Builder, local::LocalFileSystem, path::Path as Key,
};
use secrecy::ExposeSecret as _;
use tokio::io::AsyncReadExt as _;
use voltaxe_orchestrator::evidence::{EvidenceConfig, ObjectError, ObjectFuture, Objects};

use crate::config::{EvidencePlace, EvidenceSettings, S3};

/// S3 takes parts of at least 5 MiB, and at most 10,000 of them.
const S3_PART_BYTES: usize = 16 * 1024 * 1024;

/// A part on a slow line takes its time.
const REQUEST_WITHIN: Duration = Duration::from_secs(120);
const RETRY_WITHIN: Duration = Duration::from_secs(10);
/// In the evidence directory: where uploads gather.
const PARTS: &str = "parts";

/// Objects are called `sha256/ab/cd/` and their whole digest.
#[derive(Debug)]
pub struct EvidenceStore(Backend);

#[derive(Debug)]
enum Backend {
    /// Uploads gather under the same root, so that a whole one is in its place by a link.
    Directory(LocalFileSystem),
    S3(Arc<dyn ObjectStore>),
}

impl EvidenceStore {
    /// Makes the directory; asks a service nothing yet.
    fn open(directory: &Path, place: &EvidencePlace) -> anyhow::Result<Self> {
        std::os::unix::fs::DirBuilderExt::mode(std::fs::DirBuilder::new().recursive(true), 0o700)
            .create(directory)
            .with_context(|| format!("cannot make the evidence directory {}", directory.display()))?;
        match place {
            EvidencePlace::Directory => {
                let files = LocalFileSystem::new_with_prefix(directory)
                    .with_context(|| format!("cannot use the evidence directory {}", directory.display()))?;
                Ok(Self(Backend::Directory(files.with_fsync(true))))
            }
            EvidencePlace::S3(s3) => Ok(Self(Backend::S3(Arc::new(open_s3(s3)?)))),
        }
    }
}

/// The orchestrator's settings of evidence; makes the directory.
pub fn evidence_config(settings: &EvidenceSettings) -> anyhow::Result<EvidenceConfig> {
    Ok(EvidenceConfig {
        objects: Arc::new(EvidenceStore::open(&settings.directory, &settings.place)?),
        parts: settings.directory.join(PARTS),
        quota_bytes: settings.quota_bytes,
        keep_free_bytes: settings.keep_free_bytes,
    })
}

fn open_s3(s3: &S3) -> anyhow::Result<object_store::aws::AmazonS3> {
    // Somebody waits for each answer: better an error soon than a late answer.
    let retry = RetryConfig { max_retries: 3, retry_timeout: RETRY_WITHIN, ..RetryConfig::default() };
    let mut builder = AmazonS3Builder::new()
        .with_client_options(ClientOptions::new().with_timeout(REQUEST_WITHIN))
        .with_retry(retry)
        .with_bucket_name(&s3.bucket)
        .with_region(&s3.region)
        .with_access_key_id(&s3.access_key_id)
        .with_secret_access_key(s3.secret_access_key.expose_secret())
        .with_disable_tagging(true)
        // One at a time is in the core of S3; not every service has the other.
        .with_disable_bulk_delete(true);
    if let Some(endpoint) = &s3.endpoint {
        builder = builder
            .with_endpoint(endpoint.as_str().trim_end_matches('/'))
            .with_allow_http(endpoint.scheme() == "http");
    }
    builder.build().context("the settings evidence-s3-* do not go together")
}

impl Objects for EvidenceStore {
    fn take<'a>(&'a self, file: &'a Path, sha256: &'a str) -> ObjectFuture<'a, ()> {
        Box::pin(async move {
            let key = key(sha256);
            let size = tokio::fs::metadata(file).await.map_err(failed)?.len();
            match &self.0 {
                Backend::Directory(files) => {
                    if !holds(files, &key, size).await? {
                        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                        // A link to the same bytes, which are on the disk already.
                        files.copy(&Key::from_iter([PARTS, name]), &key).await.map_err(failed)?;
                    }
                }
                Backend::S3(service) => {
                    if !holds(service.as_ref(), &key, size).await? {
                        send(service.as_ref(), file, &key).await?;
                    }
                }
            }
            Ok(())
        })
    }

    fn read<'a>(&'a self, sha256: &'a str, range: Range<u64>) -> ObjectFuture<'a, Bytes> {
        Box::pin(async move {
            let (key, length) = (key(sha256), range.end.saturating_sub(range.start));
            let read = match &self.0 {
                Backend::Directory(files) => files.get_range(&key, range).await,
                Backend::S3(service) => service.get_range(&key, range).await,
            };
            match read {
                Ok(bytes) if bytes.len() as u64 == length => Ok(bytes),
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {
                    Err(ObjectError::Missing(sha256.to_owned()))
                }
                Err(error) => Err(failed(error)),
            }
        })
    }

    fn remove<'a>(&'a self, sha256: &'a str) -> ObjectFuture<'a, ()> {
        Box::pin(async move {
            let key = key(sha256);
            let removed = match &self.0 {
                Backend::Directory(files) => files.delete(&key).await,
                Backend::S3(service) => service.delete(&key).await,
            };
            match removed {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(failed(error)),
            }
        })
    }
}

fn key(sha256: &str) -> Key {
    let (first, second) = (sha256.get(..2).unwrap_or("__"), sha256.get(2..4).unwrap_or("__"));
    Key::from(format!("sha256/{first}/{second}/{sha256}"))
}

async fn holds(store: &dyn ObjectStore, key: &Key, size: u64) -> Result<bool, ObjectError> {
    match store.head(key).await {
        Ok(found) => Ok(found.size == size),
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

/// In parts; nothing is left of an upload that fails.
async fn send(service: &dyn ObjectStore, file: &Path, key: &Key) -> Result<(), ObjectError> {
    let mut upload = service.put_multipart(key).await.map_err(failed)?;
    let sent = send_parts(&mut upload, file).await;
    match sent {
        Ok(()) => upload.complete().await.map(|_| ()).map_err(failed),
        Err(error) => {
            let _ = upload.abort().await;
            Err(error)
        }
    }
}

async fn send_parts(upload: &mut Box<dyn MultipartUpload>, file: &Path) -> Result<(), ObjectError> {
    let mut file = tokio::fs::File::open(file).await.map_err(failed)?;
    loop {
        let mut part = Vec::with_capacity(S3_PART_BYTES);
        (&mut file).take(S3_PART_BYTES as u64).read_to_end(&mut part).map_err(failed).await?;
        if part.is_empty() {
            return Ok(());
        }
        upload.put_part(PutPayload::from(part)).await.map_err(failed)?;
    }
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ObjectError {
    ObjectError::Failed(error.into())
}
