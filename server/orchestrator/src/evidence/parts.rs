//! What has arrived of a bundle: a file of its own, whose length says how far it is.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use voltaxe_protocol::CommandId;

const READ_BYTES: usize = 256 * 1024;

/// Blocks: for threads that may.
pub(super) struct Part {
    file: File,
    hasher: Sha256,
    length: u64,
}

impl Part {
    /// Reads what is there, to go on after it. More than the bundle's size is none of it: that begins anew.
    pub(super) fn open(path: &Path, size: u64) -> io::Result<Self> {
        let directory = path.parent().unwrap_or(Path::new("/"));
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        File::open(directory)?.sync_all()?;
        let mut part = Self { file, hasher: Sha256::new(), length: 0 };
        if part.file.metadata()?.len() > size {
            part.clear()?;
        }
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match part.file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    part.hasher.update(&buffer[..count]);
                    part.length += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // What an earlier process wrote and did not live to acknowledge counts from here on.
        part.file.sync_all()?;
        Ok(part)
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// On disk when it returns. After an error only opening it anew tells what is in it.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.write_all(bytes)?;
        self.file.sync_data()?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// SHA-256 of what is there, hexadecimal.
    pub(super) fn sha256(&self) -> String {
        hex::encode(self.hasher.clone().finalize())
    }

    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.sync_all()?;
        self.hasher = Sha256::new();
        self.length = 0;
        Ok(())
    }
}

pub(super) fn path_of(parts: &Path, id: CommandId) -> PathBuf {
    parts.join(format!("{id}.part"))
}

/// One that is not there is gone already.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What may still be written to the file system that this directory is on, or will be.
pub(super) fn free_bytes(directory: &Path) -> io::Result<u64> {
    let there = directory.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let stats = rustix::fs::statvfs(there)?;
    Ok(stats.f_bavail.saturating_mul(stats.f_frsize))
}
