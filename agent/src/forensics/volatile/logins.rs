use std::os::unix::fs::FileExt as _;

use chrono::{DateTime, Utc};
use serde::Serialize;
use voltaxe_protocol::ForensicsProfile;

use crate::forensics::{
    collection::{Collection, Part, Trouble},
    file::{self, FileError},
    text::text,
    walk::{Reach, walk},
};

/// The newest logins of each file.
const MOST_LOGINS: u64 = 20_000;
const LARGEST_SESSION: u64 = 64 * 1024;
const SESSIONS: Reach = Reach { depth: 2, entries: 2000 };

/// `struct utmp` of the C library (utmp(5)): where its fields are. Those behind the host name are as wide as a word where
/// no 32-bit programs have to read the same file.
struct Layout {
    record: usize,
    session: usize,
    seconds: usize,
    wide: bool,
    address: usize,
    last_login: usize,
}

#[cfg(target_arch = "aarch64")]
const LAYOUT: Layout =
    Layout { record: 400, session: 336, seconds: 344, wide: true, address: 360, last_login: 296 };
#[cfg(not(target_arch = "aarch64"))]
const LAYOUT: Layout =
    Layout { record: 384, session: 336, seconds: 340, wide: false, address: 348, last_login: 292 };

const PID: usize = 4;
const LINE: std::ops::Range<usize> = 8..40;
const USER: std::ops::Range<usize> = 44..76;
const HOST: std::ops::Range<usize> = 76..332;

#[derive(Debug, PartialEq, Serialize)]
struct Login {
    kind: &'static str,
    pid: i32,
    terminal: String,
    user: String,
    from: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<std::net::IpAddr>,
    session: i32,
    at: Option<DateTime<Utc>>,
}

#[derive(Serialize)]
struct User {
    name: String,
    uid: Option<u32>,
    gid: Option<u32>,
    home: String,
    shell: String,
    /// `locked`, `none`, or `set`: the digest itself is not evidence.
    password: Option<&'static str>,
    /// Days since 1970.
    password_changed_on_day: Option<i64>,
    last_login: Option<LastLogin>,
}

#[derive(Serialize)]
struct LastLogin {
    at: Option<DateTime<Utc>>,
    terminal: String,
    from: String,
}

pub(super) fn read(collection: &mut Collection<'_>) -> Result<(), Trouble> {
    users(collection)?;
    for (name, path) in [("now", "/run/utmp"), ("history", "/var/log/wtmp"), ("failed", "/var/log/btmp")] {
        logins(collection, &format!("volatile/logins-{name}.json"), path)?;
    }
    for directory in ["/run/systemd/sessions", "/run/systemd/users"] {
        let start = collection.host.path(directory);
        walk(collection, &start, SESSIONS, &mut |collection, found| {
            if file::is_regular(&found.stat) {
                collection.copy(&found.path, LARGEST_SESSION, Part::First)?;
            }
            Ok(())
        })?;
    }
    if collection.profile != ForensicsProfile::Quick {
        for path in ["/run/utmp", "/var/log/wtmp", "/var/log/btmp", "/etc/passwd", "/etc/group"] {
            let path = collection.host.path(path);
            collection.copy(&path, MOST_LOGINS * LAYOUT.record as u64, Part::Last)?;
        }
    }
    Ok(())
}

fn logins(collection: &mut Collection<'_>, entry: &str, path: &str) -> Result<(), Trouble> {
    let path = collection.host.path(path);
    let (opened, stat) = match file::open_regular(&collection.mounts, &path) {
        Ok(opened) => opened,
        Err(FileError::Missing) => return Ok(()),
        Err(error) => {
            collection.fail(&path, &error);
            return Ok(());
        }
    };
    let record = LAYOUT.record as u64;
    let records = u64::try_from(stat.st_size).unwrap_or(0) / record;
    collection.begin_list(entry)?;
    let mut bytes = vec![0; LAYOUT.record];
    for number in records.saturating_sub(MOST_LOGINS)..records {
        if opened.read_exact_at(&mut bytes, number * record).is_err() {
            break;
        }
        if let Some(login) = login(&bytes) {
            collection.item(&login)?;
        }
    }
    collection.close();
    Ok(())
}

/// `None` for an empty record.
fn login(record: &[u8]) -> Option<Login> {
    let kind = match i16::from_ne_bytes(*record.first_chunk()?) {
        1 => "run_level",
        2 => "boot",
        3 => "new_time",
        4 => "old_time",
        5 => "init",
        6 => "login",
        7 => "user",
        8 => "ended",
        9 => "accounting",
        _ => return None,
    };
    let address: [u8; 16] = record.get(LAYOUT.address..)?.first_chunk().copied()?;
    let address = match address {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] => None,
        [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] => Some([a, b, c, d].into()),
        all => Some(all.into()),
    };
    Some(Login {
        kind,
        pid: number(record, PID)?,
        terminal: word(&record[LINE]),
        user: word(&record[USER]),
        from: word(&record[HOST]),
        address,
        session: number(record, LAYOUT.session)?,
        at: time(record, LAYOUT.seconds),
    })
}

