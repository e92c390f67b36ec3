//! The rules as text. Pure: addresses, devices and a generation in, an nft script out.
//!
//! Everything is dropped but loopback, the server's addresses and port, and neighbour discovery. There is no rule for
//! established connections: it would let a session that is already open live on. No rule tracks connections either:
//! packets from the server are taken unless they open a connection (SYN without ACK), so isolating a host neither
//! switches connection tracking on nor depends on what it knows.
//!
//! An `inet` table does not see raw frames or what macvlan devices send, so each device also gets a `netdev` egress
//! chain.

use std::{
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
};

use voltaxe_protocol::CommandId;

/// The name of both our tables; nobody else's rules are ever touched.
pub const TABLE: &str = "voltaxe_isolation";
/// Before the host's own filters. Their drops stay drops: an accept ends one chain only.
pub const PRIORITY: i32 = -300;
const GENERATION_PREFIX: &str = "generation_";

/// What is to be in the kernel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    pub generation: CommandId,
    /// Sorted, without duplicates.
    pub servers: Vec<SocketAddr>,
    /// Devices that get an egress chain; empty where the kernel has none.
    pub devices: Vec<String>,
}

/// Which of our tables are in the kernel now.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Existing {
    pub inet: bool,
    pub netdev: bool,
}

/// A base chain as it must look when it is read back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ExpectedChain {
    pub name: String,
    pub hook: u32,
    pub rules: usize,
}

/// Hook numbers of `inet` chains, as the kernel's `enum nf_inet_hooks` has them.
const HOOK_INPUT: u32 = 1;
const HOOK_FORWARD: u32 = 2;
const HOOK_OUTPUT: u32 = 3;
/// Of `netdev` chains (`enum nf_dev_hooks`).
const HOOK_EGRESS: u32 = 1;

const RULES_IN: [&str; 5] = [
    "iiftype loopback accept",
    "icmpv6 type nd-neighbor-solicit ip6 hoplimit 255 accept",
    "icmpv6 type nd-neighbor-advert ip6 hoplimit 255 accept",
    "icmpv6 type nd-router-advert ip6 hoplimit 255 accept",
    "icmpv6 type mld-listener-query ip6 hoplimit 1 accept",
];
/// Also on the wire: without its multicast reports a host loses IPv6 behind switches that snoop them.
const RULES_NEIGHBOURS_OUT: [&str; 4] = [
    "icmpv6 type nd-neighbor-solicit ip6 hoplimit 255 accept",
    "icmpv6 type nd-neighbor-advert ip6 hoplimit 255 accept",
    "icmpv6 type nd-router-solicit ip6 hoplimit 255 accept",
    "icmpv6 type mld2-listener-report ip6 hoplimit 1 accept",
];

impl Plan {
    #[must_use]
    pub fn new(generation: CommandId, servers: &[SocketAddr], devices: &[String]) -> Self {
        let mut servers = servers.to_vec();
        servers.sort_unstable();
        servers.dedup();
        Self { generation, servers, devices: devices.to_vec() }
    }

    /// One transaction: whatever we had before is replaced, or nothing changes. Tables that are not there are not
    /// deleted: nft ends 10 ms later after a deletion.
    #[must_use]
    pub fn script(&self, existing: Existing) -> String {
        let mut script = String::new();
        if existing.inet {
            let _ = writeln!(script, "delete table inet {TABLE}");
        }
        if existing.netdev {
            let _ = writeln!(script, "delete table netdev {TABLE}");
        }
        self.write_inet(&mut script);
        if !self.devices.is_empty() {
            self.write_netdev(&mut script);
        }
        script
    }

    fn write_inet(&self, out: &mut String) {
        let mut output = vec!["oiftype loopback accept".to_owned()];
        output.extend(self.rules_to_servers());
        output.extend(RULES_NEIGHBOURS_OUT.map(str::to_owned));
        let _ = writeln!(out, "table inet {TABLE} {{");
        chain(out, "input", &hook("input", None), &self.rules_in());
        chain(out, "forward", &hook("forward", None), &[]);
        chain(out, "output", &hook("output", None), &output);
        let _ = writeln!(out, "\tchain {} {{\n\t}}\n}}", generation_chain(self.generation));
    }

    fn write_netdev(&self, out: &mut String) {
        let mut egress = vec!["meta protocol arp accept".to_owned()];
        egress.extend(self.rules_to_servers());
        egress.extend(RULES_NEIGHBOURS_OUT.map(str::to_owned));
        let _ = writeln!(out, "table netdev {TABLE} {{");
        for (index, device) in self.devices.iter().enumerate() {
            chain(out, &egress_chain(index), &hook("egress", Some(device)), &egress);
        }
        out.push_str("}\n");
    }

    #[must_use]
    pub fn inet_chains(&self) -> Vec<ExpectedChain> {
        let servers = self.servers.len();
        let neighbours = RULES_NEIGHBOURS_OUT.len();
        vec![
            ExpectedChain { name: "input".to_owned(), hook: HOOK_INPUT, rules: RULES_IN.len() + servers },
            ExpectedChain { name: "forward".to_owned(), hook: HOOK_FORWARD, rules: 0 },
            ExpectedChain { name: "output".to_owned(), hook: HOOK_OUTPUT, rules: 1 + servers + neighbours },
        ]
    }

