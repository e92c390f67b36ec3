//! What the pages draw, and its JSON. Every time is [`time::Millis`].

pub mod command;
pub mod endpoint;
pub mod enrolment;
pub mod isolation;
pub mod key;
pub mod next;
pub mod session;
pub mod time;

#[cfg(feature = "ssr")]
mod from_orchestrator;

pub use command::{Accepted, Command, Direction, State};
pub use endpoint::{Connection, Endpoint, EndpointPage};
pub use enrolment::EnrolmentToken;
pub use isolation::Isolation;
pub use session::{Role, Secret, Session};
pub use time::Millis;