fn number(record: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_ne_bytes(*record.get(at..)?.first_chunk()?))
}

fn time(record: &[u8], at: usize) -> Option<DateTime<Utc>> {
    let seconds = if LAYOUT.wide {
        i64::from_ne_bytes(*record.get(at..)?.first_chunk()?)
    } else {
        // Unsigned, so that it lasts until 2106.
        u32::from_ne_bytes(*record.get(at..)?.first_chunk()?).into()
    };
    DateTime::from_timestamp(seconds, 0)
}

fn word(field: &[u8]) -> String {
    text(field.split(|byte| *byte == 0).next().unwrap_or_default())
}

fn users(collection: &mut Collection<'_>) -> Result<(), Trouble> {
    let passwords = collection.small_text("/etc/shadow").unwrap_or_default();
    let last_logins = {
        let path = collection.host.path("/var/log/lastlog");
        file::open_regular(&collection.mounts, &path).ok().map(|(opened, _)| opened)
    };
    let users: Vec<User> = collection
        .small_text("/etc/passwd")
        .unwrap_or_default()
        .lines()
        .filter_map(|line| user(line, &passwords, last_logins.as_ref()))
        .collect();
    collection.json("volatile/users.json", &users)?;
    let groups: Vec<String> =
        collection.small_text("/etc/group").unwrap_or_default().lines().map(str::to_owned).collect();
    collection.json("volatile/groups.json", &groups)
}

/// `name:x:uid:gid:comment:home:shell`
fn user(line: &str, passwords: &str, last_logins: Option<&std::fs::File>) -> Option<User> {
    let words: Vec<&str> = line.split(':').collect();
    let &[name, _, uid, gid, _, home, shell] = words.as_slice() else { return None };
    let uid = uid.parse().ok();
    let password = passwords.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let mut password = password.into_iter().flat_map(|fields| fields.split(':'));
    Some(User {
        name: name.to_owned(),
        uid,
        gid: gid.parse().ok(),
        home: home.to_owned(),
        shell: shell.to_owned(),
        password: password.next().map(password_state),
        password_changed_on_day: password.next().and_then(|day| day.parse().ok()),
        last_login: uid.and_then(|uid| last_login(last_logins?, uid)),
    })
}

fn password_state(field: &str) -> &'static str {
    match field {
        "" => "none",
        field if field.starts_with(['!', '*']) => "locked",
        _ => "set",
    }
}

/// `struct lastlog`: time, 32 bytes of terminal, 256 of host; one a user id.
fn last_login(file: &std::fs::File, uid: u32) -> Option<LastLogin> {
    let mut record = vec![0; LAYOUT.last_login];
    file.read_exact_at(&mut record, u64::from(uid) * LAYOUT.last_login as u64).ok()?;
    let at = time(&record, 0).filter(|at| at.timestamp() > 0)?;
    let names = record.get(LAYOUT.last_login - 288..)?;
    Some(LastLogin { at: Some(at), terminal: word(&names[..32]), from: word(&names[32..]) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_record() {
        let mut record = vec![0; LAYOUT.record];
        record[0] = 7;
        record[PID..PID + 4].copy_from_slice(&42_i32.to_ne_bytes());
        record[LINE][..5].copy_from_slice(b"pts/0");
        record[USER].copy_from_slice(&[b'a'; 32]);
        record[HOST][..7].copy_from_slice(b"evil\n\x01\xff");
        record[LAYOUT.seconds..LAYOUT.seconds + 4].copy_from_slice(&1_700_000_000_u32.to_ne_bytes());
        record[LAYOUT.address..LAYOUT.address + 4].copy_from_slice(&[10, 77, 0, 9]);
        let login = login(&record).unwrap();
        assert_eq!((login.kind, login.pid, login.terminal.as_str()), ("user", 42, "pts/0"));
        assert_eq!((login.user.as_str(), login.from.as_str()), ("a".repeat(32).as_str(), "evil\n\u{1}\\xff"));
        assert_eq!(login.address.unwrap().to_string(), "10.77.0.9");
        assert_eq!(login.at.unwrap().timestamp(), 1_700_000_000);
        assert_eq!(self::login(&vec![0; LAYOUT.record]), None);
        assert_eq!(self::login(&[7, 0, 1]), None);
    }

    #[test]
    fn digests_of_passwords_stay_where_they_are() {
        let shadow = "root:$6$secret$digest:19000:0:99999:7:::\nbin:*:19000::::::\nguest::19000::::::\n";
        let user = |line| user(line, shadow, None).unwrap();
        let root = user("root:x:0:0:root:/root:/bin/bash");
        assert_eq!((root.password, root.password_changed_on_day), (Some("set"), Some(19000)));
        assert!(!serde_json::to_string(&root).unwrap().contains("secret"));
        assert_eq!(user("bin:x:2:2::/:/bin/false").password, Some("locked"));
        assert_eq!(user("guest:x:9:9::/:/bin/sh").password, Some("none"));
    }
}
