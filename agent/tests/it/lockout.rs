//! No isolation without a way back: timers that the kernel holds, tickets, and what is put back or is not.

use std::{
    io::Write as _,
    net::{TcpStream, ToSocketAddrs as _},
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use voltaxe_protocol::{
    CommandId, Direction, Exception, ObservedIsolation, PreflightKind, Protocol, ReleaseClaims, ReleaseTicket,
};
use voltaxe_sentinel::{
    clock::wall,
    isolation::{CONTACT_WITHIN, EndedBy, HostFiles, IsolationError, Kernel, Terms, Watch},
    state_dir::StateDir,
};

use crate::{
    agent::Host,
    bare::{Bare, servers},
    gateway::{Gateway, isolate},
    net::{Echo, NO_ANSWER_AFTER, OUTSIDE, PORT, SERVER, World, eventually, ip},
};

fn soon() -> Terms {
    Terms { auto_restore_at: Some(wall() + TimeDelta::seconds(2)), ..Terms::default() }
}

#[test]
fn the_kernel_lifts_an_isolation_that_nobody_lives_to_end() {
    let world = World::new();
    let bare = Bare::new(&world);
    world.talk_soon("host", OUTSIDE[0]);
    bare.isolate(1, &soon());
    assert!(bare.is_cut_off());
    // Nobody has a socket open any more.
    world.talk_soon("host", OUTSIDE[0]);
    world.talk_soon("host", OUTSIDE[1]);
    let observed = bare.with(|kernel| kernel.observe(wall()));
    assert_eq!(observed.state, ObservedIsolation::NotIsolated);
    assert!(observed.detail.unwrap().contains("lifted"));
    assert_eq!(bare.watch(), Watch::Lifted { generation: CommandId(1), by: EndedBy::Timer });
    assert_eq!(world.ruleset(), "");
    assert_eq!(bare.watch(), Watch::Unchanged);
    let again = bare.with(|kernel| kernel.isolate(CommandId(1), &servers(), &Terms::default(), wall()));
    assert!(matches!(again, Err(IsolationError::Ended { by: EndedBy::Timer, .. })), "{again:?}");
}

#[test]
fn rules_without_contact_are_lifted_after_30_seconds() {
    let world = World::new();
    let bare = Bare::new(&world);
    world.talk_soon("host", OUTSIDE[0]);
    let start = Instant::now();
    bare.with(|kernel| {
        let observed = kernel.isolate(CommandId(1), &servers(), &Terms::default(), wall()).unwrap();
        assert!(observed.is_provisional && observed.auto_restore_at.is_some());
    });
    assert!(bare.is_cut_off());
    while bare.is_cut_off() {
        assert!(start.elapsed() < CONTACT_WITHIN * 2, "the kernel does not lift it");
    }
    assert!(start.elapsed() >= CONTACT_WITHIN - Duration::from_secs(1), "lifted after {:?}", start.elapsed());
    let late = bare.with(|kernel| kernel.confirm_contact(CommandId(1), &servers(), wall()));
    assert!(matches!(late, Err(IsolationError::Ended { by: EndedBy::NoContact, .. })), "{late:?}");
    assert_eq!(bare.watch(), Watch::Lifted { generation: CommandId(1), by: EndedBy::NoContact });
    assert_eq!(world.ruleset(), "");
    // The order may be tried again.
    bare.isolate(1, &Terms::default());
    assert!(bare.is_cut_off());
}

#[test]
fn a_rollback_is_remembered() {
    let world = World::new();
    let bare = Bare::new(&world);
    bare.with(|kernel| {
        kernel.isolate(CommandId(1), &servers(), &Terms::default(), wall()).unwrap();
        let other = kernel.confirm_contact(CommandId(2), &servers(), wall());
        assert!(matches!(other, Err(IsolationError::OtherGeneration { .. })), "{other:?}");
        let observed = kernel.roll_back(CommandId(1), wall()).unwrap();
        assert_eq!(observed.state, ObservedIsolation::NotIsolated);
    });
    assert_eq!(world.ruleset(), "");
    assert_eq!(bare.watch(), Watch::Unchanged);
    bare.with(|kernel| {
        let again = kernel.isolate(CommandId(1), &servers(), &Terms::default(), wall());
        assert!(matches!(again, Err(IsolationError::Ended { by: EndedBy::RolledBack, .. })), "{again:?}");
        let changed = kernel.change(CommandId(3), &servers(), &Terms::default(), wall());
        assert!(matches!(changed, Err(IsolationError::NotIsolated)), "{changed:?}");
    });
}

/// A second isolate that is not confirmed must not free a host that was isolated for good.
#[test]
fn a_second_isolate_that_fails_leaves_the_first_in_force() {
    let world = World::new();
    let bare = Bare::new(&world);
    world.talk_soon("host", OUTSIDE[0]);
    bare.isolate(1, &Terms::default());
    let rules = world.ruleset();
    let other =
        Terms { allow_dns: true, auto_restore_at: Some(wall() + TimeDelta::hours(1)), ..Terms::default() };
    bare.with(|kernel| {
        let observed = kernel.isolate(CommandId(2), &servers(), &other, wall()).unwrap();
        assert!(observed.is_provisional);
        // Tried once more, as after a restart of the executor.
        kernel.isolate(CommandId(2), &servers(), &other, wall()).unwrap();
        let observed = kernel.roll_back(CommandId(2), wall()).unwrap();
        assert_eq!((observed.state, observed.generation), (ObservedIsolation::Isolated, Some(CommandId(1))));
        assert!(!observed.is_provisional && observed.auto_restore_at.is_none() && !observed.allows_dns);
        let again = kernel.isolate(CommandId(2), &servers(), &other, wall());
        assert!(matches!(again, Err(IsolationError::Ended { by: EndedBy::RolledBack, .. })), "{again:?}");
    });
    assert_eq!(world.ruleset(), rules);
    assert_eq!(bare.watch(), Watch::Unchanged);
    // Nobody takes it back: the kernel has lifted it, whatever the clock says, when somebody looks.
    bare.with(|kernel| kernel.isolate(CommandId(3), &servers(), &other, wall()).unwrap());
    world.nft("delete element inet voltaxe_isolation gate { 0 }");
    let fell_back = Watch::FellBack { generation: CommandId(3), to: CommandId(1) };
    assert_eq!(bare.watch(), fell_back);
    assert_eq!(world.ruleset(), rules);
    assert!(bare.is_cut_off());
    // Earlier rules whose own time is over do not come back.
    bare.with(|kernel| kernel.change(CommandId(4), &servers(), &soon(), wall()).unwrap());
    bare.with(|kernel| {
        kernel.isolate(CommandId(5), &servers(), &Terms::default(), wall()).unwrap();
        let observed = kernel.roll_back(CommandId(5), wall() + TimeDelta::seconds(3)).unwrap();
        assert_eq!(observed.state, ObservedIsolation::NotIsolated);
    });
    assert_eq!(world.ruleset(), "");
}

#[test]
fn a_clock_that_is_set_back_does_not_make_provisional_rules_last() {
    let world = World::new();
    let bare = Bare::new(&world);
    bare.with(|kernel| kernel.isolate(CommandId(1), &servers(), &Terms::default(), wall()).unwrap());
    world.nft("delete element inet voltaxe_isolation gate { 0 }");
    let earlier = wall() - TimeDelta::hours(1);
    let watched = bare.with(|kernel| kernel.watch(earlier));
    assert_eq!(watched, Watch::Lifted { generation: CommandId(1), by: EndedBy::NoContact });
    assert_eq!(world.ruleset(), "");
}

#[test]
fn terms_change_while_isolated_and_times_end_in_the_kernel() {
    let world = World::new();
    let bare = Bare::new(&world);
    world.talk_soon("host", OUTSIDE[0]);
    bare.isolate(1, &Terms::default());
    assert!(bare.is_cut_off());
    let open = |seconds: i64| Terms {
        exceptions: OUTSIDE
            .map(|address| Exception {
                network: address.parse::<std::net::IpAddr>().unwrap().into(),
                direction: Direction::Outbound,
                protocol: Protocol::Tcp,
                port: Some(PORT),
                until: Some(wall() + TimeDelta::seconds(seconds)),
            })
            .to_vec(),
        ..Terms::default()
    };
    let terms = open(600);
    bare.with(|kernel| {
        let observed = kernel.change(CommandId(2), &servers(), &terms, wall()).unwrap();
        assert_eq!((observed.generation, &observed.exceptions), (Some(CommandId(1)), &terms.exceptions));
    });
    assert!(OUTSIDE.iter().all(|address| world.talk_soon("host", address).is_answered()));
    assert!(world.talk("out", crate::net::HOST[0]).is_none());
    bare.with(|kernel| kernel.change(CommandId(3), &servers(), &open(2), wall()).unwrap());
    assert!(world.talk_soon("host", OUTSIDE[0]).is_answered());
    // Nobody lives.
    eventually("the kernel ends the exceptions", || bare.is_cut_off().then_some(()));
    let observed = bare.with(|kernel| kernel.observe(wall()));
    assert_eq!((observed.state, observed.exceptions), (ObservedIsolation::Isolated, vec![]));
    assert_eq!(bare.watch(), Watch::Unchanged);
    let too_wide = Terms {
        exceptions: vec![Exception {
            network: "0.0.0.0/0".parse().unwrap(),
            ..open(9).exceptions[0].clone()
        }],
        ..Terms::default()
    };
    let refused = bare.with(|kernel| kernel.change(CommandId(4), &servers(), &too_wide, wall()));
    assert!(matches!(refused, Err(IsolationError::Exceptions(_))), "{refused:?}");
    let over = Terms { auto_restore_at: Some(wall() - TimeDelta::seconds(1)), ..Terms::default() };
    let refused = bare.with(|kernel| kernel.change(CommandId(4), &servers(), &over, wall()));
    assert!(matches!(refused, Err(IsolationError::Over(_))), "{refused:?}");
    assert!(bare.is_cut_off());
}

#[test]
fn dns_opens_for_a_moment_and_closes_in_the_kernel() {
    let world = World::new();
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("etc")).unwrap();
    std::fs::write(root.path().join("etc/resolv.conf"), format!("nameserver {}\n", OUTSIDE[0])).unwrap();
    let _resolver = Echo::start(&world.name("out"), 53);
    let resolves = || {
        let address = (OUTSIDE[0], 53).to_socket_addrs().unwrap().next().unwrap();
        world.within("host", || TcpStream::connect_timeout(&address, NO_ANSWER_AFTER).is_ok())
    };
    eventually("the resolver answers", || resolves().then_some(()));
    let directory = tempfile::tempdir().unwrap();
    world.within("host", || {
        let state = StateDir::open(directory.path()).unwrap();
        let mut kernel = Kernel::new(state, None).with_host(HostFiles::under(root.path()));
        kernel.isolate(CommandId(1), &servers(), &Terms::default(), wall()).unwrap();
        kernel.confirm_contact(CommandId(1), &servers(), wall()).unwrap();
        assert!(!resolves());
        kernel.open_dns_for(CommandId(1), Duration::from_secs(2), wall()).unwrap();
        assert!(resolves());
        assert!(world.talk("host", OUTSIDE[0]).is_none());
        eventually("the kernel closes DNS", || (!resolves()).then_some(()));
        assert_eq!(kernel.watch(wall()), Watch::Unchanged);
        let observed = kernel.observe(wall());
        assert_eq!((observed.state, observed.allows_dns), (ObservedIsolation::Isolated, false));
        let allowed = Terms { allow_dns: true, ..Terms::default() };
        kernel.change(CommandId(2), &servers(), &allowed, wall()).unwrap();
        assert!(resolves());
    });
}

