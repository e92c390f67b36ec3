//! Frames on the executor's socket: four bytes of length, most significant first, and so many bytes of JSON.

use std::{io, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};

/// A longer frame ends the connection, in both directions.
pub const MAX_FRAME_BYTES: usize = 1024 * 1024;
const HEAD_BYTES: usize = 4;
/// A frame that has begun must be over after this long, in either direction.
const FRAME_WITHIN: Duration = Duration::from_secs(5);

/// # Panics
/// If `content` has no JSON form.
pub(super) async fn write(
    writer: &mut (impl AsyncWrite + Unpin),
    content: &impl Serialize,
) -> io::Result<()> {
    let bytes = encode(content)?;
    timeout(FRAME_WITHIN, writer.write_all(&bytes)).await.map_err(|_| slow())?
}

/// `None` when the other side closed between two frames.
pub(super) async fn read<T: DeserializeOwned>(
    reader: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<T>> {
    let mut head = [0; HEAD_BYTES];
    if reader.read(&mut head[..1]).await? == 0 {
        return Ok(None);
    }
    let rest = async {
        reader.read_exact(&mut head[1..]).await?;
        let length = u32::from_be_bytes(head) as usize;
        if length > MAX_FRAME_BYTES {
            return Err(too_long(length));
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).await?;
        serde_json::from_slice(&body)
            .map(Some)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    };
    timeout(FRAME_WITHIN, rest).await.map_err(|_| slow())?
}

fn encode(content: &impl Serialize) -> io::Result<Vec<u8>> {
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

fn too_long(length: usize) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes; at most 1 MiB is allowed"))
}

fn slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "a frame took longer than 5 s")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No frame here is waited for: the bytes are all there.
    fn read_all(bytes: &[u8]) -> io::Result<Option<String>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(read(&mut &*bytes))
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
