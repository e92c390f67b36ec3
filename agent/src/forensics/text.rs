use std::{os::unix::ffi::OsStrExt as _, path::Path};

/// Bytes of a host as text: what is not UTF-8 as `\xNN`. Everything else, line breaks and marks of direction too, is data
/// and stays what it is.
pub(super) fn text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

pub(super) fn path_text(path: &Path) -> String {
    text(path.as_os_str().as_bytes())
}

/// `text` of at most `limit` bytes.
pub(super) fn cut(text: &str, limit: usize) -> String {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_text_are_named() {
        assert_eq!(text(b"a\n\xff\xfe\xe2\x80\xae"), "a\n\\xff\\xfe\u{202e}");
        assert_eq!(cut("a\u{202e}b", 2), "a");
        assert_eq!(cut("ab", 9), "ab");
    }
}