#[test]
fn the_server_stays_reachable_over_a_bridge_and_beside_odd_devices() {
    let world = World::new();
    let bare = Bare::new(&world);
    let host = world.name("host");
    let on_host = |arguments: &[&str]| ip(&[&["-n", &host][..], arguments].concat());
    // The host's address moves to a bridge over its device, as on hypervisors.
    on_host(&["link", "add", "br0", "type", "bridge"]);
    on_host(&["addr", "flush", "dev", "eth0"]);
    on_host(&["link", "set", "eth0", "master", "br0"]);
    on_host(&["addr", "add", "10.77.0.2/24", "dev", "br0"]);
    on_host(&["link", "set", "br0", "up"]);
    on_host(&["link", "add", "a;b", "type", "veth", "peer", "name", "b.a"]);
    let _service = Echo::start(&world.name("srv"), PORT);
    world.talk_soon("host", SERVER[0]);
    bare.with(|kernel| {
        let observed = kernel.isolate(CommandId(1), &servers(), &Terms::default(), wall()).unwrap();
        assert_eq!(observed.state, ObservedIsolation::Isolated);
        assert!(observed.detail.unwrap().contains("\"a;b\" are not filtered"));
    });
    assert!(world.talk_soon("host", SERVER[0]).is_answered(), "locked out");
    assert!(bare.is_cut_off());
    bare.with(|kernel| {
        let observed = kernel.confirm_contact(CommandId(1), &servers(), wall()).unwrap();
        assert_eq!(observed.state, ObservedIsolation::Isolated);
    });
    assert_eq!(bare.watch(), Watch::Unchanged);
    assert!(world.talk_soon("host", SERVER[0]).is_answered());
}

