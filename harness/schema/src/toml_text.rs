//! The text of a TOML file before it is parsed: its encoding, its depth, and what a message shows of it.

/// Tables in tables, arrays in arrays and parts of a key: what is built of them is walked by recursion.
pub(crate) const MAX_DEPTH: usize = 32;

/// The text of a file's bytes: UTF-8, with or without a byte order mark. Any other encoding is an error that names it.
pub(crate) fn decoded(bytes: &[u8]) -> Result<&str, String> {
    let wrong = |encoding: &str| Err(format!("the file is text in {encoding}; TOML is UTF-8: save it so"));
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest),
        [0xff, 0xfe, 0, 0, ..] => wrong("UTF-32 (little-endian)"),
        [0, 0, 0xfe, 0xff, ..] => wrong("UTF-32 (big-endian)"),
        [0xff, 0xfe, ..] => wrong("UTF-16 (little-endian)"),
        [0xfe, 0xff, ..] => wrong("UTF-16 (big-endian)"),
        [_, 0, _, 0, ..] => wrong("UTF-16 (little-endian, without a byte order mark)"),
        [0, _, 0, _, ..] => wrong("UTF-16 (big-endian, without a byte order mark)"),
        _ if guard::files::is_lfs_pointer(bytes) => Err(format!("the file {}", guard::files::LFS_ADVICE)),
        _ => utf8(bytes),
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let line = 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count();
        format!(
            "line {line}: the byte 0x{:02x} is no UTF-8, so the file is in another encoding (Latin-1, Windows-1252?); TOML is UTF-8: save it so",
            bytes[at]
        )
    })
}

/// Refuses brackets and dotted keys that nest without end. Whatever stands in strings and comments is passed over.
pub(crate) fn check_depth(text: &str) -> Result<(), String> {
    let (mut depth, mut parts, mut line) = (0usize, 0usize, 1usize);
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let next = match character {
            '"' | '\'' => behind_string(rest, character),
            '#' => rest.find('\n').map_or("", |end| &rest[end..]),
            other => &rest[other.len_utf8()..],
        };
        line += rest[..rest.len() - next.len()].matches('\n').count();
        match character {
            '[' | '{' => (depth, parts) = (depth + 1, 0),
            ']' | '}' => (depth, parts) = (depth.saturating_sub(1), 0),
            '.' => parts += 1,
            ',' | '=' | '\n' => parts = 0,
            _ => {}
        }
        if depth > MAX_DEPTH || parts > MAX_DEPTH {
            return Err(format!("line {line}: tables, arrays or keys nest over {MAX_DEPTH} deep"));
        }
        rest = next;
    }
    Ok(())
}

/// What follows a string that begins here, or all there is if it does not end.
fn behind_string(text: &str, quote: char) -> &str {
    let three = if quote == '"' { "\"\"\"" } else { "'''" };
    let close = if text.starts_with(three) { three } else { &three[..1] };
    let mut at = close.len();
    while at < text.len() {
        let rest = &text[at..];
        if let Some(behind) = rest.strip_prefix(close) {
            return behind;
        }
        if close.len() == 1 && rest.starts_with('\n') {
            return rest;
        }
        let escaped = quote == '"' && rest.starts_with('\\');
        let mut characters = rest.chars();
        at += characters.next().map_or(1, char::len_utf8);
        at += if escaped { characters.next().map_or(0, char::len_utf8) } else { 0 };
    }
    ""
}

/// A parser's message, which quotes the file: no line of it longer than a person reads.
pub(crate) fn shortened(message: &str) -> String {
    message.trim_end().lines().take(12).map(|line| guard::text::line(line, 300)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toml_file::parse_table;

    fn encoded(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(unit).collect()
    }

    #[test]
    fn an_encoding_other_than_utf_8_is_named() {
        assert_eq!(decoded(b"\xef\xbb\xbfa = 1"), Ok("a = 1"));
        assert_eq!(decoded("a = \"\u{fc}\"".as_bytes()), Ok("a = \"\u{fc}\""));
        assert_eq!(decoded(b""), Ok(""));
        for (bytes, name) in [
            (encoded("\u{feff}a = 1", u16::to_le_bytes), "UTF-16 (little-endian)"),
            (encoded("\u{feff}a = 1", u16::to_be_bytes), "UTF-16 (big-endian)"),
            (encoded("a = 1", u16::to_le_bytes), "UTF-16 (little-endian, without"),
            (encoded("a = 1", u16::to_be_bytes), "UTF-16 (big-endian, without"),
            (b"\xff\xfe\0\0a\0\0\0".to_vec(), "UTF-32 (little-endian)"),
            (b"a = 1\nb = \"\xfc\"".to_vec(), "line 2: the byte 0xfc is no UTF-8"),
            (b"version https://git-lfs.github.com/spec/v1".to_vec(), "Git LFS pointer"),
        ] {
            let message = decoded(&bytes).expect_err(name);
            assert!(message.contains(name), "{message}");
        }
    }

    #[test]
    fn line_ends_are_line_breaks_and_escapes_stay() {
        let text = "a = \"\"\"x\ny\\r\nz\"\"\"\nb = '''\n1\n2'''\n";
        let unix = parse_table("x", text).expect("toml");
        assert_eq!(unix["a"].as_str(), Some("x\ny\r\nz"));
        assert_eq!(unix["b"].as_str(), Some("1\n2"));
        assert_eq!(parse_table("x", &text.replace('\n', "\r\n")).expect("toml"), unix);
    }

    #[test]
    fn depth_is_bounded_outside_of_strings() {
        let dots = ".a".repeat(100_000);
        let deep = [
            format!("a = {}{}", "[".repeat(100_000), "]".repeat(100_000)),
            format!("a = {}", "[".repeat(100_000)),
            "a = { b = ".repeat(100_000),
            format!("a{dots} = 1"),
            format!("[a{dots}]"),
            format!("[[a{dots}]]"),
            format!("x = {{ a{dots} = 1 }}"),
        ];
        for text in deep {
            let error = parse_table("x.toml", &text).expect_err("too deep").to_string();
            assert!(error.contains("line 1: tables, arrays or keys nest over 32 deep"), "{error}");
        }
        let shallow = format!(
            "# {brackets}\na = \"{brackets}\\\"{brackets}\"\nb = '{brackets}\\'\nc = \"\"\"\n{brackets}\\\"\"\"{brackets}\n\"\"\"\n\
             d = '''{brackets}'''\ne = [{}1.5]\n",
            "1.5, ".repeat(100),
            brackets = "[.".repeat(100)
        );
        let table = parse_table("x", &shallow).expect("toml");
        assert_eq!(table["e"].as_array().map(Vec::len), Some(101));
    }

    #[test]
    fn a_message_quotes_no_megabyte() {
        let error = parse_table("x", &format!("a = {}", "x".repeat(1_000_000))).expect_err("no toml").to_string();
        assert!(error.len() < 4_000, "{}", error.len());
    }
}
