//! Reading one file out of a bundle that is in the evidence store. The bundle comes from a host that may be hostile: every
//! step has a bound, and names in it are only ever compared.

use std::{
    io::{self, Read, Seek, SeekFrom},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::runtime::Handle;
use voltaxe_protocol::{
    Manifest, ManifestEntry,
    evidence::{Bundle, BundleError, EntryError, LARGEST_MANIFEST_BYTES, MANIFEST_PATH},
};

use super::objects::{ObjectError, Objects};
use crate::StrikeError;

/// What may be fetched to read a bundle's directory.
const DIRECTORY_BUDGET: u64 = 40 * 1024 * 1024;
/// And to read one file: deflate can be made to yield nothing for ever.
const FILE_BUDGET: u64 = 96 * 1024 * 1024;
const WINDOW_BYTES: u64 = 256 * 1024;

#[derive(Debug, thiserror::Error)]
pub(super) enum ArchiveError {
    #[error("the bundle has no file {0}; GET files lists them")]
    NoSuchFile(u32),
    #[error("the bundle cannot be read: {0}")]
    Damaged(String),
    #[error(transparent)]
    Object(#[from] ObjectError),
}

impl From<ArchiveError> for StrikeError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::NoSuchFile(_) => Self::NotFound(error.to_string()),
            ArchiveError::Damaged(_) => {
                Self::Conflict(format!("{error}. Download it and look at it with care"))
            }
            ArchiveError::Object(error) => error.into(),
        }
    }
}

impl From<BundleError> for ArchiveError {
    fn from(error: BundleError) -> Self {
        match error {
            BundleError::Io(error) => error.into(),
            BundleError::Malformed { .. } => Self::Damaged(error.to_string()),
        }
    }
}

impl From<io::Error> for ArchiveError {
    fn from(error: io::Error) -> Self {
        match error.downcast::<ObjectError>() {
            Ok(object) => Self::Object(object),
            Err(error) => Self::Damaged(error.to_string()),
        }
    }
}

/// Blocks: for threads that may.
pub(super) struct Archive {
    bundle: Bundle<ObjectReader>,
    budget: Arc<AtomicU64>,
}

impl Archive {
    pub(super) fn open(
        objects: Arc<dyn Objects>,
        sha256: String,
        size: u64,
        runtime: Handle,
    ) -> Result<Self, ArchiveError> {
        let budget = Arc::new(AtomicU64::new(DIRECTORY_BUDGET));
        let mut reader = ObjectReader::new(objects, sha256, size, runtime);
        reader.budget = Some(Arc::clone(&budget));
        Ok(Self { bundle: Bundle::open(reader)?, budget })
    }

    pub(super) fn manifest(&mut self) -> Result<Manifest, ArchiveError> {
        let bytes = self.read(MANIFEST_PATH, LARGEST_MANIFEST_BYTES)?;
        serde_json::from_slice(&bytes)
            .map_err(|error| ArchiveError::Damaged(format!("{MANIFEST_PATH}: {error}")))
    }

    /// At most `most` bytes of it.
    pub(super) fn beginning(&mut self, entry: &ManifestEntry, most: u64) -> Result<Vec<u8>, ArchiveError> {
        self.read(&entry.path, most)
    }

    fn read(&mut self, path: &str, most: u64) -> Result<Vec<u8>, ArchiveError> {
        self.budget.store(FILE_BUDGET, Ordering::Relaxed);
        let number = self.bundle.entries().iter().position(|entry| entry.path == path);
        let number = number
            .ok_or_else(|| ArchiveError::Damaged(format!("{path:?} is in its manifest and not in it")))?;
        self.bundle.read(number, most).map_err(|error| match error {
            EntryError::Io(error) => error.into(),
            EntryError::NoSuchEntry | EntryError::Header { .. } | EntryError::Content(_) => {
                ArchiveError::Damaged(format!("{path}: {error}"))
            }
        })
    }
}

/// An object as a file: a window of it at a time.
pub(super) struct ObjectReader {
    objects: Arc<dyn Objects>,
    sha256: String,
    size: u64,
    runtime: Handle,
    /// Bytes that may still be fetched; `None`: all of them.
    budget: Option<Arc<AtomicU64>>,
    /// Set when the evidence store failed: then nothing is known of the bundle.
    has_failed: Arc<AtomicBool>,
    position: u64,
    window: Bytes,
    window_at: u64,
}

impl ObjectReader {
    pub(super) fn new(objects: Arc<dyn Objects>, sha256: String, size: u64, runtime: Handle) -> Self {
        Self {
            objects,
            sha256,
            size,
            runtime,
            budget: None,
            has_failed: Arc::default(),
            position: 0,
            window: Bytes::new(),
            window_at: 0,
        }
    }

    pub(super) fn has_failed(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.has_failed)
    }

    fn fetch(&mut self) -> io::Result<()> {
        let end = self.size.min(self.position + WINDOW_BYTES);
        if let Some(budget) = &self.budget {
            let left = budget.load(Ordering::Relaxed).checked_sub(end - self.position);
            let left = left
                .ok_or_else(|| io::Error::other("reading it would take more than a bundle of ours takes"))?;
            budget.store(left, Ordering::Relaxed);
        }
        let read = self.objects.read(&self.sha256, self.position..end);
        self.window = self.runtime.block_on(read).map_err(|error| {
            self.has_failed.store(true, Ordering::Relaxed);
            io::Error::other(error)
        })?;
        self.window_at = self.position;
        Ok(())
    }
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position >= self.size || buffer.is_empty() {
            return Ok(0);
        }
        let held = self.window_at..self.window_at + self.window.len() as u64;
        if !held.contains(&self.position) {
            self.fetch()?;
        }
        let skip = usize::try_from(self.position - self.window_at).unwrap_or(usize::MAX);
        let rest = self.window.get(skip..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for ObjectReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a place before the beginning"))?;
        Ok(self.position)
    }
}
