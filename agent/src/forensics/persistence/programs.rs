use std::{io::Read as _, os::unix::fs::FileExt as _};

use rustix::fs::{FileType, lgetxattr};
use serde::Serialize;
use voltaxe_protocol::ForensicsProfile;

use crate::forensics::{
    collection::{Collection, Part, Trouble},
    file::{self, FileFacts},
    walk::{Found, Reach, walk},
};

const TEMPORARY: [&str; 5] = ["/tmp", "/var/tmp", "/dev/shm", "/run/shm", "/run/user"];
const TEMPORARY_REACH: Reach = Reach { depth: 8, entries: 100_000 };
const WHOLE_HOST: Reach = Reach { depth: 64, entries: 10_000_000 };
const LARGEST_PROGRAM: u64 = 32 * 1024 * 1024;
const MOST_COPIED: usize = 200;
/// Of all programs in temporary directories: a build there must not crowd out the logs.
const MOST_COPIED_BYTES: u64 = 64 * 1024 * 1024;
const MOST_LISTED: usize = 5000;
const ANYBODY_EXECUTES: u32 = 0o111;
const SET_USER: u32 = 0o4000;
const SET_GROUP: u32 = 0o2000;

/// Files that can be executed, by their mode or by their content, where everybody may write: no package puts them there.
pub(super) fn temporary(collection: &mut Collection<'_>) -> Result<(), Trouble> {
    let (mut programs, mut copied, mut copied_bytes) = (Vec::new(), 0, 0);
    let mut left_out = 0_u64;
    let ended = TEMPORARY.iter().try_for_each(|directory| {
        let start = collection.host.path(directory);
        walk(collection, &start, TEMPORARY_REACH, &mut |collection, found| {
            if programs.len() >= MOST_LISTED || !is_program(collection, found) {
                return Ok(());
            }
            let size = u64::try_from(found.stat.st_size).unwrap_or(0).min(LARGEST_PROGRAM);
            if copied < MOST_COPIED && copied_bytes + size <= MOST_COPIED_BYTES {
                (copied, copied_bytes) = (copied + 1, copied_bytes + size);
                programs.extend(collection.copy(&found.path, LARGEST_PROGRAM, Part::First)?);
            } else {
                left_out += 1;
                let facts = collection.look(&found.path);
                programs.extend(facts);
            }
            Ok(())
        })
    });
    if copied == MOST_COPIED {
        collection
            .fail_with(format!("only the first {MOST_COPIED} programs were copied, {MOST_LISTED} listed"));
    }
    collection.last_list("persistence/temporary_programs.json", &programs)?;
    ended
}

fn is_program(collection: &Collection<'_>, found: &Found) -> bool {
    if !file::is_regular(&found.stat) || found.stat.st_size == 0 {
        return false;
    }
    if found.stat.st_mode & ANYBODY_EXECUTES != 0 {
        return true;
    }
    let Ok((mut opened, _)) = file::open_regular(&collection.mounts, &found.path) else { return false };
    let mut start = [0; 4];
    opened.read_exact(&mut start).is_ok() && (start == *b"\x7fELF" || start.starts_with(b"#!"))
}

#[derive(Serialize)]
struct Privileged {
    #[serde(flatten)]
    facts: FileFacts,
    #[serde(skip_serializing_if = "Option::is_none")]
    capabilities: Option<Capabilities>,
}

/// `security.capability` (capabilities(7)), as masks of `CAP_` numbers.
#[derive(Debug, PartialEq, Serialize)]
struct Capabilities {
    permitted: String,
    inheritable: String,
    is_effective: bool,
    /// Of the user namespace for whose root they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    root_uid: Option<u32>,
}

/// Set-user-id and set-group-id programs and those with capabilities, on all local file systems. On a full collection also
/// programs in PATH that no package of dpkg owns.
pub(super) fn privileged(collection: &mut Collection<'_>) -> Result<(), Trouble> {
    let mut files = Vec::new();
    let start = collection.host.path("/");
    let ended = walk(collection, &start, WHOLE_HOST, &mut |collection, found| {
        if !file::is_regular(&found.stat) || found.stat.st_mode & ANYBODY_EXECUTES == 0 {
            return Ok(());
        }
        let capabilities = capabilities(found);
        if found.stat.st_mode & (SET_USER | SET_GROUP) == 0 && capabilities.is_none() {
            return Ok(());
        }
        if let Some(mut facts) = collection.look(&found.path) {
            facts.sha256 = super::digest(collection, &found.path)?;
            files.push(Privileged { facts, capabilities });
        }
        Ok(())
    });
    files.sort_by(|one, other| one.facts.path.cmp(&other.facts.path));
    collection.last_list("persistence/privileged_files.json", &files)?;
    ended?;
    if collection.profile == ForensicsProfile::Full { unpackaged(collection) } else { Ok(()) }
}

