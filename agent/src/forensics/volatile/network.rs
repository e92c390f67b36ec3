use std::time::Duration;

use crate::forensics::{
    collection::{Collection, Trouble},
    command::{self, Program},
};

const WITHIN: Duration = Duration::from_secs(15);
const LARGEST_OUTPUT: u64 = 32 * 1024 * 1024;
const TABLES: [&str; 9] =
    ["dev", "route", "ipv6_route", "arp", "if_inet6", "igmp", "igmp6", "ip_tables_names", "ip6_tables_names"];
const QUESTIONS: [(&str, &[&str]); 5] = [
    ("addresses", &["-details", "-json", "address"]),
    ("routes", &["-details", "-json", "route", "show", "table", "all"]),
    ("routes-v6", &["-6", "-details", "-json", "route", "show", "table", "all"]),
    ("neighbours", &["-statistics", "-json", "neighbour"]),
    ("rules", &["-json", "rule"]),
];

/// The kernel's tables as they are, and what `ip` makes of them and of the neighbours, where it is installed.
pub(super) fn read(collection: &mut Collection<'_>) -> Result<(), Trouble> {
    for table in TABLES {
        let file = collection.host.proc.join("self/net").join(table);
        collection.copy_view(&file, &format!("volatile/network/{table}.txt"), LARGEST_OUTPUT)?;
    }
    for (name, arguments) in QUESTIONS {
        let program = Program { name: "ip", arguments, within: WITHIN, max_bytes: LARGEST_OUTPUT };
        or_go_on(command::run(collection, &program, &format!("volatile/network/{name}.json")), collection)?;
    }
    Ok(())
}

/// Of all firewalls on nftables, ours among them; as JSON and as people write them.
pub(super) fn rules(collection: &mut Collection<'_>) -> Result<(), Trouble> {
    let arguments: [(&[&str], &str); 2] = [
        (&["-a", "list", "ruleset"], "volatile/nftables.txt"),
        (&["-a", "-j", "list", "ruleset"], "volatile/nftables.json"),
    ];
    for (arguments, entry) in arguments {
        let program = Program { name: "nft", arguments, within: WITHIN, max_bytes: LARGEST_OUTPUT };
        or_go_on(command::run(collection, &program, entry), collection)?;
    }
    Ok(())
}

/// One question without an answer does not keep the others from being asked.
fn or_go_on(asked: Result<(), Trouble>, collection: &mut Collection<'_>) -> Result<(), Trouble> {
    match asked {
        Err(Trouble::Failed(why)) => {
            collection.fail_with(why);
            Ok(())
        }
        asked => asked,
    }
}
