//! How large and how random the chaos tests are. `VOLTAXE_CHAOS=full` makes them long; `VOLTAXE_SEED` repeats a run.

use std::fmt::Display;

/// One chaos test and its seed, which a failure prints.
pub(crate) struct Chaos {
    name: &'static str,
    pub(crate) seed: u64,
}

impl Chaos {
    pub(crate) fn new(name: &'static str) -> Self {
        let seed = match std::env::var("VOLTAXE_SEED") {
            Ok(seed) => seed.parse().expect("VOLTAXE_SEED is a whole number"),
            Err(_) => fastrand::u64(..),
        };
        Self { name, seed }
    }

    /// The one line that each test prints.
    pub(crate) fn tell(&self, found: impl Display) {
        println!("chaos: {}: seed {} {found}", self.name, self.seed);
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("chaos: {}: FAILED; repeat it with VOLTAXE_SEED={}", self.name, self.seed);
        }
    }
}

pub(crate) fn is_full() -> bool {
    std::env::var("VOLTAXE_CHAOS").is_ok_and(|size| size == "full")
}

pub(crate) fn size<T>(short: T, full: T) -> T {
    if is_full() { full } else { short }
}
