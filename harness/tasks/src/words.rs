//! Words of English as the evaluations of captions count them.
//!
//! `pycocoevalcap` hands texts to Stanford's PTB tokenizer, in lower case, and drops most punctuation. Here is what that does to plain
//! English: contractions are two words (`is n't`, `man 's`), punctuation is dropped but within a word or number (`1,000`, `u.s.`,
//! `and/or`, `well-known`), brackets become `-lrb-` and the like, and symbols (`&`, `$`, `%`) stand alone. It is not all of that tokenizer:
//! odd runs of signs, markup, and abbreviations other than the usual ones may come out otherwise (`tests/captions.rs` measures how often).

/// Abbreviations that keep their period.
const ABBREVIATIONS: &str = "mr mrs ms dr prof st jr sr inc ltd co corp vs etc dept est govt gen col sgt capt rev hon mt ft no fig jan feb \
    mar apr jun jul aug sep sept oct nov dec ave blvd bros";
/// Words that are two.
const JOINED: [(&str, usize); 9] =
    [("cannot", 3), ("gonna", 3), ("wanna", 3), ("gotta", 3), ("gimme", 3), ("lemme", 3), ("'tis", 2), ("'twas", 2), ("d'ye", 2)];
/// What a contraction ends with.
const ENDINGS: [&str; 7] = ["n't", "'s", "'m", "'d", "'re", "'ve", "'ll"];

/// A text's words, in order.
pub fn words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for chunk in plain(text).split_whitespace() {
        let characters: Vec<char> = chunk.chars().collect();
        let mut rest = &characters[..];
        while !rest.is_empty() {
            rest = next(rest, &mut found);
        }
    }
    found
}

/// In lower case, with quotes as a typewriter has them, and nothing where dashes and dots in a row stood.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.to_lowercase().chars() {
        match character {
            '\u{2018}' | '\u{2019}' => plain.push('\''),
            '"' | '`' | '\u{201c}' | '\u{201d}' | '\u{2013}' | '\u{2014}' | '\u{2026}' => plain.push(' '),
            other => plain.push(other),
        }
    }
    plain.replace("...", " ").replace("--", " ").replace("''", " ")
}

/// Takes what a chunk begins with; gives what is left of it.
fn next<'a>(rest: &'a [char], found: &mut Vec<String>) -> &'a [char] {
    let first = rest[0];
    if let Some(name) = bracket(first) {
        found.push(name.into());
        return &rest[1..];
    }
    let marks = rest.iter().take_while(|c| ['!', '?'].contains(c)).count();
    if marks > 0 {
        // One alone is dropped, several are a word.
        found.extend((marks > 1).then(|| rest[..marks].iter().collect()));
        return &rest[marks..];
    }
    if starts_word(rest) {
        let end = (1..rest.len()).find(|&at| !goes_on(rest, at)).unwrap_or(rest.len());
        let end = if is_abbreviation(&rest[..end]) && rest.get(end) == Some(&'.') { end + 1 } else { end };
        split(&rest[..end].iter().collect::<String>(), found);
        return &rest[end..];
    }
    if !".,:;-'/_".contains(first) {
        found.push(first.into());
    }
    &rest[1..]
}

fn bracket(character: char) -> Option<&'static str> {
    Some(match character {
        '(' => "-lrb-",
        ')' => "-rrb-",
        '[' => "-lsb-",
        ']' => "-rsb-",
        '{' => "-lcb-",
        '}' => "-rcb-",
        _ => return None,
    })
}

/// A letter or a digit, or what stands before one and belongs to it: `'tis`, `@home`, `.5`.
fn starts_word(rest: &[char]) -> bool {
    let behind = rest.get(1).is_some_and(|c| c.is_alphanumeric());
    let contracted = || JOINED.iter().any(|(word, _)| word.starts_with('\'') && rest.iter().copied().eq(word.chars()));
    match rest[0] {
        '\'' => contracted() || ENDINGS.iter().any(|ending| rest.iter().copied().eq(ending.chars())),
        '@' => behind,
        '.' => rest.get(1).is_some_and(char::is_ascii_digit),
        first => first.is_alphanumeric(),
    }
}

/// Whether a word goes on at a place: with another letter, or with a sign that has letters or digits on both sides.
fn goes_on(rest: &[char], at: usize) -> bool {
    let character = rest[at];
    let behind = rest.get(at + 1);
    let between = behind.is_some_and(|c| c.is_alphanumeric()) && rest[at - 1].is_alphanumeric();
    let digits = behind.is_some_and(char::is_ascii_digit) && rest[at - 1].is_ascii_digit();
    match character {
        '\'' | '-' | '.' | '/' | '&' | '@' => between,
        ',' | ':' => digits,
        '_' => true,
        other => other.is_alphanumeric() || is_combining(other),
    }
}

fn is_combining(character: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&character)
}

/// Whether a period behind a word is part of it: `u.s`, `a.m`, `mr`, or one letter.
fn is_abbreviation(word: &[char]) -> bool {
    let text: String = word.iter().collect();
    let letters = |part: &str| part.chars().count() == 1 && part.chars().all(char::is_alphabetic);
    let initials = text.contains('.') && text.split('.').all(letters);
    initials || ABBREVIATIONS.split_whitespace().any(|known| known == text)
}

/// A word, or the two that a contraction is.
fn split(word: &str, found: &mut Vec<String>) {
    let joined = JOINED.iter().find(|(known, _)| *known == word).map(|(_, at)| *at);
    let ending = ENDINGS.iter().find(|ending| word.ends_with(*ending) && word.len() > ending.len());
    match joined.or_else(|| ending.map(|ending| word.len() - ending.len())) {
        Some(at) => {
            split(&word[..at], found);
            found.push(word[at..].into());
        }
        None => found.push(word.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `pycocoevalcap`'s `PTBTokenizer` has them.
    #[test]
    fn plain_english() {
        for (text, expect) in [
            ("A man's dog isn't here.", "a man 's dog is n't here"),
            ("He said \"yes, we can't\" -- OK?", "he said yes we ca n't ok"),
            (
                "The well-known (red) car; it's 3.5 m, 1,000 kg & $5!",
                "the well-known -lrb- red -rrb- car it 's 3.5 m 1,000 kg & $ 5",
            ),
            ("U.S. flag of Mr. Smith's U.K. house", "u.s. flag of mr. smith 's u.k. house"),
            ("gonna wanna cannot", "gon na wan na can not"),
            ("I'd've they're you'll I'm", "i 'd 've they 're you 'll i 'm"),
            ("colour #5 @home 50% 10:30 foo@bar.com", "colour # 5 @home 50 % 10:30 foo@bar.com"),
            ("it’s “nice” – ok…", "it 's nice ok"),
            ("[1, 2, '?'] {x}", "-lsb- 1 2 -rsb- -lcb- x -rcb-"),
            ("don't 'quoted' words' end", "do n't quoted words end"),
            ("a/b and/or x_y 1/2 3-year-old 20th AT&T", "a/b and/or x_y 1/2 3-year-old 20th at&t"),
            ("Côte d'Ivoire O'Neil naïve", "côte d'ivoire o'neil naïve"),
            ("hello,world one.two end.Next etc.", "hello world one.two end.next etc."),
            ("..  !? !", "!?"),
        ] {
            assert_eq!(words(text).join(" "), expect, "{text}");
        }
    }
}
