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

    /// What nobody needs any more, when `own` is about to be collected: parts of other collections, since one runs at a time and
    /// one that was cut off is begun anew, and what was removed long ago.
    pub(super) fn tidy(&self, own: CommandId, now: DateTime<Utc>) -> io::Result<()> {
        for id in self.ids() {
            let directory = self.directory(id);
            if id != own && !directory.join(FINISHED_FILE).try_exists().unwrap_or(true) {
                fs::remove_dir_all(&directory)?;
            }
        }
        self.forget_old(now)
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

#[cfg(test)]
mod tests {
    use voltaxe_protocol::{EndpointId, Epoch, Keypair};

    use super::*;

    fn finish(spool: &Spool, id: i64, finished_at: DateTime<Utc>) {
        let part = spool.begin(CommandId(id)).unwrap();
        fs::write(part, "bundle").unwrap();
        let claims = EvidenceClaims {
            command_id: CommandId(id),
            endpoint_id: EndpointId::of_key(&Keypair::from_seed(&[1; 32]).public()),
            epoch: Epoch(1),
            sha256: String::new(),
            size_bytes: 6,
            manifest_sha256: String::new(),
            finished_at,
        };
        let outcome = CollectionOutcome {
            timestamp: finished_at,
            sha256: None,
            size_bytes: 6,
            files: 0,
            errors: Vec::new(),
            partial: None,
        };
        spool.finish(&Finished { claims, outcome, message: String::new() }).unwrap();
    }

    #[test]
    fn leftovers_go_and_what_waits_for_its_upload_stays() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(directory.path()).unwrap();
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(100);
        let old = now - TimeDelta::days(40);
        for (id, finished_at) in [(1, old), (2, old), (3, now)] {
            finish(&spool, id, finished_at);
        }
        spool.remove(CommandId(2)).unwrap();
        spool.remove(CommandId(3)).unwrap();
        for id in [4, 5] {
            fs::write(spool.begin(CommandId(id)).unwrap(), "cut off").unwrap();
        }
        spool.tidy(CommandId(5), now).unwrap();
        let mut left = spool.ids();
        left.sort_unstable();
        assert_eq!(left, [1, 3, 5].map(CommandId));
        let pending: Vec<CommandId> = spool.pending().iter().map(|bundle| bundle.claims.command_id).collect();
        assert_eq!(pending, [CommandId(1)]);
    }
}
