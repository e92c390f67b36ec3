use std::{
    collections::HashSet,
    io::{self, BufReader, Read, Seek, SeekFrom, Take},
};

use flate2::{Crc, bufread::DeflateDecoder};
use sha2::{Digest as _, Sha256};

use super::{LARGEST_BUNDLE_BYTES, LARGEST_UNPACKED_BYTES, MANIFEST_PATH, MOST_ENTRIES, is_safe_path};

const END_RECORD_BYTES: u64 = 22;
const LARGEST_DIRECTORY_BYTES: u64 = 32 * 1024 * 1024;
const RECORD_BYTES: usize = 46;
const HEADER_BYTES: usize = 30;
/// From `version needed` to `date`: 2.0, no flags, deflate, 1 January 1980.
const COMMON: [u8; 10] = [20, 0, 0, 0, 8, 0, 0, 0, 33, 0];
/// From `extra field length` to `external attributes`: nothing, nothing, a regular file of mode 0644.
const NO_EXTRAS: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xa4, 0x81];
const CHUNK: usize = 64 * 1024;

/// A bundle that is open for reading. Entries have numbers from 0; the last one is the manifest.
#[derive(Debug)]
pub struct Bundle<R> {
    reader: R,
    size_bytes: u64,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Safe, and there once.
    pub path: String,
    pub size_bytes: u64,
    packed_bytes: u64,
    crc: u32,
    header_at: u64,
}

/// Why a bundle cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error("the bundle cannot be read")]
    Io(#[from] io::Error),
    /// It was changed, or it is a zip of somebody else.
    #[error("at byte {at}: {what}")]
    Malformed { at: u64, what: String },
}

