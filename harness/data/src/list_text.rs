//! Lists of texts that were written as one text: JSON's spelling, and Python's.

/// Reads a list of texts in single or double quotes, with the escapes of JSON and of Python; none for anything else.
pub fn list(text: &str) -> Option<Vec<String>> {
    let inside = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    let (mut texts, mut rest) = (Vec::new(), inside.trim());
    while !rest.is_empty() {
        let quote = rest.chars().next().filter(|c| ['\'', '"'].contains(c))?;
        let (text, after) = quoted(&rest[1..], quote)?;
        texts.push(text);
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if after.is_empty() => after,
            None => return None,
        };
    }
    Some(texts)
}

/// The same, and Python's spelling of a tuple; a byte order mark before it is none of it.
pub(crate) fn sequence(text: &str) -> Option<Vec<String>> {
    let text = bare(text);
    let tuple = || list(&format!("[{}]", text.strip_prefix('(')?.strip_suffix(')')?)).filter(|texts| !texts.is_empty());
    list(text).or_else(tuple)
}

/// A list of numbers as Python prints it, `[6, 3, -1.5]`: each as it is written; none for anything else, or an empty one.
pub(crate) fn numbers(text: &str) -> Option<Vec<String>> {
    let inside = bare(text).strip_prefix('[')?.strip_suffix(']')?;
    let digits = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    let number = |text: &str| {
        let plain = text.strip_prefix('-').unwrap_or(text);
        plain.split_once('.').map_or_else(|| digits(plain), |(whole, part)| digits(whole) && digits(part))
    };
    inside.split(',').map(str::trim).map(|part| number(part).then(|| part.to_owned())).collect()
}

/// A text without what stands around it unseen.
pub(crate) fn bare(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
}

/// What a text means to be that is more than texts and commas; none for plain ones. Nobody begins a word with a bracket and a
/// quote, or closes it with the bracket it opened.
pub(crate) fn meant(text: &str) -> Option<&'static str> {
    let text = bare(text);
    // `array(['a', 'b'])`
    let called = text.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.');
    let call = called.len() < text.len() && called.starts_with('(') && called.ends_with(')');
    if call && called[1..].trim_start().starts_with(['[', '{', '(', '\'', '"']) {
        return Some("a call");
    }
    let within = text.strip_prefix(['\'', '"']).is_some_and(|inside| inside.trim_start().starts_with(['[', '{']));
    if within {
        return Some("a list within a text");
    }
    let open = text.chars().next().filter(|c| ['[', '(', '{'].contains(c))?;
    let (inside, brackets) = (&text[1..], ['[', ']', '(', ')', '{', '}']);
    let inner = inside.trim_start_matches(|c: char| c.is_whitespace() || ['[', '(', '{'].contains(&c));
    let closed = inside.strip_suffix([']', ')', '}']).is_some_and(|inside| !inside.contains(brackets));
    if !closed && !inner.starts_with(['\'', '"']) {
        return None;
    }
    Some(match open {
        '{' if inside.contains(':') => "a dictionary",
        '{' => "a set, which has no order",
        _ if inside.trim_start().starts_with(['[', '(', '{']) => "a list of lists",
        _ => "a list that is not of quoted texts with commas between",
    })
}

/// A text up to its closing quote, and what follows that.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut found = String::new();
    let mut rest = text;
    loop {
        let character = rest.chars().next()?;
        rest = &rest[character.len_utf8()..];
        match character {
            '\\' => {
                let (meant, after) = escaped(rest)?;
                found.push(meant);
                rest = after;
            }
            end if end == quote => return Some((found, rest)),
            other => found.push(other),
        }
    }
}

/// What an escape stands for, and what follows it.
fn escaped(text: &str) -> Option<(char, &str)> {
    let letter = text.chars().next()?;
    let rest = &text[letter.len_utf8()..];
    let meant = match letter {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'x' => return numbered(rest, 2),
        'u' => return utf16(rest),
        'U' => return numbered(rest, 8),
        '\'' | '"' | '\\' | '/' => letter,
        _ => return None,
    };
    Some((meant, rest))
}

