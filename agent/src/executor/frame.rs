//! Frames on the executor's socket: four bytes of length, most significant first, and so many bytes of JSON.

use std::io::{self, Read, Write};

use serde::{Serialize, de::DeserializeOwned};

/// A longer frame ends the connection, in both directions.
pub const MAX_FRAME_BYTES: usize = 1024 * 1024;
pub(super) const HEAD_BYTES: usize = 4;

/// # Panics
/// If `content` has no JSON form.
pub(super) fn encode(content: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; HEAD_BYTES];
    serde_json::to_writer(&mut bytes, content).expect("tasks and answers have a JSON form");
    let length = bytes.len() - HEAD_BYTES;
    if length > MAX_FRAME_BYTES {
        return Err(too_long(length));
    }
    let head = u32::try_from(length).map_err(|_| too_long(length))?;
    bytes[..HEAD_BYTES].copy_from_slice(&head.to_be_bytes());
    Ok(bytes)
}

pub(super) fn length(head: [u8; HEAD_BYTES]) -> io::Result<usize> {
    let length = u32::from_be_bytes(head) as usize;
    if length > MAX_FRAME_BYTES { Err(too_long(length)) } else { Ok(length) }
}

pub(super) fn decode<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    serde_json::from_slice(body).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

pub(super) fn write(writer: &mut impl Write, content: &impl Serialize) -> io::Result<()> {
    writer.write_all(&encode(content)?)
}

/// `None` when the other side closed between two frames. `in_frame` is called once a frame has begun.
pub(super) fn read<T: DeserializeOwned, R: Read>(
    reader: &mut R,
    in_frame: impl FnOnce(&R) -> io::Result<()>,
) -> io::Result<Option<T>> {
    let mut head = [0; HEAD_BYTES];
    if reader.read(&mut head[..1])? == 0 {
        return Ok(None);
    }
    in_frame(reader)?;
    reader.read_exact(&mut head[1..])?;
    let mut body = Vec::new();
    let length = length(head)?;
    reader.by_ref().take(length as u64).read_to_end(&mut body)?;
    if body.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    decode(&body).map(Some)
}

fn too_long(length: usize) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes; at most 1 MiB is allowed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(mut bytes: &[u8]) -> io::Result<Option<String>> {
        read(&mut bytes, |_| Ok(()))
    }

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        let bytes = encode(&"häuser".to_owned()).unwrap();
        assert_eq!(read_all(&bytes).unwrap().as_deref(), Some("häuser"));
        assert_eq!(read_all(b"").unwrap(), None);
        for cut in 1..bytes.len() {
            assert!(read_all(&bytes[..cut]).is_err(), "cut after {cut} bytes");
        }
    }

    #[test]
    fn a_frame_that_is_too_long_is_refused_before_it_is_read() {
        let head = u32::try_from(MAX_FRAME_BYTES + 1).unwrap().to_be_bytes();
        assert!(read_all(&head).unwrap_err().to_string().contains("at most 1 MiB"));
        assert!(encode(&"x".repeat(MAX_FRAME_BYTES)).is_err());
    }
}
