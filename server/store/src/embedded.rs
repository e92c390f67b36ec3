//! A Postgres of our own, for machines that have none: found on the machine, kept in our state directory, run as a child
//! of the server, reached over a socket in a private directory, with every durability setting on.

mod binaries;
mod cluster;
mod owner;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, flock},
    process::{Pid, Signal, kill_process},
};
use tokio::{process::Child, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use self::{binaries::Binaries, owner::Owner};

const READY_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(30);
const RESTART_FIRST: Duration = Duration::from_millis(200);
const RESTART_SLOWEST: Duration = Duration::from_secs(10);
/// Linux allows 107 bytes in a socket's path; Postgres adds `/.s.PGSQL.5432`.
const LONGEST_SOCKET_DIRECTORY: usize = 107 - "/.s.PGSQL.5432".len();

/// A running Postgres; stop it with [`EmbeddedPostgres::stop`].
#[derive(Debug)]
pub struct EmbeddedPostgres {
    url: String,
    /// `None`: another process of ours runs it.
    supervised: Option<Supervised>,
}

#[derive(Debug)]
struct Supervised {
    stop: CancellationToken,
    supervisor: JoinHandle<()>,
    /// Held while we run the cluster.
    _lock: File,
}

#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    #[error(
        "no PostgreSQL was found on PATH or in /usr/lib/postgresql/*/bin; install it (apt-get install postgresql) or set DATABASE_URL"
    )]
    NotInstalled,
    #[error(
        "there is no system user postgres to run PostgreSQL as; create it (apt-get install postgresql does) or set DATABASE_URL"
    )]
    NoPostgresUser,
    #[error("the user that runs PostgreSQL cannot enter {}; choose another state directory or let others pass (chmod o+x)", .0.display())]
    DirectoryClosed(PathBuf),
    #[error("the path {} is too long for a socket; choose a state directory with a shorter name", .0.display())]
    PathTooLong(PathBuf),
    #[error("{program} failed: {output}")]
    Program { program: &'static str, output: String },
    #[error("PostgreSQL was not ready after 60 s; its log is {}", .0.display())]
    NotReady(PathBuf),
    #[error("PostgreSQL ended at once ({status}); its log is {}", .log.display())]
    EndedAtOnce { status: ExitStatus, log: PathBuf },
    #[error(
        "an earlier PostgreSQL (process {0}) on the same directory does not stop; end it, then try again"
    )]
    OrphanStays(u32),
    #[error("{what} {}", .path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    #[error(transparent)]
    Store(#[from] crate::StoreError),
}

impl EmbeddedPostgres {
    /// Starts the cluster in `directory` (making it first if need be) and keeps it running; or, when another process of
    /// ours runs it already, only tells where it is.
    pub async fn start_or_join(directory: &Path) -> Result<Self, EmbeddedError> {
        let owner = Owner::find()?;
        let place = cluster::Place::prepare(directory, &owner)?;
        let url = place.url();
        let lock = place.lock_file()?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(Self { url, supervised: None });
        }
        let binaries = Binaries::find().await?;
        place.initialise(&binaries, &owner).await?;
        place.clear_stale_pid_file().await?;
        let start = Arc::new(Start { binaries, owner, place });
        let mut child = start.spawn()?;
        start.wait_ready(&mut child).await?;
        let stop = CancellationToken::new();
        let supervisor = tokio::spawn(supervise(start, child, stop.clone()));
        Ok(Self { url, supervised: Some(Supervised { stop, supervisor, _lock: lock }) })
    }

    /// For [`crate::Store::connect_lazy`].
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether this process runs it (and not another one of ours).
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.supervised.is_some()
    }

    /// Ends Postgres in order (fast shutdown) and waits for it.
    pub async fn stop(self) {
        if let Some(supervised) = self.supervised {
            supervised.stop.cancel();
            let _ = supervised.supervisor.await;
        }
    }
}

struct Start {
    binaries: Binaries,
    owner: Owner,
    place: cluster::Place,
}

impl Start {
    fn spawn(&self) -> Result<Child, EmbeddedError> {
        let log = self.place.open_log()?;
        let copy = log.try_clone().map_err(|source| EmbeddedError::Io {
            what: "cannot use the log file",
            path: self.place.log_path(),
            source,
        })?;
        let mut command = self.owner.command(&self.binaries.postgres);
        command
            .arg("-D")
            .arg(self.place.data())
            .args(["-c", "listen_addresses="])
            .arg("-c")
            .arg(format!("unix_socket_directories={}", self.place.socket_directory().display()))
            .args(["-c", "unix_socket_permissions=0700"])
            .args(["-c", "fsync=on", "-c", "synchronous_commit=on", "-c", "full_page_writes=on"])
            .args(["-c", "max_connections=120", "-c", "shared_buffers=512MB"])
            // Fewer checkpoints: after each one every page that is touched goes into the log whole once more.
            .args(["-c", "max_wal_size=4GB", "-c", "checkpoint_timeout=15min"])
            // The queue's table lives from being cleaned often.
            .args(["-c", "autovacuum_naptime=15s"])
            .args(["-c", "log_timezone=UTC", "-c", "timezone=UTC"])
            .stdin(std::process::Stdio::null())
            .stdout(log)
            .stderr(copy)
            .current_dir("/")
            // A group of its own: Ctrl-C at the terminal reaches the server, which then stops Postgres in order.
            .process_group(0);
        command.spawn().map_err(|source| EmbeddedError::Io {
            what: "cannot start",
            path: self.binaries.postgres.clone(),
            source,
        })
    }

    async fn wait_ready(&self, child: &mut Child) -> Result<(), EmbeddedError> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Ok(Some(status)) = child.try_wait() {
                return Err(EmbeddedError::EndedAtOnce { status, log: self.place.log_path() });
            }
            match self.place.ensure_database().await {
                Ok(()) => return Ok(()),
                Err(error) if !error.is_unavailable() => return Err(error.into()),
                Err(_) if Instant::now() > deadline => {
                    return Err(EmbeddedError::NotReady(self.place.log_path()));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

/// Starts Postgres again whenever it ends, until told to stop.
async fn supervise(start: Arc<Start>, mut child: Child, stop: CancellationToken) {
    let mut delay = RESTART_FIRST;
    loop {
        let started = Instant::now();
        tokio::select! {
            biased;
            () = stop.cancelled() => {
                shut_down(&mut child).await;
                return;
            }
            status = child.wait() => {
                let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                tracing::error!(status, "PostgreSQL ended unexpectedly ({status}); starting it again");
            }
        }
        if started.elapsed() > Duration::from_secs(60) {
            delay = RESTART_FIRST;
        }
        child = loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(delay) => {}
            }
            delay = (delay * 2).min(RESTART_SLOWEST);
            let spawned = match start.place.clear_stale_pid_file().await {
                Ok(()) => start.spawn(),
                Err(error) => Err(error),
            };
            match spawned {
                Ok(child) => break child,
                Err(error) => tracing::error!(%error, "PostgreSQL could not be started again: {error}"),
            }
        };
    }
}

/// SIGINT is Postgres's fast shutdown: open transactions are rolled back, everything committed is written.
async fn shut_down(child: &mut Child) {
    signal(child, Signal::INT);
    if tokio::time::timeout(STOP_WITHIN, child.wait()).await.is_err() {
        tracing::warn!(
            "PostgreSQL did not stop within 30 s; ending it without a checkpoint (it recovers at its next start)"
        );
        signal(child, Signal::QUIT);
        let _ = child.wait().await;
    }
}

fn signal(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process(pid, signal);
    }
}
