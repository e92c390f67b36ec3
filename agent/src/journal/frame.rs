//! Framing: magic, length, CRC32 over length and payload, payload. Numbers are little-endian. Zeros mean free room.

use std::ops::Range;

const MAGIC: [u8; 4] = *b"VXJ\x01";
const HEADER_BYTES: usize = 12;
/// Far above any record; a greater length is damage.
const MAX_PAYLOAD_BYTES: usize = 256 * 1024;

/// Appends one framed record.
pub(super) fn append(out: &mut Vec<u8>, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("records are far below 4 GiB").to_le_bytes();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&length);
    out.extend_from_slice(&checksum(&length, payload).to_le_bytes());
    out.extend_from_slice(payload);
}

/// What a journal file holds.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Scan {
    /// Payloads, in order.
    pub(super) records: Vec<Range<usize>>,
    /// Damage with good records behind it.
    pub(super) bad: Vec<Range<usize>>,
    /// Where the next record goes.
    pub(super) end: usize,
    /// Bytes behind `end` that are not zero up to the last such byte: a record that was cut short.
    pub(super) torn: usize,
}

/// The file grows by this much at a time, in zeros.
pub(super) const CHUNK_BYTES: usize = 256 * 1024;

impl Scan {
    /// Whether a file of this length has lost its end: it has no zeros behind the records, and no length that a full
    /// disk leaves.
    pub(super) fn is_truncated(&self, file_bytes: usize) -> bool {
        file_bytes > 0 && self.end + self.torn == file_bytes && !file_bytes.is_multiple_of(CHUNK_BYTES)
    }
}

pub(super) fn scan(bytes: &[u8]) -> Scan {
    let mut scan = Scan::default();
    loop {
        if let Some(payload) = record_at(bytes, scan.end) {
            scan.end = payload.end;
            scan.records.push(payload);
            continue;
        }
        match next_record(bytes, scan.end) {
            Some(start) => {
                scan.bad.push(scan.end..start);
                scan.end = start;
            }
            None => {
                scan.torn = bytes[scan.end..].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                return scan;
            }
        }
    }
}

fn record_at(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    let header = bytes.get(start..start + HEADER_BYTES)?;
    let (magic, rest) = header.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (expected, _) = rest.split_first_chunk::<4>()?;
    let size = u32::from_le_bytes(*length) as usize;
    if *magic != MAGIC || size > MAX_PAYLOAD_BYTES {
        return None;
    }
    let range = start + HEADER_BYTES..start + HEADER_BYTES + size;
    let payload = bytes.get(range.clone())?;
    (checksum(length, payload) == u32::from_le_bytes(*expected)).then_some(range)
}

fn next_record(bytes: &[u8], after: usize) -> Option<usize> {
    let rest = bytes.get(after + 1..)?;
    rest.windows(MAGIC.len())
        .enumerate()
        .filter(|(_, window)| *window == MAGIC)
        .map(|(offset, _)| after + 1 + offset)
        .find(|start| record_at(bytes, *start).is_some())
}

fn checksum(length: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(length);
    hasher.update(payload);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(payloads: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for payload in payloads {
            append(&mut bytes, payload);
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    fn found<'a>(bytes: &'a [u8], scan: &Scan) -> Vec<&'a [u8]> {
        scan.records.iter().map(|range| &bytes[range.clone()]).collect()
    }

    fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..6)
    }

    #[test]
    fn a_tail_torn_at_any_byte_keeps_every_whole_record() {
        let written = [b"first".to_vec(), b"second record".to_vec(), b"third".to_vec()];
        let (bytes, ends) = file(&written);
        for cut in 0..=bytes.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let zeros = [0; 64];
            for tail in [&[][..], &zeros[..]] {
                let torn = [&bytes[..cut], tail].concat();
                let scan = scan(&torn);
                assert_eq!(scan.records.len(), whole, "cut at {cut}");
                assert_eq!(scan.end, ends[..whole].last().copied().unwrap_or(0));
                assert!(scan.bad.is_empty());
                assert!(scan.end + scan.torn <= cut);
            }
        }
    }

    proptest! {
        #[test]
        fn a_flipped_bit_loses_one_record_and_no_other(
            written in payloads(), position in any::<prop::sample::Index>(), bit in 0_u8..8
        ) {
            let (mut bytes, ends) = file(&written);
            let position = position.index(bytes.len());
            bytes[position] ^= 1 << bit;
            let hit = ends.iter().position(|end| position < *end).unwrap();
            let scan = scan(&bytes);
            let mut expected: Vec<&[u8]> = written.iter().map(Vec::as_slice).collect();
            expected.remove(hit);
            prop_assert_eq!(found(&bytes, &scan), expected);
            let is_last = hit + 1 == written.len();
            prop_assert_eq!(scan.bad.len(), usize::from(!is_last));
            prop_assert_eq!(scan.torn > 0, is_last);
        }

        #[test]
        fn any_bytes_can_be_scanned(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let scan = scan(&bytes);
            prop_assert!(scan.end + scan.torn <= bytes.len());
        }
    }
}
