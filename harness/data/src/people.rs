//! What several people answered to one question, or several right answers to it.

use std::collections::BTreeMap;

use super::error::brief;
use super::example::{Answer, Rejection};
use super::list_text::list;

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
            list(text).ok_or_else(|| Rejection::bad(format!("the answers `{}` are no list of quoted texts", brief(text))))?
        }
    };
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    all.iter().for_each(|answer| *counts.entry(answer).or_default() += 1);
    let most = counts.values().copied().max().unwrap_or(0);
    let gold = all.iter().find(|answer| counts[answer.as_str()] == most && !answer.trim().is_empty());
    let gold = gold.cloned().ok_or_else(|| Rejection::bad("there are no answers"))?;
    Ok(Answer::People { gold, all })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_answer_is_gold() {
        let said = PeopleCell::List(vec![Some("no"), Some("yes"), Some("maybe"), Some("yes"), None]);
        let Ok(Answer::People { gold, all }) = answer(&said) else { panic!("people's answers") };
        assert_eq!((gold.as_str(), all.len()), ("yes", 4));
        assert!(answer(&PeopleCell::List(vec![])).is_err() && answer(&PeopleCell::Missing).is_err());
    }
}
