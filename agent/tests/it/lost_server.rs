//! Nobody is locked out: whatever happens to the way to the server, a host ends under its server's control or with its network
//! back.

use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use voltaxe_protocol::{Command, NetworkIsolate, ObservedIsolation};
use voltaxe_sentinel::isolation::CONTACT_WITHIN;

use crate::{
    agent::Host,
    chaos,
    gateway::{Answers, Gateway, check, isolate, restore},
    net::{OUTSIDE, PORT, SERVER, World, ip},
};

/// The rules' probation, and time for a busy machine to see its end.
const AFTER_PROBATION: Duration = Duration::from_secs(CONTACT_WITHIN.as_secs() + 30);
const NAME: &str = "voltaxe.test";
const MOVED_TO: &str = "10.77.0.5";

/// How a trial ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    /// Isolated, and the server's orders are carried out.
    Controlled,
    /// The outside is reached as before.
    Released,
}

struct Trial<'a> {
    world: &'a World,
    gateway: Gateway,
    host: Host<'a>,
}

/// One world each: most of a trial is waiting.
#[test]
fn every_way_of_losing_the_server_ends_controlled_or_released() {
    let mut trials: Vec<(&str, End, fn())> = vec![
        ("server unreachable through the new rules", End::Released, unreachable_through_the_rules),
        ("another server answers (wrong pin)", End::Released, wrong_pin),
        ("server older than probes", End::Released, older_server),
        ("DNS gone", End::Controlled, dns_gone),
        ("agent killed right after applying, stays dead", End::Released, killed_after_applying),
        ("agent killed right after applying, comes back", End::Controlled, killed_and_back),
        ("server address changed, signed before", End::Controlled, moved_as_signed),
        ("timer over with the agent dead", End::Released, timer_with_the_agent_dead),
        ("server down for the whole probation", End::Released, server_down),
        ("other terms while isolated, not confirmed", End::Controlled, second_isolate_not_confirmed),
    ];
    if chaos::is_full() {
        trials.push(("server address changed, found by DNS", End::Controlled, moved_and_searched));
    }
    if !cfg!(debug_assertions) {
        // A release build has no fault points.
        trials.retain(|(name, ..)| !name.contains("killed"));
    }
    let failed = thread::scope(|scope| {
        let running: Vec<_> =
            trials.iter().map(|(name, end, trial)| (name, end, scope.spawn(|| timed(*trial)))).collect();
        let ended = running.into_iter().map(|(name, end, trial)| {
            let seconds = trial.join().ok();
            let verdict = if seconds.is_some() { format!("{end:?}") } else { "LOST".to_owned() };
            println!("lock-out: {name:<48} {verdict:<10} {:>4} s", seconds.unwrap_or_default());
            usize::from(seconds.is_none())
        });
        ended.sum::<usize>()
    });
    assert_eq!(failed, 0, "see above");
}

fn timed(trial: fn()) -> u64 {
    let since = Instant::now();
    trial();
    since.elapsed().as_secs()
}

/// The way to the server is a translation of addresses on the host: the rules know one address, packets carry another.
fn unreachable_through_the_rules() {
    let world = World::new();
    let mut trial = Trial::enrolled(&world);
    world.nft(
        "table ip nat {
 chain output {
 type nat hook output priority -100
 ip daddr 10.77.0.50 dnat to 10.77.0.1
 }
 }",
    );
    trial.host.api_url = format!("http://10.77.0.50:{PORT}");
    trial.start();
    trial.gateway.push(&trial.gateway.order(1, isolate()));
    trial.is_rolled_back();
}

fn wrong_pin() {
    let world = World::new();
    let mut trial = Trial::enrolled(&world);
    trial.gateway.state().answers_probes = Answers::Forged;
    trial.start();
    trial.gateway.push(&trial.gateway.order(1, isolate()));
    let why = trial.is_rolled_back();
    assert!(why.contains("not the server of this host"), "{why}");
}

