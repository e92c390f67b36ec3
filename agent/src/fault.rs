//! Debug builds can be told to die, for tests of what a crash leaves behind: with `VOLTAXE_FAULT=POINT[:N]` the process
//! kills itself when it passes that point the Nth time. A release build has none of this.
//!
//! Points: `before-`, `unsynced-`, `after-` and `torn-` with `received`, `started`, `finished` or `reported` (around the
//! writing of such a record: before the write, before the sync, after the sync, in the middle of the write), and
//! `before-effect`, `after-effect`.

use std::sync::{
    LazyLock,
    atomic::{AtomicU32, Ordering},
};

use rustix::process::{Signal, getpid, kill_process};

struct Fault {
    point: String,
    passings_left: AtomicU32,
}

static FAULT: LazyLock<Option<Fault>> = LazyLock::new(|| {
    let text = std::env::var("VOLTAXE_FAULT").ok()?;
    let (point, passing) = text.split_once(':').unwrap_or((&text, "1"));
    let passing = passing.parse().expect("VOLTAXE_FAULT is POINT or POINT:N");
    Some(Fault { point: point.to_owned(), passings_left: AtomicU32::new(passing) })
});

const STEPS: [&str; 4] = ["received", "started", "finished", "reported"];

/// Dies here if it is told to.
pub fn pass(point: &str) {
    if is_due(point) {
        die();
    }
}

/// `moment` of writing these journal records.
pub fn pass_records(moment: &str, bytes: &[u8]) {
    if FAULT.is_some() {
        steps_in(bytes).for_each(|step| pass(&format!("{moment}-{step}")));
    }
}

/// Whether this write is to stop in its middle.
pub fn is_to_be_torn(bytes: &[u8]) -> bool {
    FAULT.is_some() && steps_in(bytes).any(|step| is_due(&format!("torn-{step}")))
}

/// As the kernel would do it: nothing is flushed, no destructor runs.
pub fn die() -> ! {
    let _ = kill_process(getpid(), Signal::KILL);
    loop {
        std::thread::park();
    }
}

fn is_due(point: &str) -> bool {
    FAULT
        .as_ref()
        .is_some_and(|fault| fault.point == point && fault.passings_left.fetch_sub(1, Ordering::Relaxed) == 1)
}

fn steps_in(bytes: &[u8]) -> impl Iterator<Item = &'static str> {
    STEPS.into_iter().filter(move |step| {
        let tag = format!("{{\"step\":\"{step}\"");
        bytes.windows(tag.len()).any(|window| window == tag.as_bytes())
    })
}
