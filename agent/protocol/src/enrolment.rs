use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{EndpointId, Envelope, Epoch, HostFacts, KeyFingerprint, ids::is_base64url_256};

/// What an operator pastes on a new host: `vxe1.TOKEN.FINGERPRINT@URL`. The token (256 bits, base64url) proves the
/// permission to enrol; the fingerprint pins the server's key before the first contact.
///
/// Holds a secret: `Debug` hides the token, `Display` writes the whole string.
#[derive(Clone, Eq, PartialEq)]
pub struct EnrolString {
    pub token: String,
    pub server_key: KeyFingerprint,
    /// Scheme, host and port, without a path: `http://10.77.0.1:8080`.
    pub server_url: String,
}

impl fmt::Display for EnrolString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vxe1.{}.{}@{}", self.token, self.server_key, self.server_url)
    }
}

impl fmt::Debug for EnrolString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnrolString(vxe1.[hidden].{}@{})", self.server_key, self.server_url)
    }
}

impl FromStr for EnrolString {
    type Err = EnrolStringError;

    fn from_str(text: &str) -> Result<Self, EnrolStringError> {
        let rest = text.trim().strip_prefix("vxe1.").ok_or(EnrolStringError::Version)?;
        let (keys, server_url) = rest.split_once('@').ok_or(EnrolStringError::Url)?;
        let (token, fingerprint) = keys.split_once('.').ok_or(EnrolStringError::Token)?;
        if !is_base64url_256(token) {
            return Err(EnrolStringError::Token);
        }
        if !(server_url.starts_with("http://") || server_url.starts_with("https://")) {
            return Err(EnrolStringError::Url);
        }
        let server_key =
            KeyFingerprint::try_from(fingerprint.to_owned()).map_err(|_| EnrolStringError::Fingerprint)?;
        Ok(Self {
            token: token.to_owned(),
            server_key,
            server_url: server_url.trim_end_matches('/').to_owned(),
        })
    }
}

/// Names the part that is wrong; never repeats it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EnrolStringError {
    #[error("it does not start with vxe1.")]
    Version,
    #[error("the token before the second dot is not 43 base64url characters")]
    Token,
    #[error("the key fingerprint before @ is not 43 base64url characters")]
    Fingerprint,
    #[error("there is no http:// or https:// address after @")]
    Url,
}

/// The body of `POST /agent/enroll`: [`EnrolmentProof`], signed with the new key, and that key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnrolRequest {
    /// Ed25519, 32 bytes, base64.
    pub public_key: String,
    /// [`crate::PayloadType::EnrolmentProof`].
    pub envelope: Envelope,
}

/// Holds the enrolment token: no `Debug`.
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize)]
pub struct EnrolmentProof {
    pub token: String,
    /// 256 random bits, base64url; echoed in the grant.
    pub nonce: String,
    pub hostname: String,
    /// Stable id of the machine (`/etc/machine-id`), hashed with our own salt.
    pub machine_id: String,
    pub agent_version: String,
    pub host: HostFacts,
}

/// The answer to an enrolment. The agent checks `server_key` against its pin, then the signature, then the nonce.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnrolResponse {
    /// Ed25519, 32 bytes, base64.
    pub server_key: String,
    /// [`EnrolmentGrant`], [`crate::PayloadType::EnrolmentGrant`].
    pub envelope: Envelope,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct EnrolmentGrant {
    pub endpoint_id: EndpointId,
    pub epoch: Epoch,
    /// The name under which the console shows this host.
    pub hostname: String,
    pub nonce: String,
    pub issued_at: DateTime<Utc>,
    /// The same machine is enrolled with another key: an administrator must approve first.
    pub awaiting_approval: bool,
}
