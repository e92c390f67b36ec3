//! Rules as values: as much of nftables as isolating a host takes. Their `Display` is nft's language.

use std::{
    fmt::{self, Display},
    time::Duration,
};

use ipnet::IpNet;

use super::{PRIORITY, TABLE};

/// The name of the set that holds the timers.
pub const GATE: &str = "gate";

/// One of our two tables.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Table {
    pub family: Family,
    pub gate: Option<Gate>,
    pub chains: Vec<Chain>,
}

/// A set of packet marks whose elements the kernel removes when their time is over. No packet's mark is looked up:
/// rules ask for constants.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Gate {
    pub elements: Vec<(u32, Duration)>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    Inet,
    Netdev,
}

/// A base chain drops what none of its rules accepts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Chain {
    pub name: String,
    /// `None` for a chain that no packet passes.
    pub hook: Option<Hook>,
    pub rules: Vec<Rule>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Hook {
    Input,
    Forward,
    Output,
    /// Of a netdev table.
    Egress {
        device: String,
    },
}

/// Accepts the packets that match all of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule(pub Vec<Match>);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Match {
    /// The packet came over a loopback device.
    FromLoopback,
    /// The packet leaves over a loopback device.
    ToLoopback,
    Arp,
    Source(IpNet),
    Destination(IpNet),
    SourcePort(Transport, u16),
    DestinationPort(Transport, u16),
    /// Both of UDP, source first.
    UdpPorts(u16, u16),
    /// TCP without SYN, or with SYN and ACK: it opens no connection.
    NotOpening,
    Icmp4(Icmp4),
    Icmp6(Icmp6),
    HopLimit(u8),
    /// The gate lacks this element: its time is over.
    GateLacks(u32),
    /// The gate has this element still.
    GateHas(u32),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    Tcp,
    Udp,
}

/// ICMP types (RFC 792).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Icmp4 {
    EchoReply,
    EchoRequest,
    /// Destination unreachable, code 4: a router tells the path's MTU (RFC 1191).
    FragmentationNeeded,
}

/// ICMPv6 types (RFC 4443), most of them those by which neighbours find each other (RFC 4861, RFC 2710, RFC 3810).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Icmp6 {
    PacketTooBig,
    EchoRequest,
    EchoReply,
    ListenerQuery,
    RouterSolicit,
    RouterAdvert,
    NeighbourSolicit,
    NeighbourAdvert,
    ListenerReport,
}

impl Table {
    pub fn base_chains(&self) -> impl Iterator<Item = &Chain> {
        self.chains.iter().filter(|chain| chain.hook.is_some())
    }
}

impl Hook {
    /// As the kernel's `enum nf_inet_hooks` and, for egress, `enum nf_dev_hooks` number it.
    #[must_use]
    pub fn number(&self) -> u32 {
        match self {
            Self::Input | Self::Egress { .. } => 1,
            Self::Forward => 2,
            Self::Output => 3,
        }
    }
}

impl Transport {
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl Icmp6 {
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::PacketTooBig => 2,
            Self::EchoRequest => 128,
            Self::EchoReply => 129,
            Self::ListenerQuery => 130,
            Self::RouterSolicit => 133,
            Self::RouterAdvert => 134,
            Self::NeighbourSolicit => 135,
            Self::NeighbourAdvert => 136,
            Self::ListenerReport => 143,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::PacketTooBig => "packet-too-big",
            Self::EchoRequest => "echo-request",
            Self::EchoReply => "echo-reply",
            Self::ListenerQuery => "mld-listener-query",
            Self::RouterSolicit => "nd-router-solicit",
            Self::RouterAdvert => "nd-router-advert",
            Self::NeighbourSolicit => "nd-neighbor-solicit",
            Self::NeighbourAdvert => "nd-neighbor-advert",
            Self::ListenerReport => "mld2-listener-report",
        }
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "table {} {TABLE} {{", self.family)?;
        self.gate.iter().try_for_each(|gate| gate.fmt(f))?;
        self.chains.iter().try_for_each(|chain| chain.fmt(f))?;
        f.write_str("}\n")
    }
}

impl Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\tset {GATE} {{\n\t\ttype mark\n\t\tflags timeout")?;
        if !self.elements.is_empty() {
            let elements =
                self.elements.iter().map(|(key, left)| format!("{key:#x} timeout {}", Time(*left)));
            writeln!(f, "\t\telements = {{ {} }}", elements.collect::<Vec<_>>().join(", "))?;
        }
        f.write_str("\t}\n")
    }
}

/// Milliseconds are as fine as nftables goes.
struct Time(Duration);

impl Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.subsec_millis() {
            0 => write!(f, "{}s", self.0.as_secs()),
            _ => write!(f, "{}ms", self.0.as_millis()),
        }
    }
}

impl Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inet => "inet",
            Self::Netdev => "netdev",
        })
    }
}

impl Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\tchain {} {{", self.name)?;
        if let Some(hook) = &self.hook {
            writeln!(f, "\t\ttype filter hook {hook} priority {PRIORITY}; policy drop;")?;
        }
        self.rules.iter().try_for_each(|rule| writeln!(f, "\t\t{rule}"))?;
        f.write_str("\t}\n")
    }
}

impl Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input => f.write_str("input"),
            Self::Forward => f.write_str("forward"),
            Self::Output => f.write_str("output"),
            Self::Egress { device } => write!(f, "egress device \"{device}\""),
        }
    }
}

impl Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|one| write!(f, "{one} "))?;
        f.write_str("accept")
    }
}

impl Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FromLoopback => f.write_str("iiftype loopback"),
            Self::ToLoopback => f.write_str("oiftype loopback"),
            Self::Arp => f.write_str("meta protocol arp"),
            Self::Source(network) => write!(f, "{} saddr {}", version(*network), Shortest(*network)),
            Self::Destination(network) => write!(f, "{} daddr {}", version(*network), Shortest(*network)),
            Self::SourcePort(transport, port) => write!(f, "{} sport {port}", transport.name()),
            Self::DestinationPort(transport, port) => write!(f, "{} dport {port}", transport.name()),
            Self::UdpPorts(source, destination) => write!(f, "udp sport {source} udp dport {destination}"),
            Self::NotOpening => f.write_str("tcp flags & (syn | ack) != syn"),
            Self::Icmp4(Icmp4::EchoReply) => f.write_str("icmp type echo-reply"),
            Self::Icmp4(Icmp4::EchoRequest) => f.write_str("icmp type echo-request"),
            Self::Icmp4(Icmp4::FragmentationNeeded) => {
                f.write_str("icmp type destination-unreachable icmp code frag-needed")
            }
            Self::Icmp6(kind) => write!(f, "icmpv6 type {}", kind.name()),
            Self::HopLimit(limit) => write!(f, "ip6 hoplimit {limit}"),
            Self::GateLacks(key) => write!(f, "meta mark & 0x0{} != @{GATE}", Constant(*key)),
            Self::GateHas(key) => write!(f, "meta mark & 0x0{} @{GATE}", Constant(*key)),
        }
    }
}

/// What a mark of which no bit is left becomes.
struct Constant(u32);

impl Display for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            key => write!(f, " ^ {key:#x}"),
        }
    }
}

/// A network of one address as the address.
struct Shortest(IpNet);

impl Display for Shortest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}

fn version(network: IpNet) -> &'static str {
    match network {
        IpNet::V4(_) => "ip",
        IpNet::V6(_) => "ip6",
    }
}
