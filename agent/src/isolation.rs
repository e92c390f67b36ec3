//! Cutting this host off and giving its network back: own nftables tables, read back from the kernel.
//!
//! All of it happens on one thread, which keeps its netlink sockets: see [`netlink`].

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

use std::{io, net::SocketAddr, sync::mpsc, thread};

use voltaxe_protocol::{CommandId, IsolationObservation};

pub use device::addresses;
pub use host::HostFiles;
pub use kernel::{CONTACT_WITHIN, IsolationError, Kernel, Watch};
pub use state::{Applied, AppliedRules, Ended, EndedBy};
pub use terms::Terms;

use crate::{
    action::{self, Control},
    clock,
    core::ActionOutcome,
    state_dir::StateDir,
};

/// A handle to the thread that owns the kernel's sockets. Dropping it ends the thread and leaves the rules as they are.
#[derive(Debug)]
pub struct Isolation {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<thread::JoinHandle<()>>,
}

type Answer<T> = Box<dyn FnOnce(T) + Send>;

enum Job {
    Execute { id: CommandId, action: Control, servers: Vec<SocketAddr>, answer: Answer<ActionOutcome> },
    Observe { answer: Answer<IsolationObservation> },
}

impl Isolation {
    /// `applied` is what the last run left in its state file; `direct_port` stays open to the server.
    pub fn start(state: StateDir, applied: Option<Applied>, direct_port: Option<u16>) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel();
        let thread = thread::Builder::new().name("isolation".to_owned()).spawn(move || {
            let mut kernel = Kernel::new(state, applied).with_direct_port(direct_port);
            work(&mut kernel, &queue);
        })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// `answer` is called on the thread, as soon as the kernel shows the effect.
    pub fn execute(
        &self,
        id: CommandId,
        action: Control,
        servers: Vec<SocketAddr>,
        answer: impl FnOnce(ActionOutcome) + Send + 'static,
    ) {
        self.send(Job::Execute { id, action, servers, answer: Box::new(answer) });
    }

    pub fn observe(&self, answer: impl FnOnce(IsolationObservation) + Send + 'static) {
        self.send(Job::Observe { answer: Box::new(answer) });
    }

    fn send(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            let _ = jobs.send(job);
        }
    }
}

impl Drop for Isolation {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn work(kernel: &mut Kernel, queue: &mpsc::Receiver<Job>) {
    while let Ok(job) = queue.recv() {
        match job {
            Job::Execute { id, action, servers, answer } => {
                #[cfg(debug_assertions)]
                crate::fault::pass("before-effect");
                let outcome = action::execute(kernel, id, action, &servers, clock::wall);
                #[cfg(debug_assertions)]
                crate::fault::pass("after-effect");
                answer(outcome);
                // After the answer: the state file does not keep the result waiting.
                kernel.save();
            }
            Job::Observe { answer } => answer(kernel.observe(clock::wall())),
        }
    }
}