#[test]
fn a_preview_names_the_traps_of_the_network() {
    let world = World::new();
    let bare = Bare::new(&world);
    let host = world.name("host");
    ip(&["-n", &host, "link", "add", "link", "eth0", "name", "mv0", "type", "macvlan"]);
    let open = world.talk_soon("host", OUTSIDE[0]);
    let preview = bare.with(|kernel| kernel.preview(&servers(), &Terms::default(), wall()));
    assert!(preview.ruleset.contains("device \"mv0\""), "{}", preview.ruleset);
    assert_eq!((preview.servers, preview.connections_kept), (vec![servers()[0].to_string()], 0));
    assert_eq!(preview.connections_cut, 1);
    let kinds: Vec<PreflightKind> = preview.warnings.iter().map(|warning| warning.kind).collect();
    assert!(kinds.contains(&PreflightKind::Containers), "{kinds:?}");
    assert!(!kinds.contains(&PreflightKind::Blocked) && !kinds.contains(&PreflightKind::Tunnel), "{kinds:?}");
    let blocked = bare.with(|kernel| kernel.preview(&[], &Terms::default(), wall()));
    assert!(blocked.warnings.iter().any(|warning| warning.kind == PreflightKind::Blocked));
    assert_eq!(world.ruleset(), "");
    drop(open);
}

