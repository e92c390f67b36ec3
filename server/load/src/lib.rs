//! A fleet of simulated agents, thousands in one process, on the real protocol with real signatures; and what is measured
//! with it. Only loopback servers can be its target.
//!
//! [`agent::SimAgent`] decides, [`fleet::Fleet`] connects, [`operator::Operator`] orders. Everything random comes from a
//! seed. An agent's [`agent::Ledger`] outlives streams and servers and tells what took effect, and how often.

pub mod agent;
pub mod bench;
pub mod chaos;
pub mod clock;
pub mod faults;
pub mod fleet;
pub mod http;
pub mod invariants;
pub mod operator;
pub mod profile;
pub mod report;
pub mod seed;
pub mod target;
