//! Reading one file out of a bundle that is in the evidence store. The bundle comes from a host that may be hostile: every
//! step has a bound, and names in it are only ever compared.

use std::{
    io::{self, Read, Seek, SeekFrom},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::runtime::Handle;
use voltaxe_protocol::{Manifest, ManifestEntry};
use zip::{ZipArchive, result::ZipError};

use super::objects::{ObjectError, Objects};
use crate::StrikeError;

const MANIFEST: &str = "manifest.json";
const LARGEST_MANIFEST_BYTES: u64 = 32 * 1024 * 1024;
/// What may be fetched to read a bundle's directory. `zip` holds about ten times as much of it in memory.
const DIRECTORY_BUDGET: u64 = 16 * 1024 * 1024;
/// And to read one file: deflate can be made to yield nothing for ever.
const FILE_BUDGET: u64 = 64 * 1024 * 1024;
const WINDOW_BYTES: u64 = 256 * 1024;
/// Deflate makes at most 1,032 bytes of one; what claims more is no honest file.
const MOST_RATIO: u64 = 1_100;

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

impl From<ZipError> for ArchiveError {
    fn from(error: ZipError) -> Self {
        match error {
            ZipError::Io(error) => error.into(),
            error => Self::Damaged(error.to_string()),
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
    zip: ZipArchive<ObjectReader>,
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
        let reader = ObjectReader::new(objects, sha256, size, runtime, Some(Arc::clone(&budget)));
        Ok(Self { zip: ZipArchive::new(reader)?, budget })
    }

    pub(super) fn manifest(&mut self) -> Result<Manifest, ArchiveError> {
        let bytes = self.read(MANIFEST, LARGEST_MANIFEST_BYTES + 1)?;
        if bytes.len() as u64 > LARGEST_MANIFEST_BYTES {
            return Err(ArchiveError::Damaged(format!("{MANIFEST} is larger than 32 MiB")));
        }
        serde_json::from_slice(&bytes).map_err(|error| ArchiveError::Damaged(format!("{MANIFEST}: {error}")))
    }

    /// At most `most` bytes of it.
    pub(super) fn beginning(&mut self, entry: &ManifestEntry, most: u64) -> Result<Vec<u8>, ArchiveError> {
        self.read(&entry.path, most)
    }

    fn read(&mut self, path: &str, most: u64) -> Result<Vec<u8>, ArchiveError> {
        self.budget.store(FILE_BUDGET, Ordering::Relaxed);
        let file = match self.zip.by_name(path) {
            Ok(file) => file,
            Err(ZipError::FileNotFound) => {
                return Err(ArchiveError::Damaged(format!("{path:?} is in its manifest and not in it")));
            }
            Err(error) => return Err(error.into()),
        };
        if file.size() / MOST_RATIO > file.compressed_size() {
            return Err(ArchiveError::Damaged(format!("{path:?} claims to unpack to {} bytes", file.size())));
        }
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
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
    position: u64,
    window: Bytes,
    window_at: u64,
}

impl ObjectReader {
    pub(super) fn new(
        objects: Arc<dyn Objects>,
        sha256: String,
        size: u64,
        runtime: Handle,
        budget: Option<Arc<AtomicU64>>,
    ) -> Self {
        Self { objects, sha256, size, runtime, budget, position: 0, window: Bytes::new(), window_at: 0 }
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
        self.window = self.runtime.block_on(read).map_err(io::Error::other)?;
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
