//! Processes of this host: listing them, ending them, stopping them and letting them go on.
//!
//! A wish (a name, a file, a digest) is first resolved into exact identities: number, start time, boot. Every signal goes
//! to an identity, never to a number: a pidfd is opened, then the start time is compared, then the signal is sent through
//! the pidfd ([`held::Held`]). A number that was taken over in between is found at the comparison, or the signal finds
//! that its process has ended; nobody else can be hit. Two processes are the same to us only if they had the same number
//! within one clock tick (10 ms), for which every number would have to be used up in that time.
//!
//! A tree is stopped before it is ended, from the top: who is stopped makes no children, and what was made before is
//! found by looking again until nothing new is there. Signals then go from the bottom up, so that the parents of whoever
//! is left are still there to be found by, also by a second run after a crash. What had left its parent before it was
//! looked at is not guessed by its group or session. With a grace, what forks and exits while it handles SIGTERM can slip
//! out; without one, nothing that was stopped can.
//! A run that a crash cuts off can leave a tree stopped; its repeat ends it. Only trees are stopped: to some parents
//! (sudo, a shell) a stopped child is an event of its own.
//!
//! Carrying an order out a second time, after a crash, is harmless: exact identities are gone by then, and a wish is
//! repeated as it was given: it names whatever matches when it is carried out, and its first run was not told to anybody.

mod end;
mod executable;
mod group;
mod held;
mod host;
mod list;
mod pause;
mod protection;
mod report;
mod target;

pub use end::kill;
pub use list::list;
pub use pause::{resume, suspend};

/// A result travels in one frame of the stream, with room for the rest of it.
const LARGEST_DATA_BYTES: usize = 48 * 1024;
