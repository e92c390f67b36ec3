//! Telling users who are logged in, as wall(1) does it.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
};

use rustix::fs::OFlags;

const MAX_CHARACTERS: usize = 500;
/// Hosts with more terminals have other ways of telling people.
const MAX_TERMINALS: usize = 200;

/// Never waits for a terminal and never fails: who cannot be told is not.
pub(super) fn tell(notice: &str) {
    let text =
        format!("\r\n\x07Message from the Voltaxe Sentinel agent on this host:\r\n{}\r\n", plain(notice));
    let mut told = 0;
    for terminal in terminals().into_iter().take(MAX_TERMINALS) {
        let flags = (OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
        let opened = OpenOptions::new().write(true).custom_flags(flags).open(&terminal);
        told += usize::from(opened.is_ok_and(|mut terminal| terminal.write_all(text.as_bytes()).is_ok()));
    }
    tracing::info!(terminals = told, "Told the users who are logged in");
}

/// What a login or a terminal emulator has open.
fn terminals() -> Vec<PathBuf> {
    let in_use = fs::read_dir("/dev/pts").into_iter().flatten().flatten();
    let is_number = |name: &std::ffi::OsStr| name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    let pseudo = in_use.filter(|entry| is_number(&entry.file_name())).map(|entry| entry.path());
    let consoles = (1..=6).map(|number| PathBuf::from(format!("/dev/tty{number}")));
    pseudo.chain(consoles).collect()
}

/// Nothing that a terminal would obey.
fn plain(text: &str) -> String {
    let line = |line: &str| -> String { line.chars().filter(|c| !c.is_control()).collect() };
    let short: String = text.chars().take(MAX_CHARACTERS).collect();
    short.lines().map(line).collect::<Vec<_>>().join("\r\n")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_notice_cannot_command_a_terminal() {
        assert_eq!(super::plain("a\x1b[2Jb\nc\u{9b}d\te"), "a[2Jb\r\ncde");
        assert_eq!(super::plain(&"x".repeat(1000)).len(), 500);
    }
}
