//! Files that are damaged or were tampered with must not stand in the way of a release.

use std::fs;

use voltaxe_protocol::{Command, CommandId, KillProcess, ProcessTarget, ReleaseClaims, ReleaseTicket};

use super::intruder::Intruder;
use crate::{
    agent::Host,
    gateway::{Gateway, isolate, restore},
    lockout::release,
    net::World,
};

#[test]
fn without_its_memory_an_executor_still_isolates_and_restores() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let mut host = Host::split(&world, &gateway);
    host.crash_executor();
    fs::write(host.path("executor-state/executor-memory.json"), "[[1,").unwrap();
    host.start_executor();
    let mut intruder = Intruder::at(&host);
    let kill = Command::KillProcess(KillProcess {
        target: ProcessTarget::Name("no-such-process".to_owned()),
        grace_seconds: 0,
        tree: false,
        force: false,
        preview: false,
    });
    assert_eq!(intruder.refusal(1, &gateway.seal(&gateway.order(1, kill))), "no-memory");
    assert_eq!(intruder.run(2, &gateway.seal(&gateway.order(2, isolate())))["done"], "provisional");
    let restored = intruder.run(3, &gateway.seal(&gateway.order(3, restore())));
    assert_eq!(restored["outcome"]["success"], true, "{restored}");
    assert_eq!(world.ruleset(), "");
}

#[test]
fn a_ticket_releases_whatever_the_network_process_made_of_its_own_files() {
    let world = World::new();
    let mut gateway = Gateway::start(&world);
    let mut host = Host::split(&world, &gateway);
    host.start();
    gateway.wait_live();
    let order = gateway.order(1, isolate());
    gateway.push(&order);
    assert!(gateway.result_of(1).success);
    let state = gateway.state();
    let claims =
        ReleaseClaims { endpoint_id: order.endpoint_id, epoch: state.epoch, generation: CommandId(1) };
    let ticket = ReleaseTicket::sign(&claims, &state.key).reveal();
    drop(state);
    host.crash();
    gateway.down();
    fs::write(host.path("state/identity.json"), "{}").unwrap();
    let released = release(&host, &ticket);
    assert!(released.status.success(), "{}", String::from_utf8_lossy(&released.stderr));
    assert_eq!(world.ruleset(), "");
}
