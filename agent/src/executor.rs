//! What acts on the host.
//!
//! The part of the agent that speaks with the network decides nothing that needs a privilege: it hands [`Task`]s to an
//! executor and hears [`Done`] of it. The executor is either in the same process, or the process `voltaxe-sentinel executor`
//! behind a Unix socket, which believes nothing but signatures: a command's, a cancellation's and the answer of a probe.

mod client;
mod engine;
mod enrolled;
mod frame;
mod gate;
mod memory;
mod protocol;
mod server;
mod wall;
mod warden;

use std::{net::SocketAddr, sync::Arc};

use voltaxe_protocol::{Command, CommandId, Envelope};

pub use client::Client;
pub use engine::{Engine, Setup};
pub use enrolled::Enrolled;
pub use frame::MAX_FRAME_BYTES;
pub use protocol::{Done, Purpose, Task};
pub use server::{Ended, Server, ServerError, serve};

/// Called with whatever an executor has to say, on any thread.
pub type Sink = Arc<dyn Fn(Done) + Send + Sync>;

/// Where tasks go.
#[derive(Debug)]
pub enum Executor {
    /// Threads of this process.
    Local(Engine),
    /// Another process.
    Remote(Client),
}

impl Executor {
    /// Answered by an outcome, or by `Provisional` and then an outcome.
    pub fn run(
        &self,
        id: CommandId,
        action: Command,
        envelope: Option<Box<Envelope>>,
        servers: Vec<SocketAddr>,
    ) {
        match (self, envelope) {
            (Self::Local(engine), _) => engine.run(id, action, servers),
            (Self::Remote(client), Some(envelope)) => {
                client.submit(Task::Run { id, envelope: *envelope, servers });
            }
            (Self::Remote(client), None) => client.cannot_be_verified(id),
        }
    }

    /// Everything but `Run`, which [`Self::run`] is for.
    pub fn submit(&self, task: Task) {
        match self {
            Self::Local(engine) => engine.submit(task),
            Self::Remote(client) => client.submit(task),
        }
    }
}
