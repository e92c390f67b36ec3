//! Cancellations by stream and by poll, answered with what really became of the command.

use chrono::TimeDelta;
use voltaxe_protocol::{CANCELLED, CommandOrder, ServerFrame};
use voltaxe_sentinel::clock;

use crate::{
    agent::Host,
    gateway::{Gateway, check, isolate},
    net::World,
};

#[test]
fn a_command_that_waits_for_its_time_is_taken_back_over_the_stream() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let mut host = Host::enrolled(&world, &gateway);
    host.start();
    gateway.wait_live();
    let later = clock::wall() + TimeDelta::hours(1);
    gateway.push(&CommandOrder { not_before: Some(later), ..gateway.order(1, isolate()) });
    gateway.wait_for("it is received", |state| (!state.receipts.is_empty()).then_some(()));
    gateway.send(ServerFrame::Cancel { envelope: gateway.seal_cancellation(1) });
    let result = gateway.result_of(1);
    assert_eq!((result.success, result.refused()), (false, Some(CANCELLED)));
    assert_eq!(result.message, "Cancelled by bob before it was started; nothing was done.");
    host.wait_for_log("[COMMAND STREAM] Received a cancellation");

    gateway.send(ServerFrame::Cancel { envelope: gateway.seal_cancellation(2) });
    assert_eq!(gateway.result_of(2).refused(), Some(CANCELLED));
    host.crash();
    gateway.wait_gone();
    host.start();
    gateway.wait_live();
    gateway.state().results.clear();
    gateway.push(&gateway.order(2, isolate()));
    assert_eq!(gateway.result_of(2).refused(), Some(CANCELLED), "a late one is known after a crash, too");

    gateway.push(&gateway.order(3, check()));
    assert!(gateway.result_of(3).success);
    gateway.state().results.clear();
    gateway.send(ServerFrame::Cancel { envelope: gateway.seal_cancellation(3) });
    assert!(gateway.result_of(3).success, "one that is over says what it did");
    assert_eq!(world.ruleset(), "");
}

#[test]
fn cancellations_and_queries_come_by_poll_as_well() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let mut host = Host::enrolled(&world, &gateway);
    host.configure("[stream]\nenabled = false\n[polling]\ninterval_seconds = 1\n");
    let (envelope, order) = (gateway.seal_cancellation(1), gateway.order(1, isolate()));
    gateway.offer(&order);
    gateway.state().cancellations.push(envelope);
    gateway.state().queries.push(voltaxe_protocol::CommandId(77));
    host.start();
    assert_eq!(gateway.result_of(1).refused(), Some(CANCELLED));
    gateway.wait_for("the unknown one is said to be unknown", |state| {
        state.not_known.contains(&voltaxe_protocol::CommandId(77)).then_some(())
    });
    host.wait_for_log("[COMMAND POLL] Received a cancellation");
    assert!(!host.log().contains("Executing"));
}
