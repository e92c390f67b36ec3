//! The agent's binary in a namespace.

use std::{
    fs,
    io::Write as _,
    os::unix::{fs::PermissionsExt as _, net::UnixStream, process::ExitStatusExt as _},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    gateway::Gateway,
    net::{PORT, SERVER, World, eventually},
};

/// Configuration, state directory and log of one host; stops its agent when dropped.
pub(crate) struct Host<'a> {
    world: &'a World,
    pub(crate) directory: tempfile::TempDir,
    /// Where `configure` says that the server is.
    pub(crate) api_url: String,
    running: Option<Child>,
    executor: Option<Child>,
    /// Two processes instead of one.
    is_split: bool,
    /// On a disk of its own.
    is_mounted: bool,
}

/// What the network process of a split agent runs as: nobody else's on the machine.
pub(crate) const USER: u32 = 64_173;

impl<'a> Host<'a> {
    pub(crate) fn new(world: &'a World) -> Self {
        let host = Self::bare(world);
        host.configure("");
        host
    }

    fn bare(world: &'a World) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let api_url = format!("http://{}:{PORT}", SERVER[0]);
        let host = Self {
            world,
            directory,
            api_url,
            running: None,
            executor: None,
            is_split: false,
            is_mounted: false,
        };
        host.write_machine_id();
        host
    }

