//! The directory that holds everything the agent must not lose.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, OFlags, flock};
use serde::{Serialize, de::DeserializeOwned};

/// Mode 0700, owned by the user the agent runs as.
#[derive(Clone, Debug)]
pub struct StateDir(PathBuf);

#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// The caller names the directory's owner or another directory.
    #[error(
        "the state directory {path} cannot be made or opened; run as root or choose another with --state-dir"
    )]
    Unusable { path: PathBuf, source: io::Error },
    #[error(
        "the state directory {path} belongs to user id {owner}; chown it to the user that runs the agent"
    )]
    WrongOwner { path: PathBuf, owner: u32 },
    /// Wait for the other agent or stop it.
    #[error(
        "another voltaxe-sentinel works on {path} (it holds the file `lock`); stop it first, or choose another directory \
         with --state-dir"
    )]
    Busy { path: PathBuf },
}

/// Held for as long as the process works on the directory; the kernel drops it when the process ends.
#[derive(Debug)]
pub struct StateLock(#[expect(dead_code, reason = "the open file is the lock")] File);

impl StateDir {
    /// Makes the directory when it is not there and narrows its mode to 0700.
    pub fn open(path: &Path) -> Result<Self, StateDirError> {
        Self::open_of(path, rustix::process::geteuid().as_raw(), 0o700)
    }

    /// Whose group may pass through to what is opened to it: mode 0710.
    pub fn open_passable(path: &Path) -> Result<Self, StateDirError> {
        Self::open_of(path, rustix::process::geteuid().as_raw(), 0o710)
    }

    /// Of another user, for root; what root makes in it is still to be given to the user.
    pub fn open_as_root_for(path: &Path, owner: u32) -> Result<Self, StateDirError> {
        match fs::metadata(path) {
            Ok(metadata) if metadata.uid() == owner => Self::open_of(path, owner, 0o700),
            _ => Self::open(path),
        }
    }

    fn open_of(path: &Path, owner: u32, mode: u32) -> Result<Self, StateDirError> {
        let unusable = |source| StateDirError::Unusable { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(mode).create(path).map_err(unusable)?;
        let metadata = fs::metadata(path).map_err(unusable)?;
        if metadata.uid() != owner {
            return Err(StateDirError::WrongOwner { path: path.to_owned(), owner: metadata.uid() });
        }
        if metadata.permissions().mode() & 0o777 & !mode != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(unusable)?;
        }
        Ok(Self(path.to_owned()))
    }

    /// For readers such as `status`: changes nothing on disk.
    #[must_use]
    pub fn look_at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    #[must_use]
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// Exactly one agent works on a state directory.
    pub fn lock(&self) -> Result<StateLock, StateDirError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .custom_flags(not_followed())
            .open(self.path("lock"))
            .map_err(|source| StateDirError::Unusable { path: self.0.clone(), source })?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| StateDirError::Busy { path: self.0.clone() })?;
        Ok(StateLock(file))
    }

    /// Whether an agent holds the lock right now.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        OpenOptions::new()
            .read(true)
            .custom_flags(not_followed())
            .open(self.path("lock"))
            .is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockShared).is_err())
    }

    /// Replaces a file so that a crash leaves the old or the new content, never a mixture. Mode 0600.
    pub fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let temporary = self.path(&format!("{name}.new"));
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, self.path(name))?;
        self.sync()
    }

    pub fn write_json(&self, name: &str, content: &impl Serialize) -> io::Result<()> {
        let mut bytes = serde_json::to_vec_pretty(content).map_err(io::Error::other)?;
        bytes.push(b'\n');
        self.write(name, &bytes)
    }

    /// `None` when the file is not there. An unreadable one is an error: nobody guesses at state.
    pub fn read_json<T: DeserializeOwned>(&self, name: &str) -> io::Result<Option<T>> {
        match fs::read(self.path(name)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes renames and new names in the directory durable.
    pub fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}

/// Root works in a directory whose owner may have been taken over: what was put in a file's place leads it nowhere, and does not
/// make it wait.
fn not_followed() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_in_the_directory_lead_nowhere() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::open(&directory.path().join("state")).unwrap();
        let outside = directory.path().join("outside");
        fs::write(&outside, "precious").unwrap();
        for name in ["a.json.new", "a.json", "lock"] {
            symlink(&outside, state.path(name)).unwrap();
        }
        state.write_json("a.json", &1).unwrap();
        assert_eq!(state.read_json::<i32>("a.json").unwrap(), Some(1));
        assert_eq!(fs::read_to_string(&outside).unwrap(), "precious");
        assert!(!state.is_locked() && matches!(state.lock(), Err(StateDirError::Unusable { .. })));
    }

    #[test]
    fn one_agent_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::open(&directory.path().join("state")).unwrap();
        assert!(!state.is_locked());
        let lock = state.lock().unwrap();
        assert!(state.is_locked());
        assert!(matches!(state.lock(), Err(StateDirError::Busy { .. })));
        drop(lock);
        state.lock().unwrap();
    }

    #[test]
    fn directory_and_files_are_for_the_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let state = StateDir::open(&path).unwrap();
        state.write_json("a.json", &1).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(state.path("a.json")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(state.read_json::<i32>("a.json").unwrap(), Some(1));
        assert_eq!(state.read_json::<i32>("b.json").unwrap(), None);
    }
}
