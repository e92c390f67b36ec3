//! What operators use: pages, server functions, the HTTP API, live events; and what stands before all of it.

pub mod api;
pub mod docs;
pub mod events;
pub mod headers;
pub mod health;
pub mod install;
pub mod openapi;
pub mod pages;
pub mod records;
pub mod request_log;
pub mod same_origin;
pub mod session;
