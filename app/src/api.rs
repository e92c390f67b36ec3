//! What the page may ask of the server. Every function authorises by a permit before it does anything, is called by
//! POST with a JSON body only, and answers errors as [`crate::error::ApiError`].

#[cfg(feature = "ssr")]
mod access;
mod batches;
#[cfg(feature = "ssr")]
pub mod caller;
mod charts;
mod commands;
#[cfg(feature = "ssr")]
pub mod cookie;
mod endpoints;
mod enrolment;
#[cfg(feature = "ssr")]
pub(crate) mod exceptions;
mod find;
mod fleet;
mod notes;
mod operate;
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
mod webhooks;
#[cfg(feature = "ssr")]
pub(crate) use sheets::text::of_host;

#[cfg(feature = "ssr")]
pub use access::{Access, SERVER_FUNCTIONS};
pub use batches::{batch, batch_hosts, batch_progress, batches, cancel_batch, undo_batch};
pub use charts::series;
pub use commands::{command_page, commands};
pub use endpoints::endpoint;
pub use enrolment::{approve_endpoint, create_enrolment_token, enrolment, revoke_enrolment_token};
pub use find::find_hosts;
pub use fleet::{
    bulk_order, count_endpoints, delete_view, endpoints, loads, resolve_choice, save_view, saved_views,
};
pub use notes::{annotate, endpoint_log};
pub use operate::operate;
pub use orders::{cancel_command, order, retry_command};
pub use respond::{respond, sheet};
pub(crate) use rpc::Rpc;
pub use schedules::{
    cancel_schedule, create_schedule, extend_rollback, older_schedules, preview_cron, rollback_of, schedules,
};
pub use sessions::{complete_setup, session, sign_in, sign_out};
pub use tokens::{api_tokens, create_api_token, revoke_api_token};
pub use webhooks::{change_webhook, webhook_deliveries, webhooks};
