//! Signed HTTP requests: one fixed profile of RFC 9421.
//!
//! Covered: `@method`, `@authority`, `@path`, `@query` and `content-digest` (RFC 9530, also for an empty body).
//! Parameters, in this order: `created`, `nonce`, `keyid` (the endpoint id), `alg`. The profile is fixed to the letter,
//! so the parser accepts that one form and nothing else.
//!
//! `alg` is `ed25519` for everything that is evidence, and may be `hmac-sha256` for a poll, which tells the server nothing
//! but that the agent is there.

use crate::EndpointId;

/// A signature is refused when `created` is further than this from the server's clock, either way.
pub const SIGNATURE_MAX_AGE_SECONDS: i64 = 60;

const LABEL: &str = "sig1=";
const COMPONENTS: &str = r#"("@method" "@authority" "@path" "@query" "content-digest")"#;

/// What is covered of a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestParts<'a> {
    /// Upper case.
    pub method: &'a str,
    /// Host and, unless it is the scheme's default, port; lower case.
    pub authority: &'a str,
    pub path: &'a str,
    /// With its leading `?`; a lone `?` when there is none.
    pub query: &'a str,
    /// The `Content-Digest` header.
    pub content_digest: &'a str,
}

/// The parameters of a `Signature-Input` header.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestSignature {
    /// Unix time in seconds.
    pub created: i64,
    /// 128 random bits, base64url without padding (22 characters).
    pub nonce: String,
    pub keyid: EndpointId,
    pub alg: SignatureAlgorithm,
}

/// By their names in the registry of RFC 9421, section 6.2.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SignatureAlgorithm {
    Ed25519,
    HmacSha256,
}

impl SignatureAlgorithm {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::HmacSha256 => "hmac-sha256",
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        [Self::Ed25519, Self::HmacSha256].into_iter().find(|alg| alg.as_str() == name)
    }
}

impl RequestSignature {
    pub fn parse_input(header: &str) -> Result<Self, RequestSignatureError> {
        let malformed = RequestSignatureError::Malformed;
        let rest = header
            .strip_prefix(LABEL)
            .and_then(|rest| rest.strip_prefix(COMPONENTS))
            .and_then(|rest| rest.strip_prefix(";created="))
            .ok_or(malformed)?;
        let (created, rest) = rest.split_once(";nonce=\"").ok_or(malformed)?;
        let (nonce, rest) = rest.split_once("\";keyid=\"").ok_or(malformed)?;
        let (keyid, rest) = rest.split_once("\";alg=\"").ok_or(malformed)?;
        let alg = rest.strip_suffix('"').ok_or(malformed)?;
        let nonce_is_valid =
            nonce.len() == 22 && nonce.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        let parsed = Self {
            created: created.parse().map_err(|_| malformed)?,
            nonce: nonce.to_owned(),
            keyid: keyid.parse().map_err(|_| malformed)?,
            alg: SignatureAlgorithm::of_name(alg).ok_or(RequestSignatureError::WrongAlgorithm)?,
        };
        // `created` may have been written as `+1` or `01`: only our own form is the signed one.
        if nonce_is_valid && parsed.input() == header { Ok(parsed) } else { Err(malformed) }
    }

    /// The whole `Signature-Input` header.
    #[must_use]
    pub fn input(&self) -> String {
        format!("{LABEL}{}", self.params())
    }

    fn params(&self) -> String {
        let Self { created, nonce, keyid, alg } = self;
        let alg = alg.as_str();
        format!("{COMPONENTS};created={created};nonce=\"{nonce}\";keyid=\"{keyid}\";alg=\"{alg}\"")
    }
}

