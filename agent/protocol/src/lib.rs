//! What travels between the agent and the server: types, their JSON, and the signatures over them.
//!
//! Two rules keep old agents and new servers on speaking terms. Types a server *reads from an agent* and frames in
//! both directions tolerate unknown fields and enum values. Types an agent *acts on* ([`CommandOrder`], [`Command`])
//! are closed: an unknown kind or field refuses the whole order.

mod command;
mod enrolment;
mod envelope;
#[cfg(feature = "evidence")]
pub mod evidence;
mod http_api;
mod ids;
#[cfg(feature = "crypto")]
mod poll_key;
mod problem;
mod release_ticket;
mod request_signature;
mod stream;
mod telemetry;

pub use command::{
    AgentCheck, AgentCheckOutcome, CANCELLED, Cancellation, CollectForensics, CollectionError,
    CollectionOutcome, Command, CommandOrder, CommandResult, CommandState, Direction, EvidenceClaims,
    EvidenceLimits, Exception, ExceptionError, ForensicsProfile, IsolationChange, IsolationOutcome,
    IsolationPreview, IsolationPreviewOutcome, KillProcess, LARGEST_EVIDENCE_CHUNK_BYTES, ListProcesses,
    MOST_EXCEPTIONS, Manifest, ManifestEntry, NetworkIsolate, NetworkRestore, PreflightKind,
    PreflightWarning, Process, ProcessEffect, ProcessId, ProcessList, ProcessOutcome, ProcessTarget,
    ProcessVerdict, Protocol, ResumeProcess, Session, SuspendProcess, check_exceptions,
};
pub use enrolment::{
    EnrolRequest, EnrolResponse, EnrolString, EnrolStringError, EnrolmentGrant, EnrolmentProof,
};
pub use envelope::{Envelope, EnvelopeSignature, PayloadType, pre_authentication_encoding};
#[cfg(feature = "crypto")]
pub use envelope::{EnvelopeError, Keypair, PublicKey, PublicKeyError};
pub use http_api::{
    CommandReceipt, DirectAnswer, DirectOffer, EvidenceOffer, EvidenceState, LONGEST_POLL_SECONDS, NotKnown,
    OfferedCommand, PollResponse, ProbeAnswer, ProbeClaims, ReceiptClaims, ResultReceipt,
};
pub use ids::{CommandId, EndpointId, Epoch, IdError, KeyFingerprint};
#[cfg(feature = "crypto")]
pub use poll_key::PollKey;
pub use problem::Problem;
pub use release_ticket::ReleaseClaims;
#[cfg(feature = "crypto")]
pub use release_ticket::ReleaseTicket;
pub use request_signature::{
    RequestParts, RequestSignature, RequestSignatureError, SIGNATURE_MAX_AGE_SECONDS, SignatureAlgorithm,
    signature_base,
};
#[cfg(feature = "crypto")]
pub use request_signature::{
    SignedHeaders, content_digest, sign_poll, sign_request, verify_body, verify_poll, verify_poll_head,
    verify_request, verify_request_head,
};
pub use stream::{AgentFrame, HelloClaims, MAX_FRAME_BYTES, RefusalReason, ServerFrame};
pub use telemetry::{
    AgentFacts, Disk, Drift, HostFacts, IsolationObservation, LoadAverage, Memory, ObservedIsolation,
    Telemetry,
};