#[test]
fn a_ticket_releases_without_agent_and_server_and_only_its_own_isolation() {
    let world = World::new();
    let mut gateway = Gateway::start(&world);
    let mut host = Host::enrolled(&world, &gateway);
    host.start();
    gateway.wait_live();
    gateway.push(&gateway.order(1, isolate()));
    assert!(gateway.result_of(1).success);
    let endpoint_id = gateway.order(9, isolate()).endpoint_id;
    let ticket = |generation: i64| {
        let state = gateway.state();
        let claims = ReleaseClaims {
            endpoint_id: endpoint_id.clone(),
            epoch: state.epoch,
            generation: CommandId(generation),
        };
        ReleaseTicket::sign(&claims, &state.key).reveal()
    };
    let (right, wrong) = (ticket(1), ticket(2));
    host.crash();
    gateway.down();

    let refused = release(&host, &wrong);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success());
    assert!(said.contains("not for this isolation") && said.contains("by command 1"), "{said}");
    let said = String::from_utf8(release(&host, "VXR1-NONSENSE").stderr).unwrap();
    assert!(said.contains("a release ticket is VXR1-"), "{said}");
    assert!(world.talk("host", OUTSIDE[0]).is_none());

    let asserted = host.command(&["isolation", "assert-released"]).output().unwrap();
    let said = String::from_utf8_lossy(&asserted.stderr).into_owned();
    assert!(!asserted.status.success() && said.contains("assert-released --restore"), "{said}");

    let released = release(&host, &right);
    let said = String::from_utf8_lossy(&released.stdout).into_owned();
    assert!(released.status.success(), "{}", String::from_utf8_lossy(&released.stderr));
    assert!(said.contains("Released: the rules of command 1") && said.contains("not running"), "{said}");
    assert_eq!(world.ruleset(), "");
    world.talk_soon("host", OUTSIDE[0]);
    assert!(host.command(&["isolation", "assert-released"]).output().unwrap().status.success());
    let again = release(&host, &right);
    assert!(String::from_utf8_lossy(&again.stdout).contains("not isolated"));

    // Neither a start of the host nor the agent takes it back.
    assert!(said_by(&host, &["isolation", "reapply"]).contains("Nothing to do"));
    gateway.up();
    host.start();
    gateway.wait_live();
    assert_eq!(world.ruleset(), "");
    assert!(said_by(&host, &["isolation", "status"]).contains("by a release ticket on the host"));
}

