//! Rules as values: as much of nftables as isolating a host takes. Their `Display` is nft's language.

use std::{
    fmt::{self, Display},
    net::IpAddr,
};

use super::{PRIORITY, TABLE};

/// One of our two tables.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Table {
    pub family: Family,
    pub chains: Vec<Chain>,
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
    Source(IpAddr),
    Destination(IpAddr),
    SourcePort(u16),
    DestinationPort(u16),
    /// TCP without SYN, or with SYN and ACK: it opens no connection.
    NotOpening,
    Icmp6(Icmp6),
    HopLimit(u8),
}

/// ICMPv6 types by which neighbours find each other (RFC 4861, RFC 2710, RFC 3810).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Icmp6 {
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

impl Icmp6 {
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
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
        self.chains.iter().try_for_each(|chain| chain.fmt(f))?;
        f.write_str("}\n")
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
            Self::Source(address) => write!(f, "{} saddr {address}", version(address)),
            Self::Destination(address) => write!(f, "{} daddr {address}", version(address)),
            Self::SourcePort(port) => write!(f, "tcp sport {port}"),
            Self::DestinationPort(port) => write!(f, "tcp dport {port}"),
            Self::NotOpening => f.write_str("tcp flags & (syn | ack) != syn"),
            Self::Icmp6(kind) => write!(f, "icmpv6 type {}", kind.name()),
            Self::HopLimit(limit) => write!(f, "ip6 hoplimit {limit}"),
        }
    }
}

fn version(address: &IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "ip",
        IpAddr::V6(_) => "ip6",
    }
}
