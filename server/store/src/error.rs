use std::sync::Arc;

/// What went wrong in the database, by what the caller can do. Cheap to clone: one failed commit fails many callers.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is away or coming up; nothing was changed for certain only when the statement never reached it, so
    /// callers repeat with the same idempotency key. Try again shortly.
    #[error("the database is not available")]
    Unavailable(#[source] Arc<sqlx::Error>),
    /// A unique value is taken already.
    #[error("the constraint {constraint} is violated")]
    Taken { constraint: String },
    /// Somebody must look at this row.
    #[error("{table}.{column} of row {id} holds a value that this version does not understand")]
    BadRow { table: &'static str, column: &'static str, id: String },
    #[error("the setting {setting} is off: this database would lose acknowledged commands; turn it on")]
    NotDurable { setting: &'static str },
    #[error("the schema could not be brought up to date")]
    Migration(#[source] Arc<sqlx::migrate::MigrateError>),
    /// The process ends, and the task that would have committed this with it.
    #[error("the server is shutting down")]
    ShuttingDown,
    #[error("a database statement failed")]
    Database(#[source] Arc<sqlx::Error>),
}

impl StoreError {
    /// A text that Postgres cannot hold: one with a NUL. SQLSTATE 22021 in `text`, 22P05 in `jsonb`.
    #[must_use]
    pub fn is_about_text(&self) -> bool {
        let Self::Database(error) = self else { return false };
        let code = error.as_database_error().and_then(|error| error.code());
        code.is_some_and(|code| code == "22021" || code == "22P05")
    }

    /// Whether trying again later can help.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::ShuttingDown => true,
            Self::Migration(error) => {
                matches!(&**error, sqlx::migrate::MigrateError::Execute(error) if away(error))
            }
            Self::Taken { .. } | Self::BadRow { .. } | Self::NotDurable { .. } | Self::Database(_) => false,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if away(&error) {
            return Self::Unavailable(Arc::new(error));
        }
        match &error {
            sqlx::Error::Database(database) if database.is_unique_violation() => {
                Self::Taken { constraint: database.constraint().unwrap_or_default().to_owned() }
            }
            _ => Self::Database(Arc::new(error)),
        }
    }
}

/// Connection loss and the SQLSTATE classes 08 (connection) and 57P (shutdown, crash, starting up), 53300 (too many).
fn away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(database) => database
            .code()
            .is_some_and(|code| code.starts_with("08") || code.starts_with("57P") || code == "53300"),
        _ => false,
    }
}
