use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{net::lookup_host, time::timeout};
use url::Host;

use crate::{config::ServerUrl, state_dir::StateDir};

const FILE: &str = "server-addresses.json";
const LOOKUP_WITHIN: Duration = Duration::from_secs(5);
/// A name is looked up again after this long.
const FRESH_FOR: Duration = Duration::from_secs(60);
const MAX_ADDRESSES: usize = 16;

/// Where the server is. The last good addresses are kept on disk: an isolated host has no name service.
#[derive(Debug)]
pub struct ServerAddress {
    url: ServerUrl,
    state: StateDir,
    known: Mutex<Known>,
    /// While it is set nothing is looked up.
    is_isolated: AtomicBool,
}

#[derive(Debug, Default)]
struct Known {
    addresses: Vec<SocketAddr>,
    looked_up: Option<Instant>,
}

impl ServerAddress {
    #[must_use]
    pub fn new(url: ServerUrl, state: StateDir) -> Self {
        let stored: Option<(String, Vec<IpAddr>)> = state.read_json(FILE).ok().flatten();
        let mut addresses = match url.host() {
            Host::Ipv4(v4) => vec![IpAddr::V4(v4)],
            Host::Ipv6(v6) => vec![IpAddr::V6(v6)],
            Host::Domain(_) => Vec::new(),
        };
        let host = url.host().to_string();
        let stored = stored.filter(|(name, _)| *name == host).map(|(_, ips)| ips).unwrap_or_default();
        addresses.extend(stored.into_iter().filter(|ip| !addresses.contains(ip)).collect::<Vec<_>>());
        let port = url.port();
        let addresses = addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
        Self {
            url,
            state,
            known: Mutex::new(Known { addresses, looked_up: None }),
            is_isolated: AtomicBool::new(false),
        }
    }

    #[must_use]
    pub fn url(&self) -> &ServerUrl {
        &self.url
    }

    pub fn set_isolated(&self, is_isolated: bool) {
        self.is_isolated.store(is_isolated, Ordering::Relaxed);
    }

    /// Without looking anything up.
    #[must_use]
    pub fn known(&self) -> Vec<SocketAddr> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).addresses.clone()
    }

    /// Where the server can be reached, too: of these the first are tried first.
    pub fn learn(&self, addresses: &[SocketAddr]) {
        let mut all = addresses.to_vec();
        all.extend(self.known().into_iter().filter(|known| !addresses.contains(known)));
        all.truncate(MAX_ADDRESSES);
        let name = self.url.host().to_string();
        self.keep(&name, &all);
    }

    /// Asks the name service whatever is known, and changes nothing. `None` when there is no name to ask for, or no answer.
    pub async fn look_up(&self) -> Option<Vec<SocketAddr>> {
        let Host::Domain(name) = self.url.host() else { return None };
        let found = timeout(LOOKUP_WITHIN, lookup_host((name, self.url.port()))).await.ok()?.ok()?;
        Some(found.take(MAX_ADDRESSES).collect())
    }

    /// Looks the name up unless that was just done or cannot work; falls back to the last good addresses.
    pub async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let Host::Domain(name) = self.url.host() else { return Ok(self.known()) };
        let known = self.known();
        if !known.is_empty() && (self.is_isolated.load(Ordering::Relaxed) || self.is_fresh()) {
            return Ok(known);
        }
        let found = match timeout(LOOKUP_WITHIN, lookup_host((name, self.url.port()))).await {
            Ok(Ok(addresses)) => addresses.take(MAX_ADDRESSES).collect::<Vec<_>>(),
            Ok(Err(error)) if known.is_empty() => {
                return Err(io::Error::other(format!("the name {name} cannot be resolved ({error})")));
            }
            Err(_) if known.is_empty() => {
                return Err(io::Error::other(format!("the name {name} was not resolved within 5 s")));
            }
            Ok(Err(_)) | Err(_) => return Ok(known),
        };
        if found.is_empty() {
            return if known.is_empty() {
                Err(io::Error::other(format!("the name {name} has no address")))
            } else {
                Ok(known)
            };
        }
        self.keep(name, &found);
        Ok(found)
    }

    fn is_fresh(&self) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.looked_up.is_some_and(|at| at.elapsed() < FRESH_FOR)
    }

    fn keep(&self, name: &str, found: &[SocketAddr]) {
        let changed = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let changed = known.addresses != found;
            *known = Known { addresses: found.to_vec(), looked_up: Some(Instant::now()) };
            changed
        };
        if changed {
            let ips: Vec<IpAddr> = found.iter().map(SocketAddr::ip).collect();
            if let Err(error) = self.state.write_json(FILE, &(name, ips)) {
                tracing::warn!(%error, "the server's addresses cannot be stored");
            }
        }
    }
}
