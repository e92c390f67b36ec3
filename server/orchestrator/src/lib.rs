//! The Strike orchestrator: what operators may ask for, how it is queued and dispatched, and what everybody sees of it.
//!
//! No SQL text and no HTTP types here; every decision takes `now` as an argument.

pub mod api_tokens;
pub mod authority;
mod bounds;
mod cron;
pub mod delivery;
pub mod enrolment;
mod error;
pub mod events;
pub mod evidence;
mod hints;
pub mod meters;
pub mod model;
pub mod operators;
mod registry;
pub mod strike;

pub use error::StrikeError;
pub use strike::{Strike, StrikeConfig};
