//! What can happen in a run, and what lies between it and its cause: time, loss, repetition.

use tokio::sync::mpsc;
use voltaxe_orchestrator::{StrikeError, delivery::Enqueued};
use voltaxe_protocol::{AgentFrame, CommandId, DirectOffer, ServerFrame};
use voltaxe_sentinel::core::PostKey;
use voltaxe_store::{Cancel, StoreError, model::CommandRecord};

use crate::{
    host::DirectReply,
    server::{Answer, Request},
};

/// To the world, from tasks.
pub type Tell = mpsc::UnboundedSender<Happening>;

pub enum Happening {
    /// To a host's process, if it is still that one.
    Host {
        host: usize,
        boot: u64,
        what: ToHost,
    },
    /// A host's frame reaches the server.
    FrameArrives {
        host: usize,
        number: u64,
        frame: AgentFrame,
    },
    /// A request reaches the server.
    RequestArrives {
        host: usize,
        boot: u64,
        request: Request,
        key: Option<PostKey>,
    },
    /// The server's answer to a request sets out.
    AnswerLeaves {
        host: usize,
        boot: u64,
        answer: Answer,
        key: Option<PostKey>,
    },
    /// A frame sets out to a host.
    FrameLeaves {
        host: usize,
        number: u64,
        frame: ServerFrame,
    },
    /// A frame reaches a host.
    FrameReaches {
        host: usize,
        number: u64,
        frame: ServerFrame,
    },
    /// The server's end of a stream is closed.
    ServerCloses {
        host: usize,
        number: u64,
    },
    /// The server's end of a stream notices that nobody is there.
    ServerLoses {
        host: usize,
        number: u64,
    },
    CallLeaves {
        host: usize,
        offer: Box<DirectOffer>,
        reply: DirectReply,
    },
    CallReaches {
        host: usize,
        offer: Box<DirectOffer>,
        reply: Option<DirectReply>,
    },
    Fault(Fault),
    Mended(Mended),
    /// The operator gives, or repeats, the order of this number.
    Order(usize),
    Ordered {
        order: usize,
        outcome: Option<Result<Enqueued, StrikeError>>,
    },
    Batch,
    Batched {
        outcome: Option<Result<Vec<CommandRecord>, StoreError>>,
    },
    Cancels(CommandId),
    Cancelled {
        outcome: Option<Result<Cancel, StrikeError>>,
    },
}

pub enum ToHost {
    Disk,
    Wakes,
    Takes(CommandId),
    Done { id: CommandId, success: bool },
    Connects,
    StreamEnds(u64),
    Answered { answer: Answer, key: Option<PostKey> },
    Collected,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    ServerDies,
    DatabaseDies,
    HostDies,
    CutOff,
    StreamBreaks,
    DiskFills,
    /// Somebody sends an old offer again, to whomever.
    Replay,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mended {
    Server,
    Database,
    Host(usize),
    Line(usize),
    Disk(usize),
}
