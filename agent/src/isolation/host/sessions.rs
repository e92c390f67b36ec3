use std::fs;

use chrono::DateTime;
use voltaxe_protocol::Session;

use super::HostFiles;

const FILES: [&str; 2] = ["/run/utmp", "/var/run/utmp"];
/// `struct utmp` of glibc (utmp(5)); its times are 32 bits wide where 32-bit programs share the file.
const RECORD_BYTES: usize = if cfg!(target_arch = "x86_64") { 384 } else { 400 };
const SECONDS_OFFSET: usize = if cfg!(target_arch = "x86_64") { 340 } else { 344 };
const USER_PROCESS: u16 = 7;
/// More would say no more.
const MOST: usize = 64;

impl HostFiles {
    /// Logins over the network, from utmp, or else from systemd-logind. At most 64.
    pub(in crate::isolation) fn sessions(&self) -> Vec<Session> {
        let utmp = FILES.into_iter().find_map(|file| fs::read(self.path(file)).ok());
        match utmp {
            Some(bytes) => bytes.chunks_exact(RECORD_BYTES).filter_map(record).take(MOST).collect(),
            None => self
                .texts_in("/run/systemd/sessions", |name| !name.contains('.'))
                .iter()
                .filter_map(|text| logind(text))
                .take(MOST)
                .collect(),
        }
    }
}

fn record(record: &[u8]) -> Option<Session> {
    let kind = u16::from_ne_bytes(record.get(..2)?.try_into().ok()?);
    let from = text(record.get(76..332)?);
    if kind != USER_PROCESS || !is_remote(&from) {
        return None;
    }
    let seconds = u32::from_ne_bytes(record.get(SECONDS_OFFSET..SECONDS_OFFSET + 4)?.try_into().ok()?);
    Some(Session {
        user: text(record.get(44..76)?),
        terminal: text(record.get(8..40)?),
        from,
        since: DateTime::from_timestamp(seconds.into(), 0),
    })
}

/// A login at a display, a multiplexer's or none has no host to come from.
fn is_remote(from: &str) -> bool {
    !(from.is_empty() || from.starts_with(':') || from.starts_with("tmux") || from.starts_with("login"))
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).chars().filter(|c| !c.is_control()).collect()
}

/// Lines `NAME=value`, of which systemd says that they are its own affair: what is missing is left out.
fn logind(file: &str) -> Option<Session> {
    let value = |wanted: &str| {
        file.lines()
            .filter_map(|line| line.split_once('='))
            .find(|(name, _)| *name == wanted)
            .map(|pair| pair.1)
    };
    if value("REMOTE") != Some("1") || value("STATE") == Some("closing") {
        return None;
    }
    let microseconds = value("REALTIME").and_then(|value| value.parse().ok());
    Some(Session {
        user: value("USER")?.to_owned(),
        terminal: value("TTY").unwrap_or_default().to_owned(),
        from: value("REMOTE_HOST").unwrap_or_default().to_owned(),
        since: microseconds.and_then(DateTime::from_timestamp_micros),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utmp(kind: u16, user: &str, terminal: &str, from: &str) -> Vec<u8> {
        let mut record = vec![0; RECORD_BYTES];
        record[..2].copy_from_slice(&kind.to_ne_bytes());
        record[8..8 + terminal.len()].copy_from_slice(terminal.as_bytes());
        record[44..44 + user.len()].copy_from_slice(user.as_bytes());
        record[76..76 + from.len()].copy_from_slice(from.as_bytes());
        record[SECONDS_OFFSET..SECONDS_OFFSET + 4].copy_from_slice(&1_700_000_000_u32.to_ne_bytes());
        record
    }

    #[test]
    fn logins_over_the_network_are_found() {
        let root = tempfile::tempdir().unwrap();
        let host = HostFiles::under(root.path());
        assert_eq!(host.sessions(), vec![]);
        fs::create_dir_all(host.path("/run/systemd/sessions")).unwrap();
        let files = [(
            "3",
            "UID=0\nUSER=root\nREMOTE=1\nREMOTE_HOST=10.0.0.9\nTTY=pts/1\nREALTIME=1700000000000000\n",
        )];
        for (name, text) in files {
            fs::write(host.path("/run/systemd/sessions").join(name), text).unwrap();
        }
        let since = DateTime::from_timestamp(1_700_000_000, 0);
        let session = |user: &str, terminal: &str, from: &str| Session {
            user: user.to_owned(),
            terminal: terminal.to_owned(),
            from: from.to_owned(),
            since,
        };
        assert_eq!(host.sessions(), [session("root", "pts/1", "10.0.0.9")]);
        let records = [
            utmp(2, "reboot", "~", "6.1.0"),
            utmp(7, "alice", "pts/0", "192.0.2.7"),
            utmp(7, "bob", "tty1", ""),
            utmp(7, "carol", "pts/2", ":0"),
            utmp(8, "dave", "pts/3", "192.0.2.8"),
        ];
        fs::write(host.path("/run/utmp"), [records.concat(), vec![1; 20]].concat()).unwrap();
        assert_eq!(host.sessions(), [session("alice", "pts/0", "192.0.2.7")]);
    }
}
