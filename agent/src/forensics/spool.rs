use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use voltaxe_protocol::{CollectionOutcome, CommandId, EvidenceClaims};

const BUNDLE_FILE: &str = "bundle.zip";
const PART_FILE: &str = "bundle.zip.part";
const FINISHED_FILE: &str = "finished.json";
/// Marks a bundle that is on its way no longer.
const REMOVED_FILE: &str = "removed";
const REMEMBERED_FOR: TimeDelta = TimeDelta::days(30);

/// The directory of bundles, one directory a command:
/// - `bundle.zip.part` while a collection is under way,
/// - `finished.json` once the part is whole and on disk, then `bundle.zip` in its place,
/// - `finished.json` and `removed` when the bundle is gone: the command is remembered.
#[derive(Clone, Debug)]
pub struct Spool(PathBuf);

/// A finished bundle that waits for its upload.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// To be sealed with the agent's key and sent before the bundle.
    pub claims: EvidenceClaims,
    pub path: PathBuf,
}

/// `finished.json`: what a repeat of the command is answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Finished {
    pub(super) claims: EvidenceClaims,
    pub(super) outcome: CollectionOutcome,
    pub(super) message: String,
}

impl Spool {
    /// Makes the directory when it is not there.
    pub fn open(directory: &Path) -> io::Result<Self> {
        make_directory(directory)?;
        Ok(Self(directory.to_owned()))
    }

    /// Oldest first.
    #[must_use]
    pub fn pending(&self) -> Vec<Bundle> {
        let mut pending: Vec<Bundle> = self
            .ids()
            .into_iter()
            .filter_map(|id| {
                let path = self.directory(id).join(BUNDLE_FILE);
                let finished = self.finished(id)?;
                path.exists().then_some(Bundle { claims: finished.claims, path })
            })
            .collect();
        pending.sort_by_key(|bundle| (bundle.claims.finished_at, bundle.claims.command_id));
        pending
    }

    /// The server has it, or nobody will ever take it. That the command was carried out is still remembered.
    pub fn remove(&self, id: CommandId) -> io::Result<()> {
        let directory = self.directory(id);
        if !directory.exists() {
            return Ok(());
        }
        File::create(directory.join(REMOVED_FILE))?.sync_all()?;
        remove_if_there(&directory.join(BUNDLE_FILE))?;
        sync_directory(&directory)
    }

    /// Forgets what was removed a month ago: no command is repeated so late.
    pub fn forget_old(&self, now: DateTime<Utc>) -> io::Result<()> {
        for id in self.ids() {
            let directory = self.directory(id);
            let is_old =
                self.finished(id).is_some_and(|finished| finished.claims.finished_at + REMEMBERED_FOR < now);
            if is_old && directory.join(REMOVED_FILE).exists() {
                fs::remove_dir_all(&directory)?;
            }
        }
        sync_directory(&self.0)
    }

    /// A collection that came to its end, whether its bundle is still here or not. Takes the last step of one that was
    /// killed before it.
    pub(super) fn finished(&self, id: CommandId) -> Option<Finished> {
        let directory = self.directory(id);
        let text = fs::read(directory.join(FINISHED_FILE)).ok()?;
        let finished: Finished = serde_json::from_slice(&text).ok()?;
        let bundle = directory.join(BUNDLE_FILE);
        if !bundle.exists() && !directory.join(REMOVED_FILE).exists() {
            put_in_place(&directory).ok()?;
        }
        Some(finished)
    }

    /// Empties the command's directory. Returns where its bundle is to be written.
    pub(super) fn begin(&self, id: CommandId) -> io::Result<PathBuf> {
        let directory = self.directory(id);
        match fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        make_directory(&directory)?;
        sync_directory(&self.0)?;
        Ok(directory.join(PART_FILE))
    }

    /// The part is whole and on disk.
    pub(super) fn finish(&self, finished: &Finished) -> io::Result<()> {
        let directory = self.directory(finished.claims.command_id);
        let temporary = directory.join("finished.json.new");
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o640).open(&temporary)?;
        file.write_all(&serde_json::to_vec_pretty(finished)?)?;
        file.sync_all()?;
        fs::rename(&temporary, directory.join(FINISHED_FILE))?;
        sync_directory(&directory)?;
        put_in_place(&directory)
    }

    /// Nothing came of it.
    pub(super) fn abandon(&self, id: CommandId) {
        let _ = fs::remove_dir_all(self.directory(id));
    }

    fn directory(&self, id: CommandId) -> PathBuf {
        self.0.join(id.to_string())
    }

    fn ids(&self) -> Vec<CommandId> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    }
}

fn put_in_place(directory: &Path) -> io::Result<()> {
    fs::rename(directory.join(PART_FILE), directory.join(BUNDLE_FILE))?;
    sync_directory(directory)
}

/// For the owner, and readable for the group: who uploads need not be who collects.
fn make_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o750).create(directory)
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