    #[must_use]
    pub fn netdev_chains(&self) -> Vec<ExpectedChain> {
        let rules = 1 + self.servers.len() + RULES_NEIGHBOURS_OUT.len();
        (0..self.devices.len())
            .map(|index| ExpectedChain { name: egress_chain(index), hook: HOOK_EGRESS, rules })
            .collect()
    }

    fn rules_to_servers(&self) -> impl Iterator<Item = String> {
        self.servers.iter().map(|server| {
            format!("{} daddr {} tcp dport {} accept", family(*server), server.ip(), server.port())
        })
    }

    fn rules_in(&self) -> Vec<String> {
        let from_server = self.servers.iter().map(|server| {
            let (family, ip, port) = (family(*server), server.ip(), server.port());
            format!("{family} saddr {ip} tcp sport {port} tcp flags & (syn | ack) != syn accept")
        });
        let [loopback, rest @ ..] = RULES_IN;
        std::iter::once(loopback.to_owned()).chain(from_server).chain(rest.map(str::to_owned)).collect()
    }
}

/// The chain whose name tells the generation. It holds no rule and hooks nothing.
#[must_use]
pub fn generation_chain(generation: CommandId) -> String {
    format!("{GENERATION_PREFIX}{generation}")
}

#[must_use]
pub fn generation_of_chain(name: &str) -> Option<CommandId> {
    name.strip_prefix(GENERATION_PREFIX)?.parse().ok()
}

/// Whether an nft script can name the device; the kernel allows more characters than nft's quoting does.
#[must_use]
pub fn is_nameable(device: &str) -> bool {
    !device.is_empty()
        && device
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'@' | b'+'))
}

fn family(server: SocketAddr) -> &'static str {
    match server.ip() {
        IpAddr::V4(_) => "ip",
        IpAddr::V6(_) => "ip6",
    }
}

fn egress_chain(index: usize) -> String {
    format!("egress_{index}")
}

fn hook(name: &str, device: Option<&str>) -> String {
    let device = device.map(|device| format!(" device \"{device}\"")).unwrap_or_default();
    format!("type filter hook {name}{device} priority {PRIORITY}; policy drop;")
}

fn chain(out: &mut String, name: &str, hook: &str, rules: &[String]) {
    let _ = writeln!(out, "\tchain {name} {{\n\t\t{hook}");
    for rule in rules {
        let _ = writeln!(out, "\t\t{rule}");
    }
    out.push_str("\t}\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let servers =
            ["[fd77::1]:8080", "10.77.0.1:8080", "10.77.0.1:8080"].map(|text| text.parse().unwrap());
        Plan::new(CommandId(42), &servers, &["eth0".to_owned(), "wlan0".to_owned()])
    }

    #[test]
    fn text_is_as_reviewed() {
        assert_eq!(plan().script(Existing::default()), include_str!("reviewed.nft"));
    }

    #[test]
    fn what_is_there_is_replaced_in_the_same_transaction() {
        let both = plan().script(Existing { inet: true, netdev: true });
        let deletes = "delete table inet voltaxe_isolation\ndelete table netdev voltaxe_isolation\n";
        assert_eq!(both, format!("{deletes}{}", include_str!("reviewed.nft")));
    }

    #[test]
    fn without_devices_there_is_no_netdev_table() {
        let script = Plan::new(CommandId(1), &plan().servers, &[]).script(Existing::default());
        assert!(!script.contains("netdev"));
    }

    #[test]
    fn no_rule_spares_established_connections() {
        let script = plan().script(Existing::default());
        assert!(!script.contains("ct ") && !script.contains("established"));
        let drops = script.matches("policy drop;").count();
        assert_eq!((drops, script.matches("policy ").count()), (5, 5));
    }

    #[test]
    fn expected_chains_count_the_rules_of_the_text() {
        let plan = plan();
        let script = plan.script(Existing::default());
        for expected in plan.inet_chains().into_iter().chain(plan.netdev_chains()) {
            let start = script.find(&format!("chain {} {{", expected.name)).unwrap();
            let body = &script[start..start + script[start..].find("\t}").unwrap()];
            assert_eq!(body.matches(" accept\n").count(), expected.rules, "{}", expected.name);
        }
    }

    #[test]
    fn generation_is_read_from_the_chain_name() {
        assert_eq!(generation_of_chain(&generation_chain(CommandId(77))), Some(CommandId(77)));
        assert_eq!(generation_of_chain("input"), None);
    }

    #[test]
    fn odd_device_names_never_reach_the_script() {
        for name in ["eth0", "eth0.100", "br-1a2b", "wg0", "a@b"] {
            assert!(is_nameable(name), "{name}");
        }
        for name in ["", "a\"b", "a;b", "a b", "ä"] {
            assert!(!is_nameable(name), "{name}");
        }
    }
}
