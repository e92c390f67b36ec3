//! What the host wrote down.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, time::Duration};

use chrono::TimeDelta;
use voltaxe_protocol::ForensicsProfile;

use super::{
    collection::{Collection, Part, Trouble},
    command::{self, Program},
    file,
    persistence::homes,
    run::Collector,
    walk::{Reach, walk},
};

const RECENT: TimeDelta = TimeDelta::days(3);
const LARGEST_LOG: u64 = 32 * 1024 * 1024;
const LARGEST_LOG_OF_FULL: u64 = 256 * 1024 * 1024;
const LARGEST_HISTORY: u64 = 8 * 1024 * 1024;
const REACH: Reach = Reach { depth: 6, entries: 50_000 };
const JOURNAL_WITHIN: Duration = Duration::from_secs(300);
/// The names that logs of logins and of the system begin with.
const SECURITY_LOGS: [&str; 10] = [
    "auth.log",
    "secure",
    "syslog",
    "messages",
    "kern.log",
    "cron",
    "daemon.log",
    "user.log",
    "audit.log",
    "faillog",
];
const HISTORIES: [&str; 11] = [
    ".bash_history",
    ".zsh_history",
    ".zhistory",
    ".sh_history",
    ".ash_history",
    ".local/share/fish/fish_history",
    ".python_history",
    ".mysql_history",
    ".psql_history",
    ".lesshst",
    ".viminfo",
];

pub(super) fn collectors(profile: ForensicsProfile) -> Vec<Collector> {
    let mut collectors = vec![
        Collector { name: "logs", step: "Copying logs", run: logs },
        Collector { name: "journal", step: "Reading the journal", run: journal },
    ];
    if profile == ForensicsProfile::Full {
        collectors.push(Collector { name: "histories", step: "Copying shell histories", run: histories });
    }
    collectors
}

/// The newest part of each log. Of a standard collection those about logins and the system that were written to in the last
/// three days.
fn logs(collection: &mut Collection<'_>) -> Result<(), Trouble> {
    let is_full = collection.profile == ForensicsProfile::Full;
    let limit = if is_full { LARGEST_LOG_OF_FULL } else { LARGEST_LOG };
    let since = (collection.now() - RECENT).timestamp();
    let start = collection.host.path("/var/log");
    let mut files = Vec::new();
    let ended = walk(collection, &start, REACH, &mut |collection, found| {
        let name = found.path.file_name().unwrap_or_default();
        let is_wanted = if is_full { !is_journal(&found.path) } else { is_security_log(name) };
        if file::is_regular(&found.stat) && is_wanted && (is_full || found.stat.st_mtime >= since) {
            files.extend(collection.copy(&found.path, limit, Part::Last)?);
        }
        Ok(())
    });
    files.sort_by(|one, other| one.path.cmp(&other.path));
    collection.last_list("logs/files.json", &files)?;
    ended
}

fn is_security_log(name: &OsStr) -> bool {
    SECURITY_LOGS.iter().any(|start| name.as_bytes().starts_with(start.as_bytes()))
}

/// `journalctl` exports those.
fn is_journal(path: &std::path::Path) -> bool {
    path.extension().is_some_and(|extension| extension == "journal" || extension == "journal~")
}

fn journal(collection: &mut Collection<'_>) -> Result<(), Trouble> {
    if collection.host.root != std::path::Path::new("/") {
        return Ok(());
    }
    let (arguments, max_bytes): (&[&str], _) = match collection.profile {
        ForensicsProfile::Full => (&["--output=export", "--no-pager", "--quiet"], 4 * LARGEST_LOG_OF_FULL),
        _ => (&["--output=export", "--no-pager", "--quiet", "--since=-3d"], 4 * LARGEST_LOG),
    };
    let program = Program { name: "journalctl", arguments, within: JOURNAL_WITHIN, max_bytes };
    command::run(collection, &program, "logs/journal.export")
}

fn histories(collection: &mut Collection<'_>) -> Result<(), Trouble> {
    let homes = homes(collection);
    let mut files = Vec::new();
    let ended = homes.iter().flat_map(|home| HISTORIES.map(|name| home.join(name))).try_for_each(|path| {
        files.extend(collection.copy(&path, LARGEST_HISTORY, Part::Last)?);
        Ok(())
    });
    collection.last_list("logs/histories.json", &files)?;
    ended
}
