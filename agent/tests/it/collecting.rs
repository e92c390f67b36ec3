//! Evidence from the order to the server's shelf, by an agent of one process and by one of two.

use voltaxe_protocol::{
    CollectForensics, CollectionOutcome, Command, CommandId, EvidenceLimits, ForensicsProfile, ServerFrame,
};

use crate::{
    agent::Host,
    gateway::{Gateway, isolate, restore},
    net::{World, eventually},
};

fn collect(profile: ForensicsProfile) -> Command {
    let limits = EvidenceLimits { max_bytes: 8 * 1024 * 1024, max_seconds: 60, cpu_percent: 100 };
    Command::CollectForensics(CollectForensics { profile, limits })
}

fn outcome_of(gateway: &Gateway, id: i64) -> CollectionOutcome {
    let result = gateway.result_of(id);
    assert!(result.success, "{}", result.message);
    serde_json::from_value(result.data.unwrap()).unwrap()
}

/// The shelf has exactly what the result says, and the host has it no longer.
fn arrives(gateway: &Gateway, host: &Host<'_>, state: &str, id: i64, outcome: &CollectionOutcome) {
    gateway.wait_for("the bundle is complete", |state| state.shelf.is_complete.then_some(()));
    let claims = gateway.state().shelf.claims.clone().unwrap();
    assert_eq!((claims.command_id, Some(&claims.sha256)), (CommandId(id), outcome.sha256.as_ref()));
    assert_eq!(claims.size_bytes, outcome.size_bytes);
    let bundle = host.path(state).join(format!("evidence/{id}/bundle.zip"));
    eventually("the copy is deleted", || (!bundle.exists()).then_some(()));
    assert_eq!(gateway.state().shelf.offers, 1);
}

#[test]
fn one_process_collects_says_how_far_it_is_and_uploads_while_isolated() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let mut host = Host::enrolled_with_room(&world, &gateway);
    host.start();
    gateway.wait_live();
    gateway.push(&gateway.order(1, isolate()));
    assert!(gateway.result_of(1).success);
    gateway.push(&gateway.order(2, collect(ForensicsProfile::Quick)));
    let outcome = outcome_of(&gateway, 2);
    assert!(gateway.state().progress.iter().any(|(id, _)| *id == CommandId(2)));
    arrives(&gateway, &host, "state", 2, &outcome);
    gateway.push(&gateway.order(3, restore()));
    assert!(gateway.result_of(3).success);
}

#[test]
fn two_processes_collect_and_upload_across_a_lost_server() {
    let world = World::new();
    let mut gateway = Gateway::start(&world);
    let mut host = Host::split_with_room(&world, &gateway);
    host.start();
    gateway.wait_live();
    gateway.state().shelf.refuse_offer = Some((503, "busy"));
    gateway.push(&gateway.order(1, collect(ForensicsProfile::Quick)));
    let outcome = outcome_of(&gateway, 1);
    gateway.wait_for("it was offered once", |state| (state.shelf.offers == 1).then_some(()));
    gateway.down();
    host.crash();
    gateway.up();
    gateway.state().shelf.offers = 0;
    host.start();
    arrives(&gateway, &host, "executor-state", 1, &outcome);
}

#[test]
fn a_collection_that_is_cancelled_keeps_what_it_has() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let mut host = Host::split_with_room(&world, &gateway);
    host.start();
    gateway.wait_live();
    gateway.push(&gateway.order(1, collect(ForensicsProfile::Full)));
    gateway.wait_for("it is under way", |state| (!state.progress.is_empty()).then_some(()));
    gateway.send(ServerFrame::Cancel { envelope: gateway.seal_cancellation(1) });
    let outcome = outcome_of(&gateway, 1);
    assert!(outcome.partial.as_deref().is_some_and(|why| why.contains("cancel")), "{:?}", outcome.partial);
    arrives(&gateway, &host, "executor-state", 1, &outcome);
}

#[test]
fn drift_is_told_with_what_was_found() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let mut host = Host::split(&world, &gateway);
    host.start();
    gateway.wait_live();
    gateway.push(&gateway.order(1, isolate()));
    assert!(gateway.result_of(1).success);
    world.nft("flush ruleset");
    let drift = gateway
        .wait_for("telemetry tells the drift", |state| state.telemetry.last()?.0.isolation.drift.clone());
    assert!(drift.put_back && drift.count == 1 && drift.found.contains("missing"), "{drift:?}");
    host.wait_for_log("Somebody changed the isolation's rules; they are put back");
}
