use std::{error::Error, fmt, future::Future, ops::Range, path::Path, pin::Pin};

use bytes::Bytes;

pub type ObjectFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, ObjectError>> + Send + 'a>>;

/// Whole bundles under their SHA-256: the server brings it, as it may be a disk or a service.
pub trait Objects: Send + Sync + fmt::Debug {
    /// Takes a file in whose content has this digest (hexadecimal): durable when it returns. The file may be gone then. One
    /// that is there already stays as it is.
    fn take<'a>(&'a self, file: &'a Path, sha256: &'a str) -> ObjectFuture<'a, ()>;

    /// Exactly these bytes of it.
    fn read<'a>(&'a self, sha256: &'a str, range: Range<u64>) -> ObjectFuture<'a, Bytes>;

    /// Takes it away for good. One that is not there is gone already.
    fn remove<'a>(&'a self, sha256: &'a str) -> ObjectFuture<'a, ()>;
}

#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// Somebody has taken it away, or it is shorter than it was.
    #[error(
        "the evidence store does not have the bundle {0} any more: restore it from a backup of the store"
    )]
    Missing(String),
    /// Try again later; the source says what to look at.
    #[error("the evidence store cannot be used")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}
