//! Nothing that the server did not sign is ever obeyed, and nothing that it did sign is obeyed twice.

use std::thread;

use super::{
    order::{Opened, acceptable, open},
    *,
};
use crate::chaos::{Chaos, size};

#[test]
fn mutated_envelopes_are_never_accepted() {
    let chaos = Chaos::new("mutated envelopes");
    let count = size(20_000, 1_000_000) / 2;
    let genuine: u64 = thread::scope(|scope| {
        let halves = [0, 1].map(|half| {
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(chaos.seed.wrapping_add(half));
                (0..count).map(|_| u64::from(mutate_and_offer(&mut random))).sum::<u64>()
            })
        });
        halves.map(|half| half.join().unwrap()).into_iter().sum()
    });
    chaos.tell(format_args!(
        "{} done, 0 accepted, 0 panics ({genuine} had only unsigned parts changed and were the genuine order)",
        2 * count
    ));
}

#[test]
fn replayed_commands_are_answered_from_the_ledger() {
    let chaos = Chaos::new("replayed commands");
    let mut random = fastrand::Rng::with_seed(chaos.seed);
    let replays = size(5_000, 100_000);
    let envelopes: Vec<Envelope> = (0..50).map(|id| sealed(&order(id, check()))).collect();
    let mut sim = Sim::live();
    for (id, envelope) in (0..).zip(&envelopes) {
        sim.push_envelope(envelope.clone());
        sim.done(id);
        if id % 2 == 0 {
            sim.recorded(id);
        }
    }
    assert_eq!(sim.runs().len(), 50);
    let mut answers = 0;
    for _ in 0..replays {
        sim.take();
        let envelope = random.choice(&envelopes).unwrap().clone();
        let answered = if random.bool() {
            sim.push_envelope(envelope);
            sim.results().len()
        } else {
            sim.core.handle_direct_offer(sim.now, 1, &DirectOffer { attempt: 1, envelope });
            sim.settle();
            sim.verdicts().len()
        };
        answers += answered;
        assert_eq!(sim.runs(), Vec::<i64>::new(), "a replayed command runs");
        if random.u16(..) == 0 {
            sim = Sim::recovered(std::mem::take(&mut sim.journal), sim.now);
            sim.go_live();
        }
    }
    assert_eq!(answers, replays);
    chaos.tell(format_args!("{replays} done, {answers} answered, 0 executed again"));
}

/// Whether it was the genuine order after all: something was changed that nobody signs.
fn mutate_and_offer(random: &mut fastrand::Rng) -> bool {
    let original = order(random.i64(1..1000), [isolate(), restore(), check()][random.usize(..3)].clone());
    let mut envelope = sealed(&original);
    if random.bool() {
        mutate_parts(&mut envelope, random);
        return offer(envelope, &original);
    }
    // The whole body of a direct offer, as bytes off the network.
    let offer_body = DirectOffer { attempt: 1, envelope };
    let mut body = serde_json::to_vec(&offer_body).unwrap();
    (0..random.usize(1..4)).for_each(|_| mutate_bytes(&mut body, random));
    match serde_json::from_slice::<DirectOffer>(&body) {
        Ok(parsed) => offer(parsed.envelope, &original),
        Err(_) => false,
    }
}

fn offer(envelope: Envelope, original: &CommandOrder) -> bool {
    let opened = open(&envelope, &trust());
    let mut core = Core::new(
        Now { wall: start_of_time(), uptime: Duration::ZERO },
        7,
        trust(),
        &settings(),
        Recovered::default(),
    );
    let now = Now { wall: start_of_time(), uptime: Duration::ZERO };
    core.handle_direct_offer(now, 1, &DirectOffer { attempt: 1, envelope });
    let first = core.poll_effect();
    match opened {
        Err(_) => {
            let is_turned_away =
                matches!(first, Some(Effect::AnswerDirect { verdict: DirectVerdict::NotForUs(_), .. }));
            assert!(is_turned_away && core.poll_effect().is_none(), "a forgery is taken: {first:?}");
            false
        }
        Ok(Opened::Order(order)) => {
            assert_eq!(*order, *original, "a forgery is accepted");
            assert!(acceptable(&order, &trust(), now.wall).is_ok());
            true
        }
        Ok(Opened::NotUnderstood { header, why }) => panic!("a forgery of {} is signed: {why}", header.id),
    }
}

fn mutate_parts(envelope: &mut Envelope, random: &mut fastrand::Rng) {
    match random.u8(..8) {
        0 => mutate_text(&mut envelope.payload_type, random),
        1 => mutate_text(&mut envelope.signatures[0].sig, random),
        2 => mutate_text(&mut envelope.signatures[0].keyid, random),
        3 => envelope.signatures.clear(),
        4 => envelope.signatures.push(envelope.signatures[0].clone()),
        5 => envelope.payload = sealed(&order(5000, isolate())).payload,
        _ => mutate_text(&mut envelope.payload, random),
    }
}

fn mutate_text(text: &mut String, random: &mut fastrand::Rng) {
    let mut bytes = std::mem::take(text).into_bytes();
    mutate_bytes(&mut bytes, random);
    *text = String::from_utf8_lossy(&bytes).into_owned();
}

fn mutate_bytes(bytes: &mut Vec<u8>, random: &mut fastrand::Rng) {
    let Some(position) = (!bytes.is_empty()).then(|| random.usize(..bytes.len())) else { return };
    match random.u8(..5) {
        0 => bytes[position] ^= 1 << random.u8(..8),
        1 => bytes[position] = random.alphanumeric() as u8,
        2 => bytes.truncate(position),
        3 => bytes.insert(position, random.u8(..)),
        _ => {
            bytes.remove(position);
        }
    }
}
