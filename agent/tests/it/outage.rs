//! A real agent with a full outbox: its server is away, it is killed meanwhile, and then everything is told.

use voltaxe_sentinel::{
    clock,
    journal::{Journal, Record, Urgency},
    state_dir::StateDir,
};

use crate::{
    agent::Host,
    chaos::{Chaos, size},
    gateway::{Gateway, check},
    net::{World, eventually},
};

#[test]
fn results_that_wait_for_the_server_outlive_a_kill_and_are_told_in_order() {
    let chaos = Chaos::new("a real agent's outbox");
    let results = size(200, 2000);
    let world = World::new();
    let mut gateway = Gateway::start(&world);
    let mut host = Host::enrolled(&world, &gateway);
    let ids: Vec<i64> = (1..=results).collect();
    write_received(&host, &gateway, &ids);
    gateway.down();
    host.start();
    eventually("all are executed", || (host.status()["journal"]["unreported"] == results).then_some(()));
    host.crash();
    gateway.up();
    host.start();
    gateway.wait_for("all results are here", |state| (state.results.len() >= ids.len()).then_some(()));
    let heard: Vec<i64> = gateway.state().results.iter().map(|(result, _)| result.command_id.0).collect();
    assert_eq!(heard, ids, "in the order of finishing, each once");
    assert_eq!(host.log().matches("Executing command").count(), ids.len());
    eventually("the outbox is empty", || (host.status()["journal"]["unreported"] == 0).then_some(()));
    chaos.tell(format_args!("{results} done, 0 doubled, 0 lost, in order"));
}

/// As if the agent had taken the commands and been stopped before it could do any.
fn write_received(host: &Host<'_>, gateway: &Gateway, ids: &[i64]) {
    let received: Vec<Record> = ids
        .iter()
        .map(|id| Record::Received {
            order: gateway.order(*id, check()),
            envelope: None,
            attempt: 1,
            at: clock::wall(),
        })
        .collect();
    let state = StateDir::open(&host.path("state")).unwrap();
    let (journal, _, _) = Journal::open(&state, |_, outcome| assert!(outcome.is_ok())).unwrap();
    journal.append(0, &received, Urgency::Normal);
}
