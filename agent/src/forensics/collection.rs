use std::{
    collections::{BTreeSet, HashMap},
    fmt, fs,
    io::{self, Read, Seek as _, SeekFrom},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use voltaxe_protocol::{CollectionError, ForensicsProfile, evidence::LARGEST_UNPACKED_BYTES};

use super::{
    Host, Progress,
    budget::{Budget, Halt},
    file::{self, FileError, FileFacts},
    mounts::Mounts,
    text::{cut, path_text, text},
    writer::Writer,
};

const CHUNK: usize = 64 * 1024;
const MOST_ERRORS: usize = 2000;
const LONGEST_ERROR: usize = 500;
/// For the zip's end and what the packer still holds; besides, an eighth of the bundle is kept for lists.
const TAIL_BYTES: u64 = 192 * 1024;
const TELL_EVERY_BYTES: u64 = 1024 * 1024;
/// Larger files are not digested.
const LARGEST_DIGESTED_BYTES: u64 = 512 * 1024 * 1024;

/// What ends a collector.
#[derive(Debug)]
pub(super) enum Trouble {
    /// This collector did not get what it wanted; the next one is tried.
    Failed(String),
    /// The whole collection ends.
    Halted(Halt),
}

impl From<Halt> for Trouble {
    fn from(halt: Halt) -> Self {
        Self::Halted(halt)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Which part of a file that is larger than its limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part {
    First,
    /// The newest of a log.
    Last,
}

/// What collectors work with.
pub(super) struct Collection<'a> {
    pub(super) host: &'a Host,
    pub(super) mounts: Mounts,
    pub(super) profile: ForensicsProfile,
    pub(super) errors: Vec<CollectionError>,
    pub(super) steps: Steps<'a>,
    collector: &'static str,
    writer: Writer,
    budget: Budget<'a>,
    now: &'a dyn Fn() -> DateTime<Utc>,
    list: Option<usize>,
    copied: HashMap<PathBuf, (String, String)>,
    digests: HashMap<FileId, String>,
    left_out: BTreeSet<PathBuf>,
    unpacked: u64,
}

/// Tells how far the collection is.
pub(super) struct Steps<'a> {
    pub(super) progress: &'a mut dyn FnMut(Progress),
    pub(super) step: &'static str,
    pub(super) done: u32,
    pub(super) total: u32,
    pub(super) told_bytes: u64,
}

/// The same file with the same content, as far as its metadata tell.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct FileId {
    device: u64,
    inode: u64,
    size: i64,
    modified: (i64, u64),
    changed: (i64, u64),
}

impl<'a> Collection<'a> {
    pub(super) fn new(
        host: &'a Host,
        mounts: Mounts,
        profile: ForensicsProfile,
        writer: Writer,
        budget: Budget<'a>,
        steps: Steps<'a>,
        now: &'a dyn Fn() -> DateTime<Utc>,
    ) -> Self {
        Self {
            host,
            mounts,
            profile,
            errors: Vec::new(),
            steps,
            collector: "",
            writer,
            budget,
            now,
            list: None,
            copied: HashMap::new(),
            digests: HashMap::new(),
            left_out: BTreeSet::new(),
            unpacked: 0,
        }
    }

    /// Begins a step.
    pub(super) fn start(&mut self, collector: &'static str, step: &'static str) {
        self.collector = collector;
        self.steps.step = step;
        self.tell();
    }

    pub(super) fn done(&mut self) {
        self.steps.done += 1;
    }

    /// Brings an entry that was left open to its end, lists to their bracket. Checks nothing.
    pub(super) fn close(&mut self) {
        if self.list.take().is_some() {
            // One that fails makes the bundle's end fail, too.
            let _ = self.writer.write(b"\n]\n");
        }
        if self.writer.is_open() {
            self.writer.end();
        }
    }

    pub(super) fn into_parts(self) -> (Writer, Vec<CollectionError>) {
        (self.writer, self.errors)
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        (self.now)()
    }

    /// Something was not collected.
    pub(super) fn fail(&mut self, what: impl AsRef<Path>, why: &dyn fmt::Display) {
        let source = self.host.source(what.as_ref()).into_owned();
        self.fail_with(format!("{}: {why}", path_text(&source)));
    }

    pub(super) fn fail_with(&mut self, message: String) {
        if self.errors.len() < MOST_ERRORS {
            let message = cut(&message, LONGEST_ERROR);
            self.writer.add_to_tail(message.len() / 2 + 40);
            self.errors.push(CollectionError { collector: self.collector.to_owned(), message });
        }
    }

