//! Collecting evidence on this host into one bundle, and the bundles that wait for their upload.
//!
//! The most volatile comes first, and whatever there is when a limit is met, or somebody cancels, is kept. What cannot be
//! collected is an entry in the manifest's errors. Nothing on the host is changed: files are opened without following links,
//! without touching their access times where the kernel lets us, and never when they are devices or pipes.

mod budget;
mod collection;
mod command;
mod file;
mod logs;
mod mounts;
mod persistence;
mod proc;
mod run;
mod spool;
mod text;
mod volatile;
mod walk;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use chrono::{DateTime, Utc};
use voltaxe_protocol::{CollectForensics, CommandId, EndpointId, Epoch};

pub use mounts::{Kind, Mount, Mounts};
pub use spool::{Bundle, Spool};

use crate::core::ActionOutcome;

/// One collection.
#[derive(Clone, Debug)]
pub struct Job {
    pub id: CommandId,
    pub order: CollectForensics,
    pub endpoint: Endpoint,
    /// Of all bundles: `<state>/evidence`. Made when it is not there; the bundle goes to `<directory>/<id>/bundle.zip`.
    pub directory: PathBuf,
}

/// Who collects: for the manifest and the claims.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub endpoint_id: EndpointId,
    pub epoch: Epoch,
    pub hostname: String,
}

/// How far a collection is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Progress {
    /// What is being done, for a person to read.
    pub step: String,
    pub done_steps: u32,
    pub total_steps: u32,
    /// Of the bundle, so far.
    pub bytes: u64,
}

/// Where evidence is collected from.
#[derive(Clone, Debug)]
pub struct Host {
    root: PathBuf,
    proc: PathBuf,
    /// Who looks at another tree than this host's does not stand in anybody's way.
    is_gentle: bool,
}

impl Host {
    /// This one.
    #[must_use]
    pub fn this() -> Self {
        Self { root: PathBuf::from("/"), proc: PathBuf::from("/proc"), is_gentle: true }
    }

    /// This one's processes, and files of another tree; at the caller's priority.
    #[must_use]
    pub fn with_files_of(root: &Path) -> Self {
        Self { root: root.to_owned(), is_gentle: false, ..Self::this() }
    }

    /// Where a file of the host is.
    fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The host's own name of a file.
    fn source<'a>(&self, path: &'a Path) -> std::borrow::Cow<'a, Path> {
        match path.strip_prefix(&self.root) {
            Ok(rest) if self.root != Path::new("/") => Path::new("/").join(rest).into(),
            _ => path.into(),
        }
    }
}

/// Collects, and blocks until that is done. Lowers the priority of the thread it runs on for good: give it one of its own.
///
/// `data` of the outcome is a [`voltaxe_protocol::CollectionOutcome`]. A finished bundle of the same id is answered without
/// collecting again; an unfinished one, of an agent that was killed, is begun anew. Once `cancelled` is set it comes to its
/// end within about a second and keeps what it has.
pub fn collect(
    job: &Job,
    progress: &mut dyn FnMut(Progress),
    cancelled: &AtomicBool,
    now: &dyn Fn() -> DateTime<Utc>,
) -> ActionOutcome {
    collect_from(&Host::this(), job, progress, cancelled, now)
}

/// [`collect`], from a host that need not be this one.
pub fn collect_from(
    host: &Host,
    job: &Job,
    progress: &mut dyn FnMut(Progress),
    cancelled: &AtomicBool,
    now: &dyn Fn() -> DateTime<Utc>,
) -> ActionOutcome {
    run::run(host, job, progress, cancelled, now)
}
