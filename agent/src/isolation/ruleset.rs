//! The rules. Pure: addresses, devices, openings and a generation in; tables out, which are an nft script when printed.
//!
//! Everything is dropped but loopback, the server's addresses and port, neighbour discovery, what routers say about the
//! path's MTU, and what the order leaves open ([`opening`]). There is no rule for established connections: it would let
//! a session that is already open live on. No rule tracks connections either: packets from the server are taken unless
//! they open a connection (SYN without ACK), so isolating a host neither switches connection tracking on nor depends on
//! what it knows.
//!
//! With the direct channel on, the server may also open connections to its port, and the agent answer from there.
//!
//! An `inet` table does not see raw frames or what macvlan devices send, so each device also gets a `netdev` egress
//! chain.
//!
//! What ends by itself ends in the kernel, even when no agent lives: an element with a timeout in a set, which rules ask
//! for. The isolation itself is held by the element [`opening::LIFT`]: once it is gone, each chain's first rule accepts
//! everything.
//!
//! IPv6: ports are those behind any extension headers, as the kernel finds them, and a fragment that is not the first
//! has none. So a packet with extension headers gets as far as one without, and later fragments get nowhere.

pub mod opening;
pub mod rule;

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use opening::{LIFT, Openings};
use rule::{Chain, Family, Gate, Hook, Icmp4, Icmp6, Match, Rule, Table, Transport};
use voltaxe_protocol::CommandId;

/// The name of both our tables; nobody else's rules are ever touched.
pub const TABLE: &str = "voltaxe_isolation";
/// Before the host's own filters. Their drops stay drops: an accept ends one chain only.
pub const PRIORITY: i32 = -300;
const GENERATION_PREFIX: &str = "generation_";

/// What is to be in the kernel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    pub generation: CommandId,
    /// Sorted, without duplicates.
    pub servers: Vec<SocketAddr>,
    /// Devices that get an egress chain; empty where the kernel has none.
    pub devices: Vec<String>,
    /// Where the servers may open connections to this host.
    pub direct_port: Option<u16>,
    pub openings: Openings,
    /// Whether the kernel lifts the isolation when [`LIFT`] leaves the gate.
    pub lifts: bool,
    /// What the gate holds at first, and for how long.
    pub timers: Vec<(u32, Duration)>,
}

/// Which of our tables are in the kernel now.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Existing {
    pub inet: bool,
    pub netdev: bool,
}

const NEIGHBOURS_IN: [(Icmp6, u8); 4] = [
    (Icmp6::NeighbourSolicit, 255),
    (Icmp6::NeighbourAdvert, 255),
    (Icmp6::RouterAdvert, 255),
    (Icmp6::ListenerQuery, 1),
];
/// Also on the wire: without its multicast reports a host loses IPv6 behind switches that snoop them.
const NEIGHBOURS_OUT: [(Icmp6, u8); 4] = [
    (Icmp6::NeighbourSolicit, 255),
    (Icmp6::NeighbourAdvert, 255),
    (Icmp6::RouterSolicit, 255),
    (Icmp6::ListenerReport, 1),
];

impl Existing {
    /// In the order in which they are made.
    pub fn families(self) -> impl Iterator<Item = Family> {
        let inet = self.inet.then_some(Family::Inet);
        inet.into_iter().chain(self.netdev.then_some(Family::Netdev))
    }
}

impl Plan {
    #[must_use]
    pub fn new(generation: CommandId, servers: &[SocketAddr], devices: &[String]) -> Self {
        let mut servers = servers.to_vec();
        servers.sort_unstable();
        servers.dedup();
        Self {
            generation,
            servers,
            devices: devices.to_vec(),
            direct_port: None,
            openings: Openings::default(),
            lifts: false,
            timers: Vec::new(),
        }
    }

    /// Keeps the direct channel open to the servers.
    #[must_use]
    pub fn with_direct_port(self, direct_port: Option<u16>) -> Self {
        Self { direct_port, ..self }
    }

    #[must_use]
    pub fn with_openings(self, openings: Openings) -> Self {
        Self { openings, ..self }
    }

    /// The gate's elements and how long they stay; [`LIFT`] among them makes the isolation end with it.
    #[must_use]
    pub fn with_timers(self, lifts: bool, timers: Vec<(u32, Duration)>) -> Self {
        Self { lifts, timers, ..self }
    }

    /// Whether any rule asks for a timer.
    #[must_use]
    pub fn has_gate(&self) -> bool {
        self.lifts || self.openings.ends().next().is_some()
    }

