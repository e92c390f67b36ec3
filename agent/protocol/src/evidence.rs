//! Evidence bundles: what a collection on a host becomes, how it is read, and how it is verified offline.
//!
//! A bundle is a zip of one exact form, the one that [`crate::Manifest`]'s agent writes: entries one after the other, deflate,
//! no extra fields, no comments, no zip64, and `manifest.json` last. Everything but the files' content then follows from
//! the entries' names and sizes, so a reader has nothing to interpret and every changed byte shows.

mod bundle;
mod path;
mod verify;

pub use bundle::{Bundle, BundleError, Entry, EntryError};
pub use path::{is_safe_path, safe_path};
pub use verify::{Verification, verify};

/// The last entry of each bundle.
pub const MANIFEST_PATH: &str = "manifest.json";
/// The entry before: an object from the path of each earlier entry to the SHA-256 of its packed bytes, hexadecimal. Different
/// packed bytes can unpack to the same content, and then this tells where a bundle was changed.
pub const PACKED_PATH: &str = "packed.json";
/// With the manifest.
pub const MOST_ENTRIES: usize = 60_000;
/// The zip's own limit, less some room.
pub const LARGEST_BUNDLE_BYTES: u64 = 4 * 1024 * 1024 * 1024 - 16 * 1024 * 1024;
/// Of all entries together; deflate makes a thousandfold of that from a bundle of zeros.
pub const LARGEST_UNPACKED_BYTES: u64 = 32 * 1024 * 1024 * 1024;
/// Bytes of an entry's path.
pub const LONGEST_PATH: usize = 1024;
pub const LARGEST_MANIFEST_BYTES: u64 = 64 * 1024 * 1024;
