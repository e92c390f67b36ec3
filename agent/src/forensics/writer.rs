use std::{
    cell::RefCell,
    collections::{BTreeMap, HashSet},
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    rc::Rc,
};

use chrono::{DateTime, Utc};
use rustix::fs::{FallocateFlags, fallocate};
use sha2::{Digest as _, Sha256};
use voltaxe_protocol::{
    Manifest, ManifestEntry,
    evidence::{LONGEST_PATH, MANIFEST_PATH, MOST_ENTRIES, PACKED_PATH, is_safe_path, safe_path},
};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// Given back to the disk when it is full, so that what was collected can be brought to its end.
const RESERVE_FILE: &str = "reserve";
const RESERVE_BYTES: u64 = 4 * 1024 * 1024;
/// Half the size of level 1 at a third of the time of level 9, on logs.
const LEVEL: i64 = 3;

/// Writes a bundle.
pub(super) struct Writer {
    zip: ZipWriter<Tap>,
    tapped: Rc<RefCell<Tapped>>,
    part: PathBuf,
    entries: Vec<ManifestEntry>,
    paths: HashSet<String>,
    packed: BTreeMap<String, String>,
    open: Option<Open>,
    tail_bytes: u64,
}

struct Open {
    path: String,
    collector: &'static str,
    source: Option<String>,
    collected_at: DateTime<Utc>,
    hash: Sha256,
    size: u64,
}

/// What is known of a bundle whose last byte is on disk.
pub(super) struct Written {
    pub(super) sha256: String,
    pub(super) size_bytes: u64,
    pub(super) manifest_sha256: String,
}

impl Writer {
    /// Makes `part`, and a file beside it that keeps room on the disk.
    pub(super) fn create(part: &Path) -> io::Result<Self> {
        let file =
            OpenOptions::new().create(true).truncate(true).read(true).write(true).mode(0o640).open(part)?;
        let reserve = part.with_file_name(RESERVE_FILE);
        let room = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&reserve)?;
        match fallocate(&room, FallocateFlags::empty(), 0, RESERVE_BYTES) {
            // A file system that cannot do it has nothing to give back later.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
        let tapped = Rc::new(RefCell::new(Tapped { reserve: Some(reserve), ..Tapped::default() }));
        Ok(Self {
            zip: ZipWriter::new(Tap { file, tapped: Rc::clone(&tapped) }),
            tapped,
            part: part.to_owned(),
            entries: Vec::new(),
            paths: HashSet::from([MANIFEST_PATH.to_owned(), PACKED_PATH.to_owned()]),
            packed: BTreeMap::new(),
            open: None,
            tail_bytes: 0,
        })
    }

    /// Of the bundle, so far.
    pub(super) fn bytes(&self) -> u64 {
        self.tapped.borrow().end
    }

    /// What the manifest and the directory will need at most.
    pub(super) fn tail_bytes(&self) -> u64 {
        self.tail_bytes
    }

    pub(super) fn add_to_tail(&mut self, bytes: usize) {
        self.tail_bytes += bytes as u64;
    }

    pub(super) fn files(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.entries.len() + 2 >= MOST_ENTRIES
    }

    /// Begins an entry; the path is made safe and unlike any other. Returns it as it is in the bundle.
    pub(super) fn begin(
        &mut self,
        path: &[u8],
        collector: &'static str,
        source: Option<String>,
        now: DateTime<Utc>,
    ) -> io::Result<String> {
        let path = self.unlike_any_other(safe_path(path));
        self.zip.start_file(path.as_str(), options()).map_err(io::Error::other)?;
        self.keep_packed_digest();
        self.tapped.borrow_mut().start();
        // Record, manifest entry and packed digest, as they were measured, and some more.
        self.add_to_tail(300 + 3 * path.len() + source.as_ref().map_or(0, String::len));
        self.paths.insert(path.clone());
        let hash = Sha256::new();
        self.open = Some(Open { path: path.clone(), collector, source, collected_at: now, hash, size: 0 });
        Ok(path)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(open) = &mut self.open {
            open.hash.update(bytes);
            open.size += bytes.len() as u64;
        }
        self.zip.write_all(bytes)
    }

