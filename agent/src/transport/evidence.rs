//! Sending a finished bundle to the server, in pieces, from where the last attempt ended.

use super::HttpClient;
use crate::{forensics::Bundle, identity::Identity};

/// How an attempt ended. The caller waits and repeats, or removes the bundle.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Upload {
    /// The whole bundle is on the server's disk and its digest is as claimed: remove ours.
    Complete,
    /// Try again later; what arrived is kept there.
    Later { reason: String },
    /// No later attempt would end otherwise; a person decides.
    GiveUp { reason: String },
}

/// Offers the bundle and sends what the server does not have. `sent` hears how many bytes are on the server's disk, after
/// each piece.
pub async fn upload(
    http: &HttpClient,
    identity: &Identity,
    bundle: &Bundle,
    sent: impl FnMut(u64) + Send,
) -> Upload {
    let _ = (http, identity, bundle, sent);
    Upload::Later { reason: "not sent yet".to_owned() }
}
