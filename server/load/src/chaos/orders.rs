//! Operators who order, cancel and look, without a pause, whatever happens to the server.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;
use voltaxe_protocol::CommandId;

use super::console::{Console, Line, Told};
use crate::{profile::say, seed};

const OPERATORS: usize = 24;
const LARGEST_BATCH: usize = 20;
/// Between two orders of one operator: the fleet must keep up with them.
const PAUSE: Duration = Duration::from_millis(10);

/// What the operators were told.
#[derive(Default)]
pub(super) struct Book(Mutex<Entries>);

#[derive(Clone, Default)]
pub(super) struct Entries {
    pub(super) commands: Vec<CommandId>,
    /// And how many commands each has.
    pub(super) batches: Vec<(Uuid, usize)>,
    /// States, in the order in which they were told.
    pub(super) told: Vec<Told>,
    /// An answer that must not be: the first of them.
    pub(super) wrong: Option<String>,
}

impl Book {
    pub(super) fn note(&self, note: impl FnOnce(&mut Entries)) {
        note(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn entries(&self) -> Entries {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Orders that were acknowledged.
    pub(super) fn orders(&self) -> usize {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.commands.len() + entries.batches.len()
    }
}

/// They go on until `stop`, each with what it has begun.
pub(super) fn operators(
    console: &Console,
    hostnames: &[&str],
    seed: u64,
    book: &Arc<Book>,
    stop: &CancellationToken,
) -> TaskTracker {
    let tasks = TaskTracker::new();
    let hostnames: Arc<[String]> = hostnames.iter().map(|name| (*name).to_owned()).collect();
    for number in 0..OPERATORS {
        let mut operator = Operator {
            line: console.line(),
            hostnames: Arc::clone(&hostnames),
            random: seed::generator(seed, "operator", number),
            book: Arc::clone(book),
        };
        let stop = stop.clone();
        tasks.spawn(async move {
            while !stop.is_cancelled() {
                if let Err(error) = operator.act().await {
                    say(&format!("an operator was answered as it must not be: {error:#}"));
                    operator.book.note(|entries| {
                        entries.wrong.get_or_insert_with(|| format!("{error:#}"));
                    });
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
    }
    tasks.close();
    tasks
}

struct Operator {
    line: Line,
    hostnames: Arc<[String]>,
    random: fastrand::Rng,
    book: Arc<Book>,
}

impl Operator {
    async fn act(&mut self) -> anyhow::Result<()> {
        match self.random.u8(..20) {
            0..=11 => self.order().await,
            12..=13 => self.batch().await,
            14..=15 => self.cancel().await,
            _ => self.look().await,
        }
    }

    async fn order(&mut self) -> anyhow::Result<()> {
        let command =
            ["agent_check", "agent_check", "network_isolate", "network_restore"][self.random.usize(..4)];
        let hostname = self.hostnames[self.random.usize(..self.hostnames.len())].clone();
        let key = Uuid::from_u128(self.random.u128(..));
        let id = self.line.order(command, &hostname, key).await?;
        self.book.note(|entries| entries.commands.push(id));
        Ok(())
    }

    async fn batch(&mut self) -> anyhow::Result<()> {
        let size = self.random.usize(1..=LARGEST_BATCH.min(self.hostnames.len()));
        let first = self.random.usize(..self.hostnames.len());
        let hostnames: Vec<&str> =
            (first..first + size).map(|n| self.hostnames[n % self.hostnames.len()].as_str()).collect();
        let key = Uuid::from_u128(self.random.u128(..));
        let batch = self.line.batch("agent_check", &hostnames, key).await?;
        self.book.note(|entries| entries.batches.push(batch));
        Ok(())
    }

    /// Mostly something new: else it is final long ago.
    async fn cancel(&mut self) -> anyhow::Result<()> {
        let Some(id) = self.known(20) else { return Ok(()) };
        if let Some(told) = self.line.cancel(id).await? {
            self.book.note(|entries| entries.told.push(told));
        }
        Ok(())
    }

    async fn look(&mut self) -> anyhow::Result<()> {
        let Some(id) = self.known(usize::MAX) else { return Ok(()) };
        match self.line.command(id).await? {
            Some(told) => self.book.note(|entries| entries.told.push(told)),
            None => anyhow::bail!("command {id} was acknowledged and is not there"),
        }
        Ok(())
    }

    /// One of the newest commands.
    fn known(&mut self, newest: usize) -> Option<CommandId> {
        let random = &mut self.random;
        let mut known = None;
        self.book.note(|entries| {
            let all = entries.commands.len();
            let range = all.saturating_sub(newest)..all;
            known = (!range.is_empty()).then(|| entries.commands[random.usize(range)]);
        });
        known
    }
}
