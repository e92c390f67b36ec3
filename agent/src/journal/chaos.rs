//! Every way in which one bit or the tail of a journal can go.

use std::{ops::Range, thread};

use chrono::DateTime;
use voltaxe_protocol::{
    AgentCheck, Command, CommandId, CommandOrder, CommandResult, EndpointId, Epoch, Keypair,
};

use super::*;
use crate::chaos::{Chaos, is_full};

const RECORDS: i64 = 1000;

#[test]
fn each_flipped_bit_is_noticed_and_costs_one_record() {
    let chaos = Chaos::new("flipped bits of a journal");
    let (bytes, frames) = journal();
    let picked: Vec<usize> = if is_full() {
        (0..bytes.len() * 8).collect()
    } else {
        let mut random = fastrand::Rng::with_seed(chaos.seed);
        (0..20_000).map(|_| random.usize(..bytes.len() * 8)).collect()
    };
    on_two_threads(&picked, |bits| {
        let mut bytes = bytes.clone();
        for bit in bits {
            let (byte, mask) = (bit / 8, 1 << (bit % 8));
            bytes[byte] ^= mask;
            check_flip(&bytes, &frames, byte);
            bytes[byte] ^= mask;
        }
    });
    chaos.tell(format_args!("{} done, each noticed, 0 other records lost", picked.len()));
}

#[test]
fn each_truncation_is_noticed_and_keeps_every_whole_record() {
    let chaos = Chaos::new("truncations of a journal");
    let (bytes, frames) = journal();
    let picked: Vec<usize> = if is_full() {
        (1..bytes.len()).collect()
    } else {
        let mut random = fastrand::Rng::with_seed(chaos.seed);
        let ends = frames.iter().take(20).map(|frame| frame.end);
        (0..20_000).map(|_| random.usize(1..bytes.len())).chain(ends).collect()
    };
    on_two_threads(&picked, |cuts| {
        for cut in cuts {
            let whole = frames.partition_point(|frame| frame.end <= *cut);
            // The scan begins at the last whole record: whatever is before it was walked over in the same way.
            let start = frames[whole.saturating_sub(1)].start;
            let scan = frame::scan(&bytes[start..*cut]);
            assert_eq!(scan.records.len(), usize::from(whole > 0), "cut at {cut}");
            assert!(scan.bad.is_empty(), "cut at {cut}");
            assert!(scan.torn > 0 || scan.is_truncated(cut - start), "the cut at {cut} is not noticed");
        }
    });
    chaos.tell(format_args!("{} done, each noticed, 0 whole records lost", picked.len()));
}

#[test]
fn damage_on_disk_is_set_aside_and_mended_when_the_journal_is_opened() {
    let chaos = Chaos::new("flipped bits on disk");
    let (bytes, frames) = journal();
    let mut random = fastrand::Rng::with_seed(chaos.seed);
    let rounds = crate::chaos::size(20, 500);
    for _ in 0..rounds {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::open(directory.path()).unwrap();
        let mut damaged = bytes.clone();
        damaged.resize(bytes.len() + 128 * 1024, 0);
        let byte = random.usize(..bytes.len());
        damaged[byte] ^= 1 << random.u8(..8);
        fs::write(state.path(FILE), &damaged).unwrap();
        let (journal, records, damage) = Journal::open(&state, |_, _| {}).unwrap();
        drop(journal);
        let hit = frames.partition_point(|frame| frame.end <= byte);
        let mut expected = records_of_the_journal();
        expected.remove(hit);
        assert_eq!(records, expected);
        assert_eq!(damage.quarantined.len(), usize::from(hit + 1 < frames.len()));
        assert_eq!(damage.torn_bytes > 0, hit + 1 == frames.len());
        let (_, records, damage) = Journal::open(&state, |_, _| {}).unwrap();
        assert_eq!((records, damage), (expected, Damage::default()));
    }
    chaos.tell(format_args!("{rounds} done, each set aside, 0 other records lost"));
}

/// The scan begins at the damaged record: whatever is before it was walked over in the same way.
fn check_flip(bytes: &[u8], frames: &[Range<usize>], byte: usize) {
    let hit = frames.partition_point(|frame| frame.end <= byte);
    let start = frames[hit].start;
    let scan = frame::scan(&bytes[start..]);
    let kept = scan.records.iter().map(|range| range.end + start);
    assert!(kept.eq(frames[hit + 1..].iter().map(|frame| frame.end)), "byte {byte}");
    let is_last = hit + 1 == frames.len();
    let damage = frames[hit].start - start..frames[hit].end - start;
    if is_last {
        assert!(scan.torn > 0, "the damage at byte {byte} is not noticed");
    } else {
        assert_eq!(scan.bad, [damage], "byte {byte}");
    }
}

/// The bytes, and where each record's frame is.
fn journal() -> (Vec<u8>, Vec<Range<usize>>) {
    let mut bytes = Vec::new();
    let frames = records_of_the_journal()
        .iter()
        .map(|record| {
            let start = bytes.len();
            frame::append(&mut bytes, &serde_json::to_vec(record).unwrap());
            start..bytes.len()
        })
        .collect();
    (bytes, frames)
}

/// The four steps of 250 commands.
fn records_of_the_journal() -> Vec<Record> {
    let at = DateTime::UNIX_EPOCH;
    (0..RECORDS)
        .map(|number| {
            let id = CommandId(number / 4);
            match number % 4 {
                0 => Record::Received { order: order(id), envelope: None, attempt: 1, at },
                1 => Record::Started { id, pre_image: None, at },
                2 => Record::Finished {
                    kind: "agent_check".to_owned(),
                    result: CommandResult {
                        command_id: id,
                        success: true,
                        message: "x".repeat(40),
                        data: None,
                    },
                    forget_after: at,
                    at,
                },
                _ => Record::Reported { id, at },
            }
        })
        .collect()
}

fn order(id: CommandId) -> CommandOrder {
    let at = DateTime::UNIX_EPOCH;
    CommandOrder {
        id,
        endpoint_id: EndpointId::of_key(&Keypair::from_seed(&[2; 32]).public()),
        epoch: Epoch(1),
        action: Command::AgentCheck(AgentCheck {}),
        issued_at: at,
        not_before: None,
        expires_at: at,
        created_by: "alice".to_owned(),
        reason: String::new(),
    }
}

fn on_two_threads(picked: &[usize], work: impl Fn(&[usize]) + Sync) {
    thread::scope(|scope| {
        for half in picked.chunks(picked.len().div_ceil(2)) {
            scope.spawn(|| work(half));
        }
    });
}