    /// A mount that is not gone into; said once.
    pub(super) fn leave_out(&mut self, point: &Path) {
        if self.left_out.insert(point.to_owned())
            && let Some(mount) = self.mounts.at(point)
        {
            let message = format!("left out: a {} file system of {}", mount.file_system, mount.source);
            self.fail(point, &message);
        }
    }

    /// To be called between pieces of work of a few milliseconds.
    pub(super) fn check(&mut self) -> Result<(), Trouble> {
        self.budget.check()?;
        if self.writer.is_disk_full() {
            return Err(Halt::DiskFull.into());
        }
        let (bytes, max_bytes) = (self.writer.bytes(), self.budget.max_bytes());
        if bytes + self.writer.tail_bytes() + TAIL_BYTES > max_bytes - max_bytes / 8 {
            return Err(Halt::Bytes(max_bytes).into());
        }
        if self.unpacked > LARGEST_UNPACKED_BYTES - LARGEST_DIGESTED_BYTES {
            return Err(Halt::Unpacked.into());
        }
        if bytes >= self.steps.told_bytes + TELL_EVERY_BYTES {
            self.tell();
        }
        Ok(())
    }

    pub(super) fn add_child_cpu(&mut self, used: std::time::Duration) {
        self.budget.add_child_cpu(used);
    }

    fn tell(&mut self) {
        let Steps { step, done, total, .. } = self.steps;
        self.steps.told_bytes = self.writer.bytes();
        let bytes = self.steps.told_bytes;
        (self.steps.progress)(Progress {
            step: step.to_owned(),
            done_steps: done,
            total_steps: total,
            bytes,
        });
    }

    /// Begins an entry. Returns its path in the bundle.
    pub(super) fn begin(&mut self, path: &[u8], source: Option<String>) -> Result<String, Trouble> {
        if self.writer.is_full() {
            return Err(Halt::Entries.into());
        }
        let now = self.now();
        let begun = self.writer.begin(path, self.collector, source, now);
        begun.map_err(|error| Halt::unwritable(&error).into())
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        self.unpacked += bytes.len() as u64;
        let written = self.writer.write(bytes);
        written.map_err(|error| Halt::unwritable(&error).into())
    }

    /// Ends the entry and tells the digest of its content.
    pub(super) fn end(&mut self) -> Result<String, Trouble> {
        Ok(self.writer.end())
    }

    /// An entry of one JSON value.
    pub(super) fn json(&mut self, path: &str, value: &impl Serialize) -> Result<(), Trouble> {
        let mut bytes = serde_json::to_vec_pretty(value).map_err(io::Error::other)?;
        bytes.push(b'\n');
        self.begin(path.as_bytes(), None)?;
        self.write(&bytes)?;
        self.end()?;
        self.check()
    }

    /// Begins an entry that is a JSON array, a line an item. Ends with [`Self::close`], also when the collection halts: what
    /// is in it so far stays.
    pub(super) fn begin_list(&mut self, path: &str) -> Result<(), Trouble> {
        self.begin(path.as_bytes(), None)?;
        self.list = Some(0);
        self.write(b"[")
    }

    pub(super) fn item(&mut self, value: &impl Serialize) -> Result<(), Trouble> {
        self.put_item(value)?;
        self.check()
    }

    /// An array whose items are known by now. What was collected for them is in the bundle already, so it is written also
    /// when a limit was met meanwhile, as far as the room that is kept for this goes.
    pub(super) fn last_list(&mut self, path: &str, values: &[impl Serialize]) -> Result<(), Trouble> {
        self.begin_list(path)?;
        for value in values {
            if self.writer.bytes() + self.writer.tail_bytes() + TAIL_BYTES / 2 > self.budget.max_bytes() {
                self.fail_with(format!("{path} is not complete: the bundle is full"));
                break;
            }
            self.put_item(value)?;
        }
        self.close();
        Ok(())
    }

    fn put_item(&mut self, value: &impl Serialize) -> Result<(), Trouble> {
        let items = self.list.get_or_insert(0);
        *items += 1;
        let mut line: Vec<u8> = if *items == 1 { b"\n".to_vec() } else { b",\n".to_vec() };
        serde_json::to_writer(&mut line, value).map_err(io::Error::other)?;
        self.write(&line)
    }

    /// A copy of a file of /proc or /sys under `path`.
    pub(super) fn copy_view(&mut self, file: &Path, path: &str, limit: u64) -> Result<(), Trouble> {
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
    pub(super) fn copy(&mut self, path: &Path, limit: u64, part: Part) -> Result<Option<FileFacts>, Trouble> {
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
    pub(super) fn copy_open(
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
    pub(super) fn look(&mut self, path: &Path) -> Option<FileFacts> {
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
    pub(super) fn digest(
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
    pub(super) fn small_text(&mut self, path: &str) -> Option<String> {
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
