//! Netlink attributes (linux/netlink.h): length, type, value, filled up to four bytes.

use super::{aligned, u16_at};

const HEADER_BYTES: usize = 4;
const NLA_F_NESTED: u16 = 0x8000;
/// Attribute types carry two flag bits on top.
const TYPE_MASK: u16 = 0x3fff;

pub(in crate::isolation) fn bytes_attribute(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    append(out, kind, |out| out.extend_from_slice(value));
}

/// Zero-terminated, as nftables wants it.
pub(in crate::isolation) fn string_attribute(out: &mut Vec<u8>, kind: u16, text: &str) {
    append(out, kind, |out| {
        out.extend_from_slice(text.as_bytes());
        out.push(0);
    });
}

/// nftables' numbers are in network order.
pub(in crate::isolation) fn number_attribute(out: &mut Vec<u8>, kind: u16, number: u32) {
    bytes_attribute(out, kind, &number.to_be_bytes());
}

pub(in crate::isolation) fn long_number_attribute(out: &mut Vec<u8>, kind: u16, number: u64) {
    bytes_attribute(out, kind, &number.to_be_bytes());
}

/// An attribute that holds attributes.
pub(in crate::isolation) fn nested(out: &mut Vec<u8>, kind: u16, write: impl FnOnce(&mut Vec<u8>)) {
    append(out, kind | NLA_F_NESTED, write);
}

fn append(out: &mut Vec<u8>, kind: u16, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&kind.to_ne_bytes());
    write(out);
    let length = u16::try_from(out.len() - start).expect("our attributes are short");
    out[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    out.resize(aligned(out.len()), 0);
}

/// The attributes in `bytes`: type and value.
pub(in crate::isolation) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(rest, 0)?);
        let kind = u16_at(rest, 2)? & TYPE_MASK;
        let value = rest.get(HEADER_BYTES..length)?;
        rest = rest.get(aligned(length)..).unwrap_or_default();
        Some((kind, value))
    })
}

pub(in crate::isolation) fn attribute(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

/// A string attribute's value without its zero.
pub(in crate::isolation) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

/// nftables' numbers are in network order.
pub(in crate::isolation) fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(value.try_into().ok()?))
}

pub(in crate::isolation) fn long_number(value: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(value.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut out = Vec::new();
        string_attribute(&mut out, 3, "input");
        nested(&mut out, 4, |out| number_attribute(out, 1, 0x0102_0304));
        assert_eq!(out.len() % 4, 0);
        assert_eq!(attribute(&out, 3).map(text).as_deref(), Some("input"));
        let inner = attribute(&out, 4).and_then(|inner| attribute(inner, 1)).and_then(number);
        assert_eq!(inner, Some(0x0102_0304));
        assert_eq!(attribute(&out, 5), None);
    }

    #[test]
    fn a_length_that_lies_ends_the_list() {
        for bytes in [&[200, 0, 1, 0, 1, 2, 3, 4][..], &[3, 0, 1, 0], &[0; 8], &[8, 0, 1]] {
            assert_eq!(attributes(bytes).count(), 0, "{bytes:?}");
        }
    }
}
