//! Choices that are one text, joined by commas: where it is to be split, and whether that is sure.

use super::error::brief;
use super::example::Rejection;

/// Splits comma-joined options so that the answer is one of them, where it can be.
///
/// Where some commas are followed by a space and others are not, those without are the separators (lmms-lab/ICON-QA joins with a
/// bare comma). An answer that is not among the pieces is put together from adjacent ones.
pub(super) fn split(joined: &str, answer: &str) -> Vec<String> {
    let pieces: Vec<String> = trimmed(joined.split(','));
    let apart = at_bare_commas(joined);
    if apart.len() > 1 && apart.len() < pieces.len() && apart.iter().any(|option| option == answer) {
        return apart;
    }
    if answer.is_empty() || pieces.iter().any(|piece| piece == answer) {
        return pieces;
    }
    rejoined(&pieces, answer).unwrap_or(pieces)
}

fn trimmed<'a>(pieces: impl Iterator<Item = &'a str>) -> Vec<String> {
    pieces.map(|piece| piece.trim().to_string()).collect()
}

/// The options between commas that no space follows.
fn at_bare_commas(joined: &str) -> Vec<String> {
    let mut options: Vec<String> = Vec::new();
    for piece in joined.split(',') {
        match options.last_mut() {
            Some(last) if piece.starts_with(' ') => {
                last.push(',');
                last.push_str(piece);
            }
            _ => options.push(piece.to_string()),
        }
    }
    trimmed(options.iter().map(String::as_str))
}

/// The pieces with the first adjacent run that reads like the answer made into one option.
fn rejoined(pieces: &[String], answer: &str) -> Option<Vec<String>> {
    let parts = trimmed(answer.split(','));
    if parts.len() < 2 || (parts.join(", ") != answer && parts.join(",") != answer) {
        return None;
    }
    // No piece holds a comma, so the run is where this text is, and its place the number of commas before.
    let among = format!(",{},", pieces.join(","));
    let at = among.find(&format!(",{},", parts.join(",")))?;
    let start = among[..at].matches(',').count();
    let mut options = pieces[..start].to_vec();
    options.push(answer.to_string());
    options.extend_from_slice(&pieces[start + parts.len()..]);
    Some(options)
}

/// What else may stand between choices that are one text.
pub(super) const SEPARATORS: [(char, &str); 4] = [(';', "`;`"), ('|', "`|`"), ('\t', "a tab"), ('\n', "a line's end")];

/// Where an answer is a place among choices joined by commas, the commas must leave no doubt about the places.
pub(super) fn check_places(joined: &str) -> Result<(), Rejection> {
    let pieces: Vec<String> = trimmed(joined.split(','));
    let apart = at_bare_commas(joined).len();
    let doubt = if apart > 1 && apart < pieces.len() {
        "a space follows some of its commas and not others"
    } else if pieces.len() > 1 && grouped_digits(joined) {
        "a comma may part thousands"
    } else if pieces.iter().any(|piece| !balanced(piece)) {
        "a comma stands within brackets or quotes"
    } else if pieces.len() > 1 && pieces.iter().any(|piece| SEPARATORS.iter().any(|(separator, _)| piece.contains(*separator))) {
        "`;`, `|`, a tab or a line's end parts it, too"
    } else {
        return Ok(());
    };
    Err(in_doubt(joined, doubt, "and the answer is a place among them"))
}

fn in_doubt(joined: &str, doubt: &str, and: &str) -> Rejection {
    Rejection::bad(format!(
        "the choices `{}` split in more ways than one ({doubt}), {and}; write them as a list (`choices.form = \"list\"`)",
        brief(joined)
    ))
}

/// Where an answer is one of the choices by its text, it says where its own commas are, but nothing of the others': no other choice may
/// look cut.
pub(super) fn check_rest(joined: &str, options: &[String], answer: &str) -> Result<(), Rejection> {
    let pieces: Vec<&str> = joined.split(',').collect();
    let others = || options.iter().map(String::as_str).filter(|option| *option != answer);
    // The number of an option's first piece, and of the first behind it.
    let mut end = 0;
    let places = options.iter().map(|option| {
        let start = end;
        end += 1 + option.matches(',').count();
        (option, start, end)
    });
    let places: Vec<_> = places.collect();
    let cut = |pair: &[(&String, usize, usize)]| {
        pair.iter().all(|(option, ..)| *option != answer) && parts_digits(pieces[pair[0].2 - 1], pieces[pair[1].1])
    };
    let doubt = if places.windows(2).any(cut) {
        "a comma may part thousands"
    } else if opens_and_closes(others) {
        "a comma stands within brackets or quotes"
    } else {
        return Ok(());
    };
    Err(in_doubt(joined, doubt, &format!("and the answer `{}` does not settle which", brief(answer))))
}

/// Whether three digits follow a comma that follows a digit.
fn grouped_digits(joined: &str) -> bool {
    let pieces: Vec<&str> = joined.split(',').collect();
    pieces.windows(2).any(|pair| parts_digits(pair[0], pair[1]))
}

