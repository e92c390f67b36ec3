//! What stays open besides the server: exceptions, DNS and DHCP, as rules for both directions.
//!
//! No rule tracks connections: an answer is known by its ports, and over TCP it opens no connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use chrono::{DateTime, Utc};
use ipnet::{IpNet, Ipv6Net};
use serde::{Deserialize, Serialize};
use voltaxe_protocol::{Direction, Exception, MOST_EXCEPTIONS, Protocol};

use super::rule::{Icmp4, Icmp6, Match, Rule, Transport};

/// The gate's element that keeps the host isolated.
pub const LIFT: u32 = 0;
const DNS: u16 = 53;
const DHCP_CLIENT: u16 = 68;
const DHCP_SERVER: u16 = 67;
const DHCP6_CLIENT: u16 = 546;
const DHCP6_SERVER: u16 = 547;
/// RFC 8415, section 7.1.
const ALL_DHCP_AGENTS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
const LINK_LOCAL: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10);

#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Openings {
    pub exceptions: Vec<Exception>,
    /// Resolvers to which DNS is open; loopback ones are left out, since loopback is open anyway.
    pub resolvers: Vec<IpAddr>,
    /// DNS is open until then; `None`: for as long as the rules.
    pub dns_until: Option<DateTime<Utc>>,
    pub dhcp: Option<Dhcp>,
}

/// Some device of the host has its address by DHCP.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Dhcp {
    /// Those that granted the leases.
    pub servers: Vec<Ipv4Addr>,
}

impl Openings {
    /// The times at which the kernel closes something, by the gate's elements.
    pub fn ends(&self) -> impl Iterator<Item = (u32, DateTime<Utc>)> {
        let exceptions = self
            .exceptions
            .iter()
            .enumerate()
            .filter_map(|(index, exception)| Some((key_of_exception(index), exception.until?)));
        exceptions.chain(self.dns_until.map(|until| (key_of_dns(), until)))
    }

    pub(super) fn rules_in(&self) -> impl Iterator<Item = Rule> {
        let exceptions = self.timed_exceptions().map(|(exception, timer)| {
            let from = Match::Source(exception.network);
            with_timer(from, matches_in(exception), timer)
        });
        let dns = self.resolvers.iter().flat_map(|resolver| {
            let answers = [
                vec![Match::SourcePort(Transport::Udp, DNS)],
                vec![Match::SourcePort(Transport::Tcp, DNS), Match::NotOpening],
            ];
            let timer = self.dns_timer();
            answers
                .into_iter()
                .map(move |answer| with_timer(Match::Source((*resolver).into()), answer, timer))
        });
        let dhcp = self.dhcp.iter().flat_map(|dhcp| {
            let ports = Match::UdpPorts(DHCP_SERVER, DHCP_CLIENT);
            let v4 = dhcp.servers.iter().map(move |server| Rule(vec![source(*server), ports]));
            let ports = Match::UdpPorts(DHCP6_SERVER, DHCP6_CLIENT);
            v4.chain([Rule(vec![Match::Source(IpNet::V6(LINK_LOCAL)), ports])])
        });
        exceptions.chain(dns).chain(dhcp)
    }

    pub(super) fn rules_out(&self) -> impl Iterator<Item = Rule> {
        let exceptions = self.timed_exceptions().map(|(exception, timer)| {
            let to = Match::Destination(exception.network);
            with_timer(to, matches_out(exception), timer)
        });
        let dns = self.resolvers.iter().flat_map(|resolver| {
            let timer = self.dns_timer();
            [Transport::Udp, Transport::Tcp].into_iter().map(move |transport| {
                let to = Match::Destination((*resolver).into());
                with_timer(to, vec![Match::DestinationPort(transport, DNS)], timer)
            })
        });
        let dhcp = self.dhcp.iter().flat_map(|dhcp| {
            let ports = Match::UdpPorts(DHCP_CLIENT, DHCP_SERVER);
            // Clients renew with their server, and rebind with whoever hears them.
            let addresses = dhcp.servers.iter().copied().chain([Ipv4Addr::BROADCAST]);
            let v4 = addresses.map(move |address| Rule(vec![destination(address), ports]));
            let ports = Match::UdpPorts(DHCP6_CLIENT, DHCP6_SERVER);
            v4.chain([Rule(vec![destination(ALL_DHCP_AGENTS), ports])])
        });
        exceptions.chain(dns).chain(dhcp)
    }

