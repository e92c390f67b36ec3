//! Sending a finished bundle to the server, in pieces, from where the last attempt ended.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::FileExt as _,
    path::Path,
    sync::Arc,
};

use reqwest::Method;
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;
use voltaxe_protocol::{
    Envelope, EvidenceOffer, EvidenceState, LARGEST_EVIDENCE_CHUNK_BYTES, PayloadType, Problem,
};

use super::{HttpClient, http::JSON};
use crate::{core::RequestFailure, forensics::Bundle, identity::Identity};

const BYTES: &str = "application/octet-stream";
const SMALLEST_PIECE_BYTES: usize = 64 * 1024;
/// So many answers in a row that bring the upload no further end an attempt.
const MOST_STALLS: u32 = 5;

/// How an attempt ended. The caller waits and repeats, or removes the bundle.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Upload {
    /// The whole bundle is on the server's disk and its digest is as claimed: remove ours.
    Complete,
    /// Try again later; what arrived is kept there.
    Later { reason: String },
    /// No later attempt would end otherwise; a person decides.
    GiveUp { reason: String },
}

/// Offers the bundle and sends what the server does not have. `sent` hears how many bytes are on the server's disk, after
/// each piece.
pub async fn upload(
    http: &HttpClient,
    identity: &Identity,
    bundle: &Bundle,
    mut sent: impl FnMut(u64) + Send,
) -> Upload {
    let file = match File::open(&bundle.path) {
        Ok(file) => Arc::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return give_up("the bundle is not on this host any more".to_owned());
        }
        // The executor may be about to share it.
        Err(error) => return later(format!("the bundle cannot be read on this host: {error}")),
    };
    let mut sender =
        Sender { http, identity, bundle, file, piece_bytes: LARGEST_EVIDENCE_CHUNK_BYTES, mismatches: 0 };
    let (mut next, mut stalls, mut reached) = (Step::Offer, 0, None);
    loop {
        let answer = match next {
            Step::Offer => sender.offer().await,
            Step::Send(offset) => sender.send(offset).await,
        };
        next = match answer {
            Ok(Answer::State(state)) if state.complete => {
                sent(sender.bundle.claims.size_bytes);
                return Upload::Complete;
            }
            Ok(Answer::State(state)) => {
                sent(state.received_bytes);
                if reached.replace(state.received_bytes).is_none_or(|reached| state.received_bytes > reached)
                {
                    stalls = 0;
                } else {
                    stalls += 1;
                }
                Step::Send(state.received_bytes)
            }
            Ok(Answer::Again(step)) => {
                stalls += 1;
                step
            }
            Err(end) => return end,
        };
        if stalls > MOST_STALLS {
            return later("the server takes no more of the bundle".to_owned());
        }
    }
}

enum Step {
    Offer,
    Send(u64),
}

enum Answer {
    State(EvidenceState),
    Again(Step),
}

struct Sender<'a> {
    http: &'a HttpClient,
    identity: &'a Identity,
    bundle: &'a Bundle,
    file: Arc<File>,
    /// Smaller on a slow line.
    piece_bytes: usize,
    mismatches: u32,
}

