//! The file that a process runs, also when nothing on the disk is called so any more.

use std::{
    collections::HashMap,
    fs::File,
    io::Read as _,
    os::fd::{AsRawFd as _, OwnedFd},
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Statx, StatxFlags, openat, readlinkat, statx};
use sha2::{Digest as _, Sha256};

use super::host::ProcDir;

pub(super) const LARGEST_HASHED_BYTES: u64 = 512 * 1024 * 1024;
const DELETED: &str = " (deleted)";
/// Reading from one that an isolation cut off would hang.
const NETWORK_FILE_SYSTEMS: [&str; 10] =
    ["nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre"];

/// One file, whatever it is called.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct FileId {
    device: (u32, u32),
    inode: u64,
}

/// What changes when a file is written to.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Version {
    size_bytes: u64,
    modified: (i64, u32),
}

pub(super) struct Executable {
    /// As the process's own mount namespace has it.
    pub(super) path: String,
    pub(super) is_deleted: bool,
    pub(super) file: FileId,
    version: Version,
    /// Names the file without being open for reading.
    handle: OwnedFd,
}

impl ProcDir {
    /// `None`: it has none (a kernel thread, a process that has ended), or it may not be looked at.
    pub(super) fn executable(&self) -> Option<Executable> {
        self.executable_at("exe").or_else(|| {
            // The link of a process whose first thread has ended is gone, though the others go on.
            let threads = self.threads().ok()?;
            threads.iter().find_map(|thread| self.executable_at(&format!("task/{thread}/exe")))
        })
    }

    fn executable_at(&self, link: &str) -> Option<Executable> {
        let path = readlinkat(self, link, Vec::new()).ok()?.to_string_lossy().into_owned();
        let handle = openat(self, link, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let facts = facts(&handle)?;
        let file = FileId::of(&facts);
        let (path, is_deleted) = match path.strip_suffix(DELETED) {
            Some(name) if facts.stx_nlink == 0 || !is_at(&path, file) => (name.to_owned(), true),
            _ => (path, false),
        };
        Some(Executable {
            path,
            is_deleted,
            file,
            version: Version {
                size_bytes: facts.stx_size,
                modified: (facts.stx_mtime.tv_sec, facts.stx_mtime.tv_nsec),
            },
            handle,
        })
    }
}

/// The agent's own file.
pub(super) fn own() -> Option<FileId> {
    let handle = openat(CWD, "/proc/self/exe", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    Some(FileId::of(&facts(&handle)?))
}

/// As the kernel knows it at once, without asking a file server.
fn facts(handle: &OwnedFd) -> Option<Statx> {
    statx(handle, "", AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC, StatxFlags::BASIC_STATS).ok()
}

fn is_at(path: &str, file: FileId) -> bool {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::STATX_DONT_SYNC;
    statx(CWD, path, flags, StatxFlags::BASIC_STATS).is_ok_and(|facts| FileId::of(&facts) == file)
}

impl FileId {
    fn of(facts: &Statx) -> Self {
        Self { device: (facts.stx_dev_major, facts.stx_dev_minor), inode: facts.stx_ino }
    }
}

/// Why the digest of an executable is not known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NotHashed {
    TooLarge,
    OnNetwork,
    Unreadable,
    Cancelled,
}

/// Each file is read once, as long as it stays as it is.
#[derive(Default)]
pub(super) struct Digests {
    known: HashMap<(FileId, Version), Result<[u8; 32], NotHashed>>,
}

impl Digests {
    pub(super) fn of(
        &mut self,
        process: &ProcDir,
        executable: &Executable,
        cancelled: &AtomicBool,
    ) -> Result<[u8; 32], NotHashed> {
        *self.known.entry((executable.file, executable.version)).or_insert_with(|| {
            if executable.version.size_bytes > LARGEST_HASHED_BYTES {
                return Err(NotHashed::TooLarge);
            }
            if is_on_network(process, executable.file.device) {
                return Err(NotHashed::OnNetwork);
            }
            digest(executable, cancelled)
        })
    }

    /// How many files could not be told, and why, for people.
    pub(super) fn not_hashed(&self) -> Option<String> {
        let count = |why| self.known.values().filter(|digest| **digest == Err(why)).count();
        let told = [
            (count(NotHashed::TooLarge), "larger than 512 MiB"),
            (count(NotHashed::OnNetwork), "on a file system that may not answer"),
            (count(NotHashed::Unreadable), "not readable"),
        ];
        let told: Vec<_> = told
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, why)| format!("{count} {why}"))
            .collect();
        (!told.is_empty()).then(|| format!("executables that were not hashed: {}", told.join(", ")))
    }
}

fn digest(executable: &Executable, cancelled: &AtomicBool) -> Result<[u8; 32], NotHashed> {
    // Through the handle: the process may run another file by now.
    let path = format!("/proc/self/fd/{}", executable.handle.as_raw_fd());
    let file = File::open(path).map_err(|_| NotHashed::Unreadable)?;
    let mut file = file.take(LARGEST_HASHED_BYTES);
    let (mut hasher, mut chunk) = (Sha256::new(), vec![0; 256 * 1024]);
    loop {
        if cancelled.load(Ordering::Relaxed) {
            return Err(NotHashed::Cancelled);
        }
        match file.read(&mut chunk) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(length) => hasher.update(&chunk[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return Err(NotHashed::Unreadable),
        }
    }
}

/// By the process's own mounts. A file system that they do not show by this number (btrfs, overlays) is local.
fn is_on_network(process: &ProcDir, (major, minor): (u32, u32)) -> bool {
    let device = format!("{major}:{minor}");
    let mounts = process.mounts();
    is_remote(&String::from_utf8_lossy(&mounts), &device)
}

/// A file system that a program makes up (FUSE) is one of the network: nobody knows when the program answers.
fn is_remote(mounts: &str, device: &str) -> bool {
    mounts.lines().any(|line| {
        let kind = line.split_once(" - ").and_then(|(_, rest)| rest.split(' ').next());
        line.split(' ').nth(2) == Some(device)
            && kind.is_some_and(|kind| {
                NETWORK_FILE_SYSTEMS.contains(&kind) || kind == "fuse" || kind.starts_with("fuse.")
            })
    })
}

#[cfg(test)]
mod tests {
    use super::is_remote;

    #[test]
    fn what_may_not_answer_is_not_read() {
        let mounts = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n23 22 0:40 / /mnt rw shared:1 - fuse.evil evil rw\n\
                      24 22 0:41 / /nfs rw - nfs4 nas:/ rw\n25 22 0:42 / /own rw - fuse own rw\n";
        let found = ["8:1", "0:40", "0:41", "0:42", "0:43"].map(|device| is_remote(mounts, device));
        assert_eq!(found, [false, true, true, true, false]);
    }
}
