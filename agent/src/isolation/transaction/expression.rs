//! Rules as the kernel runs them: load into a register, compare, accept.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::isolation::{
    netlink::attribute::{bytes_attribute, nested, number_attribute, string_attribute},
    ruleset::rule::{Family, GATE, Icmp4, Match, Rule, Transport},
};

/// All but the verdict work on the kernel's register 1.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Expression {
    Meta(Meta),
    Payload {
        base: Base,
        offset: u32,
        length: u32,
    },
    /// Keeps the bits of `mask`, then turns those of `turn`.
    Bits {
        mask: Vec<u8>,
        turn: Vec<u8>,
    },
    /// The rule ends here unless the register holds these bytes.
    Equal(Vec<u8>),
    Unequal(Vec<u8>),
    /// The rule ends here unless the gate has what the register holds; or, inverted, lacks it.
    Lookup {
        is_inverted: bool,
    },
    Accept,
}

/// `enum nft_meta_keys`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Meta {
    EtherType = 1,
    Mark = 3,
    DeviceTypeIn = 8,
    DeviceTypeOut = 9,
    NetfilterProtocol = 15,
    TransportProtocol = 16,
}

/// `enum nft_payload_bases`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Base {
    NetworkHeader = 1,
    TransportHeader = 2,
}

/// What must hold of a packet before a header of it can be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Premise {
    Ip4,
    Ip6,
    Tcp,
    Udp,
    Icmp4,
    Icmp6,
}

const LOOPBACK: u16 = 772;
const ETHER_ARP: u16 = 0x0806;
const ETHER_IP4: u16 = 0x0800;
const ETHER_IP6: u16 = 0x86dd;
const NETFILTER_IP4: u8 = 2;
const NETFILTER_IP6: u8 = 10;
const ICMP4: u8 = 1;
const ICMP6: u8 = 58;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

pub(super) fn of(family: Family, rule: &Rule) -> Vec<Expression> {
    let mut expressions = Vec::new();
    let mut established = Vec::new();
    for one in &rule.0 {
        for premise in premises(*one) {
            if !established.contains(premise) {
                established.push(*premise);
                expressions.extend(check(family, *premise));
            }
        }
        expressions.extend(load_and_compare(*one));
    }
    expressions.push(Expression::Accept);
    expressions
}

fn premises(one: Match) -> &'static [Premise] {
    match one {
        Match::FromLoopback | Match::ToLoopback | Match::Arp | Match::GateLacks(_) | Match::GateHas(_) => &[],
        Match::Source(IpNet::V4(_)) | Match::Destination(IpNet::V4(_)) => &[Premise::Ip4],
        Match::Source(IpNet::V6(_)) | Match::Destination(IpNet::V6(_)) | Match::HopLimit(_) => {
            &[Premise::Ip6]
        }
        Match::SourcePort(Transport::Tcp, _)
        | Match::DestinationPort(Transport::Tcp, _)
        | Match::NotOpening => &[Premise::Tcp],
        Match::SourcePort(Transport::Udp, _)
        | Match::DestinationPort(Transport::Udp, _)
        | Match::UdpPorts(..) => &[Premise::Udp],
        Match::Icmp4(_) => &[Premise::Ip4, Premise::Icmp4],
        Match::Icmp6(_) => &[Premise::Ip6, Premise::Icmp6],
    }
}

fn check(family: Family, premise: Premise) -> [Expression; 2] {
    let network = |netfilter: u8, ether: u16| match family {
        Family::Inet => meta(Meta::NetfilterProtocol, vec![netfilter]),
        Family::Netdev => meta(Meta::EtherType, ether.to_be_bytes().to_vec()),
    };
    match premise {
        Premise::Ip4 => network(NETFILTER_IP4, ETHER_IP4),
        Premise::Ip6 => network(NETFILTER_IP6, ETHER_IP6),
        Premise::Tcp => meta(Meta::TransportProtocol, vec![Transport::Tcp.number()]),
        Premise::Udp => meta(Meta::TransportProtocol, vec![Transport::Udp.number()]),
        Premise::Icmp4 => meta(Meta::TransportProtocol, vec![ICMP4]),
        Premise::Icmp6 => meta(Meta::TransportProtocol, vec![ICMP6]),
    }
}

