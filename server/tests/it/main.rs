//! The server against a real Postgres and over real sockets. One binary; files mirror URLs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod agent_enroll;
mod agent_stream;
mod api_commands;
mod api_isolate;
mod binary;
mod command;
mod cross_site;
mod durability;
mod events;
mod harness;
mod health;
mod operators;
mod roles;
mod seed_sql;
mod telemetry;
