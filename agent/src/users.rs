//! Users of this host, from its own file: a static binary has no name service switch.

use std::{fs, io};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

impl User {
    /// By name, or by number.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub fn find(name: &str) -> io::Result<Self> {
        let passwd = fs::read_to_string("/etc/passwd")?;
        Self::find_in(&passwd, name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn find_in(passwd: &str, name: &str) -> Option<Self> {
        let number: Option<u32> = name.parse().ok();
        let named = passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let found = fields.next()?;
            let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
            (found == name || number == Some(uid)).then_some(Self { uid, gid })
        });
        named.or(number.map(|number| Self { uid: number, gid: number }))
    }
}

#[cfg(test)]
mod tests {
    use super::User;

    #[test]
    fn a_user_has_a_name_or_a_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nvoltaxe-sentinel:x:990:980::/:/usr/sbin/nologin\n";
        assert_eq!(User::find_in(passwd, "voltaxe-sentinel"), Some(User { uid: 990, gid: 980 }));
        assert_eq!(User::find_in(passwd, "990"), Some(User { uid: 990, gid: 980 }));
        assert_eq!(User::find_in(passwd, "1234"), Some(User { uid: 1234, gid: 1234 }));
        assert_eq!(User::find_in(passwd, "nobody-here"), None);
    }
}