impl Sender<'_> {
    async fn offer(&mut self) -> Result<Answer, Upload> {
        let claims = Envelope::seal(PayloadType::Evidence, &self.bundle.claims, &self.identity.key);
        let body = serde_json::to_vec(&EvidenceOffer { claims }).expect("our wire types have a JSON form");
        let answer = self.http.exchange(self.identity, Method::POST, "/agent/evidence", body, JSON).await;
        let (status, body) = answer.map_err(|failure| failed(&failure))?;
        match status {
            200..300 => state(&body),
            _ => Err(refused(status, &Reason::of(status, &body))),
        }
    }

    async fn send(&mut self, offset: u64) -> Result<Answer, Upload> {
        let size = self.bundle.claims.size_bytes;
        if offset >= size {
            // It has all of it and is not done with it yet.
            return Err(later("the server has not stored the bundle yet".to_owned()));
        }
        let piece = self.piece(offset).await?;
        let path = format!("/agent/evidence/{}?offset={offset}", self.bundle.claims.command_id);
        let answer = self.http.exchange(self.identity, Method::PUT, &path, piece, BYTES).await;
        let (status, body) = answer.map_err(|failure| failed(&failure))?;
        if (200..300).contains(&status) {
            return state(&body);
        }
        let reason = Reason::of(status, &body);
        match (status, reason.word.as_str()) {
            // Forgotten there, or begun anew by another offer; the offer's answer tells from where on.
            (404, "evidence-not-offered") | (409, "out-of-order") => Ok(Answer::Again(Step::Offer)),
            (408, _) if self.piece_bytes > SMALLEST_PIECE_BYTES => {
                self.piece_bytes /= 2;
                Ok(Answer::Again(Step::Send(offset)))
            }
            (422, "digest-mismatch") => self.after_mismatch(&reason).await,
            _ => Err(refused(status, &reason)),
        }
    }

    /// What arrived there is not what was claimed: either the way or our disk changed it.
    async fn after_mismatch(&mut self, reason: &Reason) -> Result<Answer, Upload> {
        self.mismatches += 1;
        let path = self.bundle.path.clone();
        let found = spawn_blocking(move || digest(&path)).await.map_err(|error| later(error.to_string()))?;
        match found {
            Ok(sha256) if sha256 != self.bundle.claims.sha256 => {
                Err(give_up("the bundle was changed on this host after it was collected".to_owned()))
            }
            Ok(_) if self.mismatches == 1 => Ok(Answer::Again(Step::Offer)),
            Ok(_) => Err(later(format!("the bundle arrives changed: {}", reason.detail))),
            Err(error) => Err(later(format!("the bundle cannot be read: {error}"))),
        }
    }

    async fn piece(&self, offset: u64) -> Result<Vec<u8>, Upload> {
        let left = self.bundle.claims.size_bytes - offset;
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(self.piece_bytes);
        let file = Arc::clone(&self.file);
        let read = spawn_blocking(move || {
            let mut piece = vec![0; length];
            file.read_exact_at(&mut piece, offset).map(|()| piece)
        });
        match read.await {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(give_up("the bundle was cut off on this host after it was collected".to_owned()))
            }
            Ok(Err(error)) => Err(later(format!("the bundle cannot be read: {error}"))),
            Err(error) => Err(later(error.to_string())),
        }
    }
}

/// Why the server did not take something.
struct Reason {
    word: String,
    detail: String,
}

impl Reason {
    fn of(status: u16, body: &[u8]) -> Self {
        let problem = serde_json::from_slice::<Problem>(body).ok();
        let word = problem.as_ref().map_or("no-reason", Problem::word).to_owned();
        let detail = problem.map(|problem| problem.detail.unwrap_or(problem.title));
        Self { word, detail: detail.unwrap_or_else(|| format!("HTTP status {status}")) }
    }
}

fn state(body: &[u8]) -> Result<Answer, Upload> {
    serde_json::from_slice(body)
        .map(Answer::State)
        .map_err(|error| later(format!("the server's answer is not understood ({error})")))
}

fn failed(failure: &RequestFailure) -> Upload {
    later(failure.to_string())
}

fn refused(status: u16, Reason { word, detail }: &Reason) -> Upload {
    let reason = format!("{detail} ({word}, HTTP status {status})");
    match status {
        // A person acts at the server, or it is busy, full or older than the route.
        401 | 403 | 408 | 425 | 429 => later(reason),
        404 if !word.starts_with("evidence-") => later(reason),
        400..500 => give_up(reason),
        _ => later(reason),
    }
}

fn later(reason: String) -> Upload {
    Upload::Later { reason }
}

fn give_up(reason: String) -> Upload {
    Upload::GiveUp { reason }
}

fn digest(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 256 * 1024]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hash.finalize())),
            length => hash.update(&buffer[..length]),
        }
    }
}