fn older_server() {
    let world = World::new();
    let mut trial = Trial::enrolled(&world);
    trial.gateway.state().answers_probes = Answers::NotFound;
    trial.start();
    trial.gateway.push(&trial.gateway.order(1, isolate()));
    let why = trial.is_rolled_back();
    assert!(why.contains("404"), "{why}");
    trial.gateway.state().answers_probes = Answers::Signed;
    trial.gateway.push(&trial.gateway.order(2, isolate()));
    assert!(trial.gateway.result_of(2).success, "the next one works");
    trial.is_controlled(3);
}

fn dns_gone() {
    let world = World::new();
    let hosts = Hosts::new(&world, SERVER[0]);
    let mut trial = Trial::enrolled(&world);
    trial.host.api_url = format!("http://{NAME}:{PORT}");
    trial.start();
    hosts.say("");
    trial.gateway.push(&trial.gateway.order(1, isolate()));
    assert!(trial.gateway.result_of(1).success);
    trial.host.crash();
    trial.gateway.wait_gone();
    trial.host.start();
    trial.gateway.wait_live();
    trial.is_controlled(2);
}

fn killed_after_applying() {
    let world = World::new();
    let mut trial = Trial::enrolled(&world);
    trial.die_after_applying();
    assert!(world.talk("host", OUTSIDE[0]).is_none());
    trial.is_released();
}

fn killed_and_back() {
    let world = World::new();
    let mut trial = Trial::enrolled(&world);
    trial.die_after_applying();
    trial.host.start();
    trial.gateway.wait_live();
    let result = trial.gateway.result_of(1);
    assert!(result.success, "{}", result.message);
    trial.is_controlled(2);
}

fn moved_as_signed() {
    let world = World::new();
    let mut trial = Trial::enrolled(&world);
    trial.gateway.state().addresses = vec![format!("{MOVED_TO}:{PORT}").parse().unwrap()];
    trial.start();
    trial.gateway.push(&trial.gateway.order(1, isolate()));
    assert!(trial.gateway.result_of(1).success);
    trial.move_server();
    trial.gateway.wait_live();
    trial.is_controlled(2);
}

/// Takes minutes: a host does not search for a server that only took a break.
fn moved_and_searched() {
    let world = World::new();
    let hosts = Hosts::new(&world, SERVER[0]);
    let mut trial = Trial::enrolled(&world);
    trial.host.api_url = format!("http://{NAME}:{PORT}");
    trial.start();
    trial.gateway.push(&trial.gateway.order(1, isolate()));
    assert!(trial.gateway.result_of(1).success);
    trial.gateway.wait_for("telemetry says isolated", |state| {
        let (telemetry, _) = state.telemetry.last()?;
        (telemetry.isolation.state == ObservedIsolation::Isolated).then_some(())
    });
    hosts.say(MOVED_TO);
    trial.move_server();
    within(Duration::from_secs(400), "the agent finds its server", || trial.gateway.is_live().then_some(()));
    let rules = within(Duration::from_secs(200), "the new address is in the rules for good", || {
        let rules = world.ruleset();
        (rules.matches(MOVED_TO).count() > 1 && !rules.contains("dport 53")).then_some(rules)
    });
    assert!(rules.contains("voltaxe_isolation"));
    trial.is_controlled(2);
}

fn timer_with_the_agent_dead() {
    let world = World::new();
    let mut trial = Trial::enrolled(&world);
    trial.start();
    let order = NetworkIsolate { auto_restore_after_seconds: Some(8), ..NetworkIsolate::default() };
    trial.gateway.push(&trial.gateway.order(1, Command::NetworkIsolate(order)));
    assert!(trial.gateway.result_of(1).success);
    trial.host.crash();
    assert!(world.talk("host", OUTSIDE[0]).is_none());
    trial.is_released();
    trial.gateway.wait_gone();
    trial.host.start();
    trial.gateway.wait_live();
    within(AFTER_PROBATION, "nothing is left of the rules", || world.ruleset().is_empty().then_some(()));
}

fn server_down() {
    let world = World::new();
    let mut trial = Trial::enrolled(&world);
    trial.start();
    trial.gateway.state().answers_probes = Answers::NotFound;
    trial.gateway.push(&trial.gateway.order(1, isolate()));
    trial.gateway.wait_for("the server is asked", |state| (state.probes > 0).then_some(()));
    trial.gateway.down();
    trial.is_released();
    trial.gateway.up();
    trial.is_rolled_back();
}

