//! The agent, killed with SIGKILL at each point of a command's way through the journal, and started again.

use std::{collections::BTreeMap, sync::Mutex, thread};

use chrono::TimeDelta;
use voltaxe_protocol::{Command, CommandId, CommandOrder, CommandResult, ServerFrame};
use voltaxe_sentinel::{
    clock,
    journal::{Damage, Journal, Record},
    state_dir::StateDir,
};

use crate::{
    agent::Host,
    chaos::{Chaos, size},
    gateway::{Gateway, check, isolate, restore},
    net::{World, eventually},
};

const POINTS: [&str; 18] = [
    "before-received",
    "torn-received",
    "unsynced-received",
    "after-received",
    "before-started",
    "torn-started",
    "unsynced-started",
    "after-started",
    "before-effect",
    "after-effect",
    "before-finished",
    "torn-finished",
    "unsynced-finished",
    "after-finished",
    "before-reported",
    "torn-reported",
    "unsynced-reported",
    "after-reported",
];
/// Here the effect had begun and the journal does not know its end: it is taken up again.
const TAKEN_UP_AGAIN: [&str; 4] = ["before-effect", "after-effect", "before-finished", "torn-finished"];
/// Most of a round is waiting for the disk and for processes.
const WORLDS: usize = 3;

#[test]
#[cfg_attr(not(debug_assertions), ignore = "a release build has no fault points")]
fn killed_at_each_point_every_command_is_final_and_took_effect_once() {
    let chaos = Chaos::new("kills");
    let rounds = size(3, 100);
    let points = Mutex::new(POINTS.to_vec());
    let seed = chaos.seed;
    let (kills, again) = thread::scope(|scope| {
        let workers: Vec<_> = (0..WORLDS)
            .map(|worker| {
                let points = &points;
                let mut random = fastrand::Rng::with_seed(seed.wrapping_add(worker as u64));
                scope.spawn(move || {
                    let world = World::new();
                    let gateway = Gateway::start(&world);
                    let (mut kills, mut again, mut id) = (0, 0, 0);
                    while let Some(point) = { points.lock().unwrap().pop() } {
                        // A host of its own for each point: its journal stays short.
                        gateway.state().is_token_used = false;
                        let mut fate = Fate {
                            world: &world,
                            gateway: &gateway,
                            host: Host::enrolled(&world, &gateway),
                            id,
                        };
                        for _ in 0..rounds {
                            kills += 1;
                            again += fate.round(point, random.bool());
                        }
                        id = fate.id;
                    }
                    (kills, again)
                })
            })
            .collect();
        let counts = workers.into_iter().map(|worker| worker.join().unwrap());
        counts.fold((0, 0), |(kills, again), (more, more_again)| (kills + more, again + more_again))
    });
    chaos.tell(format_args!(
        "{kills} done at {} points, every command final and right, 0 doubled, 0 stuck ({again} were begun a second time \
         after the kill and found their effect, or made it)",
        POINTS.len()
    ));
}

/// One host and the commands it lives and dies through.
struct Fate<'a> {
    world: &'a World,
    gateway: &'a Gateway,
    host: Host<'a>,
    id: i64,
}

impl Fate<'_> {
    /// Checks, isolates and restores in turns. Returns how often the command was begun again.
    fn round(&mut self, point: &str, waits: bool) -> usize {
        self.id += 1;
        let (id, command_id) = (self.id, CommandId(self.id));
        let action = [check(), isolate(), restore()][usize::try_from(id - 1).unwrap() % 3].clone();
        self.host.forget_log();
        self.host.start_to_die_at(point);
        self.gateway.wait_live();
        let order = self.gateway.order(id, action.clone());
        // One that waits has a commit of its own for its start.
        let not_before = waits.then(|| clock::wall() + TimeDelta::milliseconds(20));
        let order = CommandOrder { not_before, ..order };
        self.gateway.push(&order);
        self.host.wait_dead();
        self.gateway.wait_gone();
        let tables = self.tables();

        self.host.start();
        self.gateway.wait_live();
        // As a server does: what has a receipt is asked about, the rest offered again.
        let has_receipt = self.gateway.state().receipts.iter().any(|(id, _)| *id == command_id);
        if has_receipt {
            self.gateway.send(ServerFrame::Query { command_id });
        } else {
            self.gateway.push(&order);
        }
        let result = self.gateway.result_of(id);
        eventually(&format!("{point}: nothing is stuck in the journal"), || {
            loose_ends(&self.journal().0).is_empty().then_some(())
        });
        assert!(self.host.stop().success());
        self.gateway.wait_gone();

        let log = self.host.log();
        let begun = log.matches("Executing command").count();
        let expected = match point {
            point if TAKEN_UP_AGAIN.contains(&point) => 2..=2,
            // The server may be so quick that both records are in one write.
            "before-reported" | "torn-reported" => 1..=2,
            _ => 1..=1,
        };
        assert!(expected.contains(&begun), "{point}: command {id} was begun {begun} times");
        assert!(result.success, "{point}: {}", result.message);
        self.check_results(point, id, begun);
        self.check_effect(point, &action, &tables);
        let (records, damage) = self.journal();
        assert_eq!((loose_ends(&records), damage), (vec![], Damage::default()), "{point}");
        self.gateway.state().results.clear();
        begun - 1
    }

    /// A result may be told more than once, and differ only if the first was never on disk.
    fn check_results(&self, point: &str, id: i64, begun: usize) {
        let state = self.gateway.state();
        let results: Vec<&CommandResult> = state.results.iter().map(|(result, _)| result).collect();
        assert!(results.iter().all(|result| result.command_id.0 == id && result.success));
        assert!(begun > 1 || results.iter().all(|result| *result == results[0]), "{point}: {results:?}");
    }

    /// The kernel shows it, and it is the same effect as before the restart.
    fn check_effect(&self, point: &str, action: &Command, before: &str) {
        let after = self.tables();
        match action {
            Command::NetworkIsolate(_) => {
                assert!(after.contains("voltaxe_isolation"), "{point}: not isolated");
                // A table that was made anew has another handle.
                assert!(before.is_empty() || before == after, "{point}: doubled: {before} {after}");
            }
            Command::NetworkRestore(_) => assert_eq!(after, "", "{point}: not restored"),
            Command::AgentCheck(_) => assert_eq!(before, after),
            other => panic!("nobody sent {other:?}"),
        }
        let must_be_there = ["after-effect", "before-finished", "torn-finished"].contains(&point);
        if must_be_there && matches!(action, Command::NetworkIsolate(_)) {
            assert_ne!(before, "", "{point}: the effect was there before the restart");
        }
    }

    /// With their handles.
    fn tables(&self) -> String {
        self.world.tables()
    }

    fn journal(&self) -> (Vec<Record>, Damage) {
        Journal::read(&StateDir::look_at(&self.host.path("state"))).unwrap()
    }
}

/// Commands whose last record is not that of a reported one.
fn loose_ends(records: &[Record]) -> Vec<i64> {
    let mut is_reported = BTreeMap::new();
    for record in records {
        let reported = matches!(record, Record::Reported { .. } | Record::Known { .. });
        is_reported.insert(record.command_id().0, reported);
    }
    is_reported.into_iter().filter(|(_, reported)| !reported).map(|(id, _)| id).collect()
}
