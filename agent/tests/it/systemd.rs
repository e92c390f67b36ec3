//! The package's units under a real systemd: sandboxed as on a host, across crashes, an upgrade, a reboot and a removal.

mod machine;

use std::{fs, time::Duration};

use voltaxe_protocol::{
    CollectForensics, CollectionOutcome, Command, CommandId, EvidenceLimits, ForensicsProfile, KillProcess,
    ListProcesses, ProcessList, ProcessTarget,
};

use crate::{
    gateway::{Gateway, isolate, restore},
    net::{OUTSIDE, World, eventually},
};

use machine::{EXECUTOR_UNIT, ISOLATION_UNIT, Machine, NETWORK_UNIT, within};

/// CAP_DAC_READ_SEARCH, CAP_KILL, CAP_NET_ADMIN and CAP_SYS_PTRACE (linux/capability.h).
const EXECUTOR_CAPABILITIES: u64 = 1 << 2 | 1 << 5 | 1 << 12 | 1 << 19;

#[test]
fn nothing_starts_before_the_host_is_enrolled() {
    let world = World::new();
    let Some(mut machine) = Machine::install(&world) else { return };
    machine.boot();
    for unit in [NETWORK_UNIT, EXECUTOR_UNIT, ISOLATION_UNIT] {
        eventually(&format!("{unit} was looked at"), || {
            (machine.property(unit, "ConditionResult") == "no").then_some(())
        });
        assert_eq!(machine.property(unit, "UnitFileState"), "enabled");
        assert_eq!(machine.property(unit, "ActiveState"), "inactive");
    }
    machine.shut_down();
}

#[test]
fn the_units_isolate_a_host_and_keep_it_so() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let before = world.ruleset();
    let Some(mut machine) = Machine::install(&world) else { return };
    machine.enroll(&gateway.enrol_string());
    machine.boot();

    let executor = machine.wait_active(EXECUTOR_UNIT);
    let network = machine.wait_active(NETWORK_UNIT);
    for set in ["CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(u64::from_str_radix(network.field(set), 16).unwrap(), 0, "the network process' {set}");
    }
    assert_ne!(network.field("Uid").split_whitespace().next(), Some("0"));
    assert_eq!(u64::from_str_radix(executor.field("CapBnd"), 16).unwrap(), EXECUTOR_CAPABILITIES);
    for process in [&network, &executor] {
        assert_eq!((process.field("NoNewPrivs"), process.field("Seccomp")), ("1", "2"));
    }

    gateway.wait_live();
    gateway.push(&gateway.order(7, isolate()));
    let result = gateway.result_of(7);
    assert!(result.success, "{}", result.message);
    is_cut_off(&world);

    // A crash of either half: systemd starts it again, the kernel holds the isolation meanwhile.
    let held = world.tables();
    for (unit, process) in [(EXECUTOR_UNIT, &executor), (NETWORK_UNIT, &network)] {
        assert!(machine.inside(&["kill", "-KILL", process.pid()]).status.success());
        eventually(&format!("{unit} is there again"), || {
            (machine.wait_active(unit).pid() != process.pid()).then_some(())
        });
    }
    assert_eq!(world.tables(), held);

    let identity = fs::read(machine.path("/var/lib/voltaxe-sentinel/identity.json")).unwrap();
    let started = machine.property(NETWORK_UNIT, "ExecMainStartTimestampMonotonic");
    let upgrade = machine.inside(&["/usr/lib/voltaxe-sentinel/setup", "installed", "upgrade"]);
    assert!(upgrade.status.success(), "{upgrade:?}");
    assert_ne!(machine.property(NETWORK_UNIT, "ExecMainStartTimestampMonotonic"), started);
    machine.wait_active(NETWORK_UNIT);
    assert_eq!(world.tables(), held, "the upgrade touched the isolation");
    assert_eq!(fs::read(machine.path("/var/lib/voltaxe-sentinel/identity.json")).unwrap(), identity);

    comes_back_after_a_reboot(&world, gateway, &mut machine);
    assert_eq!(world.ruleset(), before);
}