#[test]
fn a_host_that_starts_anew_is_isolated_before_it_has_a_network() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let mut host = Host::enrolled(&world, &gateway);
    assert!(said_by(&host, &["isolation", "reapply"]).contains("Nothing to do"));
    host.start();
    gateway.wait_live();
    gateway.push(&gateway.order(1, isolate()));
    assert!(gateway.result_of(1).success);
    // The state file is written after the answer.
    assert!(host.stop().success());
    let rules = world.ruleset();
    world.nft("flush ruleset");
    assert!(said_by(&host, &["isolation", "reapply"]).contains("in force again"));
    assert_eq!(world.ruleset(), rules);
    assert!(said_by(&host, &["isolation", "reapply"]).contains("Nothing to do"));
    let status: serde_json::Value =
        serde_json::from_str(&said_by(&host, &["isolation", "status", "--json"])).unwrap();
    assert_eq!(status["isolation"]["state"], "isolated");
    assert_eq!(status["servers"][0], format!("{}:{PORT}", SERVER[0]));

    // Not even a configuration that nobody can read keeps the host open, and a damaged state file is not taken for none.
    world.nft("flush ruleset");
    let (config, state) = (host.path("agent.conf"), host.path("state"));
    let sound = std::fs::read(&config).unwrap();
    std::fs::write(&config, "[server]\napi_ulr = http://10.77.0.1:8080\n").unwrap();
    let reapply = ["isolation", "reapply", "--state-dir", state.to_str().unwrap()];
    assert!(said_by(&host, &reapply).contains("in force again"));
    assert_eq!(world.ruleset(), rules);
    std::fs::write(&config, sound).unwrap();
    let sound = std::fs::read(host.path("state/isolation.json")).unwrap();
    std::fs::write(host.path("state/isolation.json"), "{").unwrap();
    let damaged = host.command(&["isolation", "reapply"]).output().unwrap();
    let said = String::from_utf8_lossy(&damaged.stderr).into_owned();
    assert!(!damaged.status.success() && said.contains("isolation.json"), "{said}");
    std::fs::write(host.path("state/isolation.json"), sound).unwrap();

    assert!(said_by(&host, &["isolation", "assert-released", "--restore"]).contains("Released"));
    assert_eq!(world.ruleset(), "");
}

#[test]
fn a_preview_changes_nothing() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let host = Host::enrolled(&world, &gateway);
    let said = said_by(&host, &["isolation", "preview"]);
    for part in
        ["table inet voltaxe_isolation", "ip daddr 10.77.0.1 tcp dport 8080 accept", "Nothing was changed"]
    {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    assert_eq!(world.ruleset(), "");
}

pub(crate) fn release(host: &Host<'_>, ticket: &str) -> Output {
    let mut child = host
        .command(&["isolation", "release", "--ticket", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(ticket.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn said_by(host: &Host<'_>, arguments: &[&str]) -> String {
    let output = host.command(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
