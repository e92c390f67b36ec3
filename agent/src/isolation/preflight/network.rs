//! Traps on the network: tunnels, guests, routed traffic.

use voltaxe_protocol::{PreflightKind, PreflightWarning};

use super::{Found, warning};
use crate::isolation::{device::Link, host::HostFiles};

const TUNNELS: [&str; 13] = [
    "tun",
    "wireguard",
    "ovpn",
    "ppp",
    "gre",
    "gretap",
    "ip6gre",
    "ipip",
    "sit",
    "ip6tnl",
    "vti",
    "vti6",
    "xfrm",
];
const CONTAINERS: [&str; 4] = ["macvlan", "ipvlan", "macvtap", "ipvtap"];
/// IFF_TAP (linux/if_tun.h).
const FLAG_TAP: u32 = 0x2;
/// Linux 5.16 was the first with an egress hook.
const FIRST_WITH_EGRESS: (u32, u32) = (5, 16);

pub(super) fn warnings(files: &HostFiles, found: &Found) -> Vec<PreflightWarning> {
    [
        tunnel(found),
        proxy(found),
        containers(files, found),
        hypervisor(files, found),
        router(files),
        egress(files),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn tunnel(found: &Found) -> Option<PreflightWarning> {
    let is_tunnel = |link: &&Link| link.kind.as_deref().is_some_and(|kind| TUNNELS.contains(&kind));
    let (server, link) = found.ways.iter().find_map(|(server, index)| {
        let link = found.links.iter().find(|link| Some(link.index) == *index)?;
        is_tunnel(&link).then_some((server, link))
    })?;
    Some(warning(
        PreflightKind::Tunnel,
        format!(
            "The way to the server ({server}) leads through {}, a tunnel whose own packets are cut off as well: without an \
             exception for the tunnel's other end the isolation is rolled back after 30 s",
            named(link)
        ),
    ))
}

/// The agent uses no proxy of its own accord, whatever the environment says; but its server's address may be that of one.
fn proxy(found: &Found) -> Option<PreflightWarning> {
    let (server, _) = found.ways.iter().find(|(server, _)| server.ip().is_loopback())?;
    Some(warning(
        PreflightKind::Proxy,
        format!(
            "The agent reaches its server at {server}, on this host itself: if a proxy or forwarder listens there, its own \
             connection is cut off, and without an exception for that the isolation is rolled back after 30 s"
        ),
    ))
}

fn containers(files: &HostFiles, found: &Found) -> Option<PreflightWarning> {
    let devices: Vec<String> = found
        .links
        .iter()
        .filter(|link| link.kind.as_deref().is_some_and(|kind| CONTAINERS.contains(&kind)))
        .map(named)
        .collect();
    let namespaces = files.other_namespaces();
    if devices.is_empty() && namespaces == 0 {
        return None;
    }
    let mut parts = Vec::new();
    if !devices.is_empty() {
        parts.push(format!("devices of containers ({})", devices.join(", ")));
    }
    if namespaces > 0 {
        parts.push(format!("{namespaces} network namespaces with processes"));
    }
    Some(warning(
        PreflightKind::Containers,
        format!("There are {}: containers lose their network, too", parts.join(" and ")),
    ))
}

fn hypervisor(files: &HostFiles, found: &Found) -> Option<PreflightWarning> {
    let is_tap = |link: &&Link| {
        let flags = files.text(&format!("/sys/class/net/{}/tun_flags", link.name));
        let flags = flags.and_then(|text| u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok());
        link.kind.as_deref() == Some("tun")
            && flags.map_or_else(
                || link.name.starts_with("vnet") || link.name.starts_with("tap"),
                |flags| flags & FLAG_TAP != 0,
            )
    };
    let taps: Vec<String> = found.links.iter().filter(is_tap).map(|link| link.name.clone()).collect();
    let uses_kvm = files.is_open("/dev/kvm");
    if taps.is_empty() && !uses_kvm {
        return None;
    }
    let by = if taps.is_empty() { "a process has /dev/kvm open".to_owned() } else { taps.join(", ") };
    Some(warning(
        PreflightKind::Hypervisor,
        format!("Virtual machines run here ({by}): they lose their network, too"),
    ))
}

fn router(files: &HostFiles) -> Option<PreflightWarning> {
    let is_on = |file: &str| files.text(file).is_some_and(|text| text.trim() == "1");
    let forwards = is_on("/proc/sys/net/ipv4/ip_forward") || is_on("/proc/sys/net/ipv6/conf/all/forwarding");
    let forwarded = forwarded_packets(files);
    (forwards && forwarded > 0).then(|| {
        warning(
            PreflightKind::Router,
            format!(
                "This host has forwarded {forwarded} packets of others; forwarding stops while it is isolated"
            ),
        )
    })
}

/// Since the start, of IPv4 (proc_net_snmp(5): a line of names, a line of values) and IPv6 (a name and a value a line).
fn forwarded_packets(files: &HostFiles) -> u64 {
    let v4 = files.text("/proc/thread-self/net/snmp").and_then(|text| {
        let mut lines = text.lines().filter(|line| line.starts_with("Ip:"));
        let (names, values) = (lines.next()?, lines.next()?);
        let index = names.split_whitespace().position(|name| name == "ForwDatagrams")?;
        values.split_whitespace().nth(index)?.parse::<u64>().ok()
    });
    let v6 = files.text("/proc/thread-self/net/snmp6").and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("Ip6OutForwDatagrams"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    });
    v4.unwrap_or(0) + v6.unwrap_or(0)
}

fn egress(files: &HostFiles) -> Option<PreflightWarning> {
    let release = files.text("/proc/sys/kernel/osrelease")?;
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next()?, numbers.next()?);
    (version < FIRST_WITH_EGRESS).then(|| {
        warning(
            PreflightKind::NotCovered,
            format!(
                "The kernel ({}) has no egress hook, which came with 5.16: IP traffic is stopped, raw frames and macvlan \
                 containers are not",
                release.trim()
            ),
        )
    })
}

fn named(link: &Link) -> String {
    match &link.kind {
        Some(kind) => format!("{} ({kind})", link.name),
        None => link.name.clone(),
    }
}
