//! Cutting this host off and giving its network back: own nftables tables, read back from the kernel.
//!
//! The executor gives all of it one thread, which keeps its netlink sockets: see [`netlink`].

mod apply;
mod device;
mod kernel;
mod netlink;
mod nft;
mod numbers;
mod observe;
pub mod ruleset;
mod terms;
mod transaction;

pub use device::addresses;
pub use kernel::{Applied, CONTACT_WITHIN, EndedBy, IsolationError, Kernel, Watch};
pub use terms::Terms;
