//! Packets as an attacker with root makes them: frames past the IP stack, extension headers, fragments.
#![expect(unsafe_code, reason = "rustix has no address of a link-layer socket")]

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddrV6},
    num::NonZeroU32,
};

use rustix::net::{
    AddressFamily, Protocol, SendFlags, SocketFlags, SocketType,
    addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque},
    netdevice::name_to_index,
    sendto, socket_with,
};

const UDP: u8 = 17;
const HOP_BY_HOP: u8 = 0;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;
const SOURCE_PORT: u16 = 5002;

/// An Ethernet frame to everybody on the wire, through a packet socket on `eth0`.
pub(crate) fn send_frame(ether_type: u16, packet: &[u8]) {
    let mut frame = vec![0xff; 6];
    frame.extend_from_slice(&[2, 0, 0, 0, 0, 1]);
    frame.extend_from_slice(&ether_type.to_be_bytes());
    frame.extend_from_slice(packet);
    let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None).unwrap();
    let address = LinkAddress {
        family: AddressFamily::PACKET.as_raw(),
        protocol: ether_type.to_be(),
        index: name_to_index(&socket, "eth0").unwrap(),
        hardware_type: 0,
        packet_type: 0,
        address_bytes: 6,
        address: [0xff; 8],
    };
    // A packet that a filter drops is an error of some kernels, and none of others.
    let _ = sendto(&socket, &frame, SendFlags::empty(), &address);
}

/// A whole IPv6 packet, headers and all, through the IP stack.
pub(crate) fn send_ip6(packet: &[u8], destination: Ipv6Addr) {
    let raw = Protocol::from_raw(NonZeroU32::new(255).unwrap());
    let socket = socket_with(AddressFamily::INET6, SocketType::RAW, SocketFlags::CLOEXEC, Some(raw)).unwrap();
    let _ = sendto(&socket, packet, SendFlags::empty(), &SocketAddrV6::new(destination, 0, 0, 0));
}

/// A UDP datagram in IPv4. Without a checksum of its own, which IPv4 allows.
pub(crate) fn udp4(source: Ipv4Addr, destination: Ipv4Addr, port: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(28 + payload.len()).unwrap();
    let mut header = vec![0x45, 0];
    header.extend_from_slice(&length.to_be_bytes());
    header.extend_from_slice(&[0, 0, 0, 0, 64, UDP, 0, 0]);
    header.extend_from_slice(&source.octets());
    header.extend_from_slice(&destination.octets());
    let checksum = checksum(&header);
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    header.extend_from_slice(&udp(port, payload));
    header
}

/// A UDP datagram in IPv6, behind a hop-by-hop header and one with destination options, both without content.
pub(crate) fn udp6_behind_headers(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    port: u16,
    payload: &[u8],
) -> Vec<u8> {
    let padding = [0, 1, 4, 0, 0, 0, 0];
    let mut content = vec![DESTINATION_OPTIONS];
    content.extend_from_slice(&padding);
    content.push(UDP);
    content.extend_from_slice(&padding);
    content.extend_from_slice(&udp_in_ip6(source, destination, port, payload));
    ip6(source, destination, HOP_BY_HOP, &content)
}

/// The same in two fragments; the first holds the ports and 8 bytes.
pub(crate) fn udp6_in_fragments(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    port: u16,
    payload: &[u8],
) -> [Vec<u8>; 2] {
    let datagram = udp_in_ip6(source, destination, port, payload);
    let fragment = |offset: u16, more: u16, part: &[u8]| {
        let mut content = vec![UDP, 0];
        content.extend_from_slice(&(offset | more).to_be_bytes());
        content.extend_from_slice(&[0, 0, 0, 7]);
        content.extend_from_slice(part);
        ip6(source, destination, FRAGMENT, &content)
    };
    [fragment(0, 1, &datagram[..16]), fragment(16, 0, &datagram[16..])]
}

fn ip6(source: Ipv6Addr, destination: Ipv6Addr, next: u8, content: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend_from_slice(&u16::try_from(content.len()).unwrap().to_be_bytes());
    packet.extend_from_slice(&[next, 64]);
    packet.extend_from_slice(&source.octets());
    packet.extend_from_slice(&destination.octets());
    packet.extend_from_slice(content);
    packet
}

fn udp_in_ip6(source: Ipv6Addr, destination: Ipv6Addr, port: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = udp(port, payload);
    let mut pseudo = [source.octets(), destination.octets()].concat();
    pseudo.extend_from_slice(&u32::try_from(datagram.len()).unwrap().to_be_bytes());
    pseudo.extend_from_slice(&[0, 0, 0, UDP]);
    pseudo.extend_from_slice(&datagram);
    let checksum = checksum(&pseudo);
    datagram[6..8].copy_from_slice(&checksum.to_be_bytes());
    datagram
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = SOURCE_PORT.to_be_bytes().to_vec();
    datagram.extend_from_slice(&port.to_be_bytes());
    datagram.extend_from_slice(&u16::try_from(8 + payload.len()).unwrap().to_be_bytes());
    datagram.extend_from_slice(&[0, 0]);
    datagram.extend_from_slice(payload);
    datagram
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}

/// `struct sockaddr_ll` (packet(7)).
#[repr(C)]
struct LinkAddress {
    family: u16,
    protocol: u16,
    index: u32,
    hardware_type: u16,
    packet_type: u8,
    address_bytes: u8,
    address: [u8; 8],
}

// SAFETY: the pointer is to a whole `sockaddr_ll`, which lives as long as `self`.
unsafe impl SocketAddrArg for LinkAddress {
    unsafe fn with_sockaddr<R>(&self, f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R) -> R {
        f(std::ptr::from_ref(self).cast(), SocketAddrLen::try_from(size_of::<Self>()).unwrap())
    }
}