/// Why one entry cannot be read; others can.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    #[error("the bundle cannot be read")]
    Io(#[from] io::Error),
    #[error("there is no entry of this number")]
    NoSuchEntry,
    #[error("its header at byte {at} was changed")]
    Header { at: u64 },
    #[error("its content was changed: {0}")]
    Content(&'static str),
}

impl<R: Read + Seek> Bundle<R> {
    /// Reads the directory at the end, at most 32 MiB of it, and nothing of the entries.
    pub fn open(mut reader: R) -> Result<Self, BundleError> {
        let size_bytes = reader.seek(SeekFrom::End(0))?;
        let malformed = |at, what: &str| BundleError::Malformed { at, what: what.to_owned() };
        if !(END_RECORD_BYTES..=LARGEST_BUNDLE_BYTES).contains(&size_bytes) {
            return Err(malformed(0, "this is not the size of a bundle"));
        }
        let end_at = size_bytes - END_RECORD_BYTES;
        let mut end = [0; END_RECORD_BYTES as usize];
        reader.seek(SeekFrom::Start(end_at))?;
        reader.read_exact(&mut end)?;
        let (count, directory_bytes, directory_at) =
            (number::<2>(&end, 10), number::<4>(&end, 12), number::<4>(&end, 16));
        if end != end_record(count, directory_bytes, directory_at)
            || directory_at + directory_bytes != end_at
            || directory_bytes > LARGEST_DIRECTORY_BYTES
            || count as usize > MOST_ENTRIES
        {
            return Err(malformed(
                end_at,
                "the record at the end of the bundle is not as an agent writes it",
            ));
        }
        let mut directory = vec![0; directory_bytes as usize];
        reader.seek(SeekFrom::Start(directory_at))?;
        reader.read_exact(&mut directory)?;
        let entries = entries(&directory, directory_at, count as usize)?;
        Ok(Self { reader, size_bytes, entries })
    }

    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The first `limit` bytes of an entry.
    pub fn read(&mut self, number: usize, limit: u64) -> Result<Vec<u8>, EntryError> {
        let mut content = Vec::new();
        self.unpack(number, limit, |bytes| content.extend_from_slice(bytes))?;
        Ok(content)
    }

    /// Passes the first `limit` bytes of an entry on, piece by piece. When that is all of it, its size and checksum are
    /// compared with the directory's.
    pub fn unpack(
        &mut self,
        number: usize,
        limit: u64,
        mut sink: impl FnMut(&[u8]),
    ) -> Result<(), EntryError> {
        let (entry, packed) = self.packed(number)?;
        let mut decoder = DeflateDecoder::new(BufReader::with_capacity(CHUNK, packed));
        let (mut crc, mut size, mut buffer) = (Crc::new(), 0, vec![0; CHUNK]);
        loop {
            let bytes = match decoder.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => &buffer[..length],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if is_of_the_content(&error) => {
                    return Err(EntryError::Content("it cannot be unpacked"));
                }
                Err(error) => return Err(error.into()),
            };
            let wanted = limit.saturating_sub(size).min(bytes.len() as u64);
            sink(&bytes[..wanted as usize]);
            crc.update(bytes);
            size += bytes.len() as u64;
            if size > entry.size_bytes {
                return Err(EntryError::Content("it unpacks to more than the directory says"));
            }
            if size >= limit && size < entry.size_bytes {
                return Ok(());
            }
        }
        if size != entry.size_bytes || decoder.total_in() != entry.packed_bytes {
            return Err(EntryError::Content("it is not as long as the directory says"));
        }
        if crc.sum() != entry.crc {
            return Err(EntryError::Content("its checksum is another"));
        }
        Ok(())
    }

    /// SHA-256 of an entry's packed bytes, hexadecimal.
    pub fn packed_sha256(&mut self, number: usize) -> Result<String, EntryError> {
        let (_, mut packed) = self.packed(number)?;
        let (mut hash, mut buffer) = (Sha256::new(), vec![0; CHUNK]);
        loop {
            match packed.read(&mut buffer) {
                Ok(0) => return Ok(hex::encode(hash.finalize())),
                Ok(length) => hash.update(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Compares an entry's header and stands behind it.
    fn packed(&mut self, number: usize) -> Result<(&Entry, Take<&mut R>), EntryError> {
        let entry = self.entries.get(number).ok_or(EntryError::NoSuchEntry)?;
        let header = entry.header();
        let mut found = vec![0; header.len()];
        self.reader.seek(SeekFrom::Start(entry.header_at))?;
        self.reader.read_exact(&mut found)?;
        if let Some(at) = found.iter().zip(&header).position(|(found, expected)| found != expected) {
            return Err(EntryError::Header { at: entry.header_at + at as u64 });
        }
        Ok((entry, (&mut self.reader).take(entry.packed_bytes)))
    }
}

impl Entry {
    /// The local file header, byte for byte (APPNOTE 4.3.7).
    fn header(&self) -> Vec<u8> {
        let mut header = Vec::with_capacity(HEADER_BYTES + self.path.len());
        header.extend_from_slice(b"PK\x03\x04");
        self.push_common(&mut header);
        header.extend_from_slice(&[0, 0]);
        header.extend_from_slice(self.path.as_bytes());
        header
    }

    /// The record in the central directory, byte for byte (APPNOTE 4.3.12).
    fn record(&self) -> Vec<u8> {
        let mut record = Vec::with_capacity(RECORD_BYTES + self.path.len());
        record.extend_from_slice(b"PK\x01\x02");
        // Made by 2.0 on Unix.
        record.extend_from_slice(&[20, 3]);
        self.push_common(&mut record);
        record.extend_from_slice(&NO_EXTRAS);
        record.extend_from_slice(&(self.header_at as u32).to_le_bytes());
        record.extend_from_slice(self.path.as_bytes());
        record
    }

    fn push_common(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&COMMON);
        bytes.extend_from_slice(&self.crc.to_le_bytes());
        bytes.extend_from_slice(&(self.packed_bytes as u32).to_le_bytes());
        bytes.extend_from_slice(&(self.size_bytes as u32).to_le_bytes());
        bytes.extend_from_slice(&(self.path.len() as u16).to_le_bytes());
    }

    fn end(&self) -> u64 {
        self.header_at + (HEADER_BYTES + self.path.len()) as u64 + self.packed_bytes
    }
}

fn entries(directory: &[u8], directory_at: u64, count: usize) -> Result<Vec<Entry>, BundleError> {
    let mut entries: Vec<Entry> = Vec::with_capacity(count);
    let (mut paths, mut at, mut unpacked) = (HashSet::with_capacity(count), 0, 0);
    for number in 0..count {
        let malformed = |what: String| BundleError::Malformed {
            at: directory_at + at as u64,
            what: format!("the directory's record of entry {number} {what}"),
        };
        let rest = &directory[at..];
        let fixed: &[u8; RECORD_BYTES] =
            rest.first_chunk().ok_or_else(|| malformed("is cut off".to_owned()))?;
        let length = self::number::<2>(fixed, 28) as usize;
        let path = rest.get(RECORD_BYTES..RECORD_BYTES + length).unwrap_or_default();
        let path = std::str::from_utf8(path)
            .ok()
            .filter(|path| is_safe_path(path))
            .ok_or_else(|| malformed("has a path that no agent writes".to_owned()))?;
        let entry = Entry {
            path: path.to_owned(),
            size_bytes: self::number::<4>(fixed, 24),
            packed_bytes: self::number::<4>(fixed, 20),
            crc: self::number::<4>(fixed, 16) as u32,
            header_at: entries.last().map_or(0, Entry::end),
        };
        if !rest.starts_with(&entry.record()) {
            return Err(malformed(format!("({path}) is not as an agent writes it")));
        }
        if !paths.insert(path) {
            return Err(malformed(format!("({path}) is there twice")));
        }
        unpacked += entry.size_bytes;
        if unpacked > LARGEST_UNPACKED_BYTES {
            return Err(malformed(format!("({path}) unpacks to more than any bundle")));
        }
        at += RECORD_BYTES + length;
        entries.push(entry);
    }
    let last = entries.last().filter(|entry| entry.path == MANIFEST_PATH);
    if at != directory.len() || last.map(Entry::end) != Some(directory_at) {
        let what = "the directory does not end with the manifest, or does not match the entries".to_owned();
        return Err(BundleError::Malformed { at: directory_at, what });
    }
    Ok(entries)
}

/// APPNOTE 4.3.16.
fn end_record(count: u64, directory_bytes: u64, directory_at: u64) -> [u8; END_RECORD_BYTES as usize] {
    let mut record = [0; END_RECORD_BYTES as usize];
    record[..4].copy_from_slice(b"PK\x05\x06");
    record[8..10].copy_from_slice(&(count as u16).to_le_bytes());
    record[10..12].copy_from_slice(&(count as u16).to_le_bytes());
    record[12..16].copy_from_slice(&(directory_bytes as u32).to_le_bytes());
    record[16..20].copy_from_slice(&(directory_at as u32).to_le_bytes());
    record
}

/// A little-endian number of `N` bytes.
fn number<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + N].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Of a stream that does not unpack, not of the disk under it.
fn is_of_the_content(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}
