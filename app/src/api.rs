//! What the page may ask of the server. Every function authorises by a permit before it does anything, is called by
//! POST with a JSON body only, and answers errors as [`crate::error::ApiError`].

#[cfg(feature = "ssr")]
mod access;
mod batches;
#[cfg(feature = "ssr")]
pub mod caller;
mod commands;
#[cfg(feature = "ssr")]
pub mod cookie;
mod endpoints;
mod enrolment;
#[cfg(feature = "ssr")]
pub(crate) mod exceptions;
mod orders;
#[cfg(feature = "ssr")]
mod parse;
mod respond;
mod rpc;
mod schedules;
mod sessions;
#[cfg(feature = "ssr")]
mod sheets;
mod tokens;
#[cfg(feature = "ssr")]
pub(crate) use sheets::text::of_host;

#[cfg(feature = "ssr")]
pub use access::{Access, SERVER_FUNCTIONS};
pub use batches::{batch, batch_progress, batches, cancel_batch, undo_batch};
pub use commands::commands;
pub use endpoints::{endpoint, endpoints};
pub use enrolment::create_enrolment_token;
pub use orders::{cancel_command, order};
pub use respond::{respond, sheet};
pub(crate) use rpc::Rpc;
pub use schedules::{
    cancel_schedule, create_schedule, extend_rollback, older_schedules, rollback_of, schedules,
};
pub use sessions::{complete_setup, session, sign_in, sign_out};
pub use tokens::{api_tokens, create_api_token, revoke_api_token};
