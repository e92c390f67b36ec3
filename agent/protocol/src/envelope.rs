use serde::{Deserialize, Serialize};

/// A signed message in the shape of a DSSE envelope: the payload's exact bytes, a type, and signatures over both.
/// Source: <https://github.com/secure-systems-lab/dsse/blob/master/protocol.md>.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    /// Standard base64 with padding.
    pub payload: String,
    pub signatures: Vec<EnvelopeSignature>,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct EnvelopeSignature {
    /// A hint only; which key must have signed is decided by the verifier.
    pub keyid: String,
    /// Ed25519, 64 bytes, standard base64.
    pub sig: String,
}

/// What a signature is for; a signature of one type never passes as another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PayloadType {
    Command,
    Cancellation,
    Receipt,
    Hello,
    EnrolmentProof,
    EnrolmentGrant,
    Probe,
    Release,
    Evidence,
    Custody,
}

impl PayloadType {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Command => "application/vnd.voltaxe.command+json",
            Self::Cancellation => "application/vnd.voltaxe.cancellation+json",
            Self::Receipt => "application/vnd.voltaxe.receipt+json",
            Self::Hello => "application/vnd.voltaxe.hello+json",
            Self::EnrolmentProof => "application/vnd.voltaxe.enrolment-proof+json",
            Self::EnrolmentGrant => "application/vnd.voltaxe.enrolment-grant+json",
            Self::Probe => "application/vnd.voltaxe.probe+json",
            Self::Release => "application/vnd.voltaxe.release+json",
            Self::Evidence => "application/vnd.voltaxe.evidence+json",
            Self::Custody => "application/vnd.voltaxe.custody+json",
        }
    }
}

/// The bytes that are signed: `"DSSEv1" SP LEN(type) SP type SP LEN(payload) SP payload`.
#[must_use]
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

#[cfg(feature = "crypto")]
pub use crypto::{EnvelopeError, Keypair, PublicKey, PublicKeyError};

#[cfg(feature = "crypto")]
mod crypto {
    use std::fmt;

    use base64::{
        Engine as _,
        engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
    };
    use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
    use serde::{Serialize, de::DeserializeOwned};
    use sha2::{Digest as _, Sha256};

    use super::{Envelope, EnvelopeSignature, PayloadType, pre_authentication_encoding};
    use crate::KeyFingerprint;

    /// More than this is not decoded: 48 KiB of JSON.
    const MAX_PAYLOAD_BASE64: usize = 64 * 1024;

    impl Envelope {
        /// Serialises `content` and signs the bytes.
        ///
        /// # Panics
        /// If `content` has no JSON form (a map with keys that are not strings).
        #[must_use]
        pub fn seal(kind: PayloadType, content: &impl Serialize, key: &Keypair) -> Self {
            let payload = serde_json::to_vec(content).expect("our wire types have a JSON form");
            let signature = key.sign(&pre_authentication_encoding(kind.as_str(), &payload));
            Self {
                payload_type: kind.as_str().to_owned(),
                payload: STANDARD.encode(payload),
                signatures: vec![EnvelopeSignature {
                    keyid: key.public().fingerprint().to_string(),
                    sig: STANDARD.encode(signature),
                }],
            }
        }

        /// Verifies first and parses only what verified.
        pub fn open<T: DeserializeOwned>(
            &self,
            kind: PayloadType,
            key: &PublicKey,
        ) -> Result<T, EnvelopeError> {
            if self.payload_type != kind.as_str() {
                return Err(EnvelopeError::WrongType);
            }
            let [signature] = self.signatures.as_slice() else {
                return Err(EnvelopeError::SignatureCount);
            };
            if self.payload.len() > MAX_PAYLOAD_BASE64 {
                return Err(EnvelopeError::TooLarge);
            }
            let payload = STANDARD.decode(&self.payload).map_err(|_| EnvelopeError::Encoding)?;
            let signature = STANDARD.decode(&signature.sig).map_err(|_| EnvelopeError::Encoding)?;
            if !key.verifies(&pre_authentication_encoding(kind.as_str(), &payload), &signature) {
                return Err(EnvelopeError::BadSignature);
            }
            serde_json::from_slice(&payload).map_err(|error| EnvelopeError::Content(error.to_string()))
        }
    }

