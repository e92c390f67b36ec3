use std::{
    fs::{self, Permissions},
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram},
    time::Duration,
};

use crate::agent::Host;

/// What systemd hears.
pub(super) struct Notices(UnixDatagram, String);

impl Notices {
    pub(super) fn new(host: &Host<'_>, name: &str) -> Self {
        let path = host.path(&format!("notify-{name}"));
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        Self(socket, path.to_str().unwrap().to_owned())
    }

    pub(super) fn environment(&self) -> [(&'static str, String); 2] {
        [("NOTIFY_SOCKET", self.1.clone()), ("WATCHDOG_USEC", "300000".to_owned())]
    }

    /// In this order, with signs of life in between.
    pub(super) fn say(&mut self, expected: &[&str]) {
        for expected in expected {
            loop {
                let mut message = [0; 64];
                let length = self.0.recv(&mut message).unwrap_or_else(|_| panic!("no {expected}"));
                let said = std::str::from_utf8(&message[..length]).unwrap();
                if said == *expected {
                    break;
                }
                assert_eq!(said, "WATCHDOG=1");
            }
        }
    }
}
