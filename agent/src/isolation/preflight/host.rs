//! Traps on the host itself: other masters of the rules, and storage behind the network.

use voltaxe_protocol::{PreflightKind, PreflightWarning};

use super::warning;
use crate::isolation::host::HostFiles;

/// By the names of their processes.
const MANAGERS: [&str; 8] = [
    "firewalld",
    "dockerd",
    "containerd",
    "kube-proxy",
    "kubelet",
    "libvirtd",
    "virtnetworkd",
    "fail2ban-server",
];
const NETWORK_FILE_SYSTEMS: [&str; 10] =
    ["nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "glusterfs", "fuse.glusterfs", "fuse.sshfs", "ocfs2"];
/// What the host does not live without.
const NEEDED: [&str; 4] = ["/", "/usr", "/var", "/etc"];

pub(super) fn warnings(files: &HostFiles) -> Vec<PreflightWarning> {
    [firewall_managers(files), network_storage(files)].into_iter().flatten().collect()
}

fn firewall_managers(files: &HostFiles) -> Option<PreflightWarning> {
    let processes = files.process_names();
    let mut found: Vec<String> =
        MANAGERS.into_iter().filter(|name| processes.contains(*name)).map(str::to_owned).collect();
    let ufw = files.text("/etc/ufw/ufw.conf").unwrap_or_default();
    if ufw.lines().any(|line| line.trim().eq_ignore_ascii_case("ENABLED=yes")) {
        found.push("ufw".to_owned());
    }
    let legacy = ["/proc/thread-self/net/ip_tables_names", "/proc/thread-self/net/ip6_tables_names"];
    if legacy.into_iter().any(|file| files.text(file).is_some_and(|text| !text.trim().is_empty())) {
        found.push("iptables-legacy".to_owned());
    }
    (!found.is_empty()).then(|| {
        warning(
            PreflightKind::FirewallManager,
            format!(
                "Others change this host's rules as well ({}): a reload that takes ours away is found and undone within \
                 10 s",
                found.join(", ")
            ),
        )
    })
}

fn network_storage(files: &HostFiles) -> Option<PreflightWarning> {
    let mounts = files.text("/proc/mounts").unwrap_or_default();
    let is_network = |kind: &str| NETWORK_FILE_SYSTEMS.contains(&kind);
    let mut found: Vec<String> = mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            Some((words.next()?, words.next()?))
        })
        .filter(|(place, kind)| is_network(kind) && NEEDED.contains(place))
        .map(|(place, kind)| format!("{place} is on {kind}"))
        .collect();
    let network_places: Vec<&str> = mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            let place = words.next()?;
            is_network(words.next()?).then_some(place)
        })
        .collect();
    let swaps = files.text("/proc/swaps").unwrap_or_default();
    found.extend(
        swaps
            .lines()
            .skip(1)
            .filter_map(|line| line.split_whitespace().next())
            .filter(|swap| {
                swap.starts_with("/dev/nbd")
                    || network_places
                        .iter()
                        .any(|place| *place != "/" && swap.starts_with(&format!("{place}/")))
            })
            .map(|swap| format!("swap is on {swap}")),
    );
    if std::fs::read_dir(files.path("/sys/class/iscsi_session")).is_ok_and(|mut all| all.next().is_some()) {
        found.push("iSCSI disks are attached".to_owned());
    }
    (!found.is_empty()).then(|| {
        warning(
            PreflightKind::NetworkStorage,
            format!(
                "Storage that this host needs is on the network ({}): it hangs when isolated without an exception for it",
                found.join(", ")
            ),
        )
    })
}
