//! The agent as it runs: real processes, real kernel rules in network namespaces, a server of our own that checks every
//! signature. Needs root.

#![expect(clippy::unwrap_used, reason = "in a test's helpers, too, a failure is a failed test")]

mod agent;
mod bare;
mod cancelling;
#[path = "../../src/chaos.rs"]
mod chaos;
mod cli;
mod collecting;
mod delivery;
mod direct;
mod documentation;
mod drift;
mod evidence;
mod executor;
mod forensics;
mod gateway;
mod isolation;
mod kills;
mod lockout;
mod lost_server;
mod measure;
mod net;
mod outage;
mod polling;
mod probes;
mod processes;
mod raw;
mod rules;
mod systemd;
