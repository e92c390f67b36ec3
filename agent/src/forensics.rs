//! Collecting evidence on this host into one bundle, and the bundles that wait for their upload.

mod spool;

use std::{path::PathBuf, sync::atomic::AtomicBool};

use chrono::{DateTime, Utc};
use voltaxe_protocol::{CollectForensics, CommandId, EndpointId, Epoch};

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
    let _ = (job, progress, cancelled, now);
    ActionOutcome { success: false, message: "Nothing is collected yet".to_owned(), data: None }
}