    /// Ends the entry. Returns the digest of its content.
    pub(super) fn end(&mut self) -> String {
        let Some(open) = self.open.take() else { return String::new() };
        let sha256 = hex::encode(open.hash.finalize());
        self.entries.push(ManifestEntry {
            path: open.path,
            collector: open.collector.to_owned(),
            sha256: sha256.clone(),
            size_bytes: open.size,
            collected_at: open.collected_at,
            source: open.source,
        });
        sha256
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The disk was full and took only what the reserve had kept free: there is room for the end and no more.
    pub(super) fn is_disk_full(&self) -> bool {
        self.tapped.borrow().is_disk_full
    }

    /// Writes packed digests, the manifest and the zip's directory, and reads all of it back from the disk for its digest.
    /// The file stays the part that it is.
    pub(super) fn finish(mut self, mut manifest: Manifest) -> io::Result<Written> {
        self.tapped.borrow_mut().release_reserve();
        self.zip.start_file(PACKED_PATH, options()).map_err(io::Error::other)?;
        self.keep_packed_digest();
        let packed = serde_json::to_vec_pretty(&self.packed)?;
        self.zip.write_all(&packed)?;
        manifest.entries = std::mem::take(&mut self.entries);
        manifest.entries.push(ManifestEntry {
            path: PACKED_PATH.to_owned(),
            collector: "bundle".to_owned(),
            sha256: hex::encode(Sha256::digest(&packed)),
            size_bytes: packed.len() as u64,
            collected_at: manifest.finished_at,
            source: None,
        });
        self.zip.start_file(MANIFEST_PATH, options()).map_err(io::Error::other)?;
        let text = serde_json::to_vec_pretty(&manifest)?;
        self.zip.write_all(&text)?;
        let tap = self.zip.finish().map_err(io::Error::other)?;
        tap.file.sync_all()?;
        let (sha256, size_bytes) = digest(&self.part)?;
        Ok(Written { sha256, size_bytes, manifest_sha256: hex::encode(Sha256::digest(&text)) })
    }

    /// The packed bytes of the last entry are complete once the next one has begun.
    fn keep_packed_digest(&mut self) {
        if let (Some(hash), Some(entry)) = (self.tapped.borrow_mut().hash.take(), self.entries.last()) {
            self.packed.insert(entry.path.clone(), hex::encode(hash.finalize()));
        }
    }

    fn unlike_any_other(&self, path: String) -> String {
        let is_free = |path: &String| !self.paths.contains(path) && is_safe_path(path);
        if is_free(&path) {
            return path;
        }
        let stem = super::text::cut(&path, LONGEST_PATH - 12);
        (2_u32..).map(|number| format!("{stem}~{number}")).find(is_free).unwrap_or(path)
    }
}

fn options() -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(LEVEL))
}

/// SHA-256, hexadecimal, and size of a file.
fn digest(path: &Path) -> io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let (mut hash, mut size, mut buffer) = (Sha256::new(), 0, vec![0; 256 * 1024]);
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            return Ok((hex::encode(hash.finalize()), size));
        }
        hash.update(&buffer[..length]);
        size += length as u64;
    }
}

/// The file under the zip. Counts, and digests what is appended from `start` to the next step back: then the zip's writer
/// fills in an entry's header.
struct Tap {
    file: File,
    tapped: Rc<RefCell<Tapped>>,
}

#[derive(Default)]
struct Tapped {
    position: u64,
    end: u64,
    hash: Option<Sha256>,
    is_hashing: bool,
    reserve: Option<PathBuf>,
    is_disk_full: bool,
}

impl Tapped {
    fn start(&mut self) {
        self.hash = Some(Sha256::new());
        self.is_hashing = true;
    }

    fn release_reserve(&mut self) -> bool {
        self.reserve.take().is_some_and(|reserve| fs::remove_file(reserve).is_ok())
    }
}