fn number(text: &str, digits: usize) -> Option<(u32, &str)> {
    let (number, rest) = text.split_at_checked(digits)?;
    let number = number.chars().all(|c| c.is_ascii_hexdigit()).then_some(number)?;
    Some((u32::from_str_radix(number, 16).ok()?, rest))
}

fn numbered(text: &str, digits: usize) -> Option<(char, &str)> {
    let (number, rest) = number(text, digits)?;
    Some((char::from_u32(number)?, rest))
}

/// `XXXX` behind `\u`; JSON writes what lies beyond in two of them.
fn utf16(text: &str) -> Option<(char, &str)> {
    let (high, rest) = number(text, 4)?;
    if let Some(character) = char::from_u32(high) {
        return Some((character, rest));
    }
    let (low, rest) = number(rest.strip_prefix("\\u")?, 4)?;
    let pair = [u16::try_from(high).ok()?, u16::try_from(low).ok()?];
    Some((char::decode_utf16(pair).next()?.ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_written_as_text() {
        assert_eq!(list(r#"['surf', "it's", 'a, b', 'don\'t']"#).unwrap(), ["surf", "it's", "a, b", "don't"]);
        assert_eq!(
            list(r#" ["a\n\"b\"", "\u00e9\ud83d\ude00", '\xe9\U0001f600'] "#).unwrap(),
            ["a\n\"b\"", "\u{e9}\u{1f600}", "\u{e9}\u{1f600}"]
        );
        assert_eq!(list("[]").unwrap(), Vec::<String>::new());
        for text in ["surf", "['a' 'b']", "['a", "[a]", "['a'] x", "['a', None]", "[1, 2]", r"['\d']", r"['\ud83d']", "", "["] {
            assert_eq!(list(text), None, "{text}");
        }
    }

    #[test]
    fn what_means_to_be_a_list() {
        let list = Some("a list that is not of quoted texts with commas between");
        for (text, expect) in [
            ("['a' 'b']", list),
            ("[\"a\", 1]", list),
            ("[ 'a'", list),
            ("[1, 2, 3]", list),
            ("(red, green)", list),
            ("(u'red', u'green')", list),
            ("\u{feff}[red, green]", list),
            ("[['a', 'b']]", Some("a list of lists")),
            ("{'a', 'b'}", Some("a set, which has no order")),
            (r#"{"A": "a"}"#, Some("a dictionary")),
            ("{A: a, B: b}", Some("a dictionary")),
            (r#""[\"a\", \"b\"]""#, Some("a list within a text")),
            ("array(['a', 'b'], dtype=object)", Some("a call")),
            ("dict_keys(['a'])", Some("a call")),
            ("[a] first,[b] second", None),
            ("[0, 1],[1, 2]", None),
            ("(a),(b)", None),
            ("f(a,b),g(c)", None),
            ("red,green", None),
            ("\"red\", \"green\"", None),
            ("Art [modern]", None),
            ("[", None),
            ("", None),
        ] {
            assert_eq!(meant(text), expect, "{text}");
        }
    }

    #[test]
    fn lists_of_numbers_are_texts_where_nothing_else_is_among_them() {
        assert_eq!(numbers(" [6, 3,-1.5, 10]").unwrap(), ["6", "3", "-1.5", "10"]);
        for text in [
            "[]",
            "[1, 'a']",
            "[1, a]",
            "[1, True]",
            "[1 2]",
            "[1,]",
            "[[1, 2]]",
            "[1.]",
            "[-]",
            "1, 2",
            "(1, 2)",
            "[1e3]",
            "[nan]",
        ] {
            assert_eq!(numbers(text), None, "{text}");
        }
    }

    #[test]
    fn tuples_are_sequences() {
        for text in ["('a', 'b, c')", "['a', 'b, c']", "\u{feff}[\"a\", \"b, c\"]", " ('a', \"b, c\",) "] {
            assert_eq!(sequence(text).unwrap(), ["a", "b, c"], "{text}");
        }
        for text in ["()", "(a)", "('a' 'b')", "a,b", "{'a'}"] {
            assert_eq!(sequence(text), None, "{text}");
        }
    }
}
