//! Evidence: how a bundle comes from an agent, where it is kept, who has looked at it.
//!
//! A bundle's id is that of the command that collected it. Uploads gather in files of this server; a whole bundle moves into
//! the object store, under its digest. What a host says is data: nothing in a bundle decides where anything is written.

mod archive;
mod browse;
pub mod custody;
mod discard;
mod objects;
mod parts;
mod progress;
mod upkeep;
mod upload;

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use tokio::sync::Semaphore;
use voltaxe_protocol::{CollectionError, CommandId, EndpointId, ManifestEntry};

pub use self::{
    browse::Download,
    objects::{ObjectError, ObjectFuture, Objects},
    progress::EvidenceProgress,
    upload::UploadError,
};
use self::{progress::Changed, upload::Uploads};
pub use crate::model::{Discarded, EvidenceFilter, EvidenceRecord, EvidenceStatus};

pub use voltaxe_protocol::evidence::LARGEST_BUNDLE_BYTES;

/// Of one file in a bundle, as text.
pub const LARGEST_TEXT_BYTES: u64 = 1024 * 1024;
/// Bundles that are opened at once: the directory of a large one takes memory.
const ARCHIVES_AT_ONCE: usize = 2;
/// Bundles that are looked through at once: a large one keeps a core and the disk busy for a while.
const LOOKED_THROUGH_AT_ONCE: usize = 1;

/// Where evidence is kept, and how much of it.
#[derive(Clone, Debug)]
pub struct EvidenceConfig {
    /// For uploads under way; made when it is not there.
    pub parts: PathBuf,
    pub objects: Arc<dyn Objects>,
    /// For all bundles together.
    pub quota_bytes: u64,
    /// So much of the disk that the uploads are on stays free.
    pub keep_free_bytes: u64,
}

/// What the orchestrator holds of it.
pub(crate) struct Evidence {
    config: EvidenceConfig,
    uploads: Uploads,
    changed: Mutex<Changed>,
    archives: Arc<Semaphore>,
    looking_through: Arc<Semaphore>,
}

impl Evidence {
    pub(crate) fn new(config: EvidenceConfig) -> Self {
        Self {
            config,
            uploads: Uploads::default(),
            changed: Mutex::default(),
            archives: Arc::new(Semaphore::new(ARCHIVES_AT_ONCE)),
            looking_through: Arc::new(Semaphore::new(LOOKED_THROUGH_AT_ONCE)),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When an operator looks, and from where, if that is known: for the custody record.
#[derive(Clone, Copy, Debug)]
pub struct Visit {
    pub from: Option<IpAddr>,
    pub at: DateTime<Utc>,
}

/// What a bundle's manifest says, without its files, and a page of these.
#[derive(Clone, Debug, PartialEq)]
pub struct EvidenceFiles {
    pub command_id: CommandId,
    pub endpoint_id: EndpointId,
    pub hostname: String,
    pub agent_version: String,
    pub started_at: DateTime<Utc>,
    pub finished_at: DateTime<Utc>,
    /// Why the collection ended early.
    pub partial: Option<String>,
    /// What could not be collected: the first 500.
    pub errors: Vec<CollectionError>,
    pub total: u32,
    pub files: Vec<EvidenceFile>,
}

/// A file of a bundle. Its number in the manifest is its address; its name is only data.
#[derive(Clone, Debug, PartialEq)]
pub struct EvidenceFile {
    /// From 0.
    pub index: u32,
    pub entry: ManifestEntry,
}

/// The beginning of a file, at most [`LARGEST_TEXT_BYTES`] of it.
#[derive(Clone, Debug, PartialEq)]
pub struct EvidenceText {
    pub file: EvidenceFile,
    /// What is no UTF-8 stands as U+FFFD.
    pub text: String,
    /// There is more of it.
    pub is_cut: bool,
    /// It holds a NUL or what is no UTF-8.
    pub is_binary: bool,
}
