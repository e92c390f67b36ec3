//! What an operator should know before the click. Looks, changes nothing.

mod host;
mod network;

use std::net::SocketAddr;

use voltaxe_protocol::{Direction, Exception, PreflightKind, PreflightWarning, Protocol, Session};

use super::{
    device::Link,
    host::{Connection, HostFiles},
    ruleset::Plan,
};

const DNS: u16 = 53;

/// What was asked of the kernel for it.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) links: Vec<Link>,
    /// Each server's address and the index of the device towards it.
    pub(super) ways: Vec<(SocketAddr, Option<u32>)>,
}

pub(super) fn warnings(files: &HostFiles, found: &Found) -> Vec<PreflightWarning> {
    let mut warnings = network::warnings(files, found);
    warnings.extend(host::warnings(files));
    warnings
}

/// Logins that the plan does not keep.
pub(super) fn sessions_cut(files: &HostFiles, plan: &Plan) -> Vec<Session> {
    let is_kept = |session: &Session| {
        session.from.parse().is_ok_and(|from: std::net::IpAddr| {
            plan.openings.exceptions.iter().any(|exception| {
                exception.protocol == Protocol::Tcp
                    && exception.direction == Direction::Inbound
                    && exception.network.contains(&from)
            })
        })
    };
    files.sessions().into_iter().filter(|session| !is_kept(session)).collect()
}

/// How many open TCP connections the plan cuts, and how many it keeps.
pub(super) fn count_connections(files: &HostFiles, plan: &Plan) -> (u32, u32) {
    let connections = files.connections();
    let kept = connections.iter().filter(|connection| is_kept(connection, plan)).count();
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    (count(connections.len() - kept), count(kept))
}

fn is_kept(connection: &Connection, plan: &Plan) -> bool {
    let Connection { local, remote } = connection;
    let is_by_exception = |exception: &Exception| {
        let port = match exception.direction {
            Direction::Outbound => remote.port(),
            Direction::Inbound => local.port(),
        };
        exception.protocol == Protocol::Tcp
            && exception.port == Some(port)
            && exception.network.contains(&remote.ip())
    };
    let is_direct = plan.direct_port == Some(local.port())
        && plan.servers.iter().any(|server| server.ip() == remote.ip());
    plan.servers.contains(remote)
        || is_direct
        || (remote.port() == DNS && plan.openings.resolvers.contains(&remote.ip()))
        || plan.openings.exceptions.iter().any(is_by_exception)
}

fn warning(kind: PreflightKind, message: impl Into<String>) -> PreflightWarning {
    PreflightWarning { kind, message: message.into() }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use voltaxe_protocol::CommandId;

    use super::*;
    use crate::isolation::ruleset::opening::Openings;

    fn kinds(warnings: &[PreflightWarning]) -> Vec<PreflightKind> {
        warnings.iter().map(|warning| warning.kind).collect()
    }

    fn link(index: u32, name: &str, kind: Option<&str>) -> Link {
        Link { index, name: name.to_owned(), kind: kind.map(str::to_owned) }
    }

    #[test]
    fn a_plain_host_gives_no_warning() {
        let root = tempfile::tempdir().unwrap();
        let found = Found {
            links: vec![link(2, "eth0", None)],
            ways: vec![("10.0.0.1:443".parse().unwrap(), Some(2))],
        };
        assert_eq!(warnings(&HostFiles::under(root.path()), &found), vec![]);
    }

    #[test]
    fn each_trap_is_named() {
        let root = tempfile::tempdir().unwrap();
        let host = HostFiles::under(root.path());
        let files = [
            ("/proc/mounts", "10.0.0.5:/export / nfs4 rw 0 0\nproc /proc proc rw 0 0\n"),
            ("/proc/sys/net/ipv4/ip_forward", "1\n"),
            ("/proc/thread-self/net/snmp", "Ip: Forwarding DefaultTTL ForwDatagrams\nIp: 1 64 12345\n"),
            ("/proc/7/comm", "firewalld\n"),
            ("/etc/ufw/ufw.conf", "ENABLED=yes\n"),
            ("/proc/sys/kernel/osrelease", "5.10.0-21-amd64\n"),
        ];
        for (path, text) in files {
            fs::create_dir_all(host.path(path).parent().unwrap()).unwrap();
            fs::write(host.path(path), text).unwrap();
        }
        let found = Found {
            links: vec![
                link(2, "eth0", None),
                link(3, "wg0", Some("wireguard")),
                link(4, "mv0", Some("macvlan")),
                link(5, "vnet0", Some("tun")),
            ],
            ways: vec![("10.0.0.1:443".parse().unwrap(), Some(3)), ("[fd00::1]:443".parse().unwrap(), None)],
        };
        let warnings = warnings(&host, &found);
        let expected = [
            PreflightKind::Tunnel,
            PreflightKind::Containers,
            PreflightKind::Hypervisor,
            PreflightKind::Router,
            PreflightKind::NotCovered,
            PreflightKind::FirewallManager,
            PreflightKind::NetworkStorage,
        ];
        assert_eq!(kinds(&warnings), expected, "{warnings:#?}");
        assert!(warnings[0].message.contains("wg0 (wireguard)"), "{}", warnings[0].message);
        assert!(warnings[5].message.contains("firewalld, ufw"), "{}", warnings[5].message);
    }

    #[test]
    fn a_server_behind_a_forwarder_on_this_host_is_named() {
        let root = tempfile::tempdir().unwrap();
        let found = Found { links: Vec::new(), ways: vec![("127.0.0.1:3128".parse().unwrap(), Some(1))] };
        let warnings = warnings(&HostFiles::under(root.path()), &found);
        assert_eq!(kinds(&warnings), [PreflightKind::Proxy]);
        assert!(warnings[0].message.contains("127.0.0.1:3128"), "{}", warnings[0].message);
    }

    #[test]
    fn connections_are_kept_by_server_exception_and_resolver() {
        let exception = |direction, port| Exception {
            network: "10.1.0.0/16".parse().unwrap(),
            direction,
            protocol: Protocol::Tcp,
            port: Some(port),
            until: None,
        };
        let openings = Openings {
            exceptions: vec![exception(Direction::Outbound, 443), exception(Direction::Inbound, 22)],
            resolvers: vec!["10.0.0.53".parse().unwrap()],
            ..Openings::default()
        };
        let plan = Plan::new(CommandId(1), &["10.0.0.1:8443".parse().unwrap()], &[]).with_openings(openings);
        let connection = |local: &str, remote: &str| Connection {
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
        };
        for (local, remote, kept) in [
            ("10.0.0.2:50000", "10.0.0.1:8443", true),
            ("10.0.0.2:50000", "10.0.0.1:22", false),
            ("10.0.0.2:50000", "10.1.2.3:443", true),
            ("10.0.0.2:50000", "10.1.2.3:22", false),
            ("10.0.0.2:22", "10.1.2.3:50000", true),
            ("10.0.0.2:50000", "10.0.0.53:53", true),
            ("10.0.0.2:22", "192.0.2.1:50000", false),
        ] {
            assert_eq!(is_kept(&connection(local, remote), &plan), kept, "{local} {remote}");
        }
    }
}
