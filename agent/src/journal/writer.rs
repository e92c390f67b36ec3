use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    sync::mpsc,
};

use super::{
    BatchId, FILE, Job, JournalError, Urgency, Usage,
    frame::{self, Scan},
};
#[cfg(debug_assertions)]
use crate::fault;
use crate::state_dir::StateDir;

const CHUNK_BYTES: u64 = frame::CHUNK_BYTES as u64;
/// Kept free for [`Urgency::Essential`] when the disk is full.
const RESERVE_BYTES: u64 = 64 * 1024;

/// Owns the file; lives on its own thread, as every commit waits for the disk.
pub(super) struct Writer<F> {
    state: StateDir,
    file: File,
    /// Where the next record goes.
    end: u64,
    /// The file's length; zeros from `end` on.
    allocated: u64,
    max_file_bytes: u64,
    broken: Option<JournalError>,
    committed: F,
}

impl<F: FnMut(BatchId, Result<Usage, JournalError>)> Writer<F> {
    pub(super) fn open(state: StateDir, max_file_bytes: u64, committed: F) -> io::Result<Self> {
        let file = open_file(&state, FILE)?;
        Ok(Self { state, file, end: 0, allocated: 0, max_file_bytes, broken: None, committed })
    }

    /// Continues behind the good records; what was torn becomes free room.
    pub(super) fn adopt(&mut self, scan: &Scan, file_bytes: usize) -> io::Result<()> {
        self.end = scan.end as u64;
        self.allocated = file_bytes as u64;
        if scan.torn > 0 {
            self.file.write_all_at(&vec![0; scan.torn], self.end)?;
            self.file.sync_all()?;
        }
        self.ensure_room(RESERVE_BYTES)?;
        self.state.sync()
    }

    /// Writes a new file beside the old one, then renames it.
    pub(super) fn replace(&mut self, content: &[u8]) -> io::Result<()> {
        const NEW: &str = "journal.new";
        let file = open_file(&self.state, NEW)?;
        let allocated = (content.len() as u64 + RESERVE_BYTES).next_multiple_of(CHUNK_BYTES);
        let mut padded = content.to_vec();
        padded.resize(usize::try_from(allocated).map_err(io::Error::other)?, 0);
        file.set_len(0)?;
        file.write_all_at(&padded, 0)?;
        file.sync_all()?;
        std::fs::rename(self.state.path(NEW), self.state.path(FILE))?;
        self.state.sync()?;
        self.file = file;
        self.end = content.len() as u64;
        self.allocated = allocated;
        Ok(())
    }

    pub(super) fn run(mut self, queue: &mpsc::Receiver<Job>) {
        while let Ok(first) = queue.recv() {
            // Whatever queued up during the last commit shares the next one.
            let mut jobs = vec![first];
            jobs.extend(queue.try_iter());
            let mut group = Vec::new();
            for job in jobs {
                match job {
                    Job::Append { batch, bytes, urgency } => group.push((batch, bytes, urgency)),
                    Job::Replace { bytes } => {
                        self.commit(std::mem::take(&mut group));
                        if let Err(error) = self.replace(&bytes) {
                            tracing::warn!(%error, "the journal could not be compacted; it goes on uncompacted");
                        }
                    }
                }
            }
            self.commit(group);
        }
        if let Err(error) = self.file.sync_data() {
            tracing::error!(%error, "the journal's last records may not be on disk");
        }
    }

    fn commit(&mut self, group: Vec<(BatchId, Vec<u8>, Urgency)>) {
        if group.is_empty() {
            return;
        }
        let mut buffer = Vec::new();
        let mut answers = Vec::with_capacity(group.len());
        let mut must_sync = false;
        for (batch, bytes, urgency) in group {
            let answer = self.admit(buffer.len() as u64 + bytes.len() as u64, urgency);
            if answer.is_ok() {
                must_sync |= urgency != Urgency::Lazy;
                buffer.extend_from_slice(&bytes);
            }
            answers.push((batch, answer));
        }
        if let Err(error) = self.write(&buffer, must_sync) {
            // After a failed sync nobody knows what the disk holds: no later success may be believed.
            let error = JournalError::Broken(error.to_string());
            tracing::error!(%error, "commands are refused from now on");
            self.broken = Some(error.clone());
            answers.iter_mut().for_each(|(_, answer)| *answer = Err(error.clone()));
        }
        let usage = Usage { used_bytes: self.end, limit_bytes: self.max_file_bytes };
        for (batch, answer) in answers {
            (self.committed)(batch, answer.map(|()| usage));
        }
        // Room for the next commits is made now, when nobody waits for it.
        if self.broken.is_none() && self.end + RESERVE_BYTES + CHUNK_BYTES / 2 > self.allocated {
            let _ = self.ensure_room(RESERVE_BYTES + CHUNK_BYTES / 2);
        }
    }

    fn admit(&mut self, bytes: u64, urgency: Urgency) -> Result<(), JournalError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let wanted = match urgency {
            Urgency::Normal => bytes + RESERVE_BYTES,
            Urgency::Refusal => bytes + RESERVE_BYTES / 2,
            Urgency::Essential | Urgency::Lazy => bytes,
        };
        self.ensure_room(wanted).map_err(|_| JournalError::DiskFull)
    }

    fn write(&mut self, bytes: &[u8], must_sync: bool) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        #[cfg(debug_assertions)]
        self.die_if_told(bytes)?;
        self.file.write_all_at(bytes, self.end)?;
        #[cfg(debug_assertions)]
        fault::pass_records("unsynced", bytes);
        if must_sync {
            self.file.sync_data()?;
        }
        self.end += bytes.len() as u64;
        #[cfg(debug_assertions)]
        fault::pass_records("after", bytes);
        Ok(())
    }

    #[cfg(debug_assertions)]
    fn die_if_told(&self, bytes: &[u8]) -> io::Result<()> {
        fault::pass_records("before", bytes);
        if fault::is_to_be_torn(bytes) {
            self.file.write_all_at(&bytes[..bytes.len() / 2], self.end)?;
            fault::die();
        }
        Ok(())
    }

    /// Makes sure that `bytes` more fit behind `end` without asking the file system for space.
    fn ensure_room(&mut self, bytes: u64) -> io::Result<()> {
        while self.end + bytes > self.allocated {
            if self.allocated + CHUNK_BYTES > self.max_file_bytes {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let zeros = vec![0; usize::try_from(CHUNK_BYTES).map_err(io::Error::other)?];
            if let Err(error) =
                self.file.write_all_at(&zeros, self.allocated).and_then(|()| self.file.sync_all())
            {
                let _ = self.file.set_len(self.allocated);
                return Err(error);
            }
            self.allocated += CHUNK_BYTES;
        }
        Ok(())
    }
}

fn open_file(state: &StateDir, name: &str) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(state.path(name))
}