    /// A host that is enrolled.
    pub(crate) fn enrolled(world: &'a World, gateway: &Gateway) -> Self {
        let host = Self::new(world);
        let output = host.enroll(&gateway.enrol_string(), &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        host
    }

    /// A host that is enrolled, whose agent is two processes: the executor runs already.
    pub(crate) fn split(world: &'a World, gateway: &Gateway) -> Self {
        Self::bare(world).split_for(gateway)
    }

    /// The same, with room for bundles, however full this machine's disk is.
    pub(crate) fn split_with_room(world: &'a World, gateway: &Gateway) -> Self {
        Self::bare(world).with_room().split_for(gateway)
    }

    pub(crate) fn enrolled_with_room(world: &'a World, gateway: &Gateway) -> Self {
        let host = Self::bare(world).with_room();
        host.configure("");
        let output = host.enroll(&gateway.enrol_string(), &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        host
    }

    fn with_room(mut self) -> Self {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2g", "tmpfs"])
            .arg(self.directory.path())
            .status();
        assert!(mounted.unwrap().success());
        self.is_mounted = true;
        self.write_machine_id();
        self
    }

    fn write_machine_id(&self) {
        fs::write(self.path("machine-id"), "0123456789abcdef0123456789abcdef\n").unwrap();
    }

    fn split_for(mut self, gateway: &Gateway) -> Self {
        let host = &mut self;
        host.is_split = true;
        // The network process' user has to pass.
        fs::set_permissions(host.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        host.configure("");
        let output = host.enroll(&gateway.enrol_string(), &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        host.start_executor();
        self
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("executor.sock")
    }

    pub(crate) fn start_executor(&mut self) {
        self.start_executor_with(&[]);
    }

    pub(crate) fn start_executor_with(&mut self, variables: &[(&str, String)]) {
        assert!(self.executor.is_none());
        let capabilities = ",+net_admin,+kill,+dac_read_search,+sys_ptrace";
        let mut command = self.with_capabilities("executor", 0, capabilities);
        self.executor =
            Some(command.envs(variables.iter().cloned()).stderr(self.open_log()).spawn().unwrap());
        eventually("the executor listens", || UnixStream::connect(self.socket()).ok());
    }

    /// SIGKILL.
    pub(crate) fn crash_executor(&mut self) {
        let mut child = self.executor.take().expect("the executor runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn executor_is_running(&mut self) -> bool {
        self.executor.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// Writes agent.conf: the usual and `more`.
    pub(crate) fn configure(&self, more: &str) {
        let split = format!(
            "executor_socket = {}\nexecutor_state_dir = {}\nuser = {USER}\n",
            self.socket().display(),
            self.path("executor-state").display()
        );
        let more = if self.is_split { split + more } else { more.to_owned() };
        let text = format!(
            "[server]\napi_url = {}\n[agent]\nhostname = web-01\nstate_dir = {}\nmachine_id_file = {}\n{more}",
            self.api_url,
            self.path("state").display(),
            self.path("machine-id").display()
        );
        fs::write(self.path("agent.conf"), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.world.name("host"), env!("CARGO_BIN_EXE_voltaxe-sentinel")])
            .args(arguments)
            .arg("--config")
            .arg(self.path("agent.conf"))
            .env_remove("VOLTAXE_API_URL")
            .env_remove("COMMAND_POLL_ENABLED")
            .env_remove("COMMAND_POLL_INTERVAL");
        command
    }

    pub(crate) fn enroll(&self, enrol_string: &str, more: &[&str]) -> Output {
        let mut child = self
            .command(&["enroll", "--token-file", "-"])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(enrol_string.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    pub(crate) fn status(&self) -> serde_json::Value {
        let output = self.command(&["status", "--json"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub(crate) fn start(&mut self) {
        self.start_with(&[]);
    }

    pub(crate) fn start_with(&mut self, variables: &[(&str, String)]) {
        let mut command =
            if self.is_split { self.with_capabilities("run", USER, "") } else { self.command(&["run"]) };
        self.spawn(command.envs(variables.iter().cloned()));
    }

    /// The agent kills itself when it passes `point`; see the agent's fault module.
    pub(crate) fn start_to_die_at(&mut self, point: &str) {
        self.spawn(self.command(&["run"]).env("VOLTAXE_FAULT", point));
    }

    /// As its unit starts it: the user, the group that both share, and no more capabilities than these.
    fn with_capabilities(&self, role: &str, user: u32, capabilities: &str) -> Command {
        let mut command = Command::new("ip");
        let (user, group) = (user.to_string(), USER.to_string());
        command
            .args(["netns", "exec", &self.world.name("host"), "setpriv", "--reuid", &user, "--regid", &user])
            .args(["--groups", &group, "--inh-caps=-all", "--no-new-privs"])
            .arg(format!("--bounding-set=-all{capabilities}"))
            .args([env!("CARGO_BIN_EXE_voltaxe-sentinel"), role, "--config"])
            .arg(self.path("agent.conf"));
        command
    }

    fn open_log(&self) -> fs::File {
        fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap()
    }

    fn spawn(&mut self, command: &mut Command) {
        assert!(self.running.is_none());
        let log = self.open_log();
        self.running = Some(command.stderr(log).spawn().unwrap());
    }

    pub(crate) fn wait_dead(&mut self) {
        let mut child = self.running.take().expect("the agent runs");
        let ended = eventually("the agent kills itself", || child.try_wait().unwrap());
        assert_eq!(ended.signal(), Some(Signal::KILL.as_raw()), "{ended}");
    }

    /// SIGTERM.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.end(Signal::TERM)
    }

    /// SIGKILL, as a crash.
    pub(crate) fn crash(&mut self) {
        self.end(Signal::KILL);
    }

    fn end(&mut self, signal: Signal) -> ExitStatus {
        let mut child = self.running.take().expect("the agent runs");
        kill_process(Pid::from_child(&child), signal).unwrap();
        child.wait().unwrap()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.running.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub(crate) fn forget_log(&self) {
        fs::File::options().write(true).truncate(true).create(true).open(self.path("log")).unwrap();
    }

    pub(crate) fn wait_for_log(&self, text: &str) {
        eventually(&format!("the log says {text:?}"), || self.log().contains(text).then_some(()));
    }
}

impl Drop for Host<'_> {
    fn drop(&mut self) {
        for mut child in self.running.take().into_iter().chain(self.executor.take()) {
            let _ = child.kill();
            let _ = child.wait();
        }
        let log = if std::thread::panicking() { self.log() } else { String::new() };
        if self.is_mounted {
            let _ = Command::new("umount").arg(self.directory.path()).status();
        }
        if std::thread::panicking() {
            eprintln!("--- the agent's log ---\n{log}");
        }
    }
}