impl Write for Tap {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut tapped = self.tapped.borrow_mut();
        let length = match self.file.write(bytes) {
            // The zip's writer is of no use any more once a write of it has failed.
            Err(error) if is_full(&error) && tapped.release_reserve() => {
                tapped.is_disk_full = true;
                self.file.write(bytes)?
            }
            written => written?,
        };
        if tapped.is_hashing
            && let Some(hash) = &mut tapped.hash
        {
            hash.update(&bytes[..length]);
        }
        tapped.position += length as u64;
        tapped.end = tapped.end.max(tapped.position);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl Seek for Tap {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = self.file.seek(to)?;
        let mut tapped = self.tapped.borrow_mut();
        tapped.is_hashing &= position == tapped.position;
        tapped.position = position;
        Ok(position)
    }
}

#[cfg(test)]
mod tests {
    use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
    use voltaxe_protocol::{
        CommandId, EndpointId, Epoch, EvidenceClaims, ForensicsProfile, Keypair,
        evidence::{Bundle, verify},
    };

    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            command_id: CommandId(7),
            endpoint_id: EndpointId::of_key(&Keypair::from_seed(&[1; 32]).public()),
            hostname: "web-01".to_owned(),
            agent_version: "0.1.0".to_owned(),
            boot_id: String::new(),
            profile: ForensicsProfile::Quick,
            started_at: DateTime::UNIX_EPOCH,
            finished_at: DateTime::UNIX_EPOCH,
            entries: Vec::new(),
            errors: Vec::new(),
            partial: None,
        }
    }

    fn problems(part: &Path, written: Written) -> Vec<String> {
        let manifest = manifest();
        let claims = EvidenceClaims {
            command_id: manifest.command_id,
            endpoint_id: manifest.endpoint_id,
            epoch: Epoch(1),
            sha256: written.sha256,
            size_bytes: written.size_bytes,
            manifest_sha256: written.manifest_sha256,
            finished_at: manifest.finished_at,
        };
        verify(File::open(part).unwrap(), &claims).problems
    }

    fn paths(part: &Path) -> Vec<String> {
        let bundle = Bundle::open(File::open(part).unwrap()).unwrap();
        bundle.entries().iter().map(|entry| entry.path.clone()).collect()
    }

    #[test]
    fn paths_that_become_the_same_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let part = directory.path().join("part");
        let mut writer = Writer::create(&part).unwrap();
        for path in ["a", "/a", "manifest.json", "../a"] {
            writer.begin(path.as_bytes(), "test", None, DateTime::UNIX_EPOCH).unwrap();
            writer.write(path.as_bytes()).unwrap();
            writer.end();
        }
        let long = "x".repeat(2000);
        for _ in 0..2 {
            writer.begin(long.as_bytes(), "test", None, DateTime::UNIX_EPOCH).unwrap();
            writer.end();
        }
        let written = writer.finish(manifest()).unwrap();
        assert_eq!(problems(&part, written), Vec::<String>::new());
        let paths = paths(&part);
        assert_eq!(paths[..4], ["a", "a~2", "manifest.json~2", ".%2E/a"]);
        assert_eq!((paths[4].len(), paths[5].len()), (LONGEST_PATH, LONGEST_PATH - 10));
    }

    #[test]
    fn a_disk_that_is_full_keeps_the_entries_before() {
        let directory = tempfile::tempdir().unwrap();
        let disk = directory.path().join("disk");
        fs::create_dir(&disk).unwrap();
        mount("tmpfs", &disk, "tmpfs", MountFlags::empty(), c"size=6M").expect("these tests run as root");
        let part = disk.join("part");
        let mut random = fastrand::Rng::with_seed(7);
        let noise: Vec<u8> = (0..700_000).map(|_| random.u8(..)).collect();
        let mut writer = Writer::create(&part).unwrap();
        let mut kept = 0;
        while !writer.is_disk_full() {
            writer.begin(format!("entry-{kept}").as_bytes(), "test", None, DateTime::UNIX_EPOCH).unwrap();
            writer.write(&noise).unwrap();
            writer.end();
            kept += 1;
        }
        let written = writer.finish(manifest());
        let found = written.map(|written| (problems(&part, written), paths(&part).len()));
        unmount(&disk, UnmountFlags::DETACH).unwrap();
        assert!((2..5).contains(&kept), "{kept} entries of 0.7 MB in 2 MB");
        assert_eq!(found.unwrap(), (Vec::new(), kept + 2));
    }
}