    #[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
    pub enum EnvelopeError {
        #[error("the envelope is of another type")]
        WrongType,
        #[error("an envelope carries exactly one signature")]
        SignatureCount,
        #[error("the envelope is too large")]
        TooLarge,
        #[error("the envelope is not valid base64")]
        Encoding,
        #[error("the signature is not by the expected key")]
        BadSignature,
        /// The signature holds, the content is not what this version understands: an unknown kind or field.
        #[error("the signed content is not understood: {0}")]
        Content(String),
    }

    /// An Ed25519 key pair. `Debug` shows the public half only.
    pub struct Keypair(SigningKey);

    impl Keypair {
        /// From the operating system's random source.
        ///
        /// # Panics
        /// If that source fails, which leaves nothing safe to do.
        #[must_use]
        pub fn generate() -> Self {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).expect("the operating system gives random bytes");
            Self::from_seed(&seed)
        }

        #[must_use]
        pub fn from_seed(seed: &[u8; 32]) -> Self {
            Self(SigningKey::from_bytes(seed))
        }

        /// The secret half, for the key file alone.
        #[must_use]
        pub fn to_seed(&self) -> [u8; 32] {
            self.0.to_bytes()
        }

        #[must_use]
        pub fn public(&self) -> PublicKey {
            PublicKey(self.0.verifying_key())
        }

        #[must_use]
        pub fn sign(&self, message: &[u8]) -> [u8; 64] {
            self.0.sign(message).to_bytes()
        }

        /// X25519 between two Ed25519 identities. Clamped: a public key with a part of small order learns nothing of ours.
        pub(crate) fn agree(&self, other: &PublicKey) -> [u8; 32] {
            other.0.to_montgomery().mul_clamped(self.0.to_scalar_bytes()).to_bytes()
        }
    }

    impl fmt::Debug for Keypair {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "Keypair({})", self.public().fingerprint())
        }
    }

    #[derive(Clone, Eq, PartialEq)]
    pub struct PublicKey(VerifyingKey);

    impl PublicKey {
        pub fn from_bytes(bytes: &[u8]) -> Result<Self, PublicKeyError> {
            let bytes: &[u8; 32] = bytes.try_into().map_err(|_| PublicKeyError)?;
            let key = VerifyingKey::from_bytes(bytes).map_err(|_| PublicKeyError)?;
            // A weak key verifies signatures that nobody made.
            if key.is_weak() { Err(PublicKeyError) } else { Ok(Self(key)) }
        }

        pub fn from_base64(text: &str) -> Result<Self, PublicKeyError> {
            Self::from_bytes(&STANDARD.decode(text).map_err(|_| PublicKeyError)?)
        }

        #[must_use]
        pub fn to_base64(&self) -> String {
            STANDARD.encode(self.0.as_bytes())
        }

        #[must_use]
        pub fn as_bytes(&self) -> &[u8; 32] {
            self.0.as_bytes()
        }

        #[must_use]
        pub fn fingerprint(&self) -> KeyFingerprint {
            KeyFingerprint::try_from(URL_SAFE_NO_PAD.encode(self.digest()))
                .expect("32 bytes are 43 base64url characters")
        }

        /// SHA-256 of the key.
        #[must_use]
        pub fn digest(&self) -> [u8; 32] {
            Sha256::digest(self.0.as_bytes()).into()
        }

        /// Strict verification (RFC 8032, no malleable signatures, no weak points).
        #[must_use]
        pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
            Signature::from_slice(signature)
                .is_ok_and(|signature| self.0.verify_strict(message, &signature).is_ok())
        }
    }

    impl fmt::Debug for PublicKey {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "PublicKey({})", self.fingerprint())
        }
    }

    #[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
    #[error("a public key is 32 bytes of a valid Ed25519 point")]
    pub struct PublicKeyError;
}
