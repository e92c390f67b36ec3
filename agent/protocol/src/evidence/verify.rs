use std::{
    collections::BTreeMap,
    io::{self, Read, Seek, SeekFrom},
};

use sha2::{Digest as _, Sha256};

use super::{Bundle, LARGEST_MANIFEST_BYTES, MANIFEST_PATH, PACKED_PATH, is_safe_path};
use crate::{EvidenceClaims, Manifest, ManifestEntry};

const MOST_PROBLEMS: usize = 100;

/// What [`verify`] found. A bundle is good when `problems` is empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Verification {
    /// Sentences for a person, each naming the entry it is about. The first hundred.
    pub problems: Vec<String>,
    /// Also of a bundle with problems, when it can be read at all.
    pub manifest: Option<Manifest>,
}

/// Compares a bundle with what its agent signed for it: the bundle's digest, the manifest's, and that of each entry. The
/// caller has opened the signed claims with the agent's key. Takes memory for the directory and the manifest alone, however
/// large the entries are.
pub fn verify<R: Read + Seek>(mut reader: R, claims: &EvidenceClaims) -> Verification {
    let mut problems = Problems::default();
    let is_as_signed = match digest(&mut reader) {
        Ok((sha256, size)) => {
            if size != claims.size_bytes {
                problems.add(format!(
                    "the bundle has {size} bytes; {} were signed: it is not complete, or not this one",
                    claims.size_bytes
                ));
            }
            sha256 == claims.sha256 && size == claims.size_bytes
        }
        Err(error) => {
            problems.add(format!("the bundle cannot be read: {error}"));
            return Verification { problems: problems.0, manifest: None };
        }
    };
    let manifest = match Bundle::open(reader) {
        Ok(mut bundle) => {
            let manifest = entries(&mut bundle, claims, &mut problems);
            if !is_as_signed && problems.0.is_empty() {
                differently_packed(&mut bundle, &mut problems);
            }
            manifest
        }
        Err(error) => {
            problems.add(format!("the bundle is damaged {error}"));
            None
        }
    };
    if !is_as_signed && problems.0.is_empty() {
        problems.add(format!(
            "the bundle was changed after it was signed, in a place that no content depends on, in {PACKED_PATH} or \
             {MANIFEST_PATH}"
        ));
    }
    Verification { problems: problems.0, manifest }
}

fn entries<R: Read + Seek>(
    bundle: &mut Bundle<R>,
    claims: &EvidenceClaims,
    problems: &mut Problems,
) -> Option<Manifest> {
    let manifest = manifest(bundle, claims, problems);
    let mut listed: BTreeMap<&str, &ManifestEntry> = BTreeMap::new();
    for entry in manifest.iter().flat_map(|manifest| &manifest.entries) {
        if !is_safe_path(&entry.path) || listed.insert(&entry.path, entry).is_some() {
            problems
                .add(format!("{MANIFEST_PATH} lists {:?}, which no agent writes", shortened(&entry.path)));
        }
    }
    for number in 0..bundle.entries().len() - 1 {
        let entry = &bundle.entries()[number];
        let (path, size) = (entry.path.clone(), entry.size_bytes);
        let mut hash = Sha256::new();
        if let Err(error) = bundle.unpack(number, u64::MAX, |bytes| hash.update(bytes)) {
            problems.add(format!("{path}: {error}"));
            listed.remove(path.as_str());
            continue;
        }
        match listed.remove(path.as_str()) {
            Some(entry) if entry.sha256 != hex::encode(hash.finalize()) || entry.size_bytes != size => {
                problems.add(format!("{path}: its content is not what was collected"));
            }
            Some(_) => {}
            None if manifest.is_some() => problems.add(format!("{path}: the manifest does not list it")),
            None => {}
        }
    }
    for path in listed.keys().filter(|path| is_safe_path(path)) {
        problems.add(format!("{path}: it is listed in the manifest and missing in the bundle"));
    }
    manifest
}

/// Names the entries that unpack to what was collected and were packed differently.
fn differently_packed<R: Read + Seek>(bundle: &mut Bundle<R>, problems: &mut Problems) {
    let Some(number) = bundle.entries().iter().position(|entry| entry.path == PACKED_PATH) else { return };
    let listed: BTreeMap<String, String> = bundle
        .read(number, LARGEST_MANIFEST_BYTES)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    for number in 0..number {
        let path = bundle.entries()[number].path.clone();
        let is_same = match (bundle.packed_sha256(number), listed.get(&path)) {
            (Ok(found), Some(listed)) => found == *listed,
            (_, listed) => listed.is_none(),
        };
        if !is_same {
            problems.add(format!(
                "{path}: its packed bytes were changed, to ones that unpack to the same content"
            ));
        }
    }
}

fn manifest<R: Read + Seek>(
    bundle: &mut Bundle<R>,
    claims: &EvidenceClaims,
    problems: &mut Problems,
) -> Option<Manifest> {
    let last = bundle.entries().len() - 1;
    if bundle.entries()[last].size_bytes > LARGEST_MANIFEST_BYTES {
        problems.add(format!("{MANIFEST_PATH}: it is larger than any manifest"));
        return None;
    }
    let bytes = match bundle.read(last, LARGEST_MANIFEST_BYTES) {
        Ok(bytes) => bytes,
        Err(error) => {
            problems.add(format!("{MANIFEST_PATH}: {error}"));
            return None;
        }
    };
    if hex::encode(Sha256::digest(&bytes)) != claims.manifest_sha256 {
        problems.add(format!("{MANIFEST_PATH}: it is not the one that was signed"));
    }
    let manifest: Manifest = serde_json::from_slice(&bytes)
        .map_err(|error| problems.add(format!("{MANIFEST_PATH}: it is not understood ({error})")))
        .ok()?;
    let belongs = manifest.command_id == claims.command_id
        && manifest.endpoint_id == claims.endpoint_id
        && manifest.finished_at == claims.finished_at;
    if !belongs {
        problems.add(format!("{MANIFEST_PATH}: it is of another command, endpoint or time than was signed"));
    }
    Some(manifest)
}

/// Of everything that can be read, and its size.
fn digest(reader: &mut (impl Read + Seek)) -> io::Result<(String, u64)> {
    reader.seek(SeekFrom::Start(0))?;
    let (mut hash, mut size, mut buffer) = (Sha256::new(), 0, vec![0; 64 * 1024]);
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok((hex::encode(hash.finalize()), size)),
            Ok(length) => {
                hash.update(&buffer[..length]);
                size += length as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn shortened(path: &str) -> String {
    path.chars().take(200).collect()
}

#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, problem: String) {
        if self.0.len() < MOST_PROBLEMS {
            self.0.push(problem);
        }
    }
}
