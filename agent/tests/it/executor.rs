//! The executor as a process of its own: it acts on what the server signed, whatever the network process says.

mod damage;
mod intruder;
mod notices;

use std::{
    io::{Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    process::{Command as Program, Stdio},
};

use serde_json::json;
use voltaxe_protocol::{
    Cancellation, Command, CommandId, CommandOrder, EndpointId, Envelope, Epoch, Keypair, KillProcess,
    ListProcesses, PayloadType, ProbeClaims, ProcessTarget,
};
use voltaxe_sentinel::{clock, executor::MAX_FRAME_BYTES};

use crate::{
    agent::{Host, USER},
    gateway::{Gateway, check, isolate, restore},
    net::{OUTSIDE, SERVER, World, eventually},
};
use intruder::{Intruder, connect_as};
use notices::Notices;

fn sealed(order: &CommandOrder, key: &Keypair) -> Envelope {
    Envelope::seal(PayloadType::Command, order, key)
}

#[test]
fn two_processes_isolate_restore_and_act_as_one_does() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let mut host = Host::split(&world, &gateway);
    let before = world.ruleset();
    host.start();
    gateway.wait_live();
    gateway.push(&gateway.order(1, isolate()));
    let result = gateway.result_of(1);
    assert!(result.success, "{}", result.message);
    assert_eq!(gateway.state().probes, 1);
    assert!(world.talk("host", OUTSIDE[0]).is_none() && world.talk("host", SERVER[0]).is_some());
    assert_eq!(host.status()["isolation"]["generation"], 1);
    gateway.push(&gateway.order(2, Command::ListProcesses(ListProcesses {})));
    let list = gateway.result_of(2);
    assert!(list.success && !list.data.unwrap()["processes"].as_array().unwrap().is_empty());
    gateway.push(&gateway.order(3, check()));
    assert!(gateway.result_of(3).success);
    gateway.push(&gateway.order(4, restore()));
    assert!(gateway.result_of(4).success);
    assert_eq!(world.ruleset(), before);

    let mode = |name: &str| std::fs::metadata(host.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("executor.sock"), mode("executor-state"), mode("state")), (0o660, 0o710, 0o700));
    assert_eq!(mode("executor-state/isolation.json"), 0o600);
    let owner = |name: &str| std::fs::metadata(host.path(name)).unwrap().uid();
    assert_eq!((owner("state/agent.key"), owner("executor-state/executor.json")), (USER, 0));
    assert!(host.stop().success());
}

#[test]
fn an_intruder_in_the_network_process_has_no_effect() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let host = Host::split(&world, &gateway);
    let before = world.ruleset();
    let mut victim = sleeper();
    let mut intruder = Intruder::at(&host);
    let kill = Command::KillProcess(KillProcess {
        target: ProcessTarget::Processes(vec![identity(victim.id())]),
        grace_seconds: 0,
        tree: false,
        force: true,
        preview: false,
    });
    let order = |id, action: &Command| gateway.order(id, action.clone());
    let key = |seed: u8| Keypair::from_seed(&[seed; 32]);
    let stranger = EndpointId::of_key(&key(8).public());
    let (mut tried, mut id) = (0, 100);
    for action in [isolate(), restore(), kill.clone()] {
        let own = order(0, &action);
        let now = clock::wall();
        let mut altered = gateway.seal(&own);
        altered.payload = gateway.seal(&order(1, &restore())).payload;
        let old = now - chrono::TimeDelta::hours(1);
        let cases = [
            ("not-verifiable", None, own.clone()),
            ("not-verifiable", Some(true), CommandOrder { endpoint_id: stranger.clone(), ..own.clone() }),
            ("not-verifiable", Some(true), CommandOrder { epoch: Epoch(2), ..own.clone() }),
            ("expired", Some(true), CommandOrder { expires_at: old, ..own.clone() }),
            (
                "too-early",
                Some(true),
                CommandOrder { not_before: Some(now + chrono::TimeDelta::hours(1)), ..own.clone() },
            ),
        ];
        for (word, is_servers, order) in cases {
            id += 1;
            let order = CommandOrder { id: CommandId(id), ..order };
            let envelope = match is_servers {
                Some(_) => gateway.seal(&order),
                None => sealed(&order, &key(9)),
            };
            assert_eq!(intruder.refusal(id, &envelope), word);
            tried += 1;
        }
        assert_eq!(intruder.refusal(0, &altered), "not-verifiable");
        assert_eq!(intruder.refusal(77, &gateway.seal(&own)), "not-verifiable", "under another name");
        let as_probe =
            Envelope { payload_type: PayloadType::Probe.as_str().to_owned(), ..gateway.seal(&own) };
        assert_eq!(intruder.refusal(0, &as_probe), "not-verifiable");
        tried += 3;
    }
    let nothing_changed = [
        json!({"task": "roll_back", "id": 1, "why": "I say so"}),
        json!({"task": "open_dns"}),
        json!({"task": "try_servers", "servers": ["10.77.0.9:8080"]}),
        json!({"task": "interrupt", "envelope": gateway.seal(&order(1, &kill))}),
        json!({"task": "confirm", "nonce": "x", "answer": gateway.seal(&order(1, &isolate()))}),
        json!({"task": "challenge"}),
        json!({"task": "discard", "id": 1}),
    ];
    for task in &nothing_changed {
        let done = intruder.ask(task).unwrap_or_else(|| panic!("no answer to {task}"));
        assert!(done["outcome"]["success"] != json!(true), "{done}");
        tried += 1;
    }
    assert_eq!(world.ruleset(), before);
    assert!(victim.try_wait().unwrap().is_none(), "it was killed");
    victim.kill().unwrap();
    victim.wait().unwrap();
    println!("a network process taken over: {tried} tasks without a valid signature, 0 effects");
}