    fn timed_exceptions(&self) -> impl Iterator<Item = (&Exception, Option<u32>)> {
        self.exceptions
            .iter()
            .enumerate()
            .map(|(index, exception)| (exception, exception.until.is_some().then(|| key_of_exception(index))))
    }

    fn dns_timer(&self) -> Option<u32> {
        self.dns_until.is_some().then(key_of_dns)
    }
}

#[must_use]
pub fn key_of_exception(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX - 1) + 1
}

fn key_of_dns() -> u32 {
    key_of_exception(MOST_EXCEPTIONS)
}

fn matches_in(exception: &Exception) -> Vec<Match> {
    match (exception.protocol, exception.direction) {
        (Protocol::Tcp, Direction::Outbound) => {
            vec![Match::SourcePort(Transport::Tcp, port(exception)), Match::NotOpening]
        }
        (Protocol::Tcp, Direction::Inbound) => vec![Match::DestinationPort(Transport::Tcp, port(exception))],
        (Protocol::Udp, Direction::Outbound) => vec![Match::SourcePort(Transport::Udp, port(exception))],
        (Protocol::Udp, Direction::Inbound) => vec![Match::DestinationPort(Transport::Udp, port(exception))],
        (Protocol::Icmp, Direction::Outbound) => vec![echo(exception, false)],
        (Protocol::Icmp, Direction::Inbound) => vec![echo(exception, true)],
    }
}

fn matches_out(exception: &Exception) -> Vec<Match> {
    match (exception.protocol, exception.direction) {
        (Protocol::Tcp, Direction::Outbound) => vec![Match::DestinationPort(Transport::Tcp, port(exception))],
        (Protocol::Tcp, Direction::Inbound) => {
            vec![Match::SourcePort(Transport::Tcp, port(exception)), Match::NotOpening]
        }
        (Protocol::Udp, Direction::Outbound) => vec![Match::DestinationPort(Transport::Udp, port(exception))],
        (Protocol::Udp, Direction::Inbound) => vec![Match::SourcePort(Transport::Udp, port(exception))],
        (Protocol::Icmp, Direction::Outbound) => vec![echo(exception, true)],
        (Protocol::Icmp, Direction::Inbound) => vec![echo(exception, false)],
    }
}

/// 0 is nobody's port; checked exceptions have one.
fn port(exception: &Exception) -> u16 {
    exception.port.unwrap_or(0)
}

fn echo(exception: &Exception, is_request: bool) -> Match {
    match (exception.network, is_request) {
        (IpNet::V4(_), true) => Match::Icmp4(Icmp4::EchoRequest),
        (IpNet::V4(_), false) => Match::Icmp4(Icmp4::EchoReply),
        (IpNet::V6(_), true) => Match::Icmp6(Icmp6::EchoRequest),
        (IpNet::V6(_), false) => Match::Icmp6(Icmp6::EchoReply),
    }
}

fn with_timer(address: Match, more: Vec<Match>, timer: Option<u32>) -> Rule {
    let mut matches = vec![address];
    matches.extend(more);
    matches.extend(timer.map(Match::GateHas));
    Rule(matches)
}

fn source(address: impl Into<IpAddr>) -> Match {
    Match::Source(address.into().into())
}

fn destination(address: impl Into<IpAddr>) -> Match {
    Match::Destination(address.into().into())
}
