use std::{
    collections::VecDeque,
    ffi::OsStr,
    fs::File,
    io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Component, Path, PathBuf},
};

use chrono::{DateTime, Utc};
use rustix::{
    fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, open, openat, openat2, readlinkat, statat},
    io::Errno,
};
use serde::Serialize;

use super::{
    mounts::{Kind, Mounts},
    text::{path_text, text},
};

/// As the kernel's own limit.
const MOST_LINKS: usize = 40;

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("it is not there")]
    Missing,
    #[error("it is a {0}, which is not opened")]
    NotRegular(&'static str),
    #[error("it is on a {file_system} file system, which may not answer")]
    Remote { file_system: String },
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl From<Errno> for FileError {
    fn from(error: Errno) -> Self {
        match error {
            Errno::NOENT | Errno::NOTDIR => Self::Missing,
            error => Self::Io(error.into()),
        }
    }
}

/// Metadata of a file, for the lists of collectors.
#[derive(Clone, Debug, Serialize)]
pub(super) struct FileFacts {
    pub(super) path: String,
    pub(super) kind: &'static str,
    /// Permissions, octal.
    pub(super) mode: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size_bytes: u64,
    pub(super) modified_at: Option<DateTime<Utc>>,
    /// Of the inode: cannot be set back by its owner.
    pub(super) changed_at: Option<DateTime<Utc>>,
    pub(super) links: u64,
    /// Of a symbolic link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sha256: Option<String>,
    /// Where in the bundle its content is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) entry: Option<String>,
}

impl FileFacts {
    pub(super) fn new(source: &Path, stat: &Stat) -> Self {
        Self {
            path: path_text(source),
            kind: kind(stat),
            mode: format!("{:04o}", stat.st_mode & 0o7777),
            uid: stat.st_uid,
            gid: stat.st_gid,
            size_bytes: u64::try_from(stat.st_size).unwrap_or(0),
            modified_at: DateTime::from_timestamp(stat.st_mtime, stat.st_mtime_nsec as u32),
            changed_at: DateTime::from_timestamp(stat.st_ctime, stat.st_ctime_nsec as u32),
            links: wide(stat.st_nlink),
            target: None,
            sha256: None,
            entry: None,
        }
    }
}

pub(super) fn kind(stat: &Stat) -> &'static str {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => "file",
        FileType::Directory => "directory",
        FileType::Symlink => "symbolic link",
        FileType::Fifo => "pipe",
        FileType::Socket => "socket",
        FileType::CharacterDevice => "character device",
        FileType::BlockDevice => "block device",
        _ => "file of an unknown kind",
    }
}

/// As wide on every architecture.
fn wide(number: impl Into<u64>) -> u64 {
    number.into()
}

pub(super) fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// The path without symbolic links, and without touching anything on a file system that may not answer.
pub(super) fn resolve(mounts: &Mounts, path: &Path) -> Result<PathBuf, FileError> {
    let mut todo: VecDeque<PathBuf> = parts(path).collect();
    let (mut resolved, mut links) = (PathBuf::from("/"), 0);
    while let Some(part) = todo.pop_front() {
        if part == Path::new("..") {
            resolved.pop();
            continue;
        }
        let next = resolved.join(&part);
        is_reachable(mounts, &next)?;
        match readlinkat(CWD, &next, Vec::new()) {
            Ok(target) => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(Errno::LOOP.into());
                }
                let target = Path::new(OsStr::from_bytes(target.as_bytes()));
                if target.has_root() {
                    resolved = PathBuf::from("/");
                }
                parts(target).rev().for_each(|part| todo.push_front(part));
            }
            Err(Errno::INVAL) => resolved = next,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(resolved)
}

fn parts(path: &Path) -> impl DoubleEndedIterator<Item = PathBuf> {
    path.components().filter_map(|component| match component {
        Component::Normal(part) => Some(PathBuf::from(part)),
        Component::ParentDir => Some(PathBuf::from("..")),
        _ => None,
    })
}

pub(super) fn is_reachable(mounts: &Mounts, path: &Path) -> Result<(), FileError> {
    match mounts.of(path) {
        Some(mount) if mount.kind() == Kind::Remote || mount.file_system == "autofs" => {
            Err(FileError::Remote { file_system: mount.file_system.clone() })
        }
        _ => Ok(()),
    }
}

/// Opens a regular file for reading. The last part of `path` is not followed when it is a link; a file that is swapped for
/// something else on the way is noticed, not opened.
pub(super) fn open_regular(mounts: &Mounts, path: &Path) -> Result<(File, Stat), FileError> {
    let held = hold(mounts, path, OFlags::PATH)?;
    let stat = fstat(&held)?;
    if !is_regular(&stat) {
        return Err(FileError::NotRegular(kind(&stat)));
    }
    reopen(&held)
}

/// Metadata without opening anything; of a link itself.
pub(super) fn look(mounts: &Mounts, path: &Path) -> Result<FileFacts, FileError> {
    let held = hold(mounts, path, OFlags::PATH)?;
    let mut facts = FileFacts::new(path, &fstat(&held)?);
    if facts.kind == "symbolic link" {
        facts.target = readlinkat(&held, "", Vec::new()).ok().map(|target| text(target.as_bytes()));
    }
    Ok(facts)
}

