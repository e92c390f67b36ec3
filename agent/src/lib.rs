//! The Voltaxe Sentinel agent: takes signed commands from its server and carries each out exactly once.
//!
//! [`core`] decides, [`event_loop`] does: no decision reads a clock or a socket, and no input or output decides.

pub mod action;
#[cfg(test)]
mod chaos;
pub mod cli;
pub mod clock;
pub mod config;
pub mod core;
pub mod event_loop;
#[cfg(debug_assertions)]
mod fault;
pub mod forensics;
pub mod identity;
pub mod isolation;
pub mod journal;
pub mod state_dir;
pub mod telemetry;
pub mod transport;
