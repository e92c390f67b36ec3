use std::{
    collections::VecDeque,
    ffi::OsStr,
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Dir, FileType, Stat},
    io::Errno,
};

use super::{
    collection::{Collection, Trouble},
    file,
    mounts::Kind,
};

const CHECK_EVERY: usize = 64;

/// How far a walk goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    pub(super) depth: usize,
    pub(super) entries: usize,
}

/// Something that a walk came by: its path without links, and what it is.
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) stat: Stat,
}

/// Goes through a tree, what is near its root first, links not followed, file systems that may not answer and the kernel's own left out. A start that is
/// not there is an empty tree.
pub(super) fn walk(
    collection: &mut Collection<'_>,
    start: &Path,
    reach: Reach,
    visit: &mut dyn FnMut(&mut Collection<'_>, &Found) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let start = match file::resolve(&collection.mounts, start) {
        Ok(start) => start,
        Err(file::FileError::Missing) => return Ok(()),
        Err(error) => {
            collection.fail(start, &error);
            return Ok(());
        }
    };
    let (mut todo, mut seen) = (VecDeque::from([(start, 0)]), 0);
    while let Some((path, depth)) = todo.pop_front() {
        let directory = match file::open_directory(&path) {
            Ok(directory) => directory,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
            Err(error) => {
                collection.fail(&path, &io::Error::from(error));
                continue;
            }
        };
        let entries = match Dir::read_from(&directory) {
            Ok(entries) => entries,
            Err(error) => {
                collection.fail(&path, &io::Error::from(error));
                continue;
            }
        };
        for entry in entries {
            let Ok(entry) = entry else { break };
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            seen += 1;
            if seen > reach.entries {
                let message = format!("only the first {} entries were looked at", reach.entries);
                collection.fail(&path, &message);
                return Ok(());
            }
            if seen % CHECK_EVERY == 0 {
                collection.check()?;
            }
            let path = path.join(name);
            match collection.mounts.at(&path).map(super::Mount::kind) {
                Some(Kind::Remote) => {
                    collection.leave_out(&path);
                    continue;
                }
                Some(Kind::Kernel) => continue,
                Some(Kind::Local) | None => {}
            }
            let Ok(stat) = file::stat_in(&directory, name) else { continue };
            let found = Found { path, stat };
            visit(collection, &found)?;
            let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            if is_directory && depth + 1 < reach.depth {
                todo.push_back((found.path, depth + 1));
            }
        }
    }
    Ok(())
}
