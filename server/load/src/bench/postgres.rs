//! The Postgres of the server that is measured, through its own tools.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail};
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
};

use crate::report::{Recorder, Spread};

/// The database that the floors are measured in, beside the server's own in the same cluster.
const FLOOR_DATABASE: &str = "voltaxe_bench";
/// For the server itself, whose pools may grow meanwhile.
const CONNECTIONS_LEFT_FREE: u32 = 4;
const FLOOR_ROW: &str = "INSERT INTO one_row (data) VALUES (repeat('x', 400));\n";

/// A cluster, by the directory of its socket.
#[derive(Clone, Debug)]
pub struct Postgres {
    socket: PathBuf,
    scratch: PathBuf,
}

impl Postgres {
    /// Refuses a cluster that would make the figures worth nothing; makes the table of the floors.
    pub async fn prepare(socket: PathBuf, scratch: PathBuf) -> anyhow::Result<Self> {
        let postgres = Self { socket, scratch };
        for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
            let value = postgres.ask(&format!("SHOW {setting}")).await?;
            if value != "on" {
                bail!("{setting} is {value} and not on: the figures would mean nothing");
            }
        }
        postgres.run("voltaxe", &format!("CREATE DATABASE {FLOOR_DATABASE}")).await?;
        postgres
            .run(FLOOR_DATABASE, "CREATE TABLE one_row (id bigserial PRIMARY KEY, data text NOT NULL)")
            .await?;
        Ok(postgres)
    }

    /// Runs SQL in the server's database.
    pub async fn execute(&self, sql: &str) -> anyhow::Result<()> {
        self.run("voltaxe", sql).await.map(drop)
    }

    /// The one value that a query answers.
    pub async fn ask(&self, sql: &str) -> anyhow::Result<String> {
        Ok(self.run("voltaxe", sql).await?.trim().to_owned())
    }

    /// Durable one-row commits, one client, one after the other: F.
    pub async fn one_by_one(&self, commits: u32) -> anyhow::Result<Commits> {
        let directory = tempfile::tempdir_in(&self.scratch)?;
        let words = ["-c", "1", "-t", &commits.to_string(), "-l"];
        self.pgbench(directory.path(), &words).await?;
        let mut commits = Commits::default();
        for entry in std::fs::read_dir(directory.path())? {
            let path = entry?.path();
            if path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with("pgbench_log")) {
                commits.read_log(&std::fs::read_to_string(path)?)?;
            }
        }
        Ok(commits)
    }

    /// Durable one-row commits a second by `wanted` clients at once, or as many as find a free connection.
    pub async fn side_by_side(&self, wanted: u32, seconds: u64) -> anyhow::Result<SideBySide> {
        let free = "SELECT current_setting('max_connections')::int - count(*) FROM pg_stat_activity
                    WHERE backend_type = 'client backend'";
        let free: u32 = self.ask(free).await?.parse().context("there is no free connection")?;
        let clients = wanted.min(free.saturating_sub(CONNECTIONS_LEFT_FREE)).max(1);
        let directory = tempfile::tempdir_in(&self.scratch)?;
        let words = ["-c", &clients.to_string(), "-j", "2", "-T", &seconds.to_string()];
        let text = self.pgbench(directory.path(), &words).await?;
        let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split_whitespace().next());
        let rate = rate.and_then(|rate| rate.parse().ok()).context("pgbench printed no rate")?;
        Ok(SideBySide { clients, rate })
    }

    /// A transaction with a snapshot, held until the value is dropped.
    pub async fn hold_snapshot(&self) -> anyhow::Result<Snapshot> {
        let mut child = self.psql("voltaxe").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut input = child.stdin.take().context("psql has no input")?;
        input
            .write_all(b"BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pending_commands;\n")
            .await?;
        let snapshot = Snapshot { _input: input, _child: child };
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        let held = "SELECT count(*) FROM pg_stat_activity
                    WHERE state = 'idle in transaction' AND application_name = 'psql'
                      AND backend_xmin IS NOT NULL";
        while self.ask(held).await? == "0" {
            if std::time::Instant::now() > deadline {
                bail!("the snapshot was not taken within 30 s");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(snapshot)
    }

    async fn run(&self, database: &str, sql: &str) -> anyhow::Result<String> {
        let mut child = self
            .psql(database)
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start psql; it comes with PostgreSQL's client package")?;
        let mut input = child.stdin.take().context("psql has no input")?;
        input.write_all(sql.as_bytes()).await?;
        drop(input);
        let output = child.wait_with_output().await?;
        if !output.status.success() {
            bail!("psql: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn psql(&self, database: &str) -> Command {
        let mut command = Command::new("psql");
        command.args(["-qAtX", "-v", "ON_ERROR_STOP=1", "-U", "voltaxe", "-d", database, "-h"]);
        command.arg(&self.socket).env("PGOPTIONS", "-c client_min_messages=warning").kill_on_drop(true);
        command
    }

    async fn pgbench(&self, directory: &Path, words: &[&str]) -> anyhow::Result<String> {
        std::fs::write(directory.join("insert.sql"), FLOOR_ROW)?;
        let output = Command::new(pgbench()?)
            .args(["-n", "-M", "prepared", "-U", "voltaxe", "-f", "insert.sql"])
            .args(words)
            .arg("-h")
            .arg(&self.socket)
            .arg(FLOOR_DATABASE)
            .current_dir(directory)
            .kill_on_drop(true)
            .output()
            .await?;
        if !output.status.success() {
            bail!("pgbench: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

#[derive(Clone, Copy, Debug)]
pub struct SideBySide {
    pub clients: u32,
    /// Commits a second, of all of them together.
    pub rate: f64,
}

/// Ends with its process.
pub struct Snapshot {
    _input: tokio::process::ChildStdin,
    _child: Child,
}

/// What single durable commits took.
#[derive(Clone, Debug, Default)]
pub struct Commits(Recorder);

impl Commits {
    pub fn merge(&mut self, other: &Self) {
        self.0.merge(&other.0);
    }

    #[must_use]
    pub fn spread(&self) -> Spread {
        self.0.spread()
    }

    /// Lines of `client transaction microseconds ..`.
    fn read_log(&mut self, log: &str) -> anyhow::Result<()> {
        for line in log.lines() {
            let took = line.split(' ').nth(2).and_then(|word| word.parse().ok());
            self.0.record(Duration::from_micros(took.context("pgbench's log is not as known")?));
        }
        Ok(())
    }
}

fn pgbench() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        places.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    let found = places.into_iter().map(|place| place.join("pgbench")).find(|file| file.is_file());
    found.context("pgbench is missing; it comes with PostgreSQL's server package")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_read_from_pgbenchs_log() {
        let mut commits = Commits::default();
        commits.read_log("0 0 1500 0 1795000000 1\n0 1 2500 0 1795000000 2\n").unwrap();
        assert_eq!(commits.spread().count, 2);
        assert!(commits.read_log("nonsense").is_err());
    }
}
