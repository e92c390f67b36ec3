mod copy;

use std::{
    collections::{BTreeSet, HashMap},
    fmt, io,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use serde::Serialize;
use voltaxe_protocol::{CollectionError, ForensicsProfile, evidence::LARGEST_UNPACKED_BYTES};

pub(super) use copy::Part;
use copy::{FileId, LARGEST_DIGESTED_BYTES};

use super::{
    Host, Progress,
    budget::{Budget, Halt},
    mounts::Mounts,
    text::{cut, path_text},
    writer::Writer,
};

const MOST_ERRORS: usize = 2000;
const LONGEST_ERROR: usize = 500;
/// For the zip's end and what the packer still holds; besides, an eighth of the bundle is kept for lists.
const TAIL_BYTES: u64 = 192 * 1024;
const TELL_EVERY_BYTES: u64 = 1024 * 1024;

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
}