#[test]
fn an_older_order_is_not_replayed_and_rules_need_the_server_s_own_signature() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let host = Host::split(&world, &gateway);
    let mut intruder = Intruder::at(&host);
    let (older, newer) = (gateway.order(5, isolate()), gateway.order(6, isolate()));
    let done = intruder.run(6, &gateway.seal(&newer));
    assert_eq!(done["done"], "provisional", "{done}");
    let nonce = done["nonce"].as_str().unwrap().to_owned();

    let endpoint_id = newer.endpoint_id.clone();
    let claims = |nonce: &str| ProbeClaims {
        nonce: nonce.to_owned(),
        endpoint_id: endpoint_id.clone(),
        server_time: clock::wall(),
        addresses: vec![
            "10.77.0.9:8080".parse().unwrap(),
            "0.0.0.0:1".parse().unwrap(),
            "224.0.0.1:1".parse().unwrap(),
        ],
    };
    let confirm = |answer: Envelope| json!({"task": "confirm", "nonce": nonce, "answer": answer});
    let server = |claims: &ProbeClaims| Envelope::seal(PayloadType::Probe, claims, &gateway.state().key);
    for forged in [
        Envelope::seal(PayloadType::Probe, &claims(&nonce), &Keypair::generate()),
        server(&claims("another")),
        server(&ProbeClaims {
            endpoint_id: EndpointId::of_key(&Keypair::generate().public()),
            ..claims(&nonce)
        }),
        gateway.seal(&newer),
    ] {
        let done = intruder.ask(&confirm(forged)).unwrap();
        assert_eq!(done["done"], "not_confirmed", "{done}");
    }
    let done = intruder.ask(&confirm(server(&claims(&nonce)))).unwrap();
    assert_eq!(done["outcome"]["success"], true, "{done}");
    let rules = world.ruleset();
    assert!(rules.contains("10.77.0.9"), "the signed address is open, too: {rules}");
    assert!(!rules.contains("224.0.0.1"));

    assert_eq!(intruder.refusal(5, &gateway.seal(&older)), "superseded");
    let done = intruder.ask(&json!({"task": "roll_back", "id": 6, "why": "I want out"})).unwrap();
    assert_eq!(done["outcome"]["success"], false);
    let unsigned = json!({"task": "run", "id": 7, "envelope": gateway.seal(&gateway.order(7, isolate())), "servers": ["10.77.0.30:8080"]});
    assert_eq!(intruder.ask(&unsigned).unwrap()["outcome"]["success"], true, "isolated already");
    assert_eq!(world.ruleset(), rules, "no address came in without a signature");
    let done = intruder.run(8, &gateway.seal(&gateway.order(8, restore())));
    assert_eq!(done["outcome"]["success"], true);
    assert_eq!(world.ruleset(), "");
    assert_eq!(
        intruder.refusal(6, &gateway.seal(&newer)),
        "superseded",
        "an isolate that was undone stays undone"
    );
}

