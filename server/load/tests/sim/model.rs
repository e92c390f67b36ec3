//! The durable queue as a model: what `voltaxe_store::Store` promises, without a database. It takes its time, loses what is
//! not on disk when it crashes, and answers no server that is gone.

mod queue;
pub mod tables;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::time::sleep;
use voltaxe_store::{Enqueue, NewCommand, StoreError, model::CommandRecord};

use tables::{Outcome, Tables};

/// The database and one server's connections to it. Cheap to clone.
#[derive(Clone)]
pub struct ModelQueue {
    inner: Arc<Mutex<Inner>>,
    server: u64,
}

struct Inner {
    tables: Tables,
    random: fastrand::Rng,
    habits: Habits,
    /// The server that is alive.
    server: u64,
    /// Grows with each crash of the database.
    crashes: u64,
    is_up: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// The longest that half of a statement takes, before or after its commit.
    pub half_takes: Duration,
    /// One statement in so many takes a hundred times that.
    pub slow_one_of: u32,
}

impl Habits {
    /// For a caller that wants the answers alone.
    pub const PROMPT: Self = Self { half_takes: Duration::ZERO, slow_one_of: u32::MAX };
}

/// How a statement's commit is treated by a crash.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Commit {
    /// It changes nothing.
    Read,
    /// Lost with the crash.
    Relaxed,
    /// On disk, with all before it, when it changed something.
    Durable,
}

impl ModelQueue {
    pub fn new(tables: Tables, habits: Habits, random: fastrand::Rng) -> Self {
        let inner = Inner { tables, random, habits, server: 0, crashes: 0, is_up: true };
        Self { inner: Arc::new(Mutex::new(inner)), server: 0 }
    }

    /// The connections of a new server; those of the one before are never answered again.
    pub fn for_new_server(&self) -> Self {
        let mut inner = self.lock();
        inner.server += 1;
        let server = inner.server;
        drop(inner);
        Self { inner: Arc::clone(&self.inner), server }
    }

    /// No server is alive any more.
    pub fn server_dies(&self) {
        self.lock().server += 1;
    }

    /// The database crashes: what was under way fails, and commits that were not on disk may be gone.
    pub fn crash(&self) {
        let inner = &mut *self.lock();
        inner.crashes += 1;
        inner.is_up = false;
        let kept = inner.random.usize(..=inner.tables.at_risk());
        inner.tables.crash(kept);
    }

    pub fn restart(&self) {
        self.lock().is_up = true;
    }

    pub fn look<T>(&self, look: impl FnOnce(&mut Tables) -> T) -> T {
        look(&mut self.lock().tables)
    }

    /// A batch's commands: whole, or not at all.
    pub async fn insert_batch(
        &self,
        new: Vec<NewCommand>,
        now: DateTime<Utc>,
    ) -> Outcome<Vec<CommandRecord>> {
        self.statement(Commit::Durable, move |tables| {
            let records = tables.insert(&new, now)?;
            Ok((!records.is_empty(), records))
        })
        .await
    }

    async fn enqueue_contested(&self, new: &NewCommand, now: DateTime<Utc>) -> Outcome<Enqueue> {
        for _ in 0..3 {
            if let Some(existing) = self.read(|tables| tables.existing(new)).await? {
                return Ok(existing);
            }
            match self.insert_batch(vec![new.clone()], now).await {
                Ok(mut records) => {
                    if let Some(record) = records.pop() {
                        return Ok(Enqueue::New(record));
                    }
                }
                Err(StoreError::Taken { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Enqueue::NoSuchEndpoint)
    }

    async fn read<T>(&self, look: impl FnOnce(&Tables) -> T) -> Outcome<T> {
        self.statement(Commit::Read, |tables| Ok((false, look(tables)))).await
    }

    async fn relaxed<T>(&self, change: impl FnOnce(&mut Tables) -> T) -> Outcome<T> {
        self.statement(Commit::Relaxed, |tables| Ok((true, change(tables)))).await
    }

    /// `change` says whether it changed anything.
    async fn durable<T>(&self, change: impl FnOnce(&mut Tables) -> (bool, T)) -> Outcome<T> {
        self.statement(Commit::Durable, |tables| Ok(change(tables))).await
    }

    /// On its way there, then done at once, then its answer's way back. A crash before or between makes it fail, and the
    /// caller does not know which it was.
    async fn statement<T>(
        &self,
        commit: Commit,
        change: impl FnOnce(&mut Tables) -> Outcome<(bool, T)>,
    ) -> Outcome<T> {
        let (there, back, was_sent) = self.lock().draw();
        sleep(there).await;
        let (answer, crashes) = {
            let inner = &mut *self.lock();
            if self.server != inner.server && !was_sent {
                (Err(away()), inner.crashes)
            } else if inner.is_up {
                let answer = change(&mut inner.tables);
                if commit == Commit::Durable && answer.as_ref().is_ok_and(|(has_changed, _)| *has_changed) {
                    inner.tables.flush();
                }
                (answer.map(|(_, answer)| answer), inner.crashes)
            } else {
                (Err(away()), inner.crashes)
            }
        };
        sleep(back).await;
        let (is_alive, has_crashed) = {
            let inner = self.lock();
            (self.server == inner.server, crashes != inner.crashes)
        };
        if !is_alive {
            // Nobody is there to take the answer.
            std::future::pending::<()>().await;
        }
        if has_crashed { Err(away()) } else { answer }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn draw(&mut self) -> (Duration, Duration, bool) {
        let mut most = u64::try_from(self.habits.half_takes.as_micros()).unwrap_or(u64::MAX);
        if self.random.u32(..self.habits.slow_one_of) == 0 {
            most *= 100;
        }
        let mut half = || Duration::from_micros(self.random.u64(..=most));
        (half(), half(), self.random.bool())
    }
}

/// Delivery treats all errors of an unavailable database alike.
fn away() -> StoreError {
    StoreError::ShuttingDown
}
