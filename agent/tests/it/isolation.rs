//! What is and is not reachable, in a real kernel.

use voltaxe_protocol::{CommandId, IsolationOutcome, ObservedIsolation};

use crate::{
    agent::Host,
    gateway::{Gateway, isolate, restore},
    net::{OUTSIDE, SERVER, World, ip},
};

/// Rules that a host may have of its own.
pub(crate) const HOST_RULES: &str = r#"
table inet firewall {
	set blocked { type ipv4_addr; flags interval; elements = { 192.0.2.0/24, 198.51.100.7 } }
	counter hits { }
	chain input {
		type filter hook input priority filter; policy accept;
		ct state established,related accept
		ip saddr @blocked drop
		tcp dport 22 accept comment "management"
	}
	chain output { type filter hook output priority filter; policy accept; }
}
table ip nat {
	chain postrouting { type nat hook postrouting priority srcnat; oifname "eth1" masquerade; }
}
table netdev ingress_filter {
	chain early { type filter hook ingress device "eth0" priority -500; policy accept; ether type 0x88cc drop; }
}
"#;

#[test]
fn isolation_cuts_everything_but_the_server_and_comes_off_without_a_trace() {
    let world = World::new();
    world.nft(HOST_RULES);
    let before = world.ruleset();
    let gateway = Gateway::start(&world);
    let mut host = Host::enrolled(&world, &gateway);
    host.start();
    gateway.wait_live();

    let mut open: Vec<_> = OUTSIDE.iter().map(|address| world.talk_soon("host", address)).collect();
    assert!(open.iter_mut().all(|conversation| conversation.is_answered()));

    gateway.push(&gateway.order(7, isolate()));
    let result = gateway.result_of(7);
    assert!(result.success, "{}", result.message);
    let outcome: IsolationOutcome = serde_json::from_value(result.data.unwrap()).unwrap();
    assert!(outcome.isolated);
    assert_eq!(outcome.observation.generation, Some(CommandId(7)));
    assert_eq!(outcome.observation.detail, None);

    assert!(!open.iter_mut().any(|conversation| conversation.is_answered()), "an open session lives on");
    for address in OUTSIDE {
        assert!(world.talk("host", address).is_none(), "a new connection to {address} came about");
        assert!(world.talk("out", crate::net::HOST[usize::from(address.contains(':'))]).is_none());
    }
    assert!(world.talk("host", SERVER[0]).is_some(), "the server is out of reach");
    assert!(
        world.talk("host", SERVER[1]).is_none(),
        "an address of the server that nobody configured is open"
    );
    loopback_works(&world);
    gateway.wait_for("telemetry over the stream says isolated", |state| {
        let (telemetry, channel) = state.telemetry.last()?;
        (telemetry.isolated && *channel == "stream").then_some(())
    });
    assert_eq!(host.status()["isolation"]["state"], "isolated");

    gateway.push(&gateway.order(8, restore()));
    let result = gateway.result_of(8);
    assert!(result.success, "{}", result.message);
    assert_eq!(world.ruleset(), before);
    for address in OUTSIDE {
        assert!(world.talk_soon("host", address).is_answered());
    }
    assert!(host.stop().success());
    assert_eq!(world.ruleset(), before);
}

#[test]
fn a_macvlan_beside_the_host_is_cut_off_too() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let mut host = Host::enrolled(&world, &gateway);
    let (host_name, mac) = (world.name("host"), world.name("mac"));
    ip(&["netns", "add", &mac]);
    ip(&[
        "-n", &host_name, "link", "add", "link", "eth0", "name", "mv0", "type", "macvlan", "mode", "bridge",
    ]);
    ip(&["-n", &host_name, "link", "set", "mv0", "netns", &mac]);
    ip(&["-n", &mac, "addr", "add", "10.77.0.30/24", "dev", "mv0"]);
    ip(&["-n", &mac, "link", "set", "mv0", "up"]);
    host.start();
    gateway.wait_live();
    assert!(world.talk_soon("mac", OUTSIDE[0]).is_answered());
    gateway.push(&gateway.order(1, isolate()));
    assert!(gateway.result_of(1).success);
    assert!(world.talk("mac", OUTSIDE[0]).is_none(), "a macvlan leaks past the isolation");
    gateway.push(&gateway.order(2, restore()));
    assert!(gateway.result_of(2).success);
    assert!(world.talk_soon("mac", OUTSIDE[0]).is_answered());
}

#[test]
fn isolation_outlives_the_agent_and_is_adopted_again() {
    let world = World::new();
    let mut gateway = Gateway::start(&world);
    let mut host = Host::enrolled(&world, &gateway);
    host.start();
    gateway.wait_live();
    gateway.push(&gateway.order(5, isolate()));
    assert!(gateway.result_of(5).success);
    let rules = world.ruleset();

    host.crash();
    assert_eq!(world.ruleset(), rules);
    assert!(world.talk("host", OUTSIDE[0]).is_none());
    gateway.down();
    host.start();
    host.wait_for_log("[COMMAND STREAM] cannot connect");
    assert_eq!(world.ruleset(), rules);
    assert_eq!(host.status()["isolation"]["generation"], 5);
    gateway.state().telemetry.clear();
    gateway.up();
    gateway.wait_for("the agent comes back and says isolated", |state| {
        let (telemetry, _) = state.telemetry.last()?;
        (telemetry.isolation.state == ObservedIsolation::Isolated).then_some(())
    });

    gateway.push(&gateway.order(6, isolate()));
    let again = gateway.result_of(6);
    assert!(again.success && again.message.contains("already isolated by command 5"), "{}", again.message);
    assert_eq!(world.ruleset(), rules);
    gateway.push(&gateway.order(7, restore()));
    assert!(gateway.result_of(7).success);
    assert_eq!(world.ruleset(), "");
    gateway.push(&gateway.order(8, restore()));
    assert!(gateway.result_of(8).message.contains("was not isolated"));
}

#[test]
fn what_somebody_else_takes_away_is_seen() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let mut host = Host::enrolled(&world, &gateway);
    host.start();
    gateway.wait_live();
    gateway.push(&gateway.order(1, isolate()));
    assert!(gateway.result_of(1).success);
    let observed = |detail: &str| {
        let status = host.status();
        let isolation = &status["isolation"];
        assert_eq!(isolation["state"], "partial", "{isolation}");
        let found = isolation["detail"].as_str().unwrap().to_owned();
        assert!(found.contains(detail), "{found}");
    };
    world.nft("insert rule inet voltaxe_isolation output accept");
    observed("the chain output has 7 rules instead of 6");
    world.nft("flush chain inet voltaxe_isolation forward; add chain inet voltaxe_isolation output { policy accept; }");
    observed("the chain output does not drop");
    world.nft("delete table netdev voltaxe_isolation");
    observed("the chain egress_0 is missing");
    world.nft("add table inet voltaxe_isolation { flags dormant; }");
    observed("dormant");

    gateway.push(&gateway.order(2, isolate()));
    let mended = gateway.result_of(2);
    assert!(mended.success && mended.message.contains("isolated successfully"), "{}", mended.message);
    assert_eq!(host.status()["isolation"]["state"], "isolated");
    world.nft("flush ruleset");
    assert_eq!(host.status()["isolation"]["state"], "not_isolated");
    host.stop();
}

fn loopback_works(world: &World) {
    world.within("host", || {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = std::net::TcpListener::bind(address).unwrap();
            std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        }
    });
}
