//! The key of an agent's polls: both sides derive it from the identities that they hold since the enrolment, so it needs no
//! message of its own. A check costs 1 us where a strict Ed25519 check costs 40 to 57 us.

use std::fmt;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::{EndpointId, Keypair, PublicKey};

const PURPOSE: &[u8] = b"voltaxe hmac-sha256 key for GET /command/poll, version 1";

/// Known to one agent and its server. It authenticates to these two only and is no evidence to anybody else: what either of
/// them could have made is not worth keeping. Source for one key pair in both uses: Thormarker,
/// <https://eprint.iacr.org/2021/509>.
#[derive(Clone, Eq, PartialEq)]
pub struct PollKey([u8; 32]);

impl PollKey {
    #[must_use]
    pub fn of_agent(agent: &Keypair, server: &PublicKey) -> Self {
        Self::derive(&agent.agree(server), &agent.public(), server)
    }

    #[must_use]
    pub fn of_server(server: &Keypair, agent: &PublicKey) -> Self {
        Self::derive(&server.agree(agent), agent, &server.public())
    }

    fn derive(agreed: &[u8; 32], agent: &PublicKey, server: &PublicKey) -> Self {
        let endpoint = EndpointId::of_key(agent);
        let info = [PURPOSE, endpoint.as_str().as_bytes(), agent.as_bytes(), server.as_bytes()];
        let mut key = [0; 32];
        Hkdf::<Sha256>::new(None, agreed)
            .expand_multi_info(&info, &mut key)
            .expect("HKDF-SHA256 gives up to 8160 bytes");
        Self(key)
    }

    #[must_use]
    pub fn authenticate(&self, message: &[u8]) -> [u8; 32] {
        self.over(message).finalize().into_bytes().into()
    }

    /// In constant time.
    #[must_use]
    pub fn verifies(&self, message: &[u8], tag: &[u8]) -> bool {
        self.over(message).verify_slice(tag).is_ok()
    }

    fn over(&self, message: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of every length");
        mac.update(message);
        mac
    }
}

impl fmt::Debug for PollKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PollKey(..)")
    }
}
