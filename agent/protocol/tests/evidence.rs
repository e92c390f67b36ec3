//! Bundles as the agent's library writes them, and everything that can be done to them on the way.

#![cfg(feature = "evidence")]
#![expect(clippy::unwrap_used, reason = "in a test's helpers, too, a failure is a failed test")]

use std::{
    collections::BTreeMap,
    io::{Cursor, Read as _, Write as _},
};

use chrono::DateTime;
use sha2::{Digest as _, Sha256};
use voltaxe_protocol::{
    CommandId, EndpointId, Epoch, EvidenceClaims, ForensicsProfile, Keypair, Manifest, ManifestEntry,
    evidence::{Bundle, MANIFEST_PATH, PACKED_PATH, Verification, verify},
};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

const FILES: [(&str, &[u8]); 4] = [
    ("volatile/processes.json", b"[{\"pid\": 1}]"),
    ("files/etc/crontab", b"* * * * * root /bin/true\n* * * * * root /bin/false\n"),
    ("files/empty", b""),
    ("files/zeros", &[0; 30_000]),
];

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn zip(files: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, content) in files {
        zip.start_file(*path, SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn manifest(files: &[(&str, &[u8])]) -> Manifest {
    Manifest {
        command_id: CommandId(7),
        endpoint_id: EndpointId::of_key(&Keypair::from_seed(&[1; 32]).public()),
        hostname: "web-01".to_owned(),
        agent_version: "0.1.0".to_owned(),
        boot_id: "6f0cf6d0-5d3d-4bb1-a0f4-6f7e4cf7f0d1".to_owned(),
        profile: ForensicsProfile::Quick,
        started_at: DateTime::UNIX_EPOCH,
        finished_at: DateTime::UNIX_EPOCH,
        entries: files
            .iter()
            .map(|(path, content)| ManifestEntry {
                path: (*path).to_owned(),
                collector: "test".to_owned(),
                sha256: sha256(content),
                size_bytes: content.len() as u64,
                collected_at: DateTime::UNIX_EPOCH,
                source: None,
            })
            .collect(),
        errors: Vec::new(),
        partial: None,
    }
}

/// A bundle of `files` whose manifest lists `listed`, and honest claims about it.
fn bundle(files: &[(&str, &[u8])], listed: &[(&str, &[u8])]) -> (Vec<u8>, EvidenceClaims) {
    let manifest = manifest(listed);
    let text = serde_json::to_vec(&manifest).unwrap();
    let mut all = files.to_vec();
    all.push((MANIFEST_PATH, &text));
    let bytes = zip(&all, CompressionMethod::Deflated);
    let claims = claims(&bytes, &manifest, &text);
    (bytes, claims)
}

fn claims(bundle: &[u8], manifest: &Manifest, text: &[u8]) -> EvidenceClaims {
    EvidenceClaims {
        command_id: manifest.command_id,
        endpoint_id: manifest.endpoint_id.clone(),
        epoch: Epoch(1),
        sha256: sha256(bundle),
        size_bytes: bundle.len() as u64,
        manifest_sha256: sha256(text),
        finished_at: manifest.finished_at,
    }
}

fn check(bytes: &[u8], claims: &EvidenceClaims) -> Verification {
    verify(Cursor::new(bytes), claims)
}

/// Whatever claims are made about it: what [`Bundle::open`] says to bytes.
fn refused(bytes: &[u8]) -> String {
    Bundle::open(Cursor::new(bytes)).expect_err("no agent writes this").to_string()
}

#[test]
fn what_the_library_writes_verifies() {
    let (bytes, claims) = bundle(&FILES, &FILES);
    let found = check(&bytes, &claims);
    assert_eq!(found.problems, Vec::<String>::new());
    assert_eq!(found.manifest, Some(manifest(&FILES)));
    let mut bundle = Bundle::open(Cursor::new(&bytes)).unwrap();
    assert_eq!(bundle.read(1, 9).unwrap(), b"* * * * *");
    assert_eq!(bundle.read(2, 9).unwrap(), b"");
    assert_eq!(bundle.read(3, u64::MAX).unwrap().len(), 30_000);
}

/// Where in the bundle an entry's header and content are.
fn places(bytes: &[u8]) -> Vec<(String, std::ops::Range<usize>)> {
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    (0..zip.len())
        .map(|number| {
            let file = zip.by_index_raw(number).unwrap();
            let start = usize::try_from(file.header_start()).unwrap();
            let end = usize::try_from(file.data_start().unwrap() + file.compressed_size()).unwrap();
            (file.name().to_owned(), start..end)
        })
        .collect()
}

/// As the agent adds it.
fn packed(files: &[(&str, &[u8])]) -> Vec<u8> {
    let bytes = zip(files, CompressionMethod::Deflated);
    let mut zip = zip::ZipArchive::new(Cursor::new(&bytes)).unwrap();
    let mut packed = BTreeMap::new();
    for number in 0..zip.len() {
        let mut file = zip.by_index_raw(number).unwrap();
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        packed.insert(file.name().to_owned(), sha256(&content));
    }
    serde_json::to_vec(&packed).unwrap()
}

#[test]
fn each_flipped_bit_is_found_and_named() {
    let packed = packed(&FILES);
    let mut files = FILES.to_vec();
    files.push((PACKED_PATH, &packed));
    let (mut bytes, claims) = bundle(&files, &files);
    assert_eq!(check(&bytes, &claims).problems, Vec::<String>::new());
    let places = places(&bytes);
    for at in 0..bytes.len() {
        for flip in [1 << (at % 8), 0xff] {
            bytes[at] ^= flip;
            let problems = check(&bytes, &claims).problems;
            bytes[at] ^= flip;
            assert!(!problems.is_empty(), "byte {at}");
            if let Some((path, _)) = places.iter().find(|(_, place)| place.contains(&at)) {
                let is_named = problems.iter().any(|problem| problem.contains(path.as_str()));
                assert!(is_named, "byte {at} ({path}): {problems:?}");
            }
        }
    }
}

#[test]
fn each_way_of_cutting_it_off_is_found() {
    let (bytes, claims) = bundle(&FILES, &FILES);
    for end in 0..bytes.len() {
        assert!(!check(&bytes[..end], &claims).problems.is_empty());
    }
}

#[test]
fn signed_lies_are_named() {
    let other: [(&str, &[u8]); 4] = [FILES[0], ("files/etc/crontab", b"# nothing\n"), FILES[2], FILES[3]];
    let (bytes, claims) = bundle(&FILES, &other);
    assert_eq!(check(&bytes, &claims).problems, ["files/etc/crontab: its content is not what was collected"]);

    let (bytes, claims) = bundle(&FILES, &FILES[1..]);
    assert_eq!(check(&bytes, &claims).problems, ["volatile/processes.json: the manifest does not list it"]);

    let (bytes, claims) = bundle(&FILES[1..], &FILES);
    assert_eq!(
        check(&bytes, &claims).problems,
        ["volatile/processes.json: it is listed in the manifest and missing in the bundle"]
    );

    let (bytes, claims) = bundle(&FILES, &FILES);
    let claims = EvidenceClaims { command_id: CommandId(8), ..claims };
    assert!(check(&bytes, &claims).problems[0].starts_with("manifest.json: it is of another command"));
}

#[test]
fn path_tricks_are_refused() {
    for path in
        ["../../etc/cron.d/x", "/etc/passwd", "a/../../b", "a//b", "a\\..\\b", "C:\\x", "a\u{202e}b", "a\nb"]
    {
        let (bytes, claims) = bundle(&[(path, b"x")], &[(path, b"x")]);
        let found = check(&bytes, &claims);
        assert!(found.problems[0].contains("a path that no agent writes"), "{path:?}: {:?}", found.problems);
        assert_eq!(found.manifest, None);
    }
}

#[test]
fn zips_of_another_form_are_refused() {
    let file: (&str, &[u8]) = ("files/a", &[7; 100]);
    let last: (&str, &[u8]) = (MANIFEST_PATH, b"{}");
    assert!(refused(&zip(&[file, last], CompressionMethod::Stored)).contains("(files/a)"));
    assert!(refused(&zip(&[last, file], CompressionMethod::Deflated)).contains("end with the manifest"));
    assert!(refused(&zip(&[file], CompressionMethod::Deflated)).contains("end with the manifest"));
    assert!(refused(&zip(&[], CompressionMethod::Deflated)).contains("end with the manifest"));
    assert!(refused(b"").contains("not the size"));

    let good = zip(&[file, last], CompressionMethod::Deflated);
    Bundle::open(Cursor::new(&good)).unwrap();
    // Something before it, between its parts or behind it: what readers disagree about.
    for at in [0, 20, good.len() - 22, good.len()] {
        let mut bytes = good.clone();
        bytes.splice(at..at, *b"PK\x06\x07 anything");
        refused(&bytes);
    }
}

#[test]
fn the_same_path_twice_is_refused() {
    let mut bytes =
        zip(&[("files/a", b"x"), ("files/b", b"y"), (MANIFEST_PATH, b"{}")], CompressionMethod::Deflated);
    for at in 0..bytes.len() - 7 {
        if &bytes[at..at + 7] == b"files/b" {
            bytes[at + 6] = b'a';
        }
    }
    assert!(refused(&bytes).contains("(files/a) is there twice"));
}

#[test]
fn an_entry_that_unpacks_to_more_than_it_says_is_cut() {
    let mut bytes = zip(&[("files/a", &[0; 1_000_000]), (MANIFEST_PATH, b"{}")], CompressionMethod::Deflated);
    let size = 1_000_000_u32.to_le_bytes();
    for at in 0..bytes.len() - 4 {
        if bytes[at..at + 4] == size {
            bytes[at..at + 4].copy_from_slice(&10_u32.to_le_bytes());
        }
    }
    let mut bundle = Bundle::open(Cursor::new(&bytes)).unwrap();
    let mut unpacked = 0;
    let error = bundle.unpack(0, u64::MAX, |bytes| unpacked += bytes.len()).unwrap_err();
    assert!(error.to_string().contains("more than the directory says"));
    assert!(unpacked <= 64 * 1024, "{unpacked}");
}

#[test]
fn a_directory_larger_than_memory_is_not_read() {
    let mut bytes = zip(&[(MANIFEST_PATH, b"{}")], CompressionMethod::Deflated);
    let end = bytes.len() - 22;
    bytes[end + 8..end + 12].copy_from_slice(&[0xff; 4]);
    bytes[end + 12..end + 20].copy_from_slice(&[0xff; 8]);
    assert!(refused(&bytes).contains("at the end of the bundle"));
}