/// The isolation that was confirmed is in force again.
fn second_isolate_not_confirmed() {
    let world = World::new();
    let mut trial = Trial::enrolled(&world);
    trial.start();
    trial.gateway.push(&trial.gateway.order(1, isolate()));
    assert!(trial.gateway.result_of(1).success);
    let rules = world.ruleset();
    trial.gateway.state().answers_probes = Answers::NotFound;
    let other = NetworkIsolate { auto_restore_after_seconds: Some(3600), ..NetworkIsolate::default() };
    trial.gateway.push(&trial.gateway.order(2, Command::NetworkIsolate(other)));
    let result = within(AFTER_PROBATION, "the second isolate has a result", || {
        let state = trial.gateway.state();
        state.results.iter().map(|(result, _)| result).find(|result| result.command_id.0 == 2).cloned()
    });
    let message = result.message;
    assert!(!result.success && message.contains("isolation by command 1 is in force again"), "{message}");
    assert_eq!(world.ruleset(), rules);
    trial.gateway.state().answers_probes = Answers::Signed;
    trial.is_controlled(3);
}

impl<'a> Trial<'a> {
    fn enrolled(world: &'a World) -> Self {
        let gateway = Gateway::start(world);
        let host = Host::enrolled(world, &gateway);
        Self { world, gateway, host }
    }

    fn start(&mut self) {
        self.host.configure("");
        self.host.start();
        self.gateway.wait_live();
    }

    fn die_after_applying(&mut self) {
        self.host.start_to_die_at("after-effect");
        self.gateway.wait_live();
        self.gateway.push(&self.gateway.order(1, isolate()));
        self.host.wait_dead();
        self.gateway.wait_gone();
    }

    fn move_server(&mut self) {
        self.gateway.down();
        let srv = self.world.name("srv");
        ip(&["-n", &srv, "addr", "del", &format!("{}/24", SERVER[0]), "dev", "eth0"]);
        ip(&["-n", &srv, "addr", "add", &format!("{MOVED_TO}/24"), "dev", "eth0"]);
        self.gateway.up();
    }

    /// Returns what the operator is told.
    fn is_rolled_back(&self) -> String {
        let result = within(AFTER_PROBATION, "the isolate has a result", || {
            let state = self.gateway.state();
            state.results.iter().map(|(result, _)| result).find(|result| result.command_id.0 == 1).cloned()
        });
        assert!(
            !result.success && result.message.contains("control channel lost; rolled back"),
            "{}",
            result.message
        );
        assert_eq!(result.data.unwrap()["isolated"], false);
        self.is_released();
        result.message
    }

    fn is_released(&self) {
        within(AFTER_PROBATION, "the outside is reached", || self.world.talk("host", OUTSIDE[0]));
    }

    fn is_controlled(&self, id: i64) {
        assert!(self.world.talk("host", OUTSIDE[0]).is_none(), "not isolated");
        self.gateway.push(&self.gateway.order(id, check()));
        let result = self.gateway.result_of(id);
        assert!(result.success && result.message.contains("the host is isolated"), "{}", result.message);
        self.gateway.push(&self.gateway.order(id + 1, restore()));
        assert!(self.gateway.result_of(id + 1).success);
        self.is_released();
    }
}

/// What the name of the server stands for, in the host's namespace alone.
struct Hosts(PathBuf);

impl Hosts {
    fn new(world: &World, address: &str) -> Self {
        let hosts = Self(PathBuf::from("/etc/netns").join(world.name("host")));
        fs::create_dir_all(&hosts.0).unwrap();
        hosts.say(address);
        hosts
    }

    /// In place: `ip netns exec` has mounted this very file.
    fn say(&self, address: &str) {
        let line = if address.is_empty() { String::new() } else { format!("{address} {NAME}\n") };
        fs::write(self.0.join("hosts"), line).unwrap();
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn within<T>(time: Duration, what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + time;
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(Instant::now() < deadline, "it did not come about that {what}");
        thread::sleep(Duration::from_millis(100));
    }
}
