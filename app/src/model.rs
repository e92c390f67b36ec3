//! What the pages draw, and its JSON. Every time is [`time::Millis`].

pub mod api_token;
pub mod batch;
pub mod bulk;
pub mod channels;
pub mod command;
pub mod command_filter;
pub mod endpoint;
pub mod endpoint_query;
pub mod enrolment;
pub mod fleet;
pub mod found;
pub mod isolation;
pub mod key;
pub mod listed;
pub mod log;
pub mod next;
pub mod order;
pub mod record;
pub mod schedule;
pub mod series;
pub mod session;
pub mod sheet;
pub mod time;
pub mod webhook;

#[cfg(feature = "ssr")]
mod from_orchestrator;

pub use api_token::{ApiToken, MadeToken};
pub use batch::{Batch, BatchPage, Progress};
pub use channels::Channels;
pub use command::{Accepted, Command, State};
pub use command_filter::{CommandFilter, CommandPage};
pub use endpoint::{Connection, Endpoint, EndpointPage};
pub use enrolment::{Awaiting, Enrolment, EnrolmentToken, Holder, ListedToken, Package};
pub use found::FoundHost;
pub use isolation::Isolation;
pub use listed::Listed;
pub use log::{EndpointLog, Notes};
pub use order::{Direction, Order};
pub use schedule::{NewSchedule, Rollback, Schedule, SchedulesPage};
pub use series::Series;
pub use session::{Role, Secret, Session};
pub use sheet::{Sheet, SheetOf};
pub use time::Millis;
pub use webhook::{Delivery, Webhook, WebhookChange};
