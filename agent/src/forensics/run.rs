use std::{io, path::Path, sync::atomic::AtomicBool};

use chrono::{DateTime, Utc};
use voltaxe_protocol::{CollectionError, CollectionOutcome, EvidenceClaims, ForensicsProfile, Manifest};

use super::{
    Host, Job, Progress, Spool,
    budget::{Budget, Halt},
    collection::{Collection, Steps, Trouble},
    logs,
    mounts::Mounts,
    persistence,
    spool::Finished,
    text::cut,
    volatile,
    writer::Writer,
};
use crate::core::ActionOutcome;

/// The lowest there is. The kernel takes the priority for reading from disk from it, too.
const NICE: i32 = 19;
/// A result is small; the manifest has all.
const MOST_ERRORS_TOLD: usize = 20;
const LONGEST_ERROR_TOLD: usize = 300;

/// A collector: its word in the manifest, what it does for a person to read, and the code.
pub(super) struct Collector {
    pub(super) name: &'static str,
    pub(super) step: &'static str,
    pub(super) run: fn(&mut Collection<'_>) -> Result<(), Trouble>,
}

pub(super) fn run(
    host: &Host,
    job: &Job,
    progress: &mut dyn FnMut(Progress),
    cancelled: &AtomicBool,
    now: &dyn Fn() -> DateTime<Utc>,
) -> ActionOutcome {
    let spool = match Spool::open(&job.directory) {
        Ok(spool) => spool,
        Err(error) => return refused(now(), &unusable(&job.directory, &error)),
    };
    if let Some(finished) = spool.finished(job.id) {
        return outcome(finished.message, &finished.outcome);
    }
    if host.is_gentle {
        // Refused where somebody else has set a limit; then it runs at the priority that it has.
        let _ = rustix::process::setpriority_process(None, NICE);
    }
    if let Err(error) = spool.tidy(job.id, now()) {
        tracing::warn!(%error, "what earlier collections left cannot be deleted");
    }
    let collected = collect(host, job, &spool, progress, cancelled, now);
    collected.unwrap_or_else(|why| {
        spool.abandon(job.id);
        refused(now(), &why)
    })
}

/// The error says why there is no bundle at all.
fn collect(
    host: &Host,
    job: &Job,
    spool: &Spool,
    progress: &mut dyn FnMut(Progress),
    cancelled: &AtomicBool,
    now: &dyn Fn() -> DateTime<Utc>,
) -> Result<ActionOutcome, String> {
    let started_at = now();
    let mut budget = Budget::new(job.order.limits, cancelled, &job.directory);
    budget.check_disk().map_err(|halt| halt.to_string())?;
    let mounts = Mounts::read(&host.proc.join("self/mountinfo"))
        .map_err(|error| format!("the kernel does not tell what is mounted ({error})"))?;
    let part = spool.begin(job.id).map_err(|error| unusable(&job.directory, &error))?;
    let writer = Writer::create(&part).map_err(|error| unusable(&job.directory, &error))?;
    let collectors = collectors(job.order.profile);
    let steps = Steps { progress, step: "", done: 0, total: collectors.len() as u32 + 1, told_bytes: 0 };
    let mut collection = Collection::new(host, mounts, job.order.profile, writer, budget, steps, now);
    let partial = run_all(&mut collection, &collectors).err().map(|halt| halt.to_string());
    collection.start("bundle", "Finishing the bundle");
    let (writer, errors) = collection.into_parts();
    let files = writer.files() as u32;
    let finished_at = now();
    let manifest = Manifest {
        command_id: job.id,
        endpoint_id: job.endpoint.endpoint_id.clone(),
        hostname: job.endpoint.hostname.clone(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        boot_id: volatile::boot_id(&host.proc),
        profile: job.order.profile,
        started_at,
        finished_at,
        entries: Vec::new(),
        errors: errors.clone(),
        partial: partial.clone(),
    };
    let unwritable = |error: io::Error| format!("the bundle cannot be brought to its end ({error})");
    let written = writer.finish(manifest).map_err(unwritable)?;
    let outcome = CollectionOutcome {
        timestamp: finished_at,
        sha256: Some(written.sha256.clone()),
        size_bytes: written.size_bytes,
        files,
        errors: errors.iter().take(MOST_ERRORS_TOLD).map(shortened).collect(),
        partial,
    };
    let claims = EvidenceClaims {
        command_id: job.id,
        endpoint_id: job.endpoint.endpoint_id.clone(),
        epoch: job.endpoint.epoch,
        sha256: written.sha256,
        size_bytes: written.size_bytes,
        manifest_sha256: written.manifest_sha256,
        finished_at,
    };
    let message = message(&outcome, errors.len());
    let finished = Finished { claims, outcome, message };
    spool.finish(&finished).map_err(unwritable)?;
    Ok(self::outcome(finished.message, &finished.outcome))
}

fn collectors(profile: ForensicsProfile) -> Vec<Collector> {
    let mut collectors = volatile::collectors();
    if profile != ForensicsProfile::Quick {
        collectors.extend(persistence::collectors());
        collectors.extend(logs::collectors(profile));
    }
    collectors
}

fn run_all(collection: &mut Collection<'_>, collectors: &[Collector]) -> Result<(), Halt> {
    for collector in collectors {
        collection.start(collector.name, collector.step);
        let ended = (collector.run)(collection).and_then(|()| collection.check());
        collection.close();
        match ended {
            Ok(()) => {}
            Err(Trouble::Failed(why)) => collection.fail_with(why),
            Err(Trouble::Halted(halt)) => return Err(halt),
        }
        collection.done();
    }
    Ok(())
}

fn message(outcome: &CollectionOutcome, errors: usize) -> String {
    let mut message = format!("Collected {} files, {} bytes packed", outcome.files, outcome.size_bytes);
    if errors > 0 {
        message.push_str(&format!("; {errors} things could not be collected"));
    }
    if let Some(why) = &outcome.partial {
        message.push_str(&format!("; it is not complete: {why}"));
    }
    message
}

fn outcome(message: String, outcome: &CollectionOutcome) -> ActionOutcome {
    let data = serde_json::to_value(outcome).expect("our wire types have a JSON form");
    ActionOutcome { success: true, message, data: Some(data) }
}

fn refused(now: DateTime<Utc>, why: &str) -> ActionOutcome {
    let data = CollectionOutcome {
        timestamp: now,
        sha256: None,
        size_bytes: 0,
        files: 0,
        errors: Vec::new(),
        partial: Some(why.to_owned()),
    };
    let data = serde_json::to_value(data).expect("our wire types have a JSON form");
    ActionOutcome { success: false, message: format!("Nothing was collected: {why}"), data: Some(data) }
}

fn unusable(directory: &Path, error: &io::Error) -> String {
    format!("the directory {} cannot be written ({error})", directory.display())
}

fn shortened(error: &CollectionError) -> CollectionError {
    CollectionError { message: cut(&error.message, LONGEST_ERROR_TOLD), ..error.clone() }
}
