use std::collections::VecDeque;

use sha2::{Digest as _, Sha256};
use voltaxe_protocol::{
    EvidenceClaims, EvidenceOffer, EvidenceState, LARGEST_EVIDENCE_CHUNK_BYTES, PayloadType, PublicKey,
};

use super::http::problem;

/// Answers nothing and breaks the connection.
pub(super) const NO_ANSWER: u16 = 0;

/// The server's shelf: one bundle, as the real one takes it. It outlives restarts.
#[derive(Default)]
pub(crate) struct Shelf {
    pub(crate) claims: Option<EvidenceClaims>,
    pub(crate) received: Vec<u8>,
    pub(crate) is_complete: bool,
    pub(crate) offers: usize,
    /// Offset and length of each piece that came, taken or not.
    pub(crate) pieces: Vec<(u64, usize)>,
    /// What happens to the next pieces, one each; then none.
    pub(crate) faults: VecDeque<Fault>,
    /// What the next offer is answered instead.
    pub(crate) refuse_offer: Option<(u16, &'static str)>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    None,
    /// It is stored, and nobody hears that.
    AnswerLost,
    /// What came before it is not here any more.
    Forgotten,
    /// It is stored with another byte.
    Changed,
    Refused(u16, &'static str),
}

impl Shelf {
    pub(super) fn offer(&mut self, body: &[u8], key: &PublicKey) -> (u16, String) {
        let offer: EvidenceOffer = serde_json::from_slice(body).unwrap();
        let claims: EvidenceClaims =
            offer.claims.open(PayloadType::Evidence, key).expect("the claims verify");
        self.offers += 1;
        if let Some((status, word)) = self.refuse_offer.take() {
            return problem(status, word);
        }
        if self.claims.as_ref().is_some_and(|known| *known != claims) {
            return problem(409, "evidence-differs");
        }
        self.claims = Some(claims);
        self.state()
    }

    pub(super) fn piece(&mut self, path_and_query: &str, body: &[u8]) -> (u16, String) {
        let (id, offset) = path_and_query.split_once("?offset=").unwrap();
        let offset: u64 = offset.parse().unwrap();
        assert!(!body.is_empty() && body.len() <= LARGEST_EVIDENCE_CHUNK_BYTES);
        self.pieces.push((offset, body.len()));
        let Some(claims) = self.claims.clone() else { return problem(404, "evidence-not-offered") };
        assert_eq!(id, claims.command_id.to_string());
        let fault = self.faults.pop_front().unwrap_or(Fault::None);
        match fault {
            Fault::Refused(status, word) => return problem(status, word),
            Fault::Forgotten => {
                (self.claims, self.received) = (None, Vec::new());
                return problem(404, "evidence-not-offered");
            }
            Fault::None | Fault::AnswerLost | Fault::Changed => {}
        }
        let received = self.received.len() as u64;
        if offset > received {
            return problem(409, "out-of-order");
        }
        // What is here already is acknowledged once more.
        let new = usize::try_from(received - offset).unwrap();
        self.received.extend_from_slice(body.get(new..).unwrap_or_default());
        if self.received.len() as u64 > claims.size_bytes {
            return problem(422, "beyond-size");
        }
        if matches!(fault, Fault::Changed) {
            *self.received.last_mut().unwrap() ^= 1;
        }
        if self.received.len() as u64 == claims.size_bytes {
            if hex::encode(Sha256::digest(&self.received)) != claims.sha256 {
                self.received.clear();
                return problem(422, "digest-mismatch");
            }
            self.is_complete = true;
        }
        match fault {
            Fault::AnswerLost => (NO_ANSWER, String::new()),
            _ => self.state(),
        }
    }

    pub(super) fn state(&self) -> (u16, String) {
        let state = EvidenceState { received_bytes: self.received.len() as u64, complete: self.is_complete };
        (200, serde_json::to_string(&state).unwrap())
    }
}
