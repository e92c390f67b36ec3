//! Cutting this host off and giving its network back: own nftables tables, read back from the kernel.
//!
//! The executor gives all of it one thread, which keeps its netlink sockets: see [`netlink`].

mod apply;
mod device;
mod gate;
mod host;
mod kernel;
mod netlink;
mod nft;
mod numbers;
mod observe;
mod preflight;
pub mod ruleset;
mod state;
mod terms;
mod transaction;

pub use device::addresses;
pub use host::HostFiles;
pub use kernel::{CONTACT_WITHIN, IsolationError, Kernel, Watch};
pub use state::{Applied, AppliedRules, Ended, EndedBy};
pub use terms::Terms;