/// A directory, by a path without links.
pub(super) fn open_directory(path: &Path) -> Result<OwnedFd, Errno> {
    open_without_links(path, OFlags::RDONLY | OFlags::DIRECTORY)
}

/// What a magic link of /proc points to.
pub(super) fn open_magic(link: &Path) -> Result<(File, Stat), FileError> {
    let held = open(link, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let stat = fstat(&held)?;
    if !is_regular(&stat) {
        return Err(FileError::NotRegular(kind(&stat)));
    }
    reopen(&held)
}

pub(super) fn stat_in(directory: &OwnedFd, name: &OsStr) -> Result<Stat, Errno> {
    statat(directory, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW | rustix::fs::AtFlags::NO_AUTOMOUNT)
}

fn hold(mounts: &Mounts, path: &Path, flags: OFlags) -> Result<OwnedFd, FileError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(FileError::Missing);
    };
    let path = resolve(mounts, parent)?.join(name);
    is_reachable(mounts, &path)?;
    Ok(open_without_links(&path, flags | OFlags::NOFOLLOW)?)
}

fn open_without_links(path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS) {
        // Linux before 5.6, or a service manager whose filter of system calls is older than this one.
        Err(Errno::NOSYS | Errno::PERM) => open_step_by_step(path, flags),
        opened => opened,
    }
}

/// Each directory by itself, so that a link in the place of one is noticed.
fn open_step_by_step(path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut steps = parts(path).peekable();
    if steps.peek().is_none() {
        return open("/", flags, Mode::empty());
    }
    let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut held = open("/", step, Mode::empty())?;
    while let Some(name) = steps.next() {
        let is_last = steps.peek().is_none();
        held = openat(&held, name, if is_last { flags } else { step }, Mode::empty())?;
    }
    Ok(held)
}

/// Through our own descriptor, so that it is the very file that was looked at.
fn reopen(held: &OwnedFd) -> Result<(File, Stat), FileError> {
    let path = format!("/proc/self/fd/{}", held.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    // Only the owner or root may leave the access time alone.
    let file = open(path.as_str(), flags | OFlags::NOATIME, Mode::empty())
        .or_else(|_| open(path.as_str(), flags, Mode::empty()))?;
    let stat = fstat(&file)?;
    Ok((File::from(file), stat))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn links_pipes_and_devices_are_not_opened() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("file"), "content").unwrap();
        fs::create_dir(path("real")).unwrap();
        fs::write(path("real/inside"), "content").unwrap();
        symlink("/etc/passwd", path("link")).unwrap();
        symlink("real", path("by-link")).unwrap();
        symlink("loop", path("loop")).unwrap();
        rustix::fs::mknodat(CWD, path("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let mounts = Mounts::read(Path::new("/proc/self/mountinfo")).unwrap();
        let error = |name: &str| open_regular(&mounts, &path(name)).unwrap_err().to_string();
        open_regular(&mounts, &path("file")).unwrap();
        open_regular(&mounts, &path("by-link/inside")).unwrap();
        assert_eq!(error("link"), "it is a symbolic link, which is not opened");
        assert_eq!(error("pipe"), "it is a pipe, which is not opened");
        assert_eq!(error("missing"), "it is not there");
        assert!(error("loop/x").contains("symbolic links"), "{}", error("loop/x"));
        assert_eq!(look(&mounts, &path("link")).unwrap().target.unwrap(), "/etc/passwd");
        assert!(open_regular(&mounts, Path::new("/dev/null")).unwrap_err().to_string().contains("device"));
    }

    #[test]
    fn without_openat2_links_on_the_way_are_noticed_as_well() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        fs::create_dir(root.join("real")).unwrap();
        fs::write(root.join("real/file"), "content").unwrap();
        symlink("real", root.join("by-link")).unwrap();
        symlink("file", root.join("real/link")).unwrap();
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let kind_of =
            |path: &str| open_step_by_step(&root.join(path), flags).map(|held| kind(&fstat(held).unwrap()));
        assert_eq!(kind_of("real/file"), Ok("file"));
        assert_eq!(kind_of("real/link"), Ok("symbolic link"));
        assert_eq!(kind_of("by-link/file"), Err(Errno::NOTDIR));
        assert_eq!(kind_of("real/missing"), Err(Errno::NOENT));
        assert!(open_step_by_step(Path::new("/"), flags).is_ok());
    }

    #[test]
    fn a_link_to_a_dead_file_system_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        fs::create_dir(root.join("dead")).unwrap();
        fs::write(root.join("dead/file"), "never read").unwrap();
        symlink(root.join("dead"), root.join("home")).unwrap();
        let table = format!(
            "1 0 8:1 / / rw - ext4 a rw\n2 1 0:9 / {} rw - nfs4 nas:/ rw\n",
            root.join("dead").display()
        );
        let mounts = Mounts::parse(table.as_bytes());
        let error = open_regular(&mounts, &root.join("home/file")).unwrap_err();
        assert_eq!(error.to_string(), "it is on a nfs4 file system, which may not answer");
    }
}
