//! `voltaxe-server`: puts the store, the orchestrator, the gateway for agents and the dashboard together.

#![recursion_limit = "256"]

pub mod admin;
pub mod cli;
pub mod clock;
pub mod config;
pub mod ctl;
pub mod evidence_store;
pub mod gateway;
mod limits;
pub mod problem;
pub mod routes;
pub mod serve;
pub mod signing_key;
pub mod state;
pub mod web;
pub mod webhook_sender;
