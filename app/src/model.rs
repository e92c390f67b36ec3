//! What the pages draw, and its JSON. Every time is [`time::Millis`].

pub mod api_token;
pub mod batch;
pub mod channels;
pub mod command;
pub mod endpoint;
pub mod enrolment;
pub mod isolation;
pub mod key;
pub mod listed;
pub mod next;
pub mod order;
pub mod schedule;
pub mod session;
pub mod sheet;
pub mod time;

#[cfg(feature = "ssr")]
mod from_orchestrator;

pub use api_token::{ApiToken, MadeToken};
pub use batch::{Batch, BatchPage, Progress};
pub use channels::Channels;
pub use command::{Accepted, Command, State};
pub use endpoint::{Connection, Endpoint, EndpointPage};
pub use enrolment::EnrolmentToken;
pub use isolation::Isolation;
pub use listed::Listed;
pub use order::{Direction, Order};
pub use schedule::{NewSchedule, Rollback, Schedule, SchedulesPage};
pub use session::{Role, Secret, Session};
pub use sheet::{Sheet, SheetOf};
pub use time::Millis;
