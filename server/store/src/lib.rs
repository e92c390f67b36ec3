//! All SQL of Voltaxe Sentinel, one file an aggregate; its migrations; and the embedded Postgres.
//!
//! Every statement is checked against a real Postgres when it is compiled (`.sqlx/` holds the outcome for builds without
//! one). A method is one statement, and so one commit, unless it says otherwise.

mod api_tokens;
mod audit;
mod batches;
mod commands;
pub mod custody;
mod database;
pub mod embedded;
mod endpoint_notes;
mod endpoints;
mod enrolment;
mod error;
mod evidence;
mod find;
mod hints;
mod isolation;
mod maintenance;
pub mod model;
mod operators;
mod queue_depth;
mod rate_limits;
mod saved_views;
mod schedules;
mod telemetry;
mod webhooks;

use std::{str::FromStr as _, time::Duration};

pub use api_tokens::{ApiTokenRow, NewApiToken};
pub use audit::{AuditBy, AuditEntry, AuditFilter, AuditRecord};
pub use batches::{CancelledBatch, CreateBatch, NewBatch};
pub use commands::{
    By, Cancel, CommandFilter, CommandOutcome, Enqueue, Lease, NewCommand, NewReceipt, NewResult, NewStart,
    RecordedResult,
};
pub use database::DatabaseFacts;
pub use endpoint_notes::{EndpointEvent, EndpointNotes};
pub use endpoints::{EndpointKey, Seen, search};
pub use enrolment::{EnrolOutcome, NewEndpoint};
pub use error::StoreError;
pub use evidence::{Discard, EvidenceFilter, EvidenceOfCommand, Offer, OfferedEvidence, ReportedEvidence};
pub use hints::{Hint, HintListener};
pub use isolation::ChangeIsolation;
pub use operators::{
    ChangedOperator, NewOperator, NewSession, OperatorRow, OperatorSummary, OwnSession, SessionRow,
};
pub use queue_depth::QueueDepth;
pub use saved_views::SavedView;
pub use schedules::{NewSchedule, Run};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
pub use telemetry::{
    NewTelemetry,
    series::{SeriesPoint, Spread},
};
pub use webhooks::{
    AttemptOutcome, AuditedEvent, ClaimedDelivery, NewDelivery, WebhookPlace, WebhookReach, WebhookTerms,
};

/// The schema, newest last. Applied by [`Store::migrate`].
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations");

/// A statement that takes longer is ended by Postgres.
const STATEMENT_TIMEOUT: &str = "15s";
/// How long a caller waits for a free connection before it is told that the database is away.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// Connections to the database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    /// A commit here is on disk when it returns.
    durable: PgPool,
    /// For marks that the protocol renews by itself when a crash loses them (hand-outs, receipts, last-seen times,
    /// telemetry): `synchronous_commit` is off, so they never make a click wait for the disk.
    relaxed: PgPool,
    /// For looking at commands. Few, as a plan for all partitions of the history is large, and a processor's cache forgets what
    /// another connection did a moment ago: with 16 in turn one command's page took 1.1 to 1.45 times as long with 20 times the
    /// history, with 4 1.13 times.
    reading: PgPool,
    /// For searches, whose plans depend on what is searched for.
    searching: PgPool,
}

impl Store {
    /// Makes the pools; connections are opened on first use. `url` is a `postgres://` address.
    pub fn connect_lazy(url: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)
            .map_err(StoreError::from)?
            .application_name("voltaxe-server")
            .options([
                ("statement_timeout", STATEMENT_TIMEOUT),
                ("timezone", "UTC"),
                // Our statements are few and find their rows by key: planning each anew costs more than running it.
                ("plan_cache_mode", "force_generic_plan"),
                // A plan made while a table was small is kept while it grows: without this a group of receipts read the whole
                // queue (measured: 64 against 259 waiting commands, 3.6 ms instead of 0.9, and more with each one more).
                ("enable_seqscan", "off"),
                ("jit", "off"),
            ]);
        let pool = |size| {
            PgPoolOptions::new()
                .max_connections(size)
                // The default asks the server `SELECT 1` before every use: one round trip a statement.
                .test_before_acquire(false)
                .acquire_timeout(ACQUIRE_TIMEOUT)
        };
        Ok(Self {
            durable: pool(16).connect_lazy_with(options.clone()),
            reading: pool(4).connect_lazy_with(options.clone()),
            relaxed: pool(4).connect_lazy_with(options.clone().options([("synchronous_commit", "off")])),
            searching: pool(4).connect_lazy_with(options.options([
                ("plan_cache_mode", "force_custom_plan"),
                ("enable_seqscan", "on"),
                ("max_parallel_workers_per_gather", "0"),
                // Who is away is looked up once a statement if 64 bytes for each fit, 500,000 here; otherwise once a row.
                ("work_mem", "32MB"),
            ])),
        })
    }

    /// Applies the migrations that are missing.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        MIGRATOR.run(&self.durable).await.map_err(|error| StoreError::Migration(error.into()))
    }

    /// Refuses a database that would lose an acknowledged command in a crash.
    pub async fn check_durability(&self) -> Result<(), StoreError> {
        let row = sqlx::query!(
            r#"SELECT current_setting('fsync') AS "fsync!",
                      current_setting('synchronous_commit') AS "synchronous_commit!",
                      current_setting('full_page_writes') AS "full_page_writes!""#
        )
        .fetch_one(&self.durable)
        .await?;
        for (setting, value) in [
            ("fsync", row.fsync),
            ("synchronous_commit", row.synchronous_commit),
            ("full_page_writes", row.full_page_writes),
        ] {
            if value == "off" {
                return Err(StoreError::NotDurable { setting });
            }
        }
        Ok(())
    }

    /// One round trip.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query!(r#"SELECT 1 AS "one!""#).fetch_one(&self.durable).await?;
        Ok(())
    }

    /// Ends idle connections and waits for the others.
    pub async fn close(&self) {
        self.searching.close().await;
        self.reading.close().await;
        self.relaxed.close().await;
        self.durable.close().await;
    }
}
