//! One Postgres for the whole test run, run by our own supervisor, with fsync on; a database a test.

use std::{
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{LazyLock, Mutex, PoisonError},
};

use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::sync::OnceCell;
use uuid::Uuid;
use voltaxe_store::embedded::EmbeddedPostgres;

static SHARED: OnceCell<String> = OnceCell::const_new();
static KEPT: Mutex<Vec<(EmbeddedPostgres, Sweeper)>> = Mutex::new(Vec::new());

/// The address of a new, empty database.
pub async fn fresh_database() -> String {
    let admin = SHARED.get_or_init(shared).await;
    let name = format!("t_{}", Uuid::new_v4().simple());
    let mut connection = PgConnection::connect(admin).await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    with_database(admin, &name)
}

fn with_database(admin: &str, name: &str) -> String {
    match admin.split_once('?') {
        Some((base, query)) => format!("{}/{name}?{query}", base.rsplit_once('/').unwrap().0),
        None => format!("{}/{name}", admin.rsplit_once('/').unwrap().0),
    }
}

async fn shared() -> String {
    if let Ok(url) = std::env::var("VOLTAXE_TEST_DATABASE_URL") {
        return url;
    }
    let directory = new_directory();
    // On a runtime of its own, which outlives the test that came first.
    let (send, receive) = tokio::sync::oneshot::channel();
    let place = directory.clone();
    std::thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let postgres = EmbeddedPostgres::start_or_join(&place).await.unwrap();
            let _ = send.send(postgres.url().to_owned());
            let sweeper = Sweeper::start(&place);
            KEPT.lock().unwrap_or_else(PoisonError::into_inner).push((postgres, sweeper));
            std::future::pending::<()>().await
        });
    });
    receive.await.unwrap()
}

/// For what the tests of this run leave on disk: removed when the process is gone, however it went.
pub fn run_directory() -> &'static Path {
    static RUN: LazyLock<(PathBuf, Sweeper)> = LazyLock::new(|| {
        let directory = new_directory();
        let sweeper = Sweeper::start(&directory);
        (directory, sweeper)
    });
    &RUN.0
}

/// Where Postgres can live: enterable by the user it runs as.
pub fn new_directory() -> PathBuf {
    let directory = std::env::temp_dir().join(format!("voltaxe-test-{}", Uuid::new_v4().simple()));
    std::fs::create_dir(&directory).unwrap();
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o711)).unwrap();
    directory
}

/// Ends the Postgres of a directory and removes it when this process is gone, however it went: its standard input closes.
pub struct Sweeper {
    _child: Child,
}

impl Sweeper {
    pub fn start(directory: &Path) -> Self {
        let script = r#"
            cat >/dev/null
            pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
            if [ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd")" = "$1/data" ]; then
              kill -INT "$pid"
              for _ in $(seq 100); do [ -e "/proc/$pid" ] || break; sleep 0.1; done
            fi
            case "$1" in */voltaxe-test-*) rm -rf "$1" ;; esac
        "#;
        let child = Command::new("sh")
            .args(["-c", script, "sweeper"])
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        Self { _child: child }
    }
}