/// Whether a comma between two texts may part the thousands of one number.
fn parts_digits(before: &str, behind: &str) -> bool {
    before.ends_with(|c: char| c.is_ascii_digit()) && behind.bytes().take_while(u8::is_ascii_digit).count() == 3
}

/// Whether one text leaves a bracket open that a later one closes, or begins with a quote that a later one ends with.
fn opens_and_closes<'a, T: Iterator<Item = &'a str>>(texts: impl Fn() -> T) -> bool {
    let count = |text: &str, wanted: char| text.matches(wanted).count();
    let brackets = BRACKETS.iter().any(|&(open, close)| {
        let opened = texts().position(|text| count(text, open) > count(text, close));
        opened.is_some_and(|at| texts().skip(at + 1).any(|text| count(text, close) > count(text, open)))
    });
    let half = |text: &&str| count(text, '"') % 2 == 1;
    let opened = texts().position(|text| half(&text) && text.starts_with('"'));
    brackets || opened.is_some_and(|at| texts().skip(at + 1).any(|text| half(&text) && text.ends_with('"')))
}

const BRACKETS: [(char, char); 3] = [('(', ')'), ('[', ']'), ('{', '}')];

/// Whether each bracket of a text is closed in it, and each double quote.
fn balanced(text: &str) -> bool {
    let count = |wanted: char| text.matches(wanted).count();
    count('"') % 2 == 0 && BRACKETS.iter().all(|(open, close)| count(*open) == count(*close))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comma_joined_options_split_so_that_the_answer_is_one() {
        for (joined, answer, expect) in [
            ("4,5,6", "5", vec!["4", "5", "6"]),
            ("yes, no", "no", vec!["yes", "no"]),
            ("go up, then left,stop", "stop", vec!["go up, then left", "stop"]),
            ("go up, then left,stop", "go up, then left", vec!["go up, then left", "stop"]),
            ("1,000,7", "1,000", vec!["1,000", "7"]),
            ("a, b, c", "a, b", vec!["a, b", "c"]),
            ("a,b", "z", vec!["a", "b"]),
            ("a,a,b,c", "a,b", vec!["a", "a,b", "c"]),
            ("x,1, 000,y", "1,000", vec!["x", "1,000", "y"]),
            ("a,b,c", "b, c", vec!["a", "b, c"]),
            ("a,b,c", "a, b,c", vec!["a", "b", "c"]),
            ("ab,cd", "b,c", vec!["ab", "cd"]),
        ] {
            assert_eq!(split(joined, answer), expect, "{joined}");
        }
    }

    #[test]
    fn places_among_joined_choices_must_be_sure() {
        for sure in
            ["red,green", "red, green, blue", "a b,c", "f(a),g(b)", "\"a\",\"b\"", "1,2,3", "100, 200", "12,1000", "it's,the"]
        {
            assert!(check_places(sure).is_ok(), "{sure}");
        }
        for (joined, why) in [
            ("1,000, 2,000", "a space follows some"),
            ("1,000,2,000", "thousands"),
            ("f(a,b),g(c)", "brackets"),
            ("\"a,b\",c", "quotes"),
            ("a,b;c", "parts it, too"),
        ] {
            let Err(Rejection::Bad(reason)) = check_places(joined) else { panic!("{joined}") };
            assert!(reason.contains(why) && reason.contains("`choices.form = \"list\"`"), "{reason}");
        }
    }

    #[test]
    fn other_choices_than_the_answer_must_not_look_cut() {
        let check = |joined: &str, answer: &str| check_rest(joined, &split(joined, answer), answer);
        for (joined, answer) in [
            ("4,5,6", "5"),
            ("1,000,7", "1,000"),
            ("100, 200, 300", "300"),
            ("100,20,300", "20"),
            ("go up, then left,stop", "stop"),
            ("(1, 2),(3, 4)", "(3, 4)"),
            ("a) red,b) green", "b) green"),
            ("6\",8\",10\"", "8\""),
            ("6:00 A.M.,6:00 P.M.", "6:00 P.M."),
            ("a,a,b,c", "a,b"),
            ("about 90,about 40", "about 40"),
        ] {
            assert!(check(joined, answer).is_ok(), "{joined}");
        }
        for (joined, answer, why) in [
            ("1,000,2,000", "1,000", "thousands"),
            ("1,000,2,000", "2,000", "thousands"),
            ("1,000, 2,000", "2,000", "thousands"),
            ("$1,000,$2,000", "$1,000", "thousands"),
            ("1,500,2,600,3", "3", "thousands"),
            ("a, b,1,000", "a, b", "thousands"),
            ("(1, 2), (3, 4)", "(1, 2)", "brackets"),
            ("f(a,x,b),c", "x", "brackets"),
            ("\"red, dark\", green", "green", "quotes"),
        ] {
            let Err(Rejection::Bad(reason)) = check(joined, answer) else { panic!("{joined}") };
            assert!(reason.contains(why) && reason.contains("`choices.form = \"list\"`"), "{reason}");
        }
    }

    #[test]
    fn many_pieces_split_in_no_time() {
        let joined = vec!["a"; 1_000_000].join(",");
        let answer = format!("{},b", vec!["a"; 500_000].join(","));
        assert_eq!(split(&joined, &answer).len(), 1_000_000);
    }
}
