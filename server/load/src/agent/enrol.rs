use voltaxe_protocol::{
    EnrolRequest, EnrolResponse, EnrolString, EnrolmentGrant, EnrolmentProof, Envelope, PayloadType, PollKey,
    Problem,
};

use super::{AGENT_VERSION, Epoch, Identity, PublicKey, words};
use crate::{
    http::{self, Connection, HttpError},
    target::Target,
};

/// What an agent keeps of its enrolment.
#[derive(Clone, Debug, PartialEq)]
pub struct Enrolment {
    pub server_key: PublicKey,
    pub epoch: Epoch,
}

impl Enrolment {
    #[must_use]
    pub fn poll_key(&self, identity: &Identity) -> PollKey {
        PollKey::of_agent(&identity.key, &self.server_key)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    #[error("the enrolment did not get through")]
    Http(#[from] HttpError),
    /// This seed's agent is enrolled on this server: choose another seed, or use the fleet file of that enrolment.
    #[error(
        "the agent {0} is enrolled already; use another --seed, or the fleet file that its enrolment wrote"
    )]
    KnownAlready(String),
    /// The token's uses are up, or it is an hour old.
    #[error(
        "the enrolment string is used up or expired; make another with voltaxe-server admin enrolment-token"
    )]
    TokenSpent,
    #[error("the enrolment was answered with {0}: {1}")]
    Refused(u16, String),
    /// The server is not the one that the enrolment string pins.
    #[error("the answer to the enrolment does not verify: {0}")]
    Untrusted(String),
    #[error("the agent waits for approval: its name belongs to another key")]
    AwaitingApproval,
}

/// Enrols by `POST /agent/enroll`, with a nonce that follows from the key.
pub async fn enrol(
    connection: &mut Connection,
    target: &Target,
    identity: &Identity,
    string: &EnrolString,
) -> Result<Enrolment, EnrolError> {
    let proof = EnrolmentProof {
        token: string.token.clone(),
        nonce: identity.key.public().fingerprint().to_string(),
        hostname: identity.hostname.clone(),
        machine_id: format!("simulated-{}", identity.id),
        agent_version: AGENT_VERSION.to_owned(),
        host: words::host(),
    };
    let envelope = Envelope::seal(PayloadType::EnrolmentProof, &proof, &identity.key);
    let body = EnrolRequest { public_key: identity.key.public().to_base64(), envelope };
    let body = serde_json::to_vec(&body).map_err(|error| EnrolError::Untrusted(error.to_string()))?;
    let request =
        http::request("POST", "/agent/enroll", target, &[("content-type", "application/json")], &body);
    let answer = connection.exchange(&request).await?;
    match answer.status {
        201 => granted(&answer.body, &proof.nonce, string),
        409 => Err(EnrolError::KnownAlready(identity.hostname.clone())),
        401 | 403 => Err(EnrolError::TokenSpent),
        status => {
            let problem = serde_json::from_slice::<Problem>(&answer.body);
            Err(EnrolError::Refused(status, problem.map_or_else(|_| answer.text(), |problem| problem.title)))
        }
    }
}

fn granted(body: &[u8], nonce: &str, string: &EnrolString) -> Result<Enrolment, EnrolError> {
    let untrusted = |why: String| EnrolError::Untrusted(why);
    let response: EnrolResponse =
        serde_json::from_slice(body).map_err(|error| untrusted(error.to_string()))?;
    let server_key =
        PublicKey::from_base64(&response.server_key).map_err(|error| untrusted(error.to_string()))?;
    if server_key.fingerprint() != string.server_key {
        return Err(untrusted("the server's key is not the pinned one".to_owned()));
    }
    let grant: EnrolmentGrant = response
        .envelope
        .open(PayloadType::EnrolmentGrant, &server_key)
        .map_err(|error| untrusted(error.to_string()))?;
    if grant.nonce != nonce {
        return Err(untrusted("it answers another request".to_owned()));
    }
    if grant.awaiting_approval {
        return Err(EnrolError::AwaitingApproval);
    }
    Ok(Enrolment { server_key, epoch: grant.epoch })
}
