//! Many commands for real cores over a network and disks that do their worst, in simulated time.

use std::thread;

use super::*;
use crate::chaos::{Chaos, size};
use host::Host;
use server::Server;

mod host;
mod server;

/// Commands that one host gets; a tenth as many isolates and restores on top.
const COMMANDS_OF_A_HOST: i64 = 1000;

#[test]
fn every_command_is_executed_exactly_once_whatever_the_channels_and_disks_do() {
    let chaos = Chaos::new("commands over all channels");
    let hosts = size(2, 100);
    let seeds: Vec<u64> = (0..hosts).map(|host| chaos.seed.wrapping_add(host)).collect();
    let total = thread::scope(|scope| {
        let halves = seeds.chunks(seeds.len().div_ceil(2)).map(|seeds| {
            scope.spawn(move || {
                seeds.iter().map(|seed| live_through(*seed)).fold(Count::default(), Count::add)
            })
        });
        let halves: Vec<_> = halves.collect();
        halves.into_iter().map(|half| half.join().unwrap()).fold(Count::default(), Count::add)
    });
    assert_eq!(total.executed, hosts * 1000, "each check is executed exactly once");
    let Count { executed, controls, superseded, cancelled, resumed, offers, crashes } = total;
    chaos.tell(format_args!(
        "{executed} done exactly once, 0 doubled, 0 lost ({offers} offers, {crashes} crashes, {resumed} taken up again after \
         one; besides {controls} isolates and restores, of which {superseded} superseded; {cancelled} cancelled, of which \
         0 executed)"
    ));
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    executed: u64,
    controls: u64,
    superseded: u64,
    cancelled: u64,
    resumed: u64,
    offers: u64,
    crashes: u64,
}

impl Count {
    fn add(self, other: Self) -> Self {
        Self {
            executed: self.executed + other.executed,
            controls: self.controls + other.controls,
            superseded: self.superseded + other.superseded,
            cancelled: self.cancelled + other.cancelled,
            resumed: self.resumed + other.resumed,
            offers: self.offers + other.offers,
            crashes: self.crashes + other.crashes,
        }
    }
}

/// One host and its server, until every command has its result and the host has nothing more to say.
fn live_through(seed: u64) -> Count {
    let random = fastrand::Rng::with_seed(seed);
    let mut host = Host::new(random);
    let mut server = Server::new(COMMANDS_OF_A_HOST);
    while !(server.is_content() && host.is_at_rest()) {
        host.step(&mut server);
        assert!(
            host.now.uptime < Duration::from_secs(7 * 24 * 3600),
            "it does not come to rest (host seed {seed}): {:?}",
            server.waiting_for()
        );
    }
    let mut count = Count { offers: server.offers, crashes: host.crashes, ..Count::default() };
    for (id, command) in server.commands() {
        let result = command.result.as_ref().expect("every command has its result");
        let took_effect = host.effects_of(*id);
        count.resumed += u64::from(host.witness.runs_of(*id) > 1);
        match (result.refused(), &command.order.action) {
            (Some("cancelled"), _) => {
                assert!(command.is_cancelled, "command {id} was not cancelled (host seed {seed})");
                assert_eq!(took_effect, 0, "command {id} was cancelled and took effect (host seed {seed})");
                count.cancelled += 1;
            }
            (Some("superseded"), Command::NetworkIsolate(_) | Command::NetworkRestore(_)) => {
                count.controls += 1;
                count.superseded += 1;
            }
            (Some(word), _) => panic!("command {id} is refused: {word} (host seed {seed})"),
            (None, action) => {
                assert_eq!(took_effect, 1, "the effects of command {id} (host seed {seed})");
                match action {
                    Command::AgentCheck(_) => count.executed += u64::from(!command.is_extra),
                    Command::NetworkIsolate(_) | Command::NetworkRestore(_) => count.controls += 1,
                    other => panic!("nobody sent {other:?}"),
                }
            }
        }
    }
    count
}
