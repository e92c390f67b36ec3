//! The server against a real Postgres and over real sockets. One binary; files mirror URLs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod agent_enroll;
mod agent_evidence;
mod agent_probe;
mod agent_stream;
mod api_batches;
mod api_commands;
mod api_endpoints;
mod api_isolate;
mod api_isolation;
mod api_processes;
mod api_rate_limits;
mod api_schedules;
mod binary;
mod channels;
mod command;
mod cross_site;
mod drift;
mod durability;
mod events;
mod evidence;
mod evidence_kept;
mod find;
mod growth;
mod harness;
mod health;
mod hints;
mod install;
mod metrics;
mod operators;
mod roles;
mod seed_sql;
mod telemetry;