/// The signature base of RFC 9421, section 2.5.
#[must_use]
pub fn signature_base(parts: &RequestParts<'_>, signature: &RequestSignature) -> String {
    let RequestParts { method, authority, path, query, content_digest } = parts;
    format!(
        "\"@method\": {method}\n\"@authority\": {authority}\n\"@path\": {path}\n\"@query\": {query}\n\
         \"content-digest\": {content_digest}\n\"@signature-params\": {}",
        signature.params()
    )
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RequestSignatureError {
    #[error("the Signature-Input, Signature or Content-Digest header is missing or not in the expected form")]
    Malformed,
    #[error("the Content-Digest header does not match the body")]
    DigestMismatch,
    #[error("the signature was made more than 60 s ago or ahead; check the host's clock")]
    Stale,
    #[error("the signature does not verify with the enrolled key")]
    BadSignature,
    #[error("sign this request with alg=\"ed25519\"; hmac-sha256 is for GET /command/poll only")]
    WrongAlgorithm,
}

#[cfg(feature = "crypto")]
pub use crypto::{
    SignedHeaders, content_digest, sign_poll, sign_request, verify_body, verify_poll, verify_poll_head,
    verify_request, verify_request_head,
};

#[cfg(feature = "crypto")]
mod crypto {
    use base64::{
        Engine as _,
        engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
    };
    use sha2::{Digest as _, Sha256};

    use super::{
        LABEL, RequestParts, RequestSignature, RequestSignatureError, SIGNATURE_MAX_AGE_SECONDS,
        SignatureAlgorithm, signature_base,
    };
    use crate::{EndpointId, Keypair, PollKey, PublicKey};

    /// `Content-Digest` of a body (RFC 9530, SHA-256).
    #[must_use]
    pub fn content_digest(body: &[u8]) -> String {
        format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(body)))
    }

    /// The three headers that make a request a signed one.
    #[derive(Clone, Debug)]
    pub struct SignedHeaders {
        pub content_digest: String,
        pub signature_input: String,
        pub signature: String,
    }

    /// Signs a request at `now` (Unix seconds). `parts.content_digest` is replaced by that of `body`.
    ///
    /// # Panics
    /// If the operating system gives no random bytes.
    #[must_use]
    pub fn sign_request(
        parts: RequestParts<'_>,
        body: &[u8],
        keyid: EndpointId,
        key: &Keypair,
        now: i64,
    ) -> SignedHeaders {
        sign(parts, body, keyid, SignatureAlgorithm::Ed25519, now, |base| key.sign(base).to_vec())
    }

    /// As [`sign_request`], for a poll, which has no body.
    ///
    /// # Panics
    /// If the operating system gives no random bytes.
    #[must_use]
    pub fn sign_poll(parts: RequestParts<'_>, keyid: EndpointId, key: &PollKey, now: i64) -> SignedHeaders {
        sign(parts, b"", keyid, SignatureAlgorithm::HmacSha256, now, |base| key.authenticate(base).to_vec())
    }

    /// Checks algorithm, age, signature and digest, in that order. The caller looks the key up by `signature.keyid` and
    /// remembers the nonce for as long as the signature is fresh.
    pub fn verify_request(
        parts: &RequestParts<'_>,
        body: &[u8],
        signature: &RequestSignature,
        signature_header: &str,
        key: &PublicKey,
        now: i64,
    ) -> Result<(), RequestSignatureError> {
        verify_request_head(parts, signature, signature_header, key, now)?;
        verify_body(parts, body)
    }

    /// As [`verify_request`], before the body has come: [`verify_body`] has the rest.
    pub fn verify_request_head(
        parts: &RequestParts<'_>,
        signature: &RequestSignature,
        signature_header: &str,
        key: &PublicKey,
        now: i64,
    ) -> Result<(), RequestSignatureError> {
        let alg = SignatureAlgorithm::Ed25519;
        verify(parts, signature, signature_header, alg, now, |base, bytes| key.verifies(base, bytes))
    }

    /// Whether this is the body that was signed.
    pub fn verify_body(parts: &RequestParts<'_>, body: &[u8]) -> Result<(), RequestSignatureError> {
        if parts.content_digest == content_digest(body) {
            Ok(())
        } else {
            Err(RequestSignatureError::DigestMismatch)
        }
    }

    /// As [`verify_request`], for a poll that [`sign_poll`] made.
    pub fn verify_poll(
        parts: &RequestParts<'_>,
        body: &[u8],
        signature: &RequestSignature,
        signature_header: &str,
        key: &PollKey,
        now: i64,
    ) -> Result<(), RequestSignatureError> {
        verify_poll_head(parts, signature, signature_header, key, now)?;
        verify_body(parts, body)
    }

    /// As [`verify_request_head`], for a poll.
    pub fn verify_poll_head(
        parts: &RequestParts<'_>,
        signature: &RequestSignature,
        signature_header: &str,
        key: &PollKey,
        now: i64,
    ) -> Result<(), RequestSignatureError> {
        let alg = SignatureAlgorithm::HmacSha256;
        verify(parts, signature, signature_header, alg, now, |base, bytes| key.verifies(base, bytes))
    }

    fn sign(
        parts: RequestParts<'_>,
        body: &[u8],
        keyid: EndpointId,
        alg: SignatureAlgorithm,
        now: i64,
        sign: impl FnOnce(&[u8]) -> Vec<u8>,
    ) -> SignedHeaders {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).expect("the operating system gives random bytes");
        let signature = RequestSignature { created: now, nonce: URL_SAFE_NO_PAD.encode(nonce), keyid, alg };
        let content_digest = content_digest(body);
        let parts = RequestParts { content_digest: &content_digest, ..parts };
        let bytes = sign(signature_base(&parts, &signature).as_bytes());
        SignedHeaders {
            signature_input: signature.input(),
            signature: format!("{LABEL}:{}:", STANDARD.encode(bytes)),
            content_digest,
        }
    }

    fn verify(
        parts: &RequestParts<'_>,
        signature: &RequestSignature,
        signature_header: &str,
        alg: SignatureAlgorithm,
        now: i64,
        verifies: impl FnOnce(&[u8], &[u8]) -> bool,
    ) -> Result<(), RequestSignatureError> {
        if signature.alg != alg {
            return Err(RequestSignatureError::WrongAlgorithm);
        }
        if now.abs_diff(signature.created) > SIGNATURE_MAX_AGE_SECONDS.unsigned_abs() {
            return Err(RequestSignatureError::Stale);
        }
        let bytes = signature_header
            .strip_prefix(LABEL)
            .and_then(|rest| rest.strip_prefix(':'))
            .and_then(|rest| rest.strip_suffix(':'))
            .and_then(|base64| STANDARD.decode(base64).ok())
            .ok_or(RequestSignatureError::Malformed)?;
        if verifies(signature_base(parts, signature).as_bytes(), &bytes) {
            Ok(())
        } else {
            Err(RequestSignatureError::BadSignature)
        }
    }
}