/// The sandbox leaves the executor what it needs for other users' processes, whose files only root may look at.
#[test]
fn the_units_end_processes_of_others_and_collect_evidence() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let Some(mut machine) = Machine::install(&world) else { return };
    machine.enroll(&gateway.enrol_string());
    machine.boot();
    gateway.wait_live();
    let started =
        machine.inside(&["systemd-run", "--quiet", "--uid=nobody", "--unit=victim", "sleep", "1000"]);
    assert!(started.status.success(), "{started:?}");
    let victim = machine.wait_active("victim.service").pid().to_owned();

    gateway.push(&gateway.order(11, Command::ListProcesses(ListProcesses {})));
    let result = gateway.result_of(11);
    assert!(result.success, "{}", result.message);
    let list: ProcessList = serde_json::from_value(result.data.unwrap()).unwrap();
    let listed = list.processes.iter().find(|process| process.pid.to_string() == victim).unwrap();
    assert_eq!(listed.exe.as_deref(), Some("/usr/bin/sleep"));
    assert_eq!(listed.user, "nobody");

    let target = ProcessTarget::Executable("/usr/bin/sleep".to_owned());
    let kill = KillProcess { target, grace_seconds: 5, tree: false, force: false, preview: false };
    gateway.push(&gateway.order(12, Command::KillProcess(kill)));
    let result = gateway.result_of(12);
    assert!(result.success, "{}", result.message);
    eventually("the process is gone", || {
        (machine.property("victim.service", "MainPID") == "0").then_some(())
    });

    let limits = EvidenceLimits { max_seconds: 120, ..EvidenceLimits::default() };
    let collect = CollectForensics { profile: ForensicsProfile::Quick, limits };
    let executor = machine.wait_active(EXECUTOR_UNIT).pid().to_owned();
    let mut nice = None;
    gateway.push(&gateway.order(13, Command::CollectForensics(collect)));
    let result = within(Duration::from_secs(120), "the collection has ended", || {
        nice = nice.max(machine.nice_of_thread(&executor, "collect"));
        let state = gateway.state();
        state
            .results
            .iter()
            .find_map(|(result, _)| (result.command_id == CommandId(13)).then(|| result.clone()))
    });
    assert!(result.success, "{}", result.message);
    let outcome: CollectionOutcome = serde_json::from_value(result.data.unwrap()).unwrap();
    assert!(outcome.sha256.is_some() && outcome.files > 5, "{outcome:?}");
    assert_eq!(nice, Some(19), "the sandbox keeps the collection from lowering its priority");
    machine.shut_down();
}

fn comes_back_after_a_reboot(world: &World, mut gateway: Gateway, machine: &mut Machine<'_>) {
    gateway.down();
    machine.shut_down();
    // The network namespace outlives the machine here, its rules must not.
    world.nft("flush ruleset");
    assert!(world.talk_soon("host", OUTSIDE[0]).is_answered());
    machine.boot();
    eventually("the isolation was put back", || {
        let unit = |name| machine.property(ISOLATION_UNIT, name);
        (unit("ExecMainStatus") == "0" && unit("ExecMainExitTimestampMonotonic") != "0").then_some(())
    });
    is_cut_off(world);
    let order = machine.property(ISOLATION_UNIT, "Before");
    assert!(order.split(' ').any(|unit| unit == "network-pre.target"), "{order}");

    gateway.up();
    gateway.wait_live();
    gateway.wait_for("the server hears that the host is isolated", |state| {
        state.telemetry.last().is_some_and(|(telemetry, _)| telemetry.isolated).then_some(())
    });

    let refused = machine.inside(&["/usr/lib/voltaxe-sentinel/setup", "may-remove"]);
    assert!(!refused.status.success(), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("VOLTAXE_RESTORE=1"), "{refused:?}");
    is_cut_off(world);
    gateway.push(&gateway.order(8, restore()));
    let result = gateway.result_of(8);
    assert!(result.success, "{}", result.message);
    let allowed = machine.inside(&["/usr/lib/voltaxe-sentinel/setup", "may-remove"]);
    assert!(allowed.status.success(), "{allowed:?}");

    gateway.push(&gateway.order(9, isolate()));
    assert!(gateway.result_of(9).success);
    is_cut_off(world);
    let restored =
        machine.inside(&["env", "VOLTAXE_RESTORE=1", "/usr/lib/voltaxe-sentinel/setup", "may-remove"]);
    assert!(restored.status.success(), "{restored:?}");
    assert!(world.talk_soon("host", OUTSIDE[0]).is_answered());
    machine.shut_down();
}

fn is_cut_off(world: &World) {
    for address in OUTSIDE {
        assert!(world.talk("host", address).is_none(), "{address} is in reach");
    }
}