    /// One transaction in nft's language: whatever we had before is replaced, or nothing changes.
    #[must_use]
    pub fn script(&self, existing: Existing) -> String {
        let mut script = String::new();
        for family in existing.families() {
            let _ = writeln!(script, "delete table {family} {TABLE}");
        }
        for table in self.tables() {
            let _ = write!(script, "{table}");
        }
        script
    }

    /// Without devices there is no netdev table.
    pub fn tables(&self) -> impl Iterator<Item = Table> {
        std::iter::once(self.inet()).chain((!self.devices.is_empty()).then(|| self.netdev()))
    }

    #[must_use]
    pub fn inet(&self) -> Table {
        let base = |name: &str, hook, rules| Chain { name: name.to_owned(), hook: Some(hook), rules };
        let generation = Chain { name: generation_chain(self.generation), hook: None, rules: Vec::new() };
        Table {
            family: Family::Inet,
            gate: self.gate(),
            chains: vec![
                base("input", Hook::Input, self.rules_in()),
                base("forward", Hook::Forward, self.lift().collect()),
                base("output", Hook::Output, self.rules_out(Match::ToLoopback)),
                generation,
            ],
        }
    }

    /// An egress chain for each device, in the devices' order.
    #[must_use]
    pub fn netdev(&self) -> Table {
        let rules = self.rules_out(Match::Arp);
        let chain = |(index, device): (usize, &String)| Chain {
            name: format!("egress_{index}"),
            hook: Some(Hook::Egress { device: device.clone() }),
            rules: rules.clone(),
        };
        Table {
            family: Family::Netdev,
            gate: self.gate(),
            chains: self.devices.iter().enumerate().map(chain).collect(),
        }
    }

    fn gate(&self) -> Option<Gate> {
        self.has_gate().then(|| Gate { elements: self.timers.clone() })
    }

    fn lift(&self) -> impl Iterator<Item = Rule> {
        self.lifts.then(|| Rule(vec![Match::GateLacks(LIFT)])).into_iter()
    }

    fn rules_in(&self) -> Vec<Rule> {
        let from_server = self.servers.iter().map(|server| {
            let port = Match::SourcePort(Transport::Tcp, server.port());
            Rule(vec![Match::Source(server.ip().into()), port, Match::NotOpening])
        });
        let to_direct_port = self.direct_rules().map(|(server, port)| {
            Rule(vec![Match::Source(server.into()), Match::DestinationPort(Transport::Tcp, port)])
        });
        // The path to the server may be narrower than the link.
        let path_mtu = [Match::Icmp4(Icmp4::FragmentationNeeded), Match::Icmp6(Icmp6::PacketTooBig)];
        self.lift()
            .chain([Rule(vec![Match::FromLoopback])])
            .chain(from_server)
            .chain(to_direct_port)
            .chain(self.openings.rules_in())
            .chain(path_mtu.map(|one| Rule(vec![one])))
            .chain(NEIGHBOURS_IN.map(neighbour))
            .collect()
    }

    fn rules_out(&self, first: Match) -> Vec<Rule> {
        let to_server = self.servers.iter().map(|server| {
            let port = Match::DestinationPort(Transport::Tcp, server.port());
            Rule(vec![Match::Destination(server.ip().into()), port])
        });
        let from_direct_port = self.direct_rules().map(|(server, port)| {
            let port = Match::SourcePort(Transport::Tcp, port);
            Rule(vec![Match::Destination(server.into()), port, Match::NotOpening])
        });
        self.lift()
            .chain([Rule(vec![first])])
            .chain(to_server)
            .chain(from_direct_port)
            .chain(self.openings.rules_out())
            .chain(NEIGHBOURS_OUT.map(neighbour))
            .collect()
    }

    /// One for each address, whatever the server's own ports are.
    fn direct_rules(&self) -> impl Iterator<Item = (IpAddr, u16)> {
        let addresses: BTreeSet<IpAddr> = self.servers.iter().map(SocketAddr::ip).collect();
        addresses.into_iter().filter_map(|address| Some((address, self.direct_port?)))
    }
}

/// The chain whose name tells the generation. It holds no rule and hooks nothing.
#[must_use]
pub fn generation_chain(generation: CommandId) -> String {
    format!("{GENERATION_PREFIX}{generation}")
}

#[must_use]
pub fn generation_of_chain(name: &str) -> Option<CommandId> {
    name.strip_prefix(GENERATION_PREFIX)?.parse().ok()
}

/// Whether an nft script can name the device; the kernel allows more characters than nft's quoting does.
#[must_use]
pub fn is_nameable(device: &str) -> bool {
    !device.is_empty()
        && device
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'@' | b'+'))
}

