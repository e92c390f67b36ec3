//! This machine's root, copied on write and booted by systemd in a container that is a host of the test's network.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::net::World;

/// A boot, a stop or a service on a machine that does other things, too.
const LONG: Duration = Duration::from_secs(90);
const AGENT: &str = "/usr/bin/voltaxe-sentinel";
/// As the package names them.
pub(crate) const NETWORK_UNIT: &str = "voltaxe-sentinel.service";
pub(crate) const EXECUTOR_UNIT: &str = "voltaxe-sentinel-executor.service";
pub(crate) const ISOLATION_UNIT: &str = "voltaxe-sentinel-isolation.service";

/// What the package starts on a real host by itself, and little of what this machine starts.
const TARGET: &str =
    "[Unit]\nRequires=basic.target\nAfter=basic.target\nWants=multi-user.target\nAllowIsolate=yes\n";

pub(crate) struct Machine<'a> {
    world: &'a World,
    /// Holds the mount namespace that the copy is in; everything ends with it.
    holder: Child,
    /// As seen in that namespace.
    root: String,
    container: Option<Container>,
    _directory: tempfile::TempDir,
}

struct Container {
    nspawn: Child,
    /// The container's systemd, by its pid out here.
    init: i32,
}

impl<'a> Machine<'a> {
    /// `None`, with a word to the log, where systemd cannot be booted in a container.
    pub(crate) fn install(world: &'a World) -> Option<Self> {
        for needed in ["/usr/lib/systemd/systemd", "/usr/bin/systemd-nspawn"] {
            if !Path::new(needed).exists() {
                eprintln!("skipped: {needed} is missing; install the packages systemd and systemd-container");
                return None;
            }
        }
        let directory = tempfile::tempdir().unwrap();
        let mount = directory.path().display().to_string();
        let mut holder = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-ec"])
            .arg(
                // systemd-nspawn leaves its directories behind, and does not remove any that lie on a disk.
                "mount -t tmpfs tmpfs \"$0\"; mkdir \"$0/upper\" \"$0/work\" \"$0/root\"; mount -t overlay overlay -o \
                 \"lowerdir=/,upperdir=$0/upper,workdir=$0/work\" \"$0/root\"; mkdir -p /run/systemd/nspawn; mount -t tmpfs \
                 tmpfs /run/systemd/nspawn; echo mounted; exec cat",
            )
            .arg(&mount)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "mounted\n");
        let root = format!("{mount}/root");
        let machine = Self { world, holder, root, container: None, _directory: directory };
        machine.put_files();
        let output = machine.inside(&["/usr/lib/voltaxe-sentinel/setup", "installed", "first"]);
        assert!(output.status.success(), "{output:?}");
        Some(machine)
    }

    fn put_files(&self) {
        let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
        for stale in [
            "etc/systemd/system",
            "etc/voltaxe",
            "var/lib/voltaxe-sentinel",
            "var/lib/voltaxe-sentinel-executor",
        ] {
            let _ = fs::remove_dir_all(self.path(stale));
        }
        let put = |from: &Path, to: &str, mode: u32| {
            let to = self.path(to);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(from, &to).unwrap();
            fs::set_permissions(&to, fs::Permissions::from_mode(mode)).unwrap();
        };
        put(Path::new(env!("CARGO_BIN_EXE_voltaxe-sentinel")), AGENT, 0o755);
        put(&packaging.join("setup.sh"), "usr/lib/voltaxe-sentinel/setup", 0o755);
        for unit in [NETWORK_UNIT, EXECUTOR_UNIT, ISOLATION_UNIT] {
            put(&packaging.join("systemd").join(unit), &format!("usr/lib/systemd/system/{unit}"), 0o644);
        }
        for (kind, directory) in [("sysusers", "sysusers.d"), ("tmpfiles", "tmpfiles.d")] {
            let from = packaging.join("systemd").join(format!("voltaxe-sentinel.{kind}"));
            put(&from, &format!("usr/lib/{directory}/voltaxe-sentinel.conf"), 0o644);
        }
        fs::create_dir_all(self.path("etc/systemd/system")).unwrap();
        fs::write(self.path("etc/systemd/system/voltaxe-test.target"), TARGET).unwrap();
        fs::write(self.path("etc/machine-id"), "0123456789abcdef0123456789abcdef\n").unwrap();
    }

    /// A file of the machine, for the test.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let name = name.trim_start_matches('/');
        PathBuf::from(format!("/proc/{}/root{}/{name}", self.holder.id(), self.root))
    }

    pub(crate) fn enroll(&self, enrol_string: &str) {
        let mut child = self
            .nsenter()
            .args([AGENT, "enroll", "--token-file", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(enrol_string.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// Runs a command on the machine, whether it is up or not.
    pub(crate) fn inside(&self, arguments: &[&str]) -> Output {
        self.nsenter().args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    fn nsenter(&self) -> Command {
        let mut command = Command::new("nsenter");
        match &self.container {
            Some(container) => {
                command.args(["--target", &container.init.to_string()]);
                command.args(["--mount", "--uts", "--ipc", "--pid", "--net", "--"]);
            }
            None => {
                command.args(["--target", &self.holder.id().to_string(), "--mount"]);
                command.arg(format!("--net=/run/netns/{}", self.world.name("host")));
                command.args(["--", "chroot", &self.root]);
            }
        }
        command
    }

    pub(crate) fn boot(&mut self) {
        assert!(self.container.is_none());
        let nspawn = Command::new("nsenter")
            .args([
                "--target",
                &self.holder.id().to_string(),
                "--mount",
                "--",
                "systemd-nspawn",
                "--quiet",
                "--boot",
            ])
            .args([
                "--register=no",
                "--keep-unit",
                "--console=pipe",
                "--capability=CAP_NET_ADMIN",
                "--directory",
                &self.root,
            ])
            .arg(format!("--network-namespace-path=/run/netns/{}", self.world.name("host")))
            .arg(format!("--machine={}", self.world.name("host")))
            .arg("systemd.unit=voltaxe-test.target")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let children = format!("/proc/{0}/task/{0}/children", nspawn.id());
        let init = within(LONG, "the container has a first process", || {
            fs::read_to_string(&children).ok()?.split_whitespace().find_map(|pid| {
                let pid = pid.parse().ok()?;
                fs::read_to_string(format!("/proc/{pid}/comm"))
                    .is_ok_and(|name| name == "systemd\n")
                    .then_some(pid)
            })
        });
        self.container = Some(Container { nspawn, init });
        within(LONG, "systemd takes commands", || {
            self.inside(&["systemctl", "list-jobs"]).status.success().then_some(())
        });
    }

    /// In order, as `reboot` and `poweroff` do.
    pub(crate) fn shut_down(&mut self) {
        let Container { mut nspawn, init } = self.container.take().expect("the machine is up");
        // systemd(1): SIGRTMIN+4 starts poweroff.target.
        let poweroff = Command::new("kill").args(["-RTMIN+4", &init.to_string()]).status().unwrap();
        assert!(poweroff.success());
        within(LONG, "the machine is off", || nspawn.try_wait().unwrap());
    }

    /// The unit's main process, by its pid out here.
    pub(crate) fn wait_active(&self, unit: &str) -> Status {
        within(LONG, &format!("{unit} is active"), || {
            if self.property(unit, "ActiveState") != "active" {
                return None;
            }
            let pid: i32 = self.property(unit, "MainPID").parse().ok()?;
            let output = self.inside(&["cat", &format!("/proc/{pid}/status")]);
            output.status.success().then(|| Status(String::from_utf8(output.stdout).unwrap()))
        })
    }

    /// `None` when there is no thread of this name.
    pub(crate) fn nice_of_thread(&self, pid: &str, name: &str) -> Option<i32> {
        let script = "for task in /proc/$0/task/*; do [ \"$(cat $task/comm)\" != $1 ] || awk '{ print $19 }' $task/stat; done";
        let output = self.inside(&["sh", "-c", script, pid, name]);
        String::from_utf8(output.stdout).unwrap().trim().parse().ok()
    }

    pub(crate) fn property(&self, unit: &str, name: &str) -> String {
        let output = self.inside(&["systemctl", "show", "--value", "--property", name, unit]);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn log(&self) -> String {
        let output = self.inside(&["journalctl", "--no-pager", "--output=cat", "--unit=voltaxe-sentinel*"]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// `/proc/PID/status` (proc(5)).
pub(crate) struct Status(String);

impl Status {
    pub(crate) fn field(&self, name: &str) -> &str {
        self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or_default().trim()
    }

    pub(crate) fn pid(&self) -> &str {
        self.field("Pid")
    }
}

impl Drop for Machine<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- the machine's log ---\n{}", self.log());
        }
        if let Some(mut container) = self.container.take() {
            // Twice: systemd-nspawn(1) asks the container first.
            if let Some(init) = Pid::from_raw(container.init) {
                let _ = kill_process(init, Signal::KILL);
            }
            let _ = container.nspawn.kill();
            let _ = container.nspawn.wait();
        }
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Like [`crate::net::eventually`], with another deadline.
pub(crate) fn within<T>(deadline: Duration, what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + deadline;
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(Instant::now() < deadline, "it did not come about that {what}");
        thread::sleep(Duration::from_millis(50));
    }
}
