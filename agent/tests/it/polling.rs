//! Long polls, and agent checks whatever the channel.

use voltaxe_protocol::{AgentCheckOutcome, ObservedIsolation};

use crate::{
    agent::Host,
    gateway::{Gateway, check, isolate},
    net::World,
};

#[test]
fn a_long_poll_is_kept_open_and_brings_a_command_at_once() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let mut host = Host::enrolled(&world, &gateway);
    host.configure("[stream]\nenabled = false\n[polling]\ninterval_seconds = 3600\nwait_seconds = 25\n");
    host.start();
    for id in 1..=3 {
        gateway.offer(&gateway.order(id, check()));
        assert!(gateway.result_of(id).success);
    }
    let polls = gateway.state().polls;
    assert!(polls <= 4, "{polls} polls for 3 commands");
}

#[test]
fn an_agent_check_says_how_the_agent_is_and_changes_nothing() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let mut host = Host::enrolled(&world, &gateway);
    host.start();
    gateway.wait_live();
    gateway.push(&gateway.order(1, check()));
    let result = gateway.result_of(1);
    assert_eq!(result.message, "The agent works; the host is not isolated");
    let outcome: AgentCheckOutcome = serde_json::from_value(result.data.unwrap()).unwrap();
    assert_eq!(outcome.observation.state, ObservedIsolation::NotIsolated);
    assert_eq!(outcome.unreported_results, 0);
    assert!(outcome.journal_used_bytes > 0 && outcome.journal_limit_bytes == 64 * 1024 * 1024);
    assert_eq!(outcome.agent_version, env!("CARGO_PKG_VERSION"));
    assert_eq!(world.ruleset(), "");
    gateway.push(&gateway.order(2, isolate()));
    assert!(gateway.result_of(2).success);
    gateway.push(&gateway.order(3, check()));
    let outcome: AgentCheckOutcome = serde_json::from_value(gateway.result_of(3).data.unwrap()).unwrap();
    assert_eq!(outcome.observation.state, ObservedIsolation::Isolated);
}
