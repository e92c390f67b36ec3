//! Whether an order may be executed here. Pure: envelope, trust and time in, verdict out.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use voltaxe_protocol::{
    Cancellation, CommandId, CommandOrder, EndpointId, Envelope, EnvelopeError, Epoch, PayloadType, PublicKey,
};

/// Whose orders are obeyed.
#[derive(Clone, Debug)]
pub struct Trust {
    pub endpoint_id: EndpointId,
    pub epoch: Epoch,
    pub server_key: PublicKey,
}

/// A verified envelope for this endpoint.
pub(crate) enum Opened {
    Order(Box<CommandOrder>),
    /// Signed by the server and meant for us, but a kind or field is unknown to this version.
    NotUnderstood {
        header: Header,
        why: String,
    },
}

impl Opened {
    pub(crate) fn id(&self) -> CommandId {
        match self {
            Self::Order(order) => order.id,
            Self::NotUnderstood { header, .. } => header.id,
        }
    }
}

/// The part of an order that every version has.
#[derive(Deserialize)]
pub(crate) struct Header {
    pub(super) id: CommandId,
    pub(super) endpoint_id: EndpointId,
    #[serde(default)]
    pub(super) expires_at: Option<DateTime<Utc>>,
    #[serde(default)]
    action: Option<serde_json::Value>,
}

impl Header {
    pub(super) fn kind(&self) -> String {
        let word = self.action.as_ref().and_then(|action| action.get("command")?.as_str());
        word.unwrap_or("unknown").to_owned()
    }
}

/// Why a signed order is answered with a failed result.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Refusal {
    /// `data.refused` of the result: what a program matches on.
    pub(crate) word: &'static str,
    pub(crate) message: String,
}

/// Verifies signature and addressee. The error says why the envelope is thrown away unanswered.
pub(crate) fn open(envelope: &Envelope, trust: &Trust) -> Result<Opened, String> {
    let opened = match envelope.open::<CommandOrder>(PayloadType::Command, &trust.server_key) {
        Ok(order) => Opened::Order(Box::new(order)),
        Err(EnvelopeError::Content(why)) => {
            let header = envelope
                .open::<Header>(PayloadType::Command, &trust.server_key)
                .map_err(|error| error.to_string())?;
            Opened::NotUnderstood { header, why }
        }
        Err(
            error @ (EnvelopeError::WrongType
            | EnvelopeError::SignatureCount
            | EnvelopeError::TooLarge
            | EnvelopeError::Encoding
            | EnvelopeError::BadSignature),
        ) => return Err(error.to_string()),
    };
    let addressee = match &opened {
        Opened::Order(order) => &order.endpoint_id,
        Opened::NotUnderstood { header, .. } => &header.endpoint_id,
    };
    check_addressee(addressee, trust)?;
    Ok(opened)
}

/// Verifies signature, addressee and enrolment. The error says why the envelope is thrown away unanswered.
pub(super) fn open_cancellation(envelope: &Envelope, trust: &Trust) -> Result<Cancellation, String> {
    let cancellation: Cancellation =
        envelope.open(PayloadType::Cancellation, &trust.server_key).map_err(|error| error.to_string())?;
    check_addressee(&cancellation.endpoint_id, trust)?;
    if cancellation.epoch != trust.epoch {
        return Err(format!("it is for enrolment {}, this is {}", cancellation.epoch, trust.epoch));
    }
    Ok(cancellation)
}

fn check_addressee(addressee: &EndpointId, trust: &Trust) -> Result<(), String> {
    if *addressee == trust.endpoint_id {
        Ok(())
    } else {
        Err(format!("it is for endpoint {addressee}, this is {}", trust.endpoint_id))
    }
}

/// Whether an order that was never started may start, now or later.
pub(crate) fn acceptable(order: &CommandOrder, trust: &Trust, now: DateTime<Utc>) -> Result<(), Refusal> {
    if order.epoch != trust.epoch {
        return Err(Refusal {
            word: "wrong-epoch",
            message: format!(
                "The command is for enrolment {} of this endpoint, which is now at {}; issue it again.",
                order.epoch, trust.epoch
            ),
        });
    }
    if order.expires_at <= now {
        return Err(Refusal {
            word: "expired",
            message: format!(
                "The command expired at {} and this host's clock says {}; issue it again, or correct the clock.",
                order.expires_at.format("%Y-%m-%d %H:%M:%S UTC"),
                now.format("%Y-%m-%d %H:%M:%S UTC")
            ),
        });
    }
    Ok(())
}

/// How long an id is remembered after its order can no longer be accepted anyway.
pub(super) const MEMORY_MARGIN: TimeDelta = TimeDelta::days(1);
/// For orders that do not say when they expire: the longest default life and a margin.
pub(super) const MEMORY_WITHOUT_EXPIRY: TimeDelta = TimeDelta::days(8);

pub(super) fn forget_after(expires_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> DateTime<Utc> {
    match expires_at {
        Some(expires_at) => expires_at.max(now) + MEMORY_MARGIN,
        None => now + MEMORY_WITHOUT_EXPIRY,
    }
}
