//! The Strike orchestrator: what operators may ask for, how it is queued and dispatched, and what everybody sees of it.
//!
//! No SQL text and no HTTP types here; every decision takes `now` as an argument.

pub mod api_tokens;
pub mod audit;
pub mod authority;
mod bounds;
mod cron;
pub mod delivery;
pub mod enrolment;
mod error;
pub mod events;
pub mod evidence;
pub mod health;
mod hints;
pub mod meters;
pub mod model;
pub mod operators;
pub mod plain;
mod registry;
mod search;
pub mod strike;
pub mod webhooks;

pub use error::StrikeError;
pub use strike::{Strike, StrikeConfig};
