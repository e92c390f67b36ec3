//! A Postgres for one test, with its durability on, by the server's own supervisor.

use std::{
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;
use voltaxe_store::{Store, embedded::EmbeddedPostgres};

/// It ends with `work`, also when that panics.
pub async fn with_postgres<F: Future<Output = ()> + Send + 'static>(work: impl FnOnce(Store) -> F) {
    let directory = tempfile::Builder::new().prefix("voltaxe-sim-").tempdir().unwrap();
    // It runs as another user when we are root.
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    let place = directory.path().join("pg");
    let postgres = EmbeddedPostgres::start_or_join(&place).await.unwrap();
    let sweeper = Sweeper::start(&place, directory);
    let store = Store::connect_lazy(postgres.url()).unwrap();
    store.migrate().await.unwrap();
    store.check_durability().await.unwrap();
    let outcome = tokio::spawn(work(store.clone())).await;
    store.close().await;
    postgres.stop().await;
    drop(sweeper);
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic.into_panic());
    }
}

/// Ends the Postgres and removes its directory, also when this process is killed: then its standard input closes.
struct Sweeper {
    child: Child,
    _directory: TempDir,
}

impl Sweeper {
    fn start(place: &Path, directory: TempDir) -> Self {
        let script = r#"
            cat >/dev/null
            pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
            if [ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd")" = "$1/data" ]; then
              kill -INT "$pid"
              for _ in $(seq 100); do [ -e "/proc/$pid" ] || break; sleep 0.1; done
            fi
            case "$1" in */voltaxe-sim-*/pg) rm -rf "${1%/pg}" ;; esac
        "#;
        let child = Command::new("sh")
            .args(["-c", script, "sweeper"])
            .arg(place)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        Self { child, _directory: directory }
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
