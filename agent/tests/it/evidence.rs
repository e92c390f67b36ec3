//! The upload of a bundle, through every way in which the line, the server or the disk may fail it.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
};

use chrono::DateTime;
use sha2::{Digest as _, Sha256};
use voltaxe_protocol::{CommandId, EndpointId, Epoch, EvidenceClaims, Keypair};
use voltaxe_sentinel::{
    forensics::Bundle,
    identity::{Grant, Identity},
    state_dir::StateDir,
    transport::{
        HttpClient, ServerAddress, TlsSettings,
        evidence::{Upload, upload},
    },
};

use crate::{
    gateway::{Gateway, evidence::Fault},
    net::{PORT, SERVER, World, enter},
};

const MIB: u64 = 1024 * 1024;
const SIZE: u64 = 5 * MIB + 12_345;

/// An agent's half, without the rest of the agent, in the server's namespace.
struct Sender {
    world: World,
    gateway: Mutex<Gateway>,
    identity: Arc<Identity>,
    directory: tempfile::TempDir,
    bundle: Bundle,
}

impl Sender {
    fn new() -> Self {
        let world = World::new();
        let gateway = Gateway::start(&world);
        let directory = tempfile::tempdir().unwrap();
        let key = Keypair::generate();
        let grant = Grant {
            endpoint_id: EndpointId::of_key(&key.public()),
            epoch: Epoch(1),
            hostname: "web-01".to_owned(),
            server_url: format!("http://{}:{PORT}", SERVER[0]),
            server_key: gateway.state().key.public().to_base64(),
            enrolled_at: DateTime::UNIX_EPOCH,
            awaiting_approval: false,
        };
        let state = StateDir::open(directory.path()).unwrap();
        Identity::store(&state, &key, &grant).unwrap();
        gateway.state().agent_key = Some(key.public());
        let identity = Arc::new(Identity::load(&state).unwrap());
        let bundle = bundle(directory.path(), &identity);
        let gateway = Mutex::new(gateway);
        Self { world, gateway, identity, directory, bundle }
    }

    /// One attempt, and what it told about its progress.
    fn upload(&self) -> (Upload, Vec<u64>) {
        self.upload_and(|_| {})
    }

    /// `sent` hears the progress, in the middle of the upload.
    fn upload_and(&self, mut sent: impl FnMut(u64) + Send) -> (Upload, Vec<u64>) {
        std::thread::scope(|scope| {
            let attempt = scope.spawn(|| {
                enter(&self.world.name("srv"));
                let _ = rustls::crypto::ring::default_provider().install_default();
                let url = self.identity.grant.server_url.parse().unwrap();
                let state = StateDir::open(self.directory.path()).unwrap();
                let address = Arc::new(ServerAddress::new(url, state));
                let http = HttpClient::new(address, &TlsSettings::default()).unwrap();
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let mut told = Vec::new();
                let told_here = &mut told;
                let end = runtime.block_on(upload(&http, &self.identity, &self.bundle, |bytes| {
                    told_here.push(bytes);
                    sent(bytes);
                }));
                (end, told)
            });
            attempt.join().unwrap()
        })
    }

    fn gateway(&self) -> MutexGuard<'_, Gateway> {
        self.gateway.lock().unwrap()
    }

    fn set_faults(&self, faults: &[Fault]) {
        self.gateway().state().shelf.faults = faults.iter().copied().collect();
    }

    fn pieces(&self) -> Vec<(u64, usize)> {
        std::mem::take(&mut self.gateway().state().shelf.pieces)
    }

    fn assert_complete(&self) {
        let gateway = self.gateway();
        let state = gateway.state();
        assert!(state.shelf.is_complete);
        assert!(state.shelf.received == fs::read(&self.bundle.path).unwrap());
    }
}

fn bundle(directory: &Path, identity: &Identity) -> Bundle {
    let mut random = fastrand::Rng::with_seed(7);
    let content: Vec<u8> = (0..SIZE).map(|_| random.u8(..)).collect();
    let path = directory.join("bundle.zip");
    File::create(&path).unwrap().write_all(&content).unwrap();
    let claims = EvidenceClaims {
        command_id: CommandId(7),
        endpoint_id: identity.grant.endpoint_id.clone(),
        epoch: Epoch(1),
        sha256: hex::encode(Sha256::digest(&content)),
        size_bytes: SIZE,
        manifest_sha256: hex::encode(Sha256::digest(b"")),
        finished_at: DateTime::UNIX_EPOCH,
    };
    Bundle { claims, path }
}

fn reason(end: &Upload) -> &str {
    match end {
        Upload::Complete => panic!("it is complete"),
        Upload::Later { reason } | Upload::GiveUp { reason } => reason,
    }
}

#[test]
fn a_bundle_arrives_in_pieces_and_once() {
    let sender = Sender::new();
    let (end, told) = sender.upload();
    assert_eq!(end, Upload::Complete);
    assert_eq!(told, [0, MIB, 2 * MIB, 3 * MIB, 4 * MIB, 5 * MIB, SIZE]);
    sender.assert_complete();
    let mib = usize::try_from(MIB).unwrap();
    assert_eq!(sender.pieces().last(), Some(&(5 * MIB, usize::try_from(SIZE).unwrap() - 5 * mib)));
    // The agent was killed before it could delete its copy.
    assert_eq!(sender.upload().0, Upload::Complete);
    assert_eq!(sender.pieces(), []);
}

