//! "Look at these endpoints": from one server to the others on the same database. Only ever a hint: the sweep finds what a
//! lost one was about.

use sqlx::postgres::PgListener;
use uuid::Uuid;
use voltaxe_protocol::EndpointId;

use crate::{Store, StoreError};

const CHANNEL: &str = "voltaxe_hint";
/// A notification holds 8000 bytes: sender, and so many ids of 35 characters with their commas.
const IDS_A_NOTE: usize = 200;
/// Beyond this the others look at everything.
const MOST_IDS: usize = 2_000;

/// What a hint says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Hint {
    Endpoints(Vec<EndpointId>),
    /// Too many to name, or the connection was lost for a while.
    Everything,
}

/// Hears the other servers.
pub struct HintListener {
    listener: PgListener,
    own: Uuid,
}

impl Store {
    /// Tells the other servers, outside any transaction that matters: `pg_notify` takes a lock over the whole database
    /// server until its commit is on disk (measured: 14,059 -> 353 commits/s when every enqueue did it).
    #[tracing::instrument(name = "db.hint.tell", skip_all, err(level = "debug"))]
    pub async fn tell_hint(&self, own: Uuid, endpoints: &[EndpointId]) -> Result<(), StoreError> {
        let notes: Vec<String> = if endpoints.len() > MOST_IDS {
            vec![format!("{own} *")]
        } else {
            endpoints
                .chunks(IDS_A_NOTE)
                .map(|ids| {
                    let ids: Vec<&str> = ids.iter().map(EndpointId::as_str).collect();
                    format!("{own} {}", ids.join(","))
                })
                .collect()
        };
        for note in notes {
            sqlx::query!("SELECT pg_notify($1, $2)", CHANNEL, note).execute(&self.relaxed).await?;
        }
        Ok(())
    }

    /// Connects; `own` names this server, whose own hints are not heard.
    pub async fn hear_hints(&self, own: Uuid) -> Result<HintListener, StoreError> {
        let mut listener = PgListener::connect_with(&self.relaxed).await?;
        listener.listen(CHANNEL).await?;
        Ok(HintListener { listener, own })
    }
}

impl HintListener {
    /// Waits for the next one.
    pub async fn next(&mut self) -> Result<Hint, StoreError> {
        loop {
            // `None`: the connection was lost, and with it perhaps hints.
            let Some(note) = self.listener.try_recv().await? else { return Ok(Hint::Everything) };
            let Some((from, what)) = note.payload().split_once(' ') else { continue };
            if from == self.own.to_string() {
                continue;
            }
            let ids: Result<Vec<EndpointId>, _> = what.split(',').map(str::parse).collect();
            return Ok(ids.map_or(Hint::Everything, Hint::Endpoints));
        }
    }
}