/// A hop limit of 255 or 1 proves that no router passed the packet on.
fn neighbour((kind, hop_limit): (Icmp6, u8)) -> Rule {
    Rule(vec![Match::Icmp6(kind), Match::HopLimit(hop_limit)])
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use opening::Dhcp;
    use voltaxe_protocol::{Direction, Exception, Protocol};

    use super::*;

    fn plan() -> Plan {
        let servers =
            ["[fd77::1]:8080", "10.77.0.1:8080", "10.77.0.1:8080"].map(|text| text.parse().unwrap());
        Plan::new(CommandId(42), &servers, &["eth0".to_owned(), "wlan0".to_owned()])
    }

    #[test]
    fn text_is_as_reviewed() {
        assert_eq!(plan().script(Existing::default()), include_str!("reviewed.nft"));
    }

    #[test]
    fn text_with_everything_open_is_as_reviewed() {
        let exception = |network: &str, direction, protocol, port, until| Exception {
            network: network.parse().unwrap(),
            direction,
            protocol,
            port,
            until,
        };
        let until = Some(DateTime::UNIX_EPOCH);
        let openings = Openings {
            exceptions: vec![
                exception("10.1.0.0/16", Direction::Outbound, Protocol::Tcp, Some(443), None),
                exception("10.1.2.3/32", Direction::Inbound, Protocol::Tcp, Some(22), until),
                exception("10.1.0.0/17", Direction::Outbound, Protocol::Udp, Some(514), None),
                exception("fd00::/63", Direction::Inbound, Protocol::Udp, Some(161), until),
                exception("10.1.2.3/32", Direction::Outbound, Protocol::Icmp, None, None),
                exception("fd00::1/128", Direction::Inbound, Protocol::Icmp, None, None),
            ],
            resolvers: vec!["10.0.0.53".parse().unwrap(), "fd00::53".parse().unwrap()],
            dns_until: until,
            dhcp: Some(Dhcp { servers: vec!["10.0.0.67".parse().unwrap()] }),
        };
        let timers = [(LIFT, 30_000), (2, 600_000), (4, 1_500), (33, 5_000)];
        let timers = timers.map(|(key, milliseconds)| (key, Duration::from_millis(milliseconds))).to_vec();
        let plan = Plan { devices: vec!["eth0".to_owned()], ..plan() };
        let plan = plan.with_direct_port(Some(8082)).with_openings(openings).with_timers(true, timers);
        let script = plan.script(Existing::default());
        assert_eq!(script, include_str!("reviewed_open.nft"));
    }

    #[test]
    fn what_is_there_is_replaced_in_the_same_transaction() {
        let both = plan().script(Existing { inet: true, netdev: true });
        let deletes = "delete table inet voltaxe_isolation\ndelete table netdev voltaxe_isolation\n";
        assert_eq!(both, format!("{deletes}{}", include_str!("reviewed.nft")));
    }

    #[test]
    fn without_devices_there_is_no_netdev_table() {
        let script = Plan::new(CommandId(1), &plan().servers, &[]).script(Existing::default());
        assert!(!script.contains("netdev"));
    }

    #[test]
    fn the_direct_channel_is_open_to_the_server_alone_and_opens_nothing() {
        let script = plan().with_direct_port(Some(8082)).script(Existing::default());
        let lines: Vec<&str> = script.lines().map(str::trim).filter(|line| line.contains("8082")).collect();
        let input = ["ip saddr 10.77.0.1 tcp dport 8082 accept", "ip6 saddr fd77::1 tcp dport 8082 accept"];
        let output = [
            "ip daddr 10.77.0.1 tcp sport 8082 tcp flags & (syn | ack) != syn accept",
            "ip6 daddr fd77::1 tcp sport 8082 tcp flags & (syn | ack) != syn accept",
        ];
        assert_eq!(lines, [&input[..], &output, &output, &output].concat());
    }

    #[test]
    fn no_rule_spares_established_connections() {
        let script = plan().script(Existing::default());
        assert!(!script.contains("ct ") && !script.contains("established"));
        let drops = script.matches("policy drop;").count();
        assert_eq!((drops, script.matches("policy ").count()), (5, 5));
    }

    #[test]
    fn generation_is_read_from_the_chain_name() {
        assert_eq!(generation_of_chain(&generation_chain(CommandId(77))), Some(CommandId(77)));
        assert_eq!(generation_of_chain("input"), None);
    }

    #[test]
    fn odd_device_names_never_reach_the_script() {
        for name in ["eth0", "eth0.100", "br-1a2b", "wg0", "a@b"] {
            assert!(is_nameable(name), "{name}");
        }
        for name in ["", "a\"b", "a;b", "a b", "ä"] {
            assert!(!is_nameable(name), "{name}");
        }
    }
}
