//! What the orchestrator tells about endpoints and commands.

use voltaxe_protocol::{CommandId, CommandState};
pub use voltaxe_store::model::{
    Channel, CommandRecord, DesiredIsolation, EndpointRecord, EndpointStatus, EnrolmentTokenRecord,
    IsolationDirection, ObservedRecord,
};

/// An endpoint as the store knows it, and whether it holds a stream right now.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointView {
    pub record: EndpointRecord,
    pub live: bool,
}

/// How the click was answered; `Accepted` means that the command is on disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Accepted {
    pub command_id: CommandId,
    pub status: CommandState,
    pub method: Method,
    /// The command existed already: a repeated click, or the host is isolated or isolating.
    pub existing: bool,
}

/// The channel on which the command went out, or will.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Method {
    Stream,
    /// Waits for the agent's next poll.
    Polling,
}

impl Method {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Polling => "polling",
        }
    }
}
