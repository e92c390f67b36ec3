//! Orders over both channels, lost connections, crashes.

use chrono::TimeDelta;
use voltaxe_protocol::{CommandId, CommandOrder, EndpointId, Epoch, Keypair, RefusalReason, ServerFrame};
use voltaxe_sentinel::clock;

use crate::{
    agent::Host,
    gateway::{Gateway, isolate, restore},
    net::World,
};

const FAST_POLL: &str = "[polling]\ninterval_seconds = 1\n";

#[test]
fn without_a_stream_polling_delivers_everything() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    gateway.state().no_stream = true;
    let mut host = Host::enrolled(&world, &gateway);
    host.configure(FAST_POLL);
    host.start();
    gateway.wait_for("it polls", |state| (state.polls > 0).then_some(()));
    gateway.offer(&gateway.order(123, isolate()));
    let result = gateway.result_of(123);
    assert!(result.success, "{}", result.message);
    gateway.wait_for("a receipt", |state| state.receipts.contains(&(CommandId(123), 1)).then_some(()));
    gateway.wait_for("telemetry says isolated", |state| {
        let (telemetry, channel) = state.telemetry.last()?;
        (telemetry.isolated && *channel == "post").then_some(())
    });
    for line in [
        "[COMMAND POLL] Polling for commands",
        "[COMMAND POLL] Received 1 command(s)",
        "Executing command: network_isolate",
        "Result reported for command ID 123",
    ] {
        host.wait_for_log(line);
    }
    gateway.offer(&gateway.order(124, restore()));
    assert!(gateway.result_of(124).success);
    host.stop();
}

#[test]
fn polling_alone_works_with_the_stream_switched_off() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let mut host = Host::enrolled(&world, &gateway);
    host.configure("[stream]\nenabled = false\n[polling]\ninterval_seconds = 1\n");
    host.start();
    gateway.offer(&gateway.order(1, isolate()));
    assert!(gateway.result_of(1).success);
    assert!(gateway.state().join_counters.is_empty());
}

#[test]
fn both_channels_together_execute_once() {
    let world = World::new();
    let mut gateway = Gateway::start(&world);
    let mut host = Host::enrolled(&world, &gateway);
    host.configure(FAST_POLL);
    host.start();
    gateway.wait_live();
    let order = gateway.order(1, isolate());
    gateway.push(&order);
    gateway.push(&order);
    assert!(gateway.result_of(1).success);
    gateway.down();
    gateway.state().no_stream = true;
    gateway.offer(&order);
    gateway.up();
    gateway.wait_for("the duplicate is answered by post", |state| {
        state.results.iter().any(|(_, channel)| *channel == "post").then_some(())
    });
    assert_eq!(host.log().matches("Executing command").count(), 1);
    let state = gateway.state();
    let first = &state.results[0].0;
    assert!(state.results.iter().all(|(result, _)| result == first));
}

#[test]
fn a_result_survives_a_server_that_goes_away() {
    let world = World::new();
    let mut gateway = Gateway::start(&world);
    let mut host = Host::enrolled(&world, &gateway);
    host.start();
    gateway.wait_live();
    gateway.state().deaf = true;
    gateway.push(&gateway.order(1, isolate()));
    gateway.result_of(1);
    gateway.down();
    host.wait_for_log("[COMMAND STREAM] the connection ended");
    host.crash();
    gateway.state().results.clear();
    gateway.state().deaf = false;
    gateway.up();
    host.start();
    assert!(gateway.result_of(1).success);
    host.wait_for_log("Result reported for command ID 1");
    let counters = gateway.state().join_counters.clone();
    assert!(counters.is_sorted_by(|a, b| a < b), "{counters:?}");
    assert_eq!(host.log().matches("Executing command").count(), 1);
    crate::net::eventually("the journal is clear", || {
        (host.status()["journal"]["unreported"] == 0).then_some(())
    });
}

#[test]
fn forged_foreign_and_late_orders_do_nothing() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let mut host = Host::enrolled(&world, &gateway);
    host.start();
    gateway.wait_live();
    let forged = {
        let order = gateway.order(1, isolate());
        voltaxe_protocol::Envelope::seal(voltaxe_protocol::PayloadType::Command, &order, &Keypair::generate())
    };
    gateway.send(ServerFrame::Command { attempt: 1, envelope: forged });
    let stranger = EndpointId::of_key(&Keypair::generate().public());
    gateway.push(&CommandOrder { endpoint_id: stranger, ..gateway.order(2, isolate()) });
    gateway.wait_for("both are thrown away", |state| (state.rejected.len() == 2).then_some(()));
    let past = clock::wall() - TimeDelta::seconds(1);
    gateway.push(&CommandOrder { expires_at: past, ..gateway.order(3, isolate()) });
    gateway.push(&CommandOrder { epoch: Epoch(0), ..gateway.order(4, isolate()) });
    for (id, word) in [(3, "expired"), (4, "wrong-epoch")] {
        let result = gateway.result_of(id);
        assert_eq!((result.success, result.data.unwrap()["refused"].as_str()), (false, Some(word)));
    }
    gateway.send(ServerFrame::Query { command_id: CommandId(1) });
    gateway.wait_for("the forged one left no trace", |state| {
        state.not_known.contains(&CommandId(1)).then_some(())
    });
    assert_eq!(host.status()["isolation"]["state"], "not_isolated");
    assert_eq!(world.ruleset(), "");
    assert!(!host.log().contains("Executing"));
}

#[test]
fn a_refusing_server_keeps_the_key_and_gets_a_pause() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    gateway.state().refuse_stream = Some(RefusalReason::AwaitingApproval);
    let mut host = Host::enrolled(&world, &gateway);
    host.start();
    host.wait_for_log("The key is kept");
    assert!(host.is_running());
    assert!(host.path("state/agent.key").exists());
    assert!(host.stop().success());
}

#[test]
fn a_server_that_is_down_at_start_is_waited_for() {
    let world = World::new();
    let mut gateway = Gateway::start(&world);
    let mut host = Host::enrolled(&world, &gateway);
    gateway.down();
    host.start();
    host.wait_for_log("[COMMAND STREAM] cannot connect");
    assert!(host.is_running());
    gateway.up();
    gateway.wait_live();
    gateway.push(&gateway.order(1, isolate()));
    assert!(gateway.result_of(1).success);
}
