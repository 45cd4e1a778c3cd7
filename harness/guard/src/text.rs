//! Somebody else's text as a message, a table or a terminal may show it.
//!
//! A name from a file may hold escape sequences that move the cursor or rename the window, characters that turn the direction of
//! writing, or a megabyte of anything.

use std::borrow::Cow;
use std::fmt::Write;

/// A name or value in one line of at most `most` characters: control characters are spelled out, and of a longer text the middle is
/// left out.
pub fn line(text: &str, most: usize) -> String {
    // Far more than is shown needs no spelling.
    spelled(&cut(text, most), |_| false).into_owned()
}

/// A text of at most `most` characters as it is; of a longer one the middle is left out, with a note of how much that was.
pub fn cut(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most || text.chars().take(most.saturating_add(1)).count() <= most {
        return Cow::Borrowed(text);
    }
    let (head, tail) = (most - most / 3, most / 3);
    let from = text.char_indices().nth(head).map_or(text.len(), |(at, _)| at);
    let to = if tail == 0 { text.len() } else { text.char_indices().rev().nth(tail - 1).map_or(0, |(at, _)| at) };
    let left_out = text[from..to].chars().count();
    Cow::Owned(format!("{}[... {left_out} characters ...]{}", &text[..from], &text[to..]))
}

/// Text as a terminal may get it: line breaks and tabs stay, every other control character is spelled out.
pub fn printable(text: &str) -> Cow<'_, str> {
    spelled(text, |character| matches!(character, '\n' | '\t'))
}

/// Whether a terminal, or a reader, may take a character for something other than what it looks like: controls, and marks that turn
/// the direction of writing.
pub fn is_treacherous(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// JSON that means the same with treacherous characters spelled as JSON does. Outside of line breaks they can only stand within a string, where `\u` and four digits mean the same.
pub fn json(text: &str) -> Cow<'_, str> {
    let treacherous = |character: char| is_treacherous(character) && character != '\n';
    if !text.contains(treacherous) {
        return Cow::Borrowed(text);
    }
    let spelled = |character: char| match treacherous(character) {
        true => format!("\\u{:04x}", u32::from(character)),
        false => character.into(),
    };
    Cow::Owned(text.chars().map(spelled).collect())
}

fn spelled(text: &str, stays: fn(char) -> bool) -> Cow<'_, str> {
    let treacherous = |character: char| is_treacherous(character) && !stays(character);
    if !text.contains(treacherous) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match treacherous(character) {
            // `\u{1b}`, as Rust writes it; writing to a string cannot fail.
            true => write!(out, "{}", character.escape_default()).unwrap_or_default(),
            false => out.push(character),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_spelled_out() {
        assert_eq!(line("a\u{1b}[31mb\nc\u{202e}", 80), "a\\u{1b}[31mb\\nc\\u{202e}");
        assert_eq!(printable("a\u{1b}b\n\tc\u{9b}d"), "a\\u{1b}b\n\tc\\u{9b}d");
        assert!(matches!(printable("é\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn long_text_loses_its_middle() {
        assert_eq!(line("abcdefghij", 10), "abcdefghij");
        assert_eq!(line("abcdéfghij", 6), "abcd[... 4 characters ...]ij");
        assert_eq!(line("abc", 0), "[... 3 characters ...]");
        assert_eq!(cut("a\nb", 3), "a\nb");
        assert_eq!(cut("a\nbcdef", 3), "a\n[... 4 characters ...]f");
        let long = "é".repeat(1_000_000);
        assert!(line(&long, 100).chars().count() < 140);
    }

    #[test]
    fn json_means_the_same_without_control_characters() {
        let shown = json("{\n\"name\": \"a\u{9b}31m\u{202e}é\u{7f}\"}");
        assert_eq!(shown, "{\n\"name\": \"a\\u009b31m\\u202eé\\u007f\"}");
        assert!(matches!(json("{\n\"é\": 1}"), Cow::Borrowed(_)));
    }
}