#[test]
fn a_signed_order_is_carried_out_once_and_once_more_after_a_crash() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let mut host = Host::split(&world, &gateway);
    let kill = |id| {
        let target = ProcessTarget::Name("no-such-process".to_owned());
        gateway.order(
            id,
            Command::KillProcess(KillProcess {
                target,
                grace_seconds: 0,
                tree: false,
                force: false,
                preview: false,
            }),
        )
    };
    let envelope = gateway.seal(&kill(1));
    let first = Intruder::at(&host).run(1, &envelope);
    assert_eq!(Intruder::at(&host).run(1, &envelope), first, "the same answer from memory");
    host.crash_executor();
    host.start_executor();
    assert_eq!(Intruder::at(&host).run(1, &envelope)["outcome"]["success"], first["outcome"]["success"]);
    host.crash_executor();
    host.start_executor();
    assert_eq!(Intruder::at(&host).refusal(1, &envelope), "poison");
}

#[test]
fn strangers_and_nonsense_are_turned_away() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let mut host = Host::split(&world, &gateway);
    std::fs::set_permissions(host.socket(), std::fs::Permissions::from_mode(0o666)).unwrap();
    for stranger in [0, USER + 1] {
        let mut turned_away = Intruder(connect_as(&host, stranger).unwrap());
        assert_eq!(turned_away.hear(), None, "user {stranger} is served");
    }
    let mut first = Intruder::at(&host);
    let mut second = Intruder(connect_as(&host, USER).unwrap());
    assert_eq!(second.hear(), None, "one at a time");
    assert_eq!(first.ask(&json!({"task": "open_dns"})).unwrap()["done"], "dns_opened");

    let too_long = u32::try_from(MAX_FRAME_BYTES + 1).unwrap().to_be_bytes();
    let huge = [&u32::MAX.to_be_bytes()[..], b"{}"].concat();
    let unfinished = [0, 0, 1, 0, b'{'];
    let unknown = frame(br#"{"task":"shell","command":"id"}"#);
    let extra = frame(br#"{"task":"roll_back","id":1,"why":"","and":1}"#);
    for nonsense in [&too_long[..], &huge, &frame(b"{"), &unknown, &extra, &unfinished] {
        drop(first);
        first = Intruder::at(&host);
        first.0.write_all(nonsense).unwrap();
        assert_eq!(first.hear(), None, "{nonsense:?}");
    }
    assert!(host.executor_is_running());
    assert_eq!(Intruder::at(&host).ask(&json!({"task": "open_dns"})).unwrap()["done"], "dns_opened");
    assert_eq!(world.ruleset(), "");
}

#[test]
fn an_executor_that_is_killed_is_asked_again() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let mut host = Host::split(&world, &gateway);
    host.start();
    gateway.wait_live();
    host.crash_executor();
    host.wait_for_log("The executor is gone");
    gateway.push(&gateway.order(1, isolate()));
    gateway.wait_for("it is received", |state| (!state.receipts.is_empty()).then_some(()));
    host.start_executor();
    assert!(gateway.result_of(1).success);

    // In the middle: the kernel has the rules, the server has not answered.
    gateway.push(&gateway.order(2, restore()));
    assert!(gateway.result_of(2).success);
    gateway.state().answers_probes = crate::gateway::Answers::NotFound;
    let probes = gateway.state().probes;
    gateway.push(&gateway.order(3, isolate()));
    gateway.wait_for("the server is asked", |state| (state.probes > probes).then_some(()));
    host.crash_executor();
    assert!(world.ruleset().contains("voltaxe_isolation"));
    host.start_executor();
    gateway.state().answers_probes = crate::gateway::Answers::Signed;
    let result = gateway.result_of(3);
    assert!(result.success, "{}", result.message);
    assert_eq!(host.log().matches("Executing command: network_isolate").count(), 2);
    let is_isolated = |host: &Host<'_>| (host.status()["isolation"]["state"] == "isolated").then_some(());
    eventually("the state file is written, too", || is_isolated(&host));

    // Isolated, with nobody at the executor: drift is mended once one is there again.
    host.crash_executor();
    world.nft("flush ruleset");
    host.start_executor();
    eventually("the isolation is put back", || is_isolated(&host));
}

