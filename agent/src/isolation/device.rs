//! The host's network devices and addresses.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::netlink::{
    Netlink,
    attribute::{attribute, text},
    u32_at,
};

const GET_LINK: u16 = 18;
const GET_ADDRESS: u16 = 22;
const LINK_HEADER_BYTES: usize = 16;
const LINK_FLAGS_OFFSET: usize = 8;
const LINK_NAME: u16 = 3;
const FLAG_LOOPBACK: u32 = 0x8;
const ADDRESS_HEADER_BYTES: usize = 8;
const ADDRESS: u16 = 1;
const ADDRESS_LOCAL: u16 = 2;

/// Every device but loopback, whether up or down.
pub(super) fn devices(route: &mut Netlink) -> io::Result<Vec<String>> {
    let links = route.dump(GET_LINK, &[0; LINK_HEADER_BYTES])?;
    Ok(links
        .iter()
        .filter(|link| u32_at(link, LINK_FLAGS_OFFSET).is_some_and(|flags| flags & FLAG_LOOPBACK == 0))
        .filter_map(|link| attribute(link.get(LINK_HEADER_BYTES..)?, LINK_NAME).map(text))
        .collect())
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
