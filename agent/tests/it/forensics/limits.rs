//! What ends a collection early, and what is kept then.

use std::{
    fs::{self, File},
    io::{Seek as _, SeekFrom, Write as _},
    sync::atomic::{AtomicBool, Ordering},
};

use voltaxe_protocol::{EvidenceLimits, evidence::Bundle};
use voltaxe_sentinel::{
    clock,
    forensics::{Progress, Spool, collect_from},
};

use super::{Collected, FULL, Ground, STANDARD, Tmpfs, job, noise, run};

#[test]
fn cancelling_keeps_what_is_there() {
    let ground = Ground::new();
    let cancelled = AtomicBool::new(false);
    let mut seen = Vec::new();
    let mut progress = |progress: Progress| {
        if progress.done_steps == 3 {
            cancelled.store(true, Ordering::Relaxed);
        }
        seen.push(progress);
    };
    let outcome = std::thread::scope(|scope| {
        let collection =
            || collect_from(&ground.host(), &ground.job(FULL), &mut progress, &cancelled, &clock::wall);
        scope.spawn(collection).join().unwrap()
    });
    let collected = Collected::new(&outcome, &ground.evidence());
    assert_eq!(collected.outcome.partial.as_deref(), Some("it was cancelled"));
    assert_eq!(collected.manifest.partial, collected.outcome.partial);
    assert!(collected.has("volatile/processes.json") && !collected.has("files/etc/crontab"));
    assert!(seen.windows(2).all(|pair| pair[0].done_steps <= pair[1].done_steps));
    assert!(seen.iter().all(|progress| progress.done_steps < progress.total_steps));
}

#[test]
fn a_sparse_log_of_3_gib_costs_its_limit() {
    let ground = Ground::new();
    let mut log = File::create(ground.root().join("var/log/syslog")).unwrap();
    log.seek(SeekFrom::Start(3 * 1024 * 1024 * 1024)).unwrap();
    log.write_all(b"the newest line\n").unwrap();
    let collected = ground.collect(STANDARD);
    let limit = 32 * 1024 * 1024;
    let entry = collected.manifest.entries.iter().find(|entry| entry.path == "files/var/log/syslog").unwrap();
    assert_eq!(entry.size_bytes, limit);
    assert!(collected.error("/var/log/syslog").contains("only the last 33554432 are kept"));
    let mut bundle = Bundle::open(File::open(&collected.bundle.path).unwrap()).unwrap();
    let number = bundle.entries().iter().position(|entry| entry.path == "files/var/log/syslog").unwrap();
    let mut end = Vec::new();
    bundle.unpack(number, u64::MAX, |bytes| end = bytes.to_vec()).unwrap();
    assert!(end.ends_with(b"the newest line\n"));
    assert!(fs::metadata(&collected.bundle.path).unwrap().len() < 4 * 1024 * 1024);
}

#[test]
fn a_bundle_never_is_larger_than_its_limit() {
    let ground = Ground::new();
    for number in 0..200 {
        ground.file(format!("etc/cron.d/job-{number:03}"), &noise(100 * 1024));
    }
    let max_bytes = 8 * 1024 * 1024;
    let limits = EvidenceLimits { max_bytes, cpu_percent: 100, ..EvidenceLimits::default() };
    let job = job(&ground.evidence(), STANDARD, limits);
    let collected = Collected::new(&run(&ground.host(), &job), &ground.evidence());
    assert_eq!(collected.outcome.partial.as_deref(), Some("it met its limit of 8388608 bytes"));
    let size = fs::metadata(&collected.bundle.path).unwrap().len();
    assert!(size <= max_bytes && size > max_bytes / 2, "{size}");
    let cron = collected.list("persistence/cron.json");
    assert!(cron.len() > 20 && cron.len() < 200, "{}", cron.len());
}

#[test]
fn a_disk_that_is_too_small_is_not_filled() {
    let ground = Ground::new();
    for number in 0..400 {
        ground.file(format!("etc/cron.d/job-{number:03}"), &noise(100 * 1024));
    }
    let disk = ground.directory.path().join("disk");
    // Half a GiB stays free, so there is room for some 20 MiB.
    let mounted = Tmpfs::mount(&disk, "540M");
    let evidence = disk.join("evidence");
    let limits = EvidenceLimits { cpu_percent: 100, ..EvidenceLimits::default() };
    let outcome = run(&ground.host(), &job(&evidence, STANDARD, limits));
    let collected = Collected::new(&outcome, &evidence);
    let partial = collected.outcome.partial.clone().unwrap();
    assert!(partial.contains("536870912 must stay free; make room"), "{partial}");
    assert!(collected.has("volatile/processes.json"));
    assert!(collected.content.keys().any(|path| path.starts_with("files/etc/cron.d/job-")));
    assert!(outcome.message.contains("it is not complete"), "{}", outcome.message);
    drop(mounted);

    let mounted = Tmpfs::mount(&disk, "100M");
    let outcome = run(&ground.host(), &job(&evidence, STANDARD, limits));
    assert!(!outcome.success && outcome.message.contains("make room"), "{}", outcome.message);
    assert_eq!(Spool::open(&evidence).unwrap().pending().len(), 0);
    drop(mounted);
}
