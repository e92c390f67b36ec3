//! Bundles go to the server one at a time, whenever there are some: after a collection, at the start, and when the server is
//! back.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, mpsc},
    task::spawn_blocking,
    time::timeout,
};
use voltaxe_protocol::CommandId;

use super::{Agent, Event};
use crate::{
    forensics::{Bundle, Spool},
    identity::Identity,
    transport::{
        HttpClient,
        evidence::{Upload, upload},
    },
};

const PAUSE_BASE: Duration = Duration::from_secs(2);
const PAUSE_CAP: Duration = Duration::from_secs(300);

/// Runs for as long as the runtime does. The handle wakes it.
pub(super) fn start(agent: &Agent, events: &mpsc::UnboundedSender<Event>) -> Arc<Notify> {
    let wake = Arc::new(Notify::new());
    let uploads = Uploads {
        http: agent.http.clone(),
        identity: Arc::clone(&agent.identity),
        events: events.clone(),
        settled: BTreeSet::new(),
    };
    tokio::spawn(run(uploads, agent.evidence.clone(), Arc::clone(&wake)));
    wake
}

struct Uploads {
    http: HttpClient,
    identity: Arc<Identity>,
    events: mpsc::UnboundedSender<Event>,
    /// Not offered again in this life of the agent.
    settled: BTreeSet<CommandId>,
}

async fn run(mut uploads: Uploads, directory: std::path::PathBuf, wake: Arc<Notify>) {
    let mut failures = 0;
    loop {
        let is_done = uploads.send_all(&directory).await;
        if is_done {
            failures = 0;
            wake.notified().await;
        } else {
            let pause = PAUSE_BASE.saturating_mul(1 << failures.min(10)).min(PAUSE_CAP);
            failures += 1;
            let _ = timeout(pause, wake.notified()).await;
        }
    }
}

impl Uploads {
    /// Whether nothing is left to be tried. One that does not get through does not keep back those after it.
    async fn send_all(&mut self, directory: &Path) -> bool {
        let mut is_done = true;
        for bundle in pending(directory).await {
            let id = bundle.claims.command_id;
            if self.settled.contains(&id) {
                continue;
            }
            match upload(&self.http, &self.identity, &bundle, |_| {}).await {
                Upload::Complete => {
                    tracing::info!(
                        command_id = id.0,
                        "The server has the evidence; the copy here is deleted"
                    );
                    self.settled.insert(id);
                    let _ = self.events.send(Event::Uploaded(id));
                }
                Upload::Later { reason } => {
                    tracing::info!(command_id = id.0, "The evidence is uploaded later: {reason}");
                    is_done = false;
                }
                Upload::GiveUp { reason } => {
                    tracing::error!(
                        command_id = id.0,
                        path = %bundle.path.display(),
                        "The server does not take the evidence, which stays on this host: {reason}"
                    );
                    self.settled.insert(id);
                }
            }
        }
        is_done
    }
}

async fn pending(directory: &Path) -> Vec<Bundle> {
    let directory = directory.to_owned();
    let look = move || {
        if directory.exists() { Spool::open(&directory).map(|spool| spool.pending()) } else { Ok(Vec::new()) }
    };
    match spawn_blocking(look).await {
        Ok(Ok(bundles)) => bundles,
        Ok(Err(error)) => {
            tracing::warn!(%error, "the directory of evidence cannot be read");
            Vec::new()
        }
        Err(_) => Vec::new(),
    }
}