fn capabilities(found: &Found) -> Option<Capabilities> {
    let mut value = [0_u8; 24];
    let length = lgetxattr(&found.path, "security.capability", &mut value).ok()?;
    parse_capabilities(value.get(..length)?)
}

/// `struct vfs_ns_cap_data` of include/uapi/linux/capability.h, little-endian.
fn parse_capabilities(value: &[u8]) -> Option<Capabilities> {
    let word = |at: usize| Some(u32::from_le_bytes(*value.get(at * 4..)?.first_chunk()?));
    let magic = word(0)?;
    let mask = |low: usize, high: usize| {
        Some(format!("{:016x}", u64::from(word(low)?) | u64::from(word(high).unwrap_or(0)) << 32))
    };
    Some(Capabilities {
        permitted: mask(1, 3)?,
        inheritable: mask(2, 4)?,
        is_effective: magic & 1 == 1,
        root_uid: if magic >> 24 == 3 { word(5) } else { None },
    })
}

const PATH: [&str; 8] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    "/usr/games",
    "/usr/lib/systemd/system-generators",
];

fn unpackaged(collection: &mut Collection<'_>) -> Result<(), Trouble> {
    let lists = collection.host.path("/var/lib/dpkg/info");
    let mut owned = std::collections::HashSet::new();
    let reach = Reach { depth: 1, entries: 100_000 };
    walk(collection, &lists, reach, &mut |collection, found| {
        if found.path.extension().is_some_and(|extension| extension == "list")
            && let Ok((opened, stat)) = file::open_regular(&collection.mounts, &found.path)
        {
            let mut list = vec![0; usize::try_from(stat.st_size).unwrap_or(0).min(16 * 1024 * 1024)];
            if opened.read_exact_at(&mut list, 0).is_ok() {
                let lines = list.split(|byte| *byte == b'\n').filter(|line| is_in_path(line));
                owned.extend(lines.map(without_usr).map(<[u8]>::to_vec));
            }
        }
        collection.check()
    })?;
    if owned.is_empty() {
        collection.fail_with("programs without a package: this host has no packages of dpkg".to_owned());
        return Ok(());
    }
    let mut files = Vec::new();
    let ended = PATH.iter().try_for_each(|directory| {
        let start = collection.host.path(directory);
        walk(collection, &start, reach, &mut |collection, found| {
            let source = collection.host.source(&found.path).into_owned();
            let name = std::os::unix::ffi::OsStrExt::as_bytes(source.as_os_str());
            let is_file = FileType::from_raw_mode(found.stat.st_mode) == FileType::RegularFile;
            if is_file && !owned.contains(without_usr(name)) {
                files.extend(collection.copy(&found.path, LARGEST_PROGRAM, Part::First)?);
            }
            Ok(())
        })
    });
    files.dedup_by(|one: &mut FileFacts, other| one.path == other.path);
    collection.last_list("persistence/unpackaged_programs.json", &files)?;
    ended
}

fn is_in_path(line: &[u8]) -> bool {
    PATH.iter().any(|directory| line.starts_with(directory.as_bytes()))
}

/// /bin and /usr/bin are one directory on most hosts; packages name either.
fn without_usr(path: &[u8]) -> &[u8] {
    path.strip_prefix(b"/usr").unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_as_the_kernel_stores_them() {
        // cap_net_raw=ep of revision 2.
        let value = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let found = parse_capabilities(&value).unwrap();
        assert_eq!(
            (found.permitted.as_str(), found.is_effective, found.root_uid),
            ("0000000000002000", true, None)
        );
        assert_eq!(parse_capabilities(&[1, 0]), None);
        assert_eq!(without_usr(b"/usr/bin/ls"), without_usr(b"/bin/ls"));
    }
}