#[test]
fn a_running_command_ends_early_when_its_cancellation_is_signed() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let host = Host::split(&world, &gateway);
    let mut victim = sleeper_that_ignores_sigterm();
    let mut intruder = Intruder::at(&host);
    let target = ProcessTarget::Processes(vec![identity(victim.id())]);
    let kill = KillProcess { target, grace_seconds: 60, tree: false, force: false, preview: false };
    let order = gateway.order(1, Command::KillProcess(kill));
    intruder.say(&json!({"task": "run", "id": 1, "envelope": gateway.seal(&order), "servers": []}));
    let forged = Cancellation {
        id: CommandId(1),
        endpoint_id: order.endpoint_id.clone(),
        epoch: order.epoch,
        issued_at: clock::wall(),
        expires_at: order.expires_at,
        cancelled_by: "mallory".to_owned(),
    };
    let forged = Envelope::seal(PayloadType::Cancellation, &forged, &Keypair::generate());
    assert_eq!(intruder.ask(&json!({"task": "interrupt", "envelope": forged})).unwrap()["done"], "noted");
    assert_eq!(
        intruder.ask(&json!({"task": "interrupt", "envelope": gateway.seal_cancellation(1)})).unwrap()["done"],
        "noted"
    );
    let done = intruder.hear().unwrap();
    assert_eq!((&done["done"], &done["id"]), (&json!("outcome"), &json!(1)), "{done}");
    let _ = victim.kill();
    victim.wait().unwrap();
}

#[test]
fn a_host_that_is_enrolled_again_obeys_its_new_server_alone() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let mut host = Host::split(&world, &gateway);
    host.start();
    gateway.wait_live();
    let old = gateway.seal(&gateway.order(1, isolate()));
    host.stop();
    {
        let mut state = gateway.state();
        state.key = Keypair::generate();
        state.epoch = Epoch(2);
        state.is_token_used = false;
    }
    let output = host.enroll(&gateway.enrol_string(), &["--replace"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    host.start();
    gateway.wait_live();
    gateway.push(&gateway.order(2, isolate()));
    assert!(gateway.result_of(2).success);
    gateway.push(&gateway.order(3, restore()));
    assert!(gateway.result_of(3).success);
    host.stop();
    assert_eq!(Intruder::at(&host).refusal(1, &old), "not-verifiable");
    host.wait_for_log("enrolled again; beginning anew");
}

#[test]
fn both_processes_tell_systemd_how_they_are() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let mut host = Host::split(&world, &gateway);
    host.crash_executor();
    let (mut to_executor, mut to_agent) = (Notices::new(&host, "e"), Notices::new(&host, "a"));
    host.start_executor_with(&to_executor.environment());
    to_executor.say(&["READY=1", "WATCHDOG=1", "WATCHDOG=1"]);
    host.start_with(&to_agent.environment());
    to_agent.say(&["READY=1", "WATCHDOG=1", "WATCHDOG=1"]);
    host.stop();
    to_agent.say(&["STOPPING=1"]);
}

fn frame(body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat()
}

fn sleeper() -> std::process::Child {
    Program::new("sleep").arg("300").stdin(Stdio::null()).spawn().unwrap()
}

fn sleeper_that_ignores_sigterm() -> std::process::Child {
    let script = "trap '' TERM; echo ready; while :; do sleep 0.2; done";
    let mut child = Program::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut ready = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
    child
}

fn identity(pid: u32) -> voltaxe_protocol::ProcessId {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let start_ticks = stat.rsplit_once(") ").unwrap().1.split(' ').nth(19).unwrap().parse().unwrap();
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim().to_owned();
    voltaxe_protocol::ProcessId { pid, start_ticks, boot_id }
}
