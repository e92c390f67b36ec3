//! The host's network devices and addresses.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::netlink::{
    Netlink,
    attribute::{attribute, bytes_attribute, text},
    u32_at,
};

const GET_LINK: u16 = 18;
const GET_ADDRESS: u16 = 22;
const GET_ROUTE: u16 = 26;
const LINK_HEADER_BYTES: usize = 16;
const LINK_INDEX_OFFSET: usize = 4;
const LINK_FLAGS_OFFSET: usize = 8;
const LINK_NAME: u16 = 3;
const LINK_INFO: u16 = 18;
const LINK_INFO_KIND: u16 = 1;
const ROUTE_HEADER_BYTES: usize = 12;
const ROUTE_DESTINATION: u16 = 1;
const ROUTE_DEVICE: u16 = 4;
const FAMILY_IP4: u8 = 2;
const FAMILY_IP6: u8 = 10;
const FLAG_LOOPBACK: u32 = 0x8;
const ADDRESS_HEADER_BYTES: usize = 8;
const ADDRESS: u16 = 1;
const ADDRESS_LOCAL: u16 = 2;

/// A network device but loopback.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) name: String,
    /// What made it: `veth`, `wireguard`, `tun`, ..; hardware has none.
    pub(super) kind: Option<String>,
}

/// The names of all devices but loopback, whether up or down.
pub(super) fn devices(route: &mut Netlink) -> io::Result<Vec<String>> {
    Ok(links(route)?.into_iter().map(|link| link.name).collect())
}

pub(super) fn links(route: &mut Netlink) -> io::Result<Vec<Link>> {
    let links = route.dump(GET_LINK, &[0; LINK_HEADER_BYTES])?;
    Ok(links
        .iter()
        .filter(|link| u32_at(link, LINK_FLAGS_OFFSET).is_some_and(|flags| flags & FLAG_LOOPBACK == 0))
        .filter_map(|link| {
            let attributes = link.get(LINK_HEADER_BYTES..)?;
            let kind = attribute(attributes, LINK_INFO).and_then(|info| attribute(info, LINK_INFO_KIND));
            Some(Link {
                index: u32_at(link, LINK_INDEX_OFFSET)?,
                name: attribute(attributes, LINK_NAME).map(text)?,
                kind: kind.map(text),
            })
        })
        .collect())
}

/// The index of the device over which packets to an address leave; `None` without a route.
pub(super) fn way_to(route: &mut Netlink, address: IpAddr) -> io::Result<Option<u32>> {
    let (family, bytes) = match address {
        IpAddr::V4(v4) => (FAMILY_IP4, v4.octets().to_vec()),
        IpAddr::V6(v6) => (FAMILY_IP6, v6.octets().to_vec()),
    };
    let mut request = vec![0; ROUTE_HEADER_BYTES];
    request[0] = family;
    request[1] = u8::try_from(bytes.len() * 8).unwrap_or(u8::MAX);
    bytes_attribute(&mut request, ROUTE_DESTINATION, &bytes);
    let answer = match route.get(GET_ROUTE, &request) {
        Err(error) if error.kind() == io::ErrorKind::NetworkUnreachable => None,
        other => other?,
    };
    Ok(answer.and_then(|answer| u32_at(attribute(answer.get(ROUTE_HEADER_BYTES..)?, ROUTE_DEVICE)?, 0)))
}

/// Addresses of all devices, without loopback and link-local ones, in the kernel's order.
pub fn addresses() -> io::Result<Vec<IpAddr>> {
    let answers = Netlink::route()?.dump(GET_ADDRESS, &[0; ADDRESS_HEADER_BYTES])?;
    Ok(answers
        .iter()
        .filter_map(|answer| {
            let attributes = answer.get(ADDRESS_HEADER_BYTES..)?;
            // On a point-to-point link only the local one is ours.
            address(attribute(attributes, ADDRESS_LOCAL).or_else(|| attribute(attributes, ADDRESS))?)
        })
        .filter(|address| match address {
            IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
            IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
        })
        .collect())
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(v4).into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|v6| Ipv6Addr::from(v6).into())
}
