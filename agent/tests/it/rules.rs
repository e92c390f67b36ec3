//! nft is the reference for what we tell the kernel ourselves.

use std::{fs, path::Path};

use chrono::TimeDelta;
use voltaxe_protocol::{CommandId, Direction, Exception, ObservedIsolation, Protocol};
use voltaxe_sentinel::{
    clock::wall,
    isolation::{HostFiles, Kernel, Terms, ruleset::Existing},
    state_dir::StateDir,
};

use crate::net::{World, ip};

#[test]
fn the_kernel_holds_exactly_what_nft_makes_of_the_text() {
    let world = World::new();
    let (host, lan) = (world.name("host"), world.name("lan"));
    ip(&["-n", &lan, "link", "add", "spare", "type", "veth", "peer", "name", "eth1", "netns", &host]);
    let servers = ["10.77.0.1:8080", "[fd77::1]:8080"].map(|server| server.parse().unwrap());
    let root = tempfile::tempdir().unwrap();
    write_host_files(root.path());
    for (direct_port, terms) in [(None, Terms::default()), (Some(8082), everything())] {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::open(directory.path()).unwrap();
        let mut kernel =
            Kernel::new(state, None).with_direct_port(direct_port).with_host(HostFiles::under(root.path()));
        world.within("host", || {
            // The second replaces the first, and once more itself.
            for generation in [41, 42, 42] {
                let observed = kernel.isolate(CommandId(generation), &servers, &terms, wall()).unwrap();
                assert_eq!(observed.state, ObservedIsolation::Isolated);
                assert_eq!((observed.generation, observed.detail), (Some(CommandId(generation)), None));
                assert!(observed.is_provisional);
                assert_eq!(
                    (observed.exceptions, observed.allows_dns),
                    (terms.exceptions.clone(), terms.allow_dns)
                );
            }
        });
        compare_with_nft(&world, &kernel);
        world.within("host", || {
            // nft's tables are ours as well, and give way.
            let observed = kernel.confirm_contact(CommandId(42), &servers, wall()).unwrap();
            assert_eq!((observed.state, observed.is_provisional), (ObservedIsolation::Isolated, false));
            assert_eq!(observed.auto_restore_at, terms.auto_restore_at);
        });
        let has_timers = terms != Terms::default();
        assert_eq!(world.ruleset().contains("@gate"), has_timers);
        assert_eq!(world.ruleset().contains("tcp dport 8082"), direct_port.is_some());
        compare_with_nft(&world, &kernel);
        world.nft("flush ruleset");
    }
}

fn compare_with_nft(world: &World, kernel: &Kernel) {
    let ours = (timeless(&world.ruleset()), timeless(&world.expressions()));
    assert!(ours.0.contains("ip6 saddr fd77::1 tcp sport 8080") && ours.1.contains("[ bitwise reg 1"));
    let rules = kernel.applied().unwrap().rules.as_ref().unwrap();
    world.nft("flush ruleset");
    world.nft(&rules.plan(wall()).script(Existing::default()));
    assert_eq!(timeless(&world.ruleset()), ours.0);
    assert_eq!(timeless(&world.expressions()), ours.1);
}

/// Without what is left of timers, and the order of a set's elements, which the kernel chooses.
fn timeless(listing: &str) -> String {
    let line = |line: &str| {
        let trimmed = line.trim_start();
        if let Some(elements) = trimmed.strip_prefix("elements = {") {
            let mut keys: Vec<&str> =
                elements.split(',').filter_map(|one| one.split_whitespace().next()).collect();
            keys.sort_unstable();
            return keys.join(" ");
        }
        if trimmed.starts_with("element ") || trimmed.contains(" timeout ") {
            return trimmed
                .split_whitespace()
                .filter(|word| word.starts_with("0x"))
                .collect::<Vec<_>>()
                .join(" ");
        }
        // A rule's handle, of which each transaction takes others.
        line.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ').to_owned()
    };
    listing.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn everything() -> Terms {
    let exception = |network: &str, direction, protocol, port, seconds: Option<i64>| Exception {
        network: network.parse().unwrap(),
        direction,
        protocol,
        port,
        until: seconds.map(|seconds| wall() + TimeDelta::seconds(seconds)),
    };
    Terms {
        exceptions: vec![
            exception("10.0.0.0/8", Direction::Outbound, Protocol::Tcp, Some(443), None),
            exception("10.0.0.0/9", Direction::Inbound, Protocol::Tcp, Some(22), Some(600)),
            exception("10.77.0.9/32", Direction::Outbound, Protocol::Udp, Some(514), Some(90)),
            exception("10.77.0.64/27", Direction::Inbound, Protocol::Icmp, None, None),
            exception("fd77::/64", Direction::Inbound, Protocol::Udp, Some(161), None),
            exception("fd77::8000/113", Direction::Outbound, Protocol::Icmp, None, None),
        ],
        allow_dns: true,
        auto_restore_at: Some(wall() + TimeDelta::hours(2)),
    }
}

fn write_host_files(root: &Path) {
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("etc/resolv.conf", "nameserver 10.77.0.53\nnameserver fd77::53\n");
    write("run/systemd/netif/leases/2", "ADDRESS=10.77.0.2\nSERVER_ADDRESS=10.77.0.254\n");
}