/// Offsets: RFC 791, RFC 792, RFC 768, RFC 8200, RFC 9293 and RFC 4443.
fn load_and_compare(one: Match) -> Vec<Expression> {
    let network = |offset, bytes| payload(Base::NetworkHeader, offset, bytes).into();
    let gate = |key: u32, is_inverted| {
        let bits = Expression::Bits { mask: vec![0; 4], turn: key.to_ne_bytes().to_vec() };
        vec![Expression::Meta(Meta::Mark), bits, Expression::Lookup { is_inverted }]
    };
    let transport = |offset, bytes| payload(Base::TransportHeader, offset, bytes).into();
    match one {
        Match::FromLoopback => meta(Meta::DeviceTypeIn, LOOPBACK.to_ne_bytes().to_vec()).into(),
        Match::ToLoopback => meta(Meta::DeviceTypeOut, LOOPBACK.to_ne_bytes().to_vec()).into(),
        Match::Arp => meta(Meta::EtherType, ETHER_ARP.to_be_bytes().to_vec()).into(),
        Match::Source(network @ IpNet::V4(_)) => address(12, network),
        Match::Source(network @ IpNet::V6(_)) => address(8, network),
        Match::Destination(network @ IpNet::V4(_)) => address(16, network),
        Match::Destination(network @ IpNet::V6(_)) => address(24, network),
        Match::SourcePort(_, port) => transport(0, port.to_be_bytes().to_vec()),
        Match::DestinationPort(_, port) => transport(2, port.to_be_bytes().to_vec()),
        Match::UdpPorts(source, destination) => {
            transport(0, [source.to_be_bytes(), destination.to_be_bytes()].concat())
        }
        Match::NotOpening => vec![
            Expression::Payload { base: Base::TransportHeader, offset: 13, length: 1 },
            Expression::Bits { mask: vec![SYN | ACK], turn: vec![0] },
            Expression::Unequal(vec![SYN]),
        ],
        Match::Icmp4(Icmp4::EchoReply) => transport(0, vec![0]),
        Match::Icmp4(Icmp4::EchoRequest) => transport(0, vec![8]),
        Match::Icmp4(Icmp4::FragmentationNeeded) => transport(0, vec![3, 4]),
        Match::Icmp6(kind) => transport(0, vec![kind.number()]),
        Match::HopLimit(limit) => network(7, vec![limit]),
        Match::GateLacks(key) => gate(key, true),
        Match::GateHas(key) => gate(key, false),
    }
}

/// As nft does it: of a prefix that ends with a byte only its bytes are loaded, else the bits behind it are masked.
fn address(offset: u32, network: IpNet) -> Vec<Expression> {
    let bytes = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let mut wanted = bytes(network.network());
    if network.prefix_len().is_multiple_of(8) {
        wanted.truncate(usize::from(network.prefix_len() / 8));
        return payload(Base::NetworkHeader, offset, wanted).into();
    }
    let bits = Expression::Bits { mask: bytes(network.netmask()), turn: vec![0; wanted.len()] };
    let [load, compare] = payload(Base::NetworkHeader, offset, wanted);
    vec![load, bits, compare]
}

fn meta(key: Meta, value: Vec<u8>) -> [Expression; 2] {
    [Expression::Meta(key), Expression::Equal(value)]
}

fn payload(base: Base, offset: u32, value: Vec<u8>) -> [Expression; 2] {
    let length = u32::try_from(value.len()).expect("a header's field is short");
    [Expression::Payload { base, offset, length }, Expression::Equal(value)]
}

const VERDICT_REGISTER: u32 = 0;
const REGISTER: u32 = 1;
const NF_ACCEPT: u32 = 1;
const CMP_EQUAL: u32 = 0;
const CMP_UNEQUAL: u32 = 1;

impl Expression {
    /// As an element of a rule's list of expressions: `enum nft_expr_attributes` around the expression's own.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        const LIST_ELEMENT: u16 = 1;
        const NAME: u16 = 1;
        const DATA: u16 = 2;
        nested(out, LIST_ELEMENT, |out| {
            string_attribute(out, NAME, self.name());
            nested(out, DATA, |out| self.write_data(out));
        });
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Meta(_) => "meta",
            Self::Payload { .. } => "payload",
            Self::Bits { .. } => "bitwise",
            Self::Equal(_) | Self::Unequal(_) => "cmp",
            Self::Lookup { .. } => "lookup",
            Self::Accept => "immediate",
        }
    }

    fn write_data(&self, out: &mut Vec<u8>) {
        match self {
            // `enum nft_meta_attributes`: key, register.
            Self::Meta(key) => {
                number_attribute(out, 2, *key as u32);
                number_attribute(out, 1, REGISTER);
            }
            // `enum nft_payload_attributes`: register, base, offset, length.
            Self::Payload { base, offset, length } => {
                number_attribute(out, 1, REGISTER);
                number_attribute(out, 2, *base as u32);
                number_attribute(out, 3, *offset);
                number_attribute(out, 4, *length);
            }
            // `enum nft_bitwise_attributes`: source and destination register, length, mask, exclusive or.
            Self::Bits { mask, turn } => {
                number_attribute(out, 1, REGISTER);
                number_attribute(out, 2, REGISTER);
                number_attribute(out, 3, u32::try_from(mask.len()).expect("a header's field is short"));
                value(out, 4, mask);
                value(out, 5, turn);
            }
            // `enum nft_lookup_attributes`: set, register, flags.
            Self::Lookup { is_inverted } => {
                string_attribute(out, 1, GATE);
                number_attribute(out, 2, REGISTER);
                number_attribute(out, 5, u32::from(*is_inverted));
            }
            Self::Equal(bytes) => compare(out, CMP_EQUAL, bytes),
            Self::Unequal(bytes) => compare(out, CMP_UNEQUAL, bytes),
            // `enum nft_immediate_attributes`: register, data; the data is a verdict, the verdict a code.
            Self::Accept => {
                number_attribute(out, 1, VERDICT_REGISTER);
                nested(out, 2, |out| nested(out, 2, |out| number_attribute(out, 1, NF_ACCEPT)));
            }
        }
    }
}

/// `enum nft_cmp_attributes`: register, operator, data.
fn compare(out: &mut Vec<u8>, operator: u32, bytes: &[u8]) {
    number_attribute(out, 1, REGISTER);
    number_attribute(out, 2, operator);
    value(out, 3, bytes);
}

/// `enum nft_data_attributes`: a value.
fn value(out: &mut Vec<u8>, kind: u16, bytes: &[u8]) {
    nested(out, kind, |out| bytes_attribute(out, 1, bytes));
}
