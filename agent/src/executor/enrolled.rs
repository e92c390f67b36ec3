use std::io;

use serde::{Deserialize, Serialize};
use voltaxe_protocol::{EndpointId, Epoch, PublicKey};

use crate::{core::Trust, identity::Grant, state_dir::StateDir};

const FILE: &str = "executor.json";

/// `executor.json`: whom the executor obeys. Root writes it at the enrolment, so that nobody who gets hold of the network
/// process can name another server.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolled {
    pub endpoint_id: EndpointId,
    pub epoch: Epoch,
    /// Ed25519, 32 bytes, base64.
    pub server_key: String,
    pub hostname: String,
}

impl From<&Grant> for Enrolled {
    fn from(grant: &Grant) -> Self {
        Self {
            endpoint_id: grant.endpoint_id.clone(),
            epoch: grant.epoch,
            server_key: grant.server_key.clone(),
            hostname: grant.hostname.clone(),
        }
    }
}

impl Enrolled {
    /// `None` when the host was never enrolled.
    pub fn read(state: &StateDir) -> io::Result<Option<Self>> {
        state.read_json(FILE)
    }

    pub fn write(&self, state: &StateDir) -> io::Result<()> {
        state.write_json(FILE, self)
    }

    #[must_use]
    pub fn is_by(&self, trust: &Trust) -> bool {
        self.endpoint_id == trust.endpoint_id
            && self.epoch == trust.epoch
            && self.server_key == trust.server_key.to_base64()
    }

    /// # Errors
    /// When the key is damaged.
    pub fn trust(&self) -> io::Result<Trust> {
        let server_key = PublicKey::from_base64(&self.server_key).map_err(io::Error::other)?;
        Ok(Trust { endpoint_id: self.endpoint_id.clone(), epoch: self.epoch, server_key })
    }
}
