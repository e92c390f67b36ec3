//! What the page may ask of the server. Every function authorises by a permit before it does anything, is called by
//! POST with a JSON body only, and answers errors as [`crate::error::ApiError`].

#[cfg(feature = "ssr")]
mod access;
#[cfg(feature = "ssr")]
pub mod caller;
#[cfg(feature = "ssr")]
pub mod cookie;
mod endpoints;
mod enrolment;
mod orders;
mod sessions;

#[cfg(feature = "ssr")]
pub use access::{Access, SERVER_FUNCTIONS};
pub use endpoints::{endpoint, endpoints};
pub use enrolment::create_enrolment_token;
pub use orders::{cancel_command, isolate, restore};
pub use sessions::{complete_setup, session, sign_in, sign_out};
