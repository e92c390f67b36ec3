//! A collection that is killed, and a bundle that is changed.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Command, Stdio},
    sync::atomic::AtomicBool,
};

use voltaxe_protocol::{EvidenceLimits, evidence::verify};
use voltaxe_sentinel::{
    clock,
    forensics::{Host, Progress, Spool, collect_from},
};

use super::{Ground, STANDARD, Started, job, noise};
use crate::chaos::{Chaos, size};

/// What the child of the next test does: it tells each step on standard output.
#[test]
#[ignore = "started by killed_at_random_points"]
fn child_that_collects() {
    let Ok(directory) = std::env::var("VOLTAXE_TEST_GROUND") else { return };
    let directory = PathBuf::from(directory);
    let host = Host::with_files_of(&directory.join("root"));
    let limits = EvidenceLimits { cpu_percent: 100, ..EvidenceLimits::default() };
    let mut tell = |progress: Progress| {
        println!("\nstep {}", progress.step);
        std::io::stdout().flush().unwrap();
    };
    let cancelled = AtomicBool::new(false);
    let outcome = collect_from(
        &host,
        &job(&directory.join("evidence"), STANDARD, limits),
        &mut tell,
        &cancelled,
        &clock::wall,
    );
    println!("\noutcome {}", outcome.success);
}

fn start_child(ground: &Ground) -> Started {
    let child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "forensics::kills::child_that_collects",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env("VOLTAXE_TEST_GROUND", ground.directory.path())
        .stdout(Stdio::piped())
        .spawn();
    Started(child.unwrap())
}

/// How many lines of steps the child tells until it ends, or until `most` of them.
fn steps(child: &mut Started, most: usize) -> usize {
    let lines = BufReader::new(child.0.stdout.as_mut().unwrap()).lines();
    let steps = lines.map_while(Result::ok).filter(|line| line.starts_with("step "));
    steps.take(most).count()
}

#[test]
fn killed_at_random_points_it_ends_complete() {
    let chaos = Chaos::new("forensics-kills");
    let mut random = fastrand::Rng::with_seed(chaos.seed);
    let ground = Ground::new();
    ground.file("var/log/syslog", &noise(2 * 1024 * 1024));
    let all = steps(&mut start_child(&ground), usize::MAX);
    assert!(all > 20, "{all} steps");
    let (mut unfinished, rounds) = (0, size(20, 200));
    for _ in 0..rounds {
        fs::remove_dir_all(ground.evidence()).unwrap();
        let mut child = start_child(&ground);
        steps(&mut child, random.usize(1..=all));
        // Somewhere in the step, and sometimes behind the last one.
        std::thread::sleep(std::time::Duration::from_micros(random.u64(0..3000)));
        drop(child);
        let spool = Spool::open(&ground.evidence()).unwrap();
        unfinished += usize::from(spool.pending().is_empty());
        let collected = ground.collect(STANDARD);
        assert_eq!(collected.outcome.partial, None);
        assert!(collected.has("files/var/log/syslog"));
        let left: Vec<_> = fs::read_dir(ground.evidence().join("7")).unwrap().flatten().collect();
        assert_eq!(left.len(), 2, "only the bundle and what is known of it: {left:?}");
    }
    chaos.tell(format_args!(
        "killed {rounds} times, {unfinished} of them in the middle: each bundle complete and verified"
    ));
}

#[test]
fn each_flipped_byte_of_a_real_bundle_is_named() {
    let chaos = Chaos::new("forensics-flips");
    let mut random = fastrand::Rng::with_seed(chaos.seed);
    let ground = Ground::new();
    let collected = ground.collect(STANDARD);
    let mut bytes = fs::read(&collected.bundle.path).unwrap();
    let places = {
        let mut zip = zip::ZipArchive::new(std::io::Cursor::new(&bytes)).unwrap();
        let mut places = Vec::new();
        for number in 0..zip.len() {
            let file = zip.by_index_raw(number).unwrap();
            let end = file.data_start().unwrap() + file.compressed_size();
            places.push((file.name().to_owned(), file.header_start()..end));
        }
        places
    };
    let rounds = size(60, 2000);
    for _ in 0..rounds {
        let at = random.usize(..bytes.len());
        let flip = random.u8(1..);
        bytes[at] ^= flip;
        let problems = verify(std::io::Cursor::new(&bytes), &collected.bundle.claims).problems;
        bytes[at] ^= flip;
        assert!(!problems.is_empty());
        if let Some((path, _)) = places.iter().find(|(_, place)| place.contains(&(at as u64))) {
            let is_named = problems.iter().any(|problem| problem.contains(path.as_str()));
            assert!(is_named, "byte {at} of {path}: {problems:?}");
        }
    }
    chaos.tell(format_args!(
        "{rounds} bytes flipped in {} bytes, each found and its entry named",
        bytes.len()
    ));
}
