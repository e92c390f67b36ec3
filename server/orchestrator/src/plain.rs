//! What hosts say, made fit to be shown: whoever holds a host must not draw on somebody's page.

use std::fmt::Write as _;

/// At most `most` characters. What would move the cursor or turn the direction of writing stands there as its code.
#[must_use]
pub fn shown(text: &str, most: usize, has_lines: bool) -> String {
    let mut shown = String::new();
    for (count, char) in text.chars().enumerate() {
        if count == most {
            shown.push('…');
            break;
        }
        match char {
            '\n' | '\t' if has_lines => shown.push(char),
            _ if is_hidden(char) => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(char));
            }
            _ => shown.push(char),
        }
    }
    shown
}

/// Controls; marks, embeddings, overrides and isolates of direction; invisible ones, and the tags that hide text.
fn is_hidden(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}
