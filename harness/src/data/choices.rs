//! From the cells of the choices and the answer to options and the right one.

use std::collections::BTreeSet;

use schema::card::{AnswerForm, Card, ChoiceForm, MissingChoices};

use super::columns::{AnswerCell, ChoiceCell};
use super::error::listed;
use super::examples::Answer;
use super::row::Rejection;

/// The options as a prompt shows them, and the answer.
///
/// `choice_images` says for every choice image column whether the row has a picture there.
pub(super) fn read(
    card: &Card,
    cell: &ChoiceCell<'_>,
    answer: AnswerCell<'_>,
    choice_images: &[bool],
) -> Result<(Vec<String>, Answer), Rejection> {
    let Some(written) = written(card, cell, answer)? else { return free_text(answer) };
    let shown = written.iter().map(|option| shown(card, option, choice_images)).collect::<Result<Vec<_>, _>>()?;
    check_distinct(&written)?;
    check_distinct(&shown)?;
    let answer = match card.answer {
        AnswerForm::Text | AnswerForm::People => return free_text(answer).map(|(_, answer)| (shown, answer)),
        AnswerForm::Index => by_index(answer, shown.len())?,
        AnswerForm::OptionText => by_text(answer, &written)?,
    };
    Ok((shown, Answer::Choice(answer)))
}

/// The options as the file has them; none where the row is answered in free text.
fn written(card: &Card, cell: &ChoiceCell<'_>, answer: AnswerCell<'_>) -> Result<Option<Vec<String>>, Rejection> {
    match (card.choices.form, cell) {
        (ChoiceForm::None, _) => Ok(None),
        (ChoiceForm::ClosedSet, _) => Ok(Some(card.choices.values.clone())),
        (_, ChoiceCell::Text(joined)) => Ok(Some(split(joined, &answer_text(answer).unwrap_or_default()))),
        (_, ChoiceCell::List(options)) => {
            let all: Option<Vec<String>> = options.iter().map(|option| option.map(|text| text.trim().to_string())).collect();
            all.map(Some).ok_or_else(|| Rejection::bad("a choice is null"))
        }
        (_, ChoiceCell::Missing) => match card.choices.missing {
            MissingChoices::Error => {
                Err(Rejection::bad("no choices; `choices.missing = \"skip\"` or `\"generation\"` in the card allows such rows"))
            }
            MissingChoices::Skip => Err(Rejection::Skip("no choices (`choices.missing = \"skip\"`)".into())),
            MissingChoices::Generation => Ok(None),
        },
    }
}

fn free_text(answer: AnswerCell<'_>) -> Result<(Vec<String>, Answer), Rejection> {
    let text = answer_text(answer).filter(|text| !text.is_empty()).ok_or_else(|| Rejection::bad("the answer is empty"))?;
    Ok((Vec::new(), Answer::Text(text)))
}

fn answer_text(answer: AnswerCell<'_>) -> Option<String> {
    match answer {
        AnswerCell::Missing => None,
        AnswerCell::Integer(number) => Some(number.to_string()),
        AnswerCell::Text(text) => Some(text.trim().to_string()),
    }
}

fn by_index(answer: AnswerCell<'_>, count: usize) -> Result<usize, Rejection> {
    let text = answer_text(answer).ok_or_else(|| Rejection::bad("the answer is null"))?;
    let index: i64 = text
        .parse()
        .map_err(|_| Rejection::bad(format!("the answer `{text}` is not an index (`answer = \"option-text\"` reads texts)")))?;
    usize::try_from(index)
        .ok()
        .filter(|index| *index < count)
        .ok_or_else(|| Rejection::bad(format!("the answer is choice {index}, but the {count} choices are 0 to {}", count - 1)))
}

fn by_text(answer: AnswerCell<'_>, written: &[String]) -> Result<usize, Rejection> {
    let text = answer_text(answer).ok_or_else(|| Rejection::bad("the answer is null"))?;
    written.iter().position(|option| option.trim() == text).ok_or_else(|| {
        let options = listed(&text, written.iter().map(String::as_str));
        Rejection::bad(format!("the answer `{text}` is not among the choices; nearest first: {options}"))
    })
}

fn check_distinct(options: &[String]) -> Result<(), Rejection> {
    let mut seen = BTreeSet::new();
    for option in options {
        if option.is_empty() {
            return Err(Rejection::bad("a choice is empty"));
        }
        if !seen.insert(option) {
            return Err(Rejection::bad(format!("the choice `{option}` is there twice")));
        }
    }
    Ok(())
}

/// An option as a prompt shows it: `choice_1.png` is called by the card's name for the second picture, which must be there.
fn shown(card: &Card, option: &str, choice_images: &[bool]) -> Result<String, Rejection> {
    let Some(number) = picture_number(option) else { return Ok(option.to_string()) };
    let missing = |why: String| Rejection::bad(format!("the picture of option {number} is not in the file ({why})"));
    match choice_images.get(number) {
        None => return Err(missing(format!("{} choice image columns", choice_images.len()))),
        Some(false) => return Err(missing(format!("column `{}` is null", card.columns.images[number + 1]))),
        Some(true) => {}
    }
    let names = &card.choices.image_options;
    names.get(number).cloned().ok_or_else(|| {
        Rejection::bad(format!(
            "option {number} is a picture, but `choices.image_options` in the card names only {}",
            names.len()
        ))
    })
}

/// N of `choice_N.png`.
fn picture_number(option: &str) -> Option<usize> {
    option.strip_prefix("choice_")?.strip_suffix(".png")?.parse().ok()
}

/// Splits comma-joined options so that the answer is one of them, where it can be.
///
/// Where some commas are followed by a space and others are not, those without are the separators (lmms-lab/ICON-QA joins with a
/// bare comma). An answer that is not among the pieces is put together from adjacent ones.
fn split(joined: &str, answer: &str) -> Vec<String> {
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
    for start in 0..pieces.len() {
        for end in start + 2..=pieces.len() {
            let run = &pieces[start..end];
            if run.join(", ") == answer || run.join(",") == answer {
                let mut options = pieces[..start].to_vec();
                options.push(answer.to_string());
                options.extend_from_slice(&pieces[end..]);
                return Some(options);
            }
        }
    }
    None
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
        ] {
            assert_eq!(split(joined, answer), expect, "{joined}");
        }
    }

    #[test]
    fn picture_options_are_numbered() {
        assert_eq!(picture_number("choice_12.png"), Some(12));
        assert_eq!(picture_number("choice_x.png"), None);
        assert_eq!(picture_number("a choice"), None);
    }
}
