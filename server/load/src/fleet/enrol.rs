use std::{
    collections::BTreeMap,
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use voltaxe_protocol::{EnrolString, Epoch, PublicKey};

use crate::{
    agent::{self, Enrolment, Identity},
    http::Connection,
    target::Target,
};

/// What `populate` writes and the other profiles read: which agents of which seed one server knows.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FleetFile {
    pub seed: u64,
    /// Ed25519, base64.
    server_key: String,
    /// By the agent's index.
    epochs: Vec<Epoch>,
}

impl FleetFile {
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the fleet file {}; populate writes it", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is not a fleet file", path.display()))
    }

    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string(self)?;
        std::fs::write(path, text).with_context(|| format!("cannot write the fleet file {}", path.display()))
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.epochs.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.epochs.is_empty()
    }

    pub(crate) fn enrolment(&self, index: usize) -> anyhow::Result<Enrolment> {
        let server_key = PublicKey::from_base64(&self.server_key).context("the fleet file's server_key")?;
        let epoch =
            *self.epochs.get(index).with_context(|| format!("the fleet file has no agent {index}"))?;
        Ok(Enrolment { server_key, epoch })
    }
}

/// Enrols the first `size` agents of a seed over HTTP, an equal part with each string, side by side. `progress` is told how
/// many are done, now and then.
pub async fn enrol(
    target: &Target,
    seed: u64,
    size: usize,
    strings: Vec<EnrolString>,
    progress: impl Fn(usize),
) -> anyhow::Result<FleetFile> {
    if size == 0 || strings.is_empty() {
        bail!("enrolling takes at least one agent and one enrolment string");
    }
    let a_string = size.div_ceil(strings.len());
    let done = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for (number, string) in strings.into_iter().enumerate() {
        let part = number * a_string..size.min((number + 1) * a_string);
        tasks.spawn(enrol_part(target.clone(), seed, part, string, done.clone()));
    }
    let mut enrolments = BTreeMap::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(2));
    loop {
        tokio::select! {
            ended = tasks.join_next() => match ended {
                Some(ended) => enrolments.extend(ended.context("an enrolment panicked")??),
                None => break,
            },
            _ = ticks.tick() => progress(done.load(Ordering::Relaxed)),
        }
    }
    let server_key = enrolments.values().next().map(|enrolment| enrolment.server_key.to_base64());
    Ok(FleetFile {
        seed,
        server_key: server_key.context("nobody was enrolled")?,
        epochs: enrolments.into_values().map(|enrolment| enrolment.epoch).collect(),
    })
}

async fn enrol_part(
    target: Target,
    seed: u64,
    part: Range<usize>,
    string: EnrolString,
    done: Arc<AtomicUsize>,
) -> anyhow::Result<BTreeMap<usize, Enrolment>> {
    let mut connection = Connection::open(&target, None).await.context("cannot reach the server")?;
    let mut enrolments = BTreeMap::new();
    for index in part {
        let identity = Identity::derive(seed, index);
        enrolments.insert(index, agent::enrol(&mut connection, &target, &identity, &string).await?);
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(enrolments)
}
