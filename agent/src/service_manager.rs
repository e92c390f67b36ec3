//! What systemd is told: sd_notify(3), by hand, as it is one datagram.

use std::{
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
    sync::Arc,
    time::Duration,
};

/// Silent when nobody asked to be told.
#[derive(Clone, Debug, Default)]
pub struct ServiceManager {
    socket: Option<Arc<(UnixDatagram, SocketAddr)>>,
    sign_every: Option<Duration>,
}

impl ServiceManager {
    /// By `NOTIFY_SOCKET` and `WATCHDOG_USEC`.
    #[must_use]
    pub fn from_environment() -> Self {
        let socket = std::env::var_os("NOTIFY_SOCKET").and_then(|path| {
            let address = match path.as_bytes() {
                [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
                path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path)),
            };
            Some(Arc::new((UnixDatagram::unbound().ok()?, address.ok()?)))
        });
        let watchdog = std::env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse().ok());
        let is_for_us = std::env::var("WATCHDOG_PID")
            .ok()
            .is_none_or(|pid| pid.parse() == Ok(rustix::process::getpid().as_raw_pid()));
        let sign_every = watchdog.filter(|_| is_for_us).map(|usec| Duration::from_micros(usec) / 3);
        Self { sign_every: sign_every.filter(|_| socket.is_some()), socket }
    }

    /// How often [`Self::alive`] is wanted; `None`: never.
    #[must_use]
    pub fn sign_every(&self) -> Option<Duration> {
        self.sign_every
    }

    pub fn ready(&self) {
        self.tell("READY=1");
    }

    pub fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    fn tell(&self, message: &str) {
        if let Some(socket) = &self.socket {
            let (socket, address) = socket.as_ref();
            // Nothing depends on it here; systemd itself acts when it hears nothing.
            let _ = socket.send_to_addr(message.as_bytes(), address);
        }
    }
}
