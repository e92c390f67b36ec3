use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

use super::HostFiles;

/// systemd-resolved listens on loopback; its own upstreams are in the second file.
const FILES: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];
/// glibc uses three; systemd lists as many as there are.
const MOST: usize = 8;

impl HostFiles {
    /// The DNS servers that the host is configured with (resolv.conf(5)), without those on loopback. At most 8.
    #[must_use]
    pub fn resolvers(&self) -> Vec<IpAddr> {
        let texts = FILES.into_iter().filter_map(|file| self.text(file));
        let mut seen = BTreeSet::new();
        texts
            .flat_map(|text| text.lines().filter_map(name_server).collect::<Vec<_>>())
            .filter(|address| is_remote(*address) && seen.insert(*address))
            .take(MOST)
            .collect()
    }
}

fn name_server(line: &str) -> Option<IpAddr> {
    let mut words = line.split_whitespace();
    if words.next()? != "nameserver" {
        return None;
    }
    let address = words.next()?;
    address.split('%').next()?.parse().ok()
}

fn is_remote(address: IpAddr) -> bool {
    !(address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address == IpAddr::V4(Ipv4Addr::BROADCAST))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn upstreams_of_the_local_stub_are_found() {
        let root = tempfile::tempdir().unwrap();
        let host = HostFiles::under(root.path());
        assert_eq!(host.resolvers(), Vec::<IpAddr>::new());
        fs::create_dir_all(host.path("/etc")).unwrap();
        fs::create_dir_all(host.path("/run/systemd/resolve")).unwrap();
        fs::write(host.path("/etc/resolv.conf"), "# stub\nnameserver 127.0.0.53\noptions edns0\n").unwrap();
        let upstreams = "nameserver 10.0.0.2\nnameserver fe80::1%eth0\nnameserver 10.0.0.2\nnameserver ff02::1\nnameserver x\n";
        fs::write(host.path("/run/systemd/resolve/resolv.conf"), upstreams).unwrap();
        let expected: Vec<IpAddr> =
            ["10.0.0.2", "fe80::1"].iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(host.resolvers(), expected);
    }
}
