use std::{
    fs,
    io::{self, Read, Seek as _, SeekFrom},
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use sha2::{Digest as _, Sha256};

use super::{Collection, Trouble};
use crate::forensics::{
    file::{self, FileError, FileFacts},
    text::{path_text, text},
};

const CHUNK: usize = 64 * 1024;
/// Larger files are not digested.
pub(super) const LARGEST_DIGESTED_BYTES: u64 = 512 * 1024 * 1024;

/// Which part of a file that is larger than its limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::forensics) enum Part {
    First,
    /// The newest of a log.
    Last,
}

/// The same file with the same content, as far as its metadata tell.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
    size: i64,
    modified: (i64, u64),
    changed: (i64, u64),
}

impl Collection<'_> {
    /// A copy of a file of /proc or /sys under `path`.
    pub(in crate::forensics) fn copy_view(
        &mut self,
        file: &Path,
        path: &str,
        limit: u64,
    ) -> Result<(), Trouble> {
        match fs::File::open(file) {
            Ok(mut opened) => {
                self.begin(path.as_bytes(), Some(path_text(file)))?;
                let copied = self.pour(&mut opened, limit, file);
                self.end()?;
                copied
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => {
                self.fail(file, &error);
                Ok(())
            }
        }
    }

    /// Copies a regular file of the host, at most `limit` bytes of it, and tells what it is. `None` when it is not there.
    pub(in crate::forensics) fn copy(
        &mut self,
        path: &Path,
        limit: u64,
        part: Part,
    ) -> Result<Option<FileFacts>, Trouble> {
        let mut facts = match self.look(path) {
            Some(facts) if facts.kind == "file" => facts,
            other => return Ok(other),
        };
        let source = self.host.source(path).into_owned();
        if let Some((entry, sha256)) = self.copied.get(&source) {
            (facts.entry, facts.sha256) = (Some(entry.clone()), Some(sha256.clone()));
            return Ok(Some(facts));
        }
        match file::open_regular(&self.mounts, path) {
            Ok((mut opened, stat)) => {
                let entry = [b"files/", source.as_os_str().as_bytes()].concat();
                let (entry, sha256) = self.copy_open(&mut opened, &stat, &entry, &source, limit, part)?;
                (facts.entry, facts.sha256) = (Some(entry.clone()), Some(sha256.clone()));
                self.copied.insert(source, (entry, sha256));
            }
            Err(FileError::Missing) => {}
            Err(error) => self.fail(path, &error),
        }
        Ok(Some(facts))
    }

    /// Copies an open file of which `entry` names the place in the bundle. Returns that place, as it was made safe, and the
    /// content's digest.
    pub(in crate::forensics) fn copy_open(
        &mut self,
        opened: &mut fs::File,
        stat: &rustix::fs::Stat,
        entry: &[u8],
        source: &Path,
        limit: u64,
        part: Part,
    ) -> Result<(String, String), Trouble> {
        self.check()?;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        if size > limit {
            let skipped = if part == Part::Last { size - limit } else { 0 };
            let which = if part == Part::Last { "last" } else { "first" };
            opened.seek(SeekFrom::Start(skipped))?;
            self.fail_with(format!(
                "{}: of its {size} bytes only the {which} {limit} are kept",
                path_text(source)
            ));
        }
        let entry = self.begin(entry, Some(path_text(source)))?;
        // What is written to it meanwhile is not waited for.
        let copied = self.pour(opened, size.min(limit), source);
        let sha256 = self.end()?;
        match copied {
            Err(Trouble::Halted(halt)) => {
                self.fail_with(format!("{}: the copy was cut: {halt}", path_text(source)));
                Err(halt.into())
            }
            Err(failed) => Err(failed),
            Ok(()) => Ok((entry, sha256)),
        }
    }

    fn pour(&mut self, from: &mut impl Read, limit: u64, source: &Path) -> Result<(), Trouble> {
        let mut from = from.take(limit);
        let mut buffer = vec![0; CHUNK];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => self.write(&buffer[..length])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.fail(source, &error);
                    return Ok(());
                }
            }
            self.check()?;
        }
    }

    /// Metadata of a file, or why there are none. `None` when it is not there.
    pub(in crate::forensics) fn look(&mut self, path: &Path) -> Option<FileFacts> {
        match file::look(&self.mounts, path) {
            Ok(mut facts) => {
                facts.path = path_text(&self.host.source(path));
                Some(facts)
            }
            Err(FileError::Missing) => None,
            Err(error) => {
                self.fail(path, &error);
                None
            }
        }
    }

    /// SHA-256 of an open file, hexadecimal, made once for each file. `None` when it is too large or cannot be read.
    pub(in crate::forensics) fn digest(
        &mut self,
        opened: &mut fs::File,
        stat: &rustix::fs::Stat,
        source: &Path,
    ) -> Result<Option<String>, Trouble> {
        let id = FileId {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size,
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            changed: (stat.st_ctime, stat.st_ctime_nsec),
        };
        if let Some(digest) = self.digests.get(&id) {
            return Ok(Some(digest.clone()));
        }
        if u64::try_from(stat.st_size).is_ok_and(|size| size > LARGEST_DIGESTED_BYTES) {
            self.fail(source, &format!("not digested: larger than {LARGEST_DIGESTED_BYTES} bytes"));
            return Ok(None);
        }
        let mut from = opened.take(LARGEST_DIGESTED_BYTES);
        let (mut hash, mut buffer) = (Sha256::new(), vec![0; CHUNK]);
        loop {
            match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => hash.update(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.fail(source, &error);
                    return Ok(None);
                }
            }
            self.check()?;
        }
        let digest = hex::encode(hash.finalize());
        self.digests.insert(id, digest.clone());
        Ok(Some(digest))
    }

    /// Reads a small file of the host as text. `None` when it is not there.
    pub(in crate::forensics) fn small_text(&mut self, path: &str) -> Option<String> {
        let path = self.host.path(path);
        match file::open_regular(&self.mounts, &path) {
            Ok((mut opened, _)) => {
                let mut bytes = Vec::new();
                if let Err(error) = (&mut opened).take(4 * 1024 * 1024).read_to_end(&mut bytes) {
                    self.fail(&path, &error);
                }
                Some(text(&bytes))
            }
            Err(FileError::Missing) => None,
            Err(error) => {
                self.fail(&path, &error);
                None
            }
        }
    }
}
