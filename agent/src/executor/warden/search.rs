//! An isolated host that lost its server looks for it, within bounds that the kernel keeps.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use ipnet::IpNet;
use voltaxe_protocol::{CommandId, Direction, Exception, Protocol};

use super::{Warden, usable};
use crate::clock;

/// Between two searches.
const SEARCH_EVERY: Duration = Duration::from_secs(55);
const DNS_OPEN_FOR: Duration = Duration::from_secs(5);
const MAX_TRIED: usize = 4;
/// How long addresses that nobody signed are open, for one probe.
const TRIED_FOR: Duration = Duration::from_secs(20);

impl Warden {
    pub(super) fn open_dns(&mut self) -> Result<(), String> {
        let (generation, _) = self.may_search()?;
        self.searched = Some(Instant::now());
        self.may_try = true;
        self.kernel
            .open_dns_for(generation, DNS_OPEN_FOR, clock::wall())
            .map(|_| ())
            .map_err(|error| error.to_string())
    }

    /// As exceptions that the kernel ends by itself.
    pub(super) fn try_servers(&mut self, servers: &[SocketAddr]) -> Result<(), String> {
        let (_, present) = self.in_force().ok_or("the host is not isolated")?;
        let generation = self.generation().ok_or("the host is not isolated")?;
        if !std::mem::take(&mut self.may_try) {
            return Err("no search is under way".to_owned());
        }
        let ports: Vec<u16> = present.iter().map(SocketAddr::port).collect();
        let mut new = usable(servers);
        new.retain(|server| !present.contains(server) && ports.contains(&server.port()));
        new.truncate(MAX_TRIED);
        if new.is_empty() {
            return Err("the resolvers know no other address".to_owned());
        }
        let rules = self.kernel.applied().and_then(|applied| applied.rules.as_ref());
        let mut terms = rules.map(|rules| rules.terms.clone()).ok_or("the host is not isolated")?;
        let until = clock::wall() + TRIED_FOR;
        terms.exceptions.extend(new.iter().map(|server| Exception {
            network: IpNet::from(server.ip()),
            direction: Direction::Outbound,
            protocol: Protocol::Tcp,
            port: Some(server.port()),
            until: Some(until),
        }));
        self.kernel.change(generation, &present, &terms, clock::wall()).map_err(|error| error.to_string())?;
        self.tried = new;
        Ok(())
    }

    fn may_search(&self) -> Result<(CommandId, Vec<SocketAddr>), String> {
        let in_force = self.in_force().ok_or("the host is not isolated")?;
        if !self.may_search {
            return Err("`rediscover` in [isolation] of agent.conf is off".to_owned());
        }
        let is_recent = |at: Option<Instant>| at.is_some_and(|at| at.elapsed() < SEARCH_EVERY);
        if is_recent(self.contact) || is_recent(self.searched) {
            return Err("the server was reached, or searched for, less than a minute ago".to_owned());
        }
        Ok(in_force)
    }
}
