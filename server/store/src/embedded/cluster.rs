use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use sqlx::{ConnectOptions as _, Connection as _, postgres::PgConnectOptions};

use super::{EmbeddedError, LONGEST_SOCKET_DIRECTORY, STOP_WITHIN, binaries::Binaries, owner::Owner};
use crate::StoreError;

const DATABASE: &str = "voltaxe";
const DATABASE_USER: &str = "voltaxe";
const LARGEST_LOG_BYTES: u64 = 10 * 1024 * 1024;

/// Where a cluster lies: `data/`, `run/` with the socket, `postgres.log`, `lock`.
pub(super) struct Place {
    directory: PathBuf,
}

impl Place {
    pub(super) fn prepare(directory: &Path, owner: &Owner) -> Result<Self, EmbeddedError> {
        let io = |what, path: &Path| {
            let path = path.to_owned();
            move |source| EmbeddedError::Io { what, path, source }
        };
        // 0711: the files that matter are in 0700 directories of the database's user below.
        DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(directory)
            .map_err(io("cannot make the directory", directory))?;
        let directory = fs::canonicalize(directory).map_err(io("cannot resolve the directory", directory))?;
        let place = Self { directory };
        let run = place.socket_directory();
        if run.as_os_str().len() > LONGEST_SOCKET_DIRECTORY {
            return Err(EmbeddedError::PathTooLong(run));
        }
        owner.check_reach(&run)?;
        if !run.exists() {
            DirBuilder::new().mode(0o700).create(&run).map_err(io("cannot make the directory", &run))?;
            owner.give(&run)?;
        }
        Ok(place)
    }

    pub(super) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    pub(super) fn socket_directory(&self) -> PathBuf {
        self.directory.join("run")
    }

    pub(super) fn log_path(&self) -> PathBuf {
        self.directory.join("postgres.log")
    }

    pub(super) fn url(&self) -> String {
        let host = percent_encoded(&self.socket_directory());
        format!("postgres:///{DATABASE}?user={DATABASE_USER}&host={host}")
    }

    pub(super) fn lock_file(&self) -> Result<File, EmbeddedError> {
        let path = self.directory.join("lock");
        OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|source| EmbeddedError::Io { what: "cannot open the lock file", path, source })
    }

    pub(super) fn open_log(&self) -> Result<File, EmbeddedError> {
        let path = self.log_path();
        let too_large = fs::metadata(&path).is_ok_and(|meta| meta.len() > LARGEST_LOG_BYTES);
        if too_large {
            let _ = fs::rename(&path, self.directory.join("postgres.log.1"));
        }
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path)
            .map_err(|source| EmbeddedError::Io { what: "cannot open the log file", path, source })
    }

    /// initdb into a directory beside, then one rename: a half-made cluster is never taken for one.
    pub(super) async fn initialise(&self, binaries: &Binaries, owner: &Owner) -> Result<(), EmbeddedError> {
        let data = self.data();
        if data.join("PG_VERSION").exists() {
            return Ok(());
        }
        tracing::info!(directory = %data.display(), "making a PostgreSQL cluster in {}", data.display());
        let new = self.directory.join("data.new");
        let io = |what| {
            let path = new.clone();
            move |source| EmbeddedError::Io { what, path, source }
        };
        if new.exists() {
            fs::remove_dir_all(&new).map_err(io("cannot remove the unfinished cluster"))?;
        }
        DirBuilder::new().mode(0o700).create(&new).map_err(io("cannot make the directory"))?;
        owner.give(&new)?;
        let output = owner
            .command(&binaries.initdb)
            .arg("-D")
            .arg(&new)
            .args(["--data-checksums", "--locale=C", "--encoding=UTF8", "--auth=peer"])
            .args(["--username", DATABASE_USER])
            .current_dir("/")
            .output()
            .await
            .map_err(|source| EmbeddedError::Io {
                what: "cannot run",
                path: binaries.initdb.clone(),
                source,
            })?;
        if !output.status.success() {
            return Err(EmbeddedError::Program {
                program: "initdb",
                output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            });
        }
        // Peer authentication: the system users that may be our database user.
        let hba = "local all all peer map=voltaxe\n";
        let mut ident = format!("voltaxe {} {DATABASE_USER}\nvoltaxe root {DATABASE_USER}\n", owner.name);
        if owner.name == "root" {
            ident = format!("voltaxe root {DATABASE_USER}\n");
        }
        fs::write(new.join("pg_hba.conf"), hba).map_err(io("cannot write pg_hba.conf in"))?;
        fs::write(new.join("pg_ident.conf"), ident).map_err(io("cannot write pg_ident.conf in"))?;
        fs::rename(&new, &data).map_err(io("cannot move into place"))?;
        File::open(&self.directory)
            .and_then(|directory| directory.sync_all())
            .map_err(io("cannot sync the directory of"))
    }

    /// After a crash of ours Postgres may still run: it is ended in order. A pid file whose process is no Postgres on
    /// this directory (its number was given to another) is removed; Postgres itself would refuse to start over it.
    pub(super) async fn clear_stale_pid_file(&self) -> Result<(), EmbeddedError> {
        let pid_file = self.data().join("postmaster.pid");
        let Some(pid) = fs::read_to_string(&pid_file)
            .ok()
            .and_then(|text| text.lines().next()?.trim().parse::<i32>().ok())
            .and_then(Pid::from_raw)
        else {
            return Ok(());
        };
        if !self.is_postgres_here(pid) {
            return match fs::remove_file(&pid_file) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    Err(EmbeddedError::Io { what: "cannot remove the stale", path: pid_file, source })
                }
                _ => Ok(()),
            };
        }
        let number = pid.as_raw_nonzero().get().unsigned_abs();
        tracing::warn!(pid = number, "an earlier PostgreSQL (process {number}) still runs here; stopping it");
        let _ = kill_process(pid, Signal::INT);
        let deadline = Instant::now() + STOP_WITHIN;
        while self.is_postgres_here(pid) {
            if Instant::now() > deadline {
                return Err(EmbeddedError::OrphanStays(number));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    fn is_postgres_here(&self, pid: Pid) -> bool {
        let proc = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
        let name = fs::read_to_string(proc.join("comm")).unwrap_or_default();
        // Postgres makes its data directory its working directory.
        name.trim() == "postgres" && fs::read_link(proc.join("cwd")).is_ok_and(|cwd| cwd == self.data())
    }

    /// Connects as a client would and makes our database if it is not there.
    pub(super) async fn ensure_database(&self) -> Result<(), StoreError> {
        let mut connection = PgConnectOptions::new()
            .host(&self.socket_directory().to_string_lossy())
            .username(DATABASE_USER)
            .database("postgres")
            .connect()
            .await?;
        let exists = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1) AS "exists!""#,
            DATABASE
        )
        .fetch_one(&mut connection)
        .await?;
        if !exists {
            sqlx::query("CREATE DATABASE voltaxe").execute(&mut connection).await?;
        }
        connection.close().await?;
        Ok(())
    }
}

fn percent_encoded(path: &Path) -> String {
    use std::{fmt::Write as _, os::unix::ffi::OsStrExt as _};

    let mut text = String::new();
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_' | b'-') {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}
