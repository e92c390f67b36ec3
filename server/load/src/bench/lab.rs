//! A server of the bench's own: new directory, new database, gone afterwards however the bench ends.

use std::{
    fs::{self, File},
    net::TcpListener,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use voltaxe_protocol::EnrolString;

use super::{Settings, postgres::Postgres, proc};
use crate::{
    fleet::{self, FleetFile},
    http::{self, Connection},
    operator::Operator,
    target::Target,
};

pub const SEED: u64 = 1;
const OPERATOR: &str = "bench";
const READY_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(60);
const MOST_USES_OF_A_STRING: usize = 1_000;
/// Enrolments side by side.
const STRINGS_AT_LEAST: usize = 4;

pub struct Lab {
    pub target: Target,
    pub operator: Operator,
    pub postgres: Postgres,
    binary: PathBuf,
    server: Server,
}

impl Lab {
    pub async fn start(settings: &Settings) -> anyhow::Result<Self> {
        let server = Server::start(settings)?;
        let target: Target = format!("http://{}", server.address).parse()?;
        server.ready(&target).await?;
        let socket = server.directory.path().join("postgres/run");
        let postgres = Postgres::prepare(socket, server.directory.path().to_owned()).await?;
        let password = uuid::Uuid::new_v4().to_string();
        let words = ["create-operator", "--username", OPERATOR, "--role", "admin", "--password-file", "-"];
        admin(&settings.server, server.directory.path(), &words, &password).await?;
        let operator = Operator::sign_in(&target, OPERATOR, &password).await?;
        Ok(Self { target, operator, postgres, binary: settings.server.clone(), server })
    }

    /// Enrols the first `size` agents of the bench's seed.
    pub async fn enrol(&self, size: usize) -> anyhow::Result<FleetFile> {
        let count = size.div_ceil(MOST_USES_OF_A_STRING).max(STRINGS_AT_LEAST);
        let uses = size.div_ceil(count).to_string();
        let mut strings = Vec::with_capacity(count);
        for _ in 0..count {
            let words = ["enrolment-token", "--label", "bench", "--uses", &uses];
            let text = admin(&self.binary, self.server.directory.path(), &words, "").await?;
            let line = text.split_whitespace().find(|word| word.starts_with("vxe1."));
            let string: EnrolString = line.context("the server printed no enrolment string")?.parse()?;
            strings.push(string);
        }
        fleet::enrol(&self.target, SEED, size, strings, |_| {}).await
    }

    #[must_use]
    pub fn server_pid(&self) -> u32 {
        self.server.child.id()
    }

    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        proc::cpu_seconds(self.server_pid(), postmaster_of(self.server.directory.path())?)
    }
}

struct Server {
    address: std::net::SocketAddr,
    child: Child,
    sweeper: Child,
    // After the sweeper: it has removed everything by then.
    directory: TempDir,
}

impl Server {
    fn start(settings: &Settings) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("voltaxe-bench-").tempdir()?;
        // Postgres runs as another user when we are root, and must get in.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711))?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log = File::create(directory.path().join("server.log"))?;
        let child = Command::new(&settings.server)
            .arg("serve")
            .arg("--state-dir")
            .arg(directory.path())
            .arg("--listen")
            .arg(address.to_string())
            // One message an agent at its start, and no more while something else is measured.
            .args(["--telemetry-interval-seconds", "3600"])
            .env_remove("DATABASE_URL")
            .env("RUST_LOG", &settings.log)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A Ctrl-C at the terminal reaches only us, and we end it in order.
            .process_group(0)
            .spawn()
            .with_context(|| {
                format!(
                    "cannot start {}; build it: cargo build --release -p voltaxe-server",
                    settings.server.display()
                )
            })?;
        let sweeper = sweeper(child.id(), directory.path())?;
        Ok(Self { address, child, sweeper, directory })
    }

    async fn ready(&self, target: &Target) -> anyhow::Result<()> {
        let request = http::request("GET", "/readyz", target, &[], b"");
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Ok(mut connection) = Connection::open(target, None).await
                && let Ok(answer) = connection.exchange(&request).await
                && answer.status == 200
            {
                return Ok(());
            }
            if Instant::now() > deadline {
                let log = fs::read_to_string(self.directory.path().join("server.log")).unwrap_or_default();
                bail!(
                    "the server was not ready within {} s; its log: {}",
                    READY_WITHIN.as_secs(),
                    tail(&log)
                );
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let deadline = Instant::now() + STOP_WITHIN;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(self.sweeper.stdin.take());
        let _ = self.sweeper.wait();
    }
}

/// Ends the server and its Postgres and removes the directory when our end of its input closes: also when we are killed.
fn sweeper(server: u32, directory: &Path) -> anyhow::Result<Child> {
    let script = r#"
        gone() { ! kill -0 "$1" 2>/dev/null || [ "$(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null)" = Z ]; }
        until_gone() { for _ in $(seq 300); do gone "$1" && return; sleep 0.1; done; }
        cat >/dev/null
        if [ "$(tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null | grep -cF -- "$2")" != 0 ]; then
          kill -TERM "$1" 2>/dev/null; until_gone "$1"; gone "$1" || kill -KILL "$1"
        fi
        postgres=$(head -n 1 "$2/postgres/data/postmaster.pid" 2>/dev/null)
        if [ -n "$postgres" ] && [ "$(readlink "/proc/$postgres/cwd")" = "$2/postgres/data" ]; then
          kill -INT "$postgres"; until_gone "$postgres"
        fi
        case "$2" in */voltaxe-bench-*) rm -rf "$2" ;; esac
    "#;
    Command::new("sh")
        .args(["-c", script, "sweeper", &server.to_string()])
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("cannot start sh")
}

/// Runs `voltaxe-server admin`; secrets go through its standard input.
async fn admin(binary: &Path, state: &Path, words: &[&str], input: &str) -> anyhow::Result<String> {
    let mut child = tokio::process::Command::new(binary)
        .arg("admin")
        .args(words)
        .arg("--state-dir")
        .arg(state)
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
        bail!("voltaxe-server admin {}: {}", words[0], tail(&String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn postmaster_of(state: &Path) -> anyhow::Result<u32> {
    let file = state.join("postgres/data/postmaster.pid");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    text.lines().next().and_then(|line| line.trim().parse().ok()).context("postmaster.pid holds no number")
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.trim().lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