#[test]
fn a_piece_whose_answer_was_lost_is_not_sent_again() {
    let sender = Sender::new();
    sender.set_faults(&[Fault::None, Fault::AnswerLost]);
    let (end, told) = sender.upload();
    assert!(matches!(end, Upload::Later { .. }), "{end:?}");
    assert_eq!(told.last(), Some(&MIB));
    let (end, told) = sender.upload();
    assert_eq!((end, told[0]), (Upload::Complete, 2 * MIB));
    sender.assert_complete();
}

#[test]
fn the_server_restarts_in_the_middle() {
    let sender = Sender::new();
    for stop_at in [MIB, 3 * MIB, 5 * MIB] {
        let (end, _) = sender.upload_and(|bytes| {
            if bytes == stop_at {
                sender.gateway().down();
            }
        });
        assert!(matches!(end, Upload::Later { .. }), "{end:?}");
        assert!(reason(&end).contains("cannot be reached"), "{end:?}");
        sender.gateway().up();
        assert_eq!(sender.gateway().state().shelf.received.len() as u64, stop_at);
    }
    let (end, told) = sender.upload();
    assert_eq!((end, told), (Upload::Complete, vec![5 * MIB, SIZE]));
    sender.assert_complete();
}

#[test]
fn a_server_that_forgot_the_upload_gets_it_from_the_start() {
    let sender = Sender::new();
    sender.set_faults(&[Fault::None, Fault::None, Fault::Forgotten]);
    assert_eq!(sender.upload().0, Upload::Complete);
    assert_eq!(sender.gateway().state().shelf.offers, 2);
    sender.assert_complete();
}

#[test]
fn a_piece_out_of_order_is_followed_by_the_right_one() {
    let sender = Sender::new();
    sender.set_faults(&[Fault::None, Fault::Refused(409, "out-of-order")]);
    assert_eq!(sender.upload().0, Upload::Complete);
    assert_eq!(sender.gateway().state().shelf.offers, 2);
    sender.assert_complete();
}

#[test]
fn a_slow_line_gets_smaller_pieces() {
    let sender = Sender::new();
    sender.set_faults(&[Fault::Refused(408, "piece-timeout"), Fault::Refused(408, "piece-timeout")]);
    assert_eq!(sender.upload().0, Upload::Complete);
    let lengths: Vec<usize> = sender.pieces().iter().map(|(_, length)| *length).collect();
    assert_eq!(lengths[..4], [1024 * 1024, 512 * 1024, 256 * 1024, 256 * 1024]);
}

#[test]
fn a_change_on_the_way_is_sent_anew_and_one_on_the_disk_is_given_up() {
    let sender = Sender::new();
    sender.set_faults(&[Fault::Changed]);
    assert_eq!(sender.upload().0, Upload::Complete);
    sender.assert_complete();

    let sender = Sender::new();
    let changes = std::iter::repeat_n(Fault::Changed, 20).collect::<Vec<_>>();
    sender.set_faults(&changes);
    let (end, _) = sender.upload();
    assert!(matches!(&end, Upload::Later { reason } if reason.contains("arrives changed")), "{end:?}");

    let sender = Sender::new();
    File::options().write(true).open(&sender.bundle.path).unwrap().write_all_at(b"x", 2 * MIB).unwrap();
    let (end, _) = sender.upload();
    assert!(matches!(&end, Upload::GiveUp { reason } if reason.contains("changed on this host")), "{end:?}");

    let sender = Sender::new();
    File::options().write(true).open(&sender.bundle.path).unwrap().set_len(2 * MIB + 1).unwrap();
    let (end, _) = sender.upload();
    assert!(matches!(&end, Upload::GiveUp { reason } if reason.contains("cut off on this host")), "{end:?}");
}

#[test]
fn refusals_that_pass_and_refusals_that_stay() {
    let sender = Sender::new();
    for (status, word) in [
        (401, "not-enrolled"),
        (403, "revoked"),
        (404, "not-found"),
        (429, "busy"),
        (500, "internal"),
        (503, "starting"),
        (507, "evidence-store-full"),
    ] {
        sender.gateway().state().shelf.refuse_offer = Some((status, word));
        let (end, _) = sender.upload();
        assert!(matches!(end, Upload::Later { .. }), "{status}: {end:?}");
        assert!(reason(&end).contains(word));
    }
    for (status, word) in
        [(404, "evidence-not-expected"), (409, "evidence-differs"), (413, "too-large"), (422, "invalid")]
    {
        sender.gateway().state().shelf.refuse_offer = Some((status, word));
        let (end, _) = sender.upload();
        assert!(matches!(end, Upload::GiveUp { .. }), "{status}: {end:?}");
    }
    let never = std::iter::repeat_n(Fault::Refused(409, "out-of-order"), 100).collect::<Vec<_>>();
    sender.set_faults(&never);
    let (end, _) = sender.upload();
    assert!(matches!(&end, Upload::Later { reason } if reason.contains("takes no more")), "{end:?}");
    assert!(sender.pieces().len() < 20);
    fs::remove_file(&sender.bundle.path).unwrap();
    assert!(matches!(sender.upload().0, Upload::GiveUp { .. }));
}
