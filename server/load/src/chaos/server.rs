//! The server's process: started, killed, started again on the same directory and port.

use std::{
    fs::{self, OpenOptions},
    net::TcpListener,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt as _, time::timeout};
use voltaxe_protocol::EnrolString;

use crate::{
    fleet::{self, FleetFile},
    http::{self, Connection},
    target::Target,
};

const READY_WITHIN: Duration = Duration::from_secs(60);
const ENDS_WITHIN: Duration = Duration::from_secs(30);
const USES_OF_A_STRING: usize = 500;

pub(super) struct Server {
    binary: PathBuf,
    target: Target,
    directory: TempDir,
    running: Mutex<Running>,
}

struct Running {
    server: Option<Child>,
    sweeper: Child,
}

impl Server {
    pub(super) fn prepare(binary: &Path) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("voltaxe-chaos-").tempdir()?;
        // Postgres runs as another user when we are root, and must get in.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711))?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let running = Running { server: None, sweeper: sweeper(directory.path())? };
        Ok(Self {
            binary: binary.to_owned(),
            target: format!("http://{address}").parse()?,
            directory,
            running: Mutex::new(running),
        })
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// Answered when it takes requests.
    pub(super) async fn start(&self) -> anyhow::Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(self.log())?;
        let child = Command::new(&self.binary)
            .arg("serve")
            .arg("--state-dir")
            .arg(self.directory.path())
            .args(["--listen", self.target.authority(), "--direct", "true"])
            .env_remove("DATABASE_URL")
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A Ctrl-C at the terminal reaches only us.
            .process_group(0)
            .spawn()
            .with_context(|| {
                format!("cannot start {}; build it, or set VOLTAXE_SERVER_BIN", self.binary.display())
            })?;
        // For the sweeper, should we be killed.
        fs::write(self.directory.path().join("server.pid"), child.id().to_string())?;
        self.running().server = Some(child);
        self.ready().await
    }

    pub(super) fn kill(&self) -> anyhow::Result<()> {
        if let Some(mut child) = self.running().server.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Ends the Postgres at once, as a crash does: it recovers from its log afterwards.
    pub(super) fn kill_database(&self) -> anyhow::Result<()> {
        let pid = self.postmaster().context("the server's Postgres has no pid file")?;
        kill_process(pid, Signal::QUIT).context("the server's Postgres cannot be signalled")
    }

    pub(super) async fn ready(&self) -> anyhow::Result<()> {
        let request = http::request("GET", "/readyz", &self.target, &[], b"");
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let asked = async {
                let mut connection = Connection::open(&self.target, None).await.ok()?;
                Some(connection.exchange(&request).await.ok()?.status)
            };
            if timeout(Duration::from_secs(5), asked).await == Ok(Some(200)) {
                return Ok(());
            }
            if let Some(status) = self.running().server.as_mut().and_then(|child| child.try_wait().ok()?) {
                bail!("the server ended by itself ({status}); its log: {}", self.log_end());
            }
            if Instant::now() > deadline {
                bail!(
                    "the server was not ready within {} s; its log: {}",
                    READY_WITHIN.as_secs(),
                    self.log_end()
                );
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// Runs `voltaxe-server admin`; secrets go through its standard input.
    pub(super) async fn admin(&self, words: &[&str], input: &str) -> anyhow::Result<String> {
        let mut child = tokio::process::Command::new(&self.binary)
            .arg("admin")
            .args(words)
            .arg("--state-dir")
            .arg(self.directory.path())
            .env_remove("DATABASE_URL")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut stdin = child.stdin.take().context("the server's admin command has no input")?;
        // It need not read it.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let output = child.wait_with_output().await?;
        if !output.status.success() {
            bail!("voltaxe-server admin {}: {}", words[0], String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    pub(super) async fn enrol(&self, seed: u64, size: usize) -> anyhow::Result<FleetFile> {
        let mut strings = Vec::new();
        for _ in 0..size.div_ceil(USES_OF_A_STRING) {
            let uses = USES_OF_A_STRING.to_string();
            let text = self.admin(&["enrolment-token", "--label", "chaos", "--uses", &uses], "").await?;
            let line = text.split_whitespace().find(|word| word.starts_with("vxe1."));
            let string: EnrolString = line.context("the server printed no enrolment string")?.parse()?;
            strings.push(string);
        }
        fleet::enrol(&self.target, seed, size, strings, |_| {}).await
    }

    /// Ends everything in order.
    pub(super) async fn end(&self) {
        let server = self.running().server.take();
        if let Some(mut child) = server {
            let _ = kill_process(Pid::from_child(&child), Signal::TERM);
            let deadline = Instant::now() + ENDS_WITHIN;
            while matches!(child.try_wait(), Ok(None)) {
                if Instant::now() > deadline {
                    let _ = child.kill();
                    let _ = child.wait();
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    pub(super) fn keep_log(&self, folder: &Path, seed: u64) -> anyhow::Result<PathBuf> {
        fs::create_dir_all(folder)?;
        let kept = folder.join(format!("server-{seed}.log"));
        fs::copy(self.log(), &kept)?;
        Ok(kept)
    }

    fn postmaster(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.directory.path().join("postgres/data/postmaster.pid")).ok()?;
        Pid::from_raw(text.lines().next()?.trim().parse().ok()?)
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("server.log")
    }

    fn log_end(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.trim().lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut running = self.running();
        drop(running.sweeper.stdin.take());
        let _ = running.sweeper.wait();
    }
}

/// Ends what is left of the server and its Postgres when our end of its input closes: also when we are killed.
fn sweeper(directory: &Path) -> anyhow::Result<Child> {
    let script = r#"
        gone() { ! kill -0 "$1" 2>/dev/null || [ "$(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null)" = Z ]; }
        until_gone() { for _ in $(seq 300); do gone "$1" && return; sleep 0.1; done; }
        cat >/dev/null
        server=$(cat "$1/server.pid" 2>/dev/null)
        if [ -n "$server" ] && [ "$(tr '\0' ' ' <"/proc/$server/cmdline" 2>/dev/null | grep -cF -- "$1")" != 0 ]; then
          kill -TERM "$server" 2>/dev/null; until_gone "$server"; gone "$server" || kill -KILL "$server"
        fi
        postgres=$(head -n 1 "$1/postgres/data/postmaster.pid" 2>/dev/null)
        if [ -n "$postgres" ] && [ "$(readlink "/proc/$postgres/cwd")" = "$1/postgres/data" ]; then
          kill -INT "$postgres"; until_gone "$postgres"
        fi
        case "$1" in */voltaxe-chaos-*) rm -rf "$1" ;; esac
    "#;
    Command::new("sh")
        .args(["-c", script, "sweeper"])
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("cannot start sh")
}
