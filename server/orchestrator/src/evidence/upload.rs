//! From an agent's offer to a whole bundle in the evidence store.

mod offer;
mod settle;

use std::{
    collections::HashMap,
    error::Error,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::json;
use tokio::sync::OwnedMutexGuard;
use voltaxe_protocol::{CommandId, EndpointId, EvidenceState};
use voltaxe_store::custody::{Actor, ActorKind, CustodyAction, CustodyEvent};

use super::{
    Evidence, EvidenceProgress, EvidenceRecord, EvidenceStatus, lock,
    parts::{self, Part},
};
use crate::{Strike, StrikeError};

/// Why a bundle, or a piece of it, was not taken.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// No such collection of this host: offering it again will not help.
    #[error("command {0} is no collection of this host")]
    NotExpected(CommandId),
    #[error("the bundle of command {0} is not under way: offer it first with POST /evidence")]
    NotOffered(CommandId),
    #[error("{field}: {problem}")]
    Invalid { field: &'static str, problem: String },
    #[error("the bundle of command {0} was discarded at the server: it is not wanted any more")]
    Discarded(CommandId),
    /// The result that was reported, or the stored bundle, is another one.
    #[error(
        "the bundle of command {0} has another digest or size than was reported: report and offer the same one"
    )]
    Differs(CommandId),
    #[error("the next piece starts at {received_bytes}")]
    Gap { received_bytes: u64 },
    #[error("the piece ends at {end} and the bundle, as it was offered, at {size_bytes}")]
    Beyond { end: u64, size_bytes: u64 },
    /// The upload has begun anew.
    #[error(
        "all {size_bytes} bytes are here and their SHA-256 is {found}, not as claimed: send it again from 0"
    )]
    DigestMismatch { found: String, size_bytes: u64 },
    /// No room. The text says what to do on the server.
    #[error("{0}")]
    Full(String),
    /// The server's disk or its evidence store fails. Try again later.
    #[error("the bundle cannot be kept right now")]
    Storage(#[source] Box<dyn Error + Send + Sync>),
    #[error(transparent)]
    Strike(#[from] StrikeError),
}

impl From<voltaxe_store::StoreError> for UploadError {
    fn from(error: voltaxe_store::StoreError) -> Self {
        Self::Strike(error.into())
    }
}

/// Those that this server has looked at since it started.
#[derive(Default)]
pub(super) struct Uploads(Mutex<HashMap<CommandId, Arc<Upload>>>);

pub(super) struct Upload {
    id: CommandId,
    endpoint: EndpointId,
    /// As claimed.
    sha256: String,
    size_bytes: u64,
    path: PathBuf,
    /// Open once somebody needs it. Whoever writes or moves the file holds this.
    part: Arc<tokio::sync::Mutex<Option<Part>>>,
    received_bytes: AtomicU64,
    /// All is here and on its way into the evidence store.
    is_settling: AtomicBool,
    /// Where it was last written down that the agent went on.
    resumed_at: AtomicU64,
}

type OpenPart = OwnedMutexGuard<Option<Part>>;

enum Known {
    Stored(u64),
    UnderWay(Arc<Upload>),
}

impl Uploads {
    fn get(&self, id: CommandId) -> Option<Arc<Upload>> {
        lock(&self.0).get(&id).cloned()
    }

    /// The one that is there already, or a new one.
    fn enter(&self, record: &EvidenceRecord, evidence: &Evidence) -> Arc<Upload> {
        let new = || {
            Arc::new(Upload {
                id: record.command_id,
                endpoint: record.endpoint_id.clone(),
                sha256: record.sha256.clone(),
                size_bytes: record.size_bytes,
                path: parts::path_of(&evidence.config.parts, record.command_id),
                part: Arc::default(),
                received_bytes: AtomicU64::new(0),
                is_settling: AtomicBool::new(false),
                resumed_at: AtomicU64::new(0),
            })
        };
        Arc::clone(lock(&self.0).entry(record.command_id).or_insert_with(new))
    }

    pub(super) fn forget(&self, id: CommandId) {
        lock(&self.0).remove(&id);
    }

    /// What is still to come of the others.
    fn awaited_bytes(&self, beside: CommandId) -> u64 {
        let uploads = lock(&self.0);
        let others = uploads.values().filter(|upload| upload.id != beside);
        others.map(|upload| upload.size_bytes.saturating_sub(upload.received())).sum()
    }
}

impl Upload {
    fn received(&self) -> u64 {
        self.received_bytes.load(Ordering::Relaxed)
    }

    fn state(&self) -> EvidenceState {
        EvidenceState { received_bytes: self.received(), complete: false }
    }

    /// Waits for its turn, and opens the file if that was not done: then the answer is `true` beside it.
    async fn open(&self) -> Result<(OpenPart, bool), UploadError> {
        let mut part = Arc::clone(&self.part).lock_owned().await;
        let was_closed = part.is_none();
        if was_closed {
            let (path, size) = (self.path.clone(), self.size_bytes);
            part = blocking(move || {
                *part = Some(Part::open(&path, size)?);
                Ok(part)
            })
            .await?;
        }
        self.received_bytes.store(part.as_ref().map_or(0, Part::length), Ordering::Relaxed);
        Ok((part, was_closed))
    }

    fn progress(&self) -> EvidenceProgress {
        EvidenceProgress {
            command_id: self.id,
            endpoint_id: self.endpoint.clone(),
            state: EvidenceStatus::Uploading,
            received_bytes: self.received(),
            size_bytes: self.size_bytes,
        }
    }
}

impl Strike {
    /// How far the server is with a bundle that was offered.
    pub async fn evidence_state(
        &self,
        endpoint: &EndpointId,
        id: CommandId,
        now: DateTime<Utc>,
    ) -> Result<EvidenceState, UploadError> {
        match self.known_upload(endpoint, id).await? {
            Known::Stored(size) => Ok(EvidenceState { received_bytes: size, complete: true }),
            Known::UnderWay(upload) => self.look_at(&upload, now).await,
        }
    }

    /// A piece of a bundle, on disk when this returns. One that is here already is acknowledged once more.
    pub async fn evidence_chunk(
        &self,
        endpoint: &EndpointId,
        id: CommandId,
        offset: u64,
        piece: Bytes,
        now: DateTime<Utc>,
    ) -> Result<EvidenceState, UploadError> {
        let upload = match self.known_upload(endpoint, id).await? {
            Known::Stored(size) => return Ok(EvidenceState { received_bytes: size, complete: true }),
            Known::UnderWay(upload) => upload,
        };
        let end = offset.saturating_add(piece.len() as u64);
        if end > upload.size_bytes {
            return Err(UploadError::Beyond { end, size_bytes: upload.size_bytes });
        }
        if piece.is_empty() {
            return Err(UploadError::Invalid { field: "body", problem: "must hold a piece".to_owned() });
        }
        if upload.is_settling.load(Ordering::Relaxed) {
            return Ok(upload.state());
        }
        let mut part = self.open_upload(&upload, now).await?;
        let received = upload.received();
        if offset > received {
            return Err(UploadError::Gap { received_bytes: received });
        }
        if end > received {
            self.check_disk(upload.size_bytes - received)?;
            let known = usize::try_from(received - offset).unwrap_or(usize::MAX);
            part = append(part, piece.slice(known..)).await?;
            upload.received_bytes.store(end, Ordering::Relaxed);
            lock(&self.evidence_parts()?.changed).insert(id, upload.progress());
        }
        self.go_on(&upload, part, now).await
    }

    async fn look_at(&self, upload: &Arc<Upload>, now: DateTime<Utc>) -> Result<EvidenceState, UploadError> {
        if upload.is_settling.load(Ordering::Relaxed) {
            return Ok(upload.state());
        }
        let part = self.open_upload(upload, now).await?;
        self.go_on(upload, part, now).await
    }

    /// Opens the file and, when it holds what an earlier process has taken, writes down that the upload goes on.
    async fn open_upload(&self, upload: &Arc<Upload>, now: DateTime<Utc>) -> Result<OpenPart, UploadError> {
        let (part, was_closed) = upload.open().await?;
        if was_closed {
            self.note_resumed(upload, now).await?;
        }
        Ok(part)
    }

    /// Once for each place that it goes on from.
    async fn note_resumed(&self, upload: &Upload, now: DateTime<Utc>) -> Result<(), UploadError> {
        let received = upload.received();
        if upload.resumed_at.swap(received, Ordering::Relaxed) != received {
            let detail = json!({ "received_bytes": received, "size_bytes": upload.size_bytes });
            let event = agent_event(&upload.endpoint, CustodyAction::Resumed, detail, now);
            self.store().append_custody(upload.id, &event, now).await?;
        }
        Ok(())
    }

    async fn known_upload(&self, endpoint: &EndpointId, id: CommandId) -> Result<Known, UploadError> {
        let evidence = self.evidence_parts()?;
        if let Some(upload) = evidence.uploads.get(id) {
            return if upload.endpoint == *endpoint {
                Ok(Known::UnderWay(upload))
            } else {
                Err(UploadError::NotExpected(id))
            };
        }
        let record = self.store().evidence(id).await?;
        let record = record.filter(|record| record.endpoint_id == *endpoint);
        let record = record.ok_or(UploadError::NotOffered(id))?;
        match record.state {
            EvidenceStatus::Stored => Ok(Known::Stored(record.size_bytes)),
            EvidenceStatus::Uploading => Ok(Known::UnderWay(evidence.uploads.enter(&record, evidence))),
            EvidenceStatus::Announced | EvidenceStatus::Abandoned => Err(UploadError::NotOffered(id)),
            EvidenceStatus::Discarded => Err(UploadError::Discarded(id)),
        }
    }

    /// Refuses what would fill the disk that uploads are on.
    fn check_disk(&self, bytes: u64) -> Result<(), UploadError> {
        let config = &self.evidence_parts()?.config;
        let free = parts::free_bytes(&config.parts).map_err(|error| UploadError::Storage(error.into()))?;
        if free < bytes.saturating_add(config.keep_free_bytes) {
            return Err(UploadError::Full(format!(
                "the server's disk has {free} bytes free; this bundle needs {bytes} and {} stay free: make room on the \
                 file system of {}, or set evidence-dir to a larger one",
                config.keep_free_bytes,
                config.parts.display()
            )));
        }
        Ok(())
    }
}

fn agent_event(
    endpoint: &EndpointId,
    action: CustodyAction,
    detail: serde_json::Value,
    at: DateTime<Utc>,
) -> CustodyEvent {
    let actor = Actor { kind: ActorKind::Agent, name: endpoint.to_string() };
    CustodyEvent { at, actor, action, detail }
}

async fn append(part: OpenPart, piece: Bytes) -> Result<OpenPart, UploadError> {
    let mut part = part;
    blocking(move || {
        let written = match part.as_mut() {
            Some(open) => open.append(&piece),
            None => Ok(()),
        };
        if written.is_err() {
            // Only the file says what of it is there.
            *part = None;
        }
        written.map(|()| part)
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, UploadError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::StorageFull => Err(UploadError::Full(
            "the server's disk is full: make room on it, or set evidence-dir to a larger one".to_owned(),
        )),
        Ok(Err(error)) => Err(UploadError::Storage(error.into())),
        Err(panic) => Err(UploadError::Storage(panic.into())),
    }
}
