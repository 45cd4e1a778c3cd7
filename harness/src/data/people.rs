//! What several people answered to one question.

use std::collections::BTreeMap;

use super::examples::Answer;
use super::row::Rejection;

/// The answers of a cell, as it holds them.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum PeopleCell<'a> {
    Missing,
    List(Vec<Option<&'a str>>),
    /// A list written as text: `['surf', "surfer's"]`.
    Text(&'a str),
}

/// All answers, and the most frequent one.
pub(super) fn answer(cell: &PeopleCell<'_>) -> Result<Answer, Rejection> {
    let all: Vec<String> = match cell {
        PeopleCell::Missing => return Err(Rejection::bad("the answers are null")),
        PeopleCell::List(answers) => answers.iter().flatten().map(ToString::to_string).collect(),
        PeopleCell::Text(text) => {
            parse(text).ok_or_else(|| Rejection::bad(format!("the answers `{text}` are no list of quoted texts")))?
        }
    };
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    all.iter().for_each(|answer| *counts.entry(answer).or_default() += 1);
    let most = counts.values().copied().max().unwrap_or(0);
    let gold = all.iter().find(|answer| counts[answer.as_str()] == most && !answer.trim().is_empty());
    let gold = gold.cloned().ok_or_else(|| Rejection::bad("there are no answers"))?;
    Ok(Answer::People { gold, all })
}

/// Reads a list of texts in single or double quotes, with backslashes before what they protect; none for anything else.
fn parse(text: &str) -> Option<Vec<String>> {
    let inside = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    let (mut answers, mut rest) = (Vec::new(), inside.trim());
    while !rest.is_empty() {
        let quote = rest.chars().next().filter(|c| ['\'', '"'].contains(c))?;
        let (answer, after) = quoted(&rest[1..], quote)?;
        answers.push(answer);
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if after.is_empty() => after,
            None => return None,
        };
    }
    Some(answers)
}

/// A text up to its closing quote, and what follows that.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut answer = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => answer.push(characters.next()?.1),
            end if end == quote => return Some((answer, &text[at + 1..])),
            other => answer.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_written_as_text() {
        assert_eq!(parse(r#"['surf', "it's", 'a, b', 'don\'t']"#).unwrap(), ["surf", "it's", "a, b", "don't"]);
        assert_eq!(parse("[]").unwrap(), Vec::<String>::new());
        for text in ["surf", "['a' 'b']", "['a", "[a]", "['a'] x"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_most_frequent_answer_is_gold() {
        let said = PeopleCell::List(vec![Some("no"), Some("yes"), Some("maybe"), Some("yes"), None]);
        let Ok(Answer::People { gold, all }) = answer(&said) else { panic!("people's answers") };
        assert_eq!((gold.as_str(), all.len()), ("yes", 4));
        assert!(answer(&PeopleCell::List(vec![])).is_err() && answer(&PeopleCell::Missing).is_err());
    }
}
