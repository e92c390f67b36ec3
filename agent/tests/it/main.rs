//! The agent as it runs: real processes, real kernel rules in network namespaces, a server of our own that checks every
//! signature. Needs root.

#![expect(clippy::unwrap_used, reason = "in a test's helpers, too, a failure is a failed test")]

mod agent;
mod cli;
mod delivery;
mod gateway;
mod isolation;
mod measure;
mod net;
mod rules;
