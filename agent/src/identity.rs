//! Who this agent is: its key, and what the server granted at enrolment.

use std::{fs, io, sync::Mutex};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use voltaxe_protocol::{EndpointId, Epoch, Keypair, PollKey, PublicKey};

use crate::{core::Trust, state_dir::StateDir};

const KEY_FILE: &str = "agent.key";
const GRANT_FILE: &str = "identity.json";
const JOIN_COUNTER_FILE: &str = "join-counter.json";

/// `identity.json`: what `enroll` learnt from the server.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    pub endpoint_id: EndpointId,
    pub epoch: Epoch,
    /// The name under which the console shows this host.
    pub hostname: String,
    /// Where the agent enrolled; `run` goes where agent.conf says.
    pub server_url: String,
    /// Ed25519, 32 bytes, base64.
    pub server_key: String,
    pub enrolled_at: DateTime<Utc>,
    pub awaiting_approval: bool,
}

/// A loaded enrolment. `Debug` shows public halves only.
#[derive(Debug)]
pub struct Identity {
    pub grant: Grant,
    pub server_key: PublicKey,
    pub key: Keypair,
    pub poll_key: PollKey,
    join_counter: Mutex<StateDir>,
}

#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Enrol first.
    #[error(
        "this host is not enrolled; paste the enrol command from the console, or run: voltaxe-sentinel enroll --token-file FILE"
    )]
    NotEnrolled,
    #[error("{file} in the state directory cannot be read; check its owner (root) and mode (0600)")]
    Unreadable { file: &'static str, source: io::Error },
    /// Only a new enrolment helps.
    #[error("{file} in the state directory is damaged; enrol again with: voltaxe-sentinel enroll --replace")]
    Damaged { file: &'static str },
}

impl Identity {
    pub fn load(state: &StateDir) -> Result<Self, IdentityError> {
        let grant = read_grant(state)?.ok_or(IdentityError::NotEnrolled)?;
        let server_key = PublicKey::from_base64(&grant.server_key)
            .map_err(|_| IdentityError::Damaged { file: GRANT_FILE })?;
        let key = read_key(state)?;
        if EndpointId::of_key(&key.public()) != grant.endpoint_id {
            return Err(IdentityError::Damaged { file: KEY_FILE });
        }
        let poll_key = PollKey::of_agent(&key, &server_key);
        Ok(Self { grant, server_key, key, poll_key, join_counter: Mutex::new(state.clone()) })
    }

    /// Stores a new enrolment. The key goes first: a grant without its key would be worthless.
    pub fn store(state: &StateDir, key: &Keypair, grant: &Grant) -> io::Result<()> {
        let mut text = STANDARD.encode(key.to_seed());
        text.push('\n');
        state.write(KEY_FILE, text.as_bytes())?;
        state.write_json(GRANT_FILE, grant)
    }

    /// Whose orders are obeyed.
    #[must_use]
    pub fn trust(&self) -> Trust {
        Trust {
            endpoint_id: self.grant.endpoint_id.clone(),
            epoch: self.grant.epoch,
            server_key: self.server_key.clone(),
        }
    }

    /// A number greater than any before, on disk before it is used. Blocks on the disk.
    pub fn next_join_counter(&self) -> io::Result<i64> {
        let state = self.join_counter.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let next = state.read_json::<i64>(JOIN_COUNTER_FILE)?.unwrap_or(0) + 1;
        state.write_json(JOIN_COUNTER_FILE, &next)?;
        Ok(next)
    }
}

/// `None` when the host was never enrolled.
pub fn read_grant(state: &StateDir) -> Result<Option<Grant>, IdentityError> {
    state.read_json(GRANT_FILE).map_err(|error| match error.kind() {
        io::ErrorKind::Other => IdentityError::Damaged { file: GRANT_FILE },
        _ => IdentityError::Unreadable { file: GRANT_FILE, source: error },
    })
}

fn read_key(state: &StateDir) -> Result<Keypair, IdentityError> {
    let text = fs::read_to_string(state.path(KEY_FILE))
        .map_err(|source| IdentityError::Unreadable { file: KEY_FILE, source })?;
    let bytes = STANDARD.decode(text.trim()).map_err(|_| IdentityError::Damaged { file: KEY_FILE })?;
    let seed: [u8; 32] = bytes.try_into().map_err(|_| IdentityError::Damaged { file: KEY_FILE })?;
    Ok(Keypair::from_seed(&seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> (tempfile::TempDir, StateDir) {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::open(directory.path()).unwrap();
        let key = Keypair::generate();
        let grant = Grant {
            endpoint_id: EndpointId::of_key(&key.public()),
            epoch: Epoch(1),
            hostname: "web-01".to_owned(),
            server_url: "http://10.77.0.1:8080".to_owned(),
            server_key: Keypair::generate().public().to_base64(),
            enrolled_at: DateTime::UNIX_EPOCH,
            awaiting_approval: false,
        };
        Identity::store(&state, &key, &grant).unwrap();
        (directory, state)
    }

    #[test]
    fn join_counter_rises_over_restarts() {
        let (_directory, state) = stored();
        let identity = Identity::load(&state).unwrap();
        assert_eq!(identity.next_join_counter().unwrap(), 1);
        assert_eq!(identity.next_join_counter().unwrap(), 2);
        assert_eq!(Identity::load(&state).unwrap().next_join_counter().unwrap(), 3);
    }

    #[test]
    fn another_key_is_not_this_identity() {
        let (_directory, state) = stored();
        state.write(KEY_FILE, STANDARD.encode([7; 32]).as_bytes()).unwrap();
        assert!(matches!(Identity::load(&state), Err(IdentityError::Damaged { file: KEY_FILE })));
    }

    #[test]
    fn not_enrolled_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::open(directory.path()).unwrap();
        assert!(matches!(Identity::load(&state), Err(IdentityError::NotEnrolled)));
    }
}
