use std::net::Ipv4Addr;

use super::HostFiles;
use crate::isolation::ruleset::opening::Dhcp;

impl HostFiles {
    /// The servers whose leases the host holds, as systemd-networkd, dhclient and NetworkManager record them;
    /// `None` when no client holds any.
    #[must_use]
    pub fn dhcp(&self) -> Option<Dhcp> {
        let by_number = ["/run/systemd/netif/leases", "/run/NetworkManager/devices"];
        let networkd = by_number.into_iter().flat_map(|directory| {
            self.texts_in(directory, |name| name.bytes().all(|byte| byte.is_ascii_digit()))
        });
        let managers = self.texts_in("/var/lib/NetworkManager", |name| name.ends_with(".lease"));
        let dhclient = ["/var/lib/dhcp", "/var/lib/dhclient"].into_iter().flat_map(|directory| {
            self.texts_in(directory, |name| name.ends_with(".leases") || name.ends_with(".lease"))
        });
        let found: Vec<Lease> = networkd
            .chain(managers)
            .filter_map(|text| assigned(&text))
            .chain(dhclient.filter_map(|text| last_block(&text)))
            .collect();
        if found.is_empty() {
            return None;
        }
        let mut servers: Vec<Ipv4Addr> = found.into_iter().filter_map(|lease| lease.server).collect();
        servers.retain(|server| !(server.is_unspecified() || server.is_broadcast() || server.is_multicast()));
        servers.sort_unstable();
        servers.dedup();
        Some(Dhcp { servers })
    }
}

struct Lease {
    /// `None` for one of DHCPv6, whose clients talk to all servers of the link.
    server: Option<Ipv4Addr>,
}

/// Lines `NAME=value`, as networkd and NetworkManager's internal client write them.
fn assigned(text: &str) -> Option<Lease> {
    let value = |names: &[&str]| {
        text.lines().filter_map(|line| line.split_once('=')).find(|(name, _)| names.contains(&name.trim()))
    };
    let server = value(&["SERVER_ADDRESS", "dhcp_server_identifier", "dhcp4.dhcp_server_identifier"])?.1;
    Some(Lease { server: server.trim().parse().ok() })
}

/// dhclient appends a block a lease; the last one counts (dhclient.leases(5)).
fn last_block(text: &str) -> Option<Lease> {
    if text.contains("lease6 {") {
        return Some(Lease { server: None });
    }
    let block = &text[text.rfind("lease {")?..];
    let server = block.lines().find_map(|line| line.trim().strip_prefix("option dhcp-server-identifier "))?;
    Some(Lease { server: server.trim_end_matches(';').trim().parse().ok() })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn each_client_names_its_server() {
        let root = tempfile::tempdir().unwrap();
        let host = HostFiles::under(root.path());
        assert_eq!(host.dhcp(), None);
        let files = [
            ("/run/systemd/netif/leases/2", "# private\nADDRESS=10.0.0.9\nSERVER_ADDRESS=10.0.0.1\n"),
            ("/var/lib/NetworkManager/internal-a-eth0.lease", "ADDRESS=10.1.0.9\nSERVER_ADDRESS=10.1.0.1\n"),
            (
                "/var/lib/dhcp/dhclient.eth1.leases",
                "lease {\n  option dhcp-server-identifier 10.2.0.7;\n}\nlease {\n  option dhcp-server-identifier 10.2.0.1;\n}\n",
            ),
            ("/var/lib/dhcp/dhclient6.leases", "default-duid \"x\";\nlease6 {\n}\n"),
        ];
        for (path, text) in files {
            fs::create_dir_all(host.path(path).parent().unwrap()).unwrap();
            fs::write(host.path(path), text).unwrap();
        }
        let servers = ["10.0.0.1", "10.1.0.1", "10.2.0.1"].map(|text| text.parse().unwrap()).to_vec();
        assert_eq!(host.dhcp(), Some(Dhcp { servers }));
    }
}
