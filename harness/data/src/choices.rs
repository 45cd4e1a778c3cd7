//! From the cells of the choices and the answer to options and the right one.

use std::collections::{BTreeMap, BTreeSet};

use schema::card::{AnswerForm, Card, ChoiceForm, MissingChoices, Scoring, Target};

use super::columns::{AnswerCell, ChoiceCell};
use super::error::{brief, listed};
use super::example::{Answer, Rejection};
use super::joined::{SEPARATORS, check_places, check_rest, split};
use super::list_text;

/// Choices of a row, at most: published sets of answers have up to ten thousand.
pub(super) const MAX_CHOICES: usize = 10_000;
/// Characters of all choices of a row together.
const MAX_CHARACTERS: usize = 1_000_000;

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
    let shown = options(card, cell, &written, choice_images)?;
    let answer = match card.answer {
        AnswerForm::Text | AnswerForm::People | AnswerForm::AnyOf | AnswerForm::Box => {
            return free_text(answer).map(|(_, answer)| (shown, answer));
        }
        AnswerForm::Index => by_index(answer, &written, 0)?,
        AnswerForm::IndexFromOne => by_index(answer, &written, 1)?,
        AnswerForm::Letter => match cell {
            ChoiceCell::Labelled(_, labels) => by_label(answer, labels)?,
            _ => by_letter(answer, shown.len())?,
        },
        AnswerForm::OptionText => by_text(answer, &written)?,
    };
    Ok((shown, Answer::Choice(answer)))
}

/// The options as a prompt shows them, checked.
fn options(card: &Card, cell: &ChoiceCell<'_>, written: &[String], choice_images: &[bool]) -> Result<Vec<String>, Rejection> {
    check_size(written)?;
    check_several(card, cell, written)?;
    let shown = written.iter().map(|option| shown(card, option, choice_images)).collect::<Result<Vec<_>, _>>()?;
    check_distinct(written)?;
    check_distinct(&shown)?;
    // A closed set is looked at once, with the card.
    if card.choices.form != ChoiceForm::ClosedSet && !matches!(card.answer, AnswerForm::Text | AnswerForm::People) {
        check_apart(card, &shown).map_err(Rejection::bad)?;
    }
    Ok(shown)
}

/// The options, and which of them are right: those whose texts a list names. Without options, the list itself.
pub(super) fn any_of(
    card: &Card,
    cell: &ChoiceCell<'_>,
    named: Answer,
    choice_images: &[bool],
) -> Result<(Vec<String>, Answer), Rejection> {
    let Answer::People { gold, all } = &named else { return Err(Rejection::bad("the answers are no list")) };
    let Some(written) = written(card, cell, AnswerCell::Text(gold))? else { return Ok((Vec::new(), named)) };
    let shown = options(card, cell, &written, choice_images)?;
    let place = |text: &str| by_text(AnswerCell::Text(text), &written);
    let gold = place(gold)?;
    let places = all.iter().filter(|text| !text.trim().is_empty()).map(|text| place(text));
    let places: BTreeSet<usize> = places.collect::<Result<_, _>>()?;
    if places.len() == shown.len() {
        return Err(Rejection::bad(format!("all {} choices are right, so no answer could be wrong", shown.len())));
    }
    Ok((shown, Answer::AnyOf { gold, all: places.into_iter().collect() }))
}

/// The options as the file has them; none where the row is answered in free text.
fn written(card: &Card, cell: &ChoiceCell<'_>, answer: AnswerCell<'_>) -> Result<Option<Vec<String>>, Rejection> {
    match (card.choices.form, cell) {
        (ChoiceForm::None, _) => Ok(None),
        (ChoiceForm::ClosedSet, _) => Ok(Some(card.choices.values.clone())),
        (form, ChoiceCell::Text(text)) => {
            let plain = || list_text::numbers(text).filter(|_| form == ChoiceForm::List);
            if let Some(options) = list_text::sequence(text).or_else(plain) {
                return match options.len() {
                    0 => missing(card),
                    _ => Ok(Some(options.iter().map(|option| option.trim().to_string()).collect())),
                };
            }
            let looks = list_text::meant(text);
            if form == ChoiceForm::List || looks.is_some() {
                let looks = looks.map(|what| format!(" (they look like {what})")).unwrap_or_default();
                return Err(Rejection::bad(format!("the choices `{}` are no list of quoted texts{looks}", brief(text))));
            }
            if text.matches(',').count() >= MAX_CHOICES {
                return Err(too_many(text.matches(',').count() + 1));
            }
            if matches!(card.answer, AnswerForm::Index | AnswerForm::IndexFromOne | AnswerForm::Letter) {
                check_places(text)?;
            }
            let answer = answer_text(answer).unwrap_or_default();
            let options = split(text, &answer);
            check_rest(text, &options, &answer)?;
            Ok(Some(options))
        }
        (_, ChoiceCell::Labelled(options, labels)) if options.len() != labels.len() => {
            Err(Rejection::bad(format!("there are {} choices and {} labels", options.len(), labels.len())))
        }
        (_, ChoiceCell::List(options) | ChoiceCell::Labelled(options, _)) => {
            let all: Option<Vec<String>> = options.iter().map(|option| option.map(|text| text.trim().to_string())).collect();
            all.map(Some).ok_or_else(|| Rejection::bad("a choice is null"))
        }
        (_, ChoiceCell::Missing) => missing(card),
    }
}

/// What a row without choices means.
fn missing(card: &Card) -> Result<Option<Vec<String>>, Rejection> {
    match card.choices.missing {
        MissingChoices::Error => {
            Err(Rejection::bad("no choices; `choices.missing = \"skip\"` or `\"generation\"` in the card allows such rows"))
        }
        MissingChoices::Skip => Err(Rejection::Skip("no choices (`choices.missing = \"skip\"`)".into())),
        MissingChoices::Generation => Ok(None),
    }
}

/// Where a choice is to be picked, there are two at least: the only one would always be right.
fn check_several(card: &Card, cell: &ChoiceCell<'_>, written: &[String]) -> Result<(), Rejection> {
    if written.len() > 1 || matches!(card.answer, AnswerForm::Text | AnswerForm::People | AnswerForm::Box) {
        return Ok(());
    }
    let only = written.first().map(String::as_str).unwrap_or_default();
    let parted = SEPARATORS.iter().find(|(separator, _)| only.contains(*separator));
    let why = match (cell, parted) {
        (ChoiceCell::Text(_), Some((_, name))) => {
            format!(" (with {name} in it; `choices.form = \"comma\"` splits at commas alone)")
        }
        _ => String::new(),
    };
    Err(Rejection::bad(format!(
        "there is one choice, `{}`, which would always be right{why}; at least two are needed",
        brief(only)
    )))
}

/// Where a text is generated, choices are told apart by [`super::normalize`]d texts. The error is a reason.
pub(super) fn check_apart(card: &Card, options: &[String]) -> Result<(), String> {
    if card.scoring != Scoring::Generation || card.prompts.values().all(|prompt| prompt.target == Target::Letter) {
        return Ok(());
    }
    let mut seen: BTreeMap<String, &String> = BTreeMap::new();
    for option in options {
        let normal = super::normalize(option);
        if normal.is_empty() {
            return Err(format!(
                "the choice `{}` cannot be told from no answer at all (`scoring = \"generation\"`)",
                brief(option)
            ));
        }
        if let Some(other) = seen.insert(normal, option) {
            return Err(format!(
                "the choices `{}` and `{}` are the same answer (`scoring = \"generation\"` compares without case, spaces and the \
                 period at the end)",
                brief(other),
                brief(option)
            ));
        }
    }
    Ok(())
}

fn free_text(answer: AnswerCell<'_>) -> Result<(Vec<String>, Answer), Rejection> {
    let text = answer_text(answer).filter(|text| !text.is_empty()).ok_or_else(|| Rejection::bad("the answer is empty"))?;
    if list_text::sequence(&text).is_some_and(|texts| !texts.is_empty()) {
        return Err(Rejection::bad(format!(
            "the answer `{}` is a list written as text; write the answer alone (several people's: `answer = \"people\"` in the card)",
            brief(&text)
        )));
    }
    Ok((Vec::new(), Answer::Text(text)))
}

fn answer_text(answer: AnswerCell<'_>) -> Option<String> {
    match answer {
        AnswerCell::Missing => None,
        AnswerCell::Integer(number) => Some(number.to_string()),
        AnswerCell::Flag(flag) => Some(flag.to_string()),
        AnswerCell::Text(text) => Some(text.trim().to_string()),
    }
}

/// The place of an answer that counts the choices from `first`.
fn by_index(answer: AnswerCell<'_>, written: &[String], first: i64) -> Result<usize, Rejection> {
    let count = written.len();
    if let AnswerCell::Flag(flag) = answer {
        return match count {
            2 if means(&written[0], true) || means(&written[1], false) => Err(Rejection::bad(format!(
                "the answer is {flag} (a boolean), which as an index is choice {}, but the choices are `{}`, `{}`: `answer = \"option-text\"` \
                 in the card takes the one that says so",
                usize::from(flag),
                brief(&written[0]),
                brief(&written[1])
            ))),
            2 => Ok(usize::from(flag)),
            _ => Err(Rejection::bad(format!("the answer is {flag}, which says one of two choices, but there are {count}"))),
        };
    }
    let text = answer_text(answer).ok_or_else(|| Rejection::bad("the answer is null"))?;
    let index: i64 = text.parse().map_err(|_| {
        let letter = if letter(&text).is_some() { "`answer = \"letter\"` in the card reads letters, " } else { "" };
        let shown = brief(&text);
        Rejection::bad(format!("the answer `{shown}` is not an index ({letter}`answer = \"option-text\"` texts)"))
    })?;
    let last = count as i64 - 1 + first;
    match index.checked_sub(first).and_then(|place| usize::try_from(place).ok()).filter(|place| *place < count) {
        Some(place) => Ok(place),
        None if first == 0 && index == count as i64 => Err(Rejection::Beyond(format!(
            "the answer is choice {index}, but the {count} choices are 0 to {last} (`answer = \"index-from-one\"` in the card \
             counts them from one)"
        ))),
        None if first == 1 && index == 0 => Err(Rejection::Beyond(format!(
            "the answer is choice 0, but the {count} choices are 1 to {last} (`answer = \"index\"` in the card counts them from zero)"
        ))),
        None => Err(Rejection::bad(format!("the answer is choice {index}, but the {count} choices are {first} to {last}"))),
    }
}

/// Whether a choice says yes (or no, without `flag`) by its first word.
fn means(option: &str, flag: bool) -> bool {
    let words: &[&str] = if flag { &["true", "yes", "y", "t", "correct"] } else { &["false", "no", "n", "f", "incorrect"] };
    let first = option.trim().split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    words.iter().any(|word| first.eq_ignore_ascii_case(word))
}

/// 0 of `A`, `a`, `(A)`, `A.` and `A)`; none of what is no letter.
fn letter(text: &str) -> Option<usize> {
    let text = text.trim();
    let bare = text.strip_prefix('(').map_or_else(|| text.trim_end_matches(['.', ')']), |inside| inside.trim_end_matches(')'));
    match bare.as_bytes() {
        [letter @ (b'A'..=b'Z' | b'a'..=b'z')] if text.len() <= 3 => Some(usize::from(letter.to_ascii_uppercase() - b'A')),
        _ => None,
    }
}

fn by_letter(answer: AnswerCell<'_>, count: usize) -> Result<usize, Rejection> {
    let text = answer_text(answer).ok_or_else(|| Rejection::bad("the answer is null"))?;
    let shown = brief(&text);
    let place = letter(&text).ok_or_else(|| {
        let led = text.split_once(['.', ')', ':', ' ']).is_some_and(|(first, _)| letter(first).is_some());
        let alone = if led { "; a letter stands alone, without the choice's text" } else { "" };
        Rejection::bad(format!(
            "the answer `{shown}` is no letter (`answer = \"index\"` in the card reads numbers, `answer = \"option-text\"` \
             texts{alone})"
        ))
    })?;
    let last = super::letter(count.saturating_sub(1));
    let beyond = || Rejection::bad(format!("the answer is choice `{shown}`, but the {count} choices are A to {last}"));
    Some(place).filter(|place| *place < count).ok_or_else(beyond)
}

/// The choice whose label the answer is: a letter, a number, or whatever the file calls it.
fn by_label(answer: AnswerCell<'_>, labels: &[Option<&str>]) -> Result<usize, Rejection> {
    let text = answer_text(answer).ok_or_else(|| Rejection::bad("the answer is null"))?;
    let called = || labels.iter().map(|label| label.unwrap_or_default().trim());
    let mut places = called().enumerate().filter(|(_, label)| *label == text).map(|(place, _)| place);
    match (places.next(), places.next()) {
        (Some(place), None) => Ok(place),
        (Some(_), Some(_)) => Err(Rejection::bad(format!("two choices have the label `{}`, which is the answer", brief(&text)))),
        _ => Err(Rejection::bad(format!(
            "the answer `{}` is none of the choices' labels; nearest first, there are: {}",
            brief(&text),
            listed(&text, called())
        ))),
    }
}

fn by_text(answer: AnswerCell<'_>, written: &[String]) -> Result<usize, Rejection> {
    if let AnswerCell::Flag(flag) = answer {
        return by_flag(flag, written);
    }
    let text = answer_text(answer).ok_or_else(|| Rejection::bad("the answer is null"))?;
    written.iter().position(|option| option.trim() == text).ok_or_else(|| {
        let options = listed(&text, written.iter().map(String::as_str));
        let way = if letter(&text).is_some() { " (`answer = \"letter\"` in the card reads letters)" } else { "" };
        Rejection::bad(format!("the answer `{}` is not among the choices; nearest first: {options}{way}", brief(&text)))
    })
}

/// The choice that says what a boolean says.
fn by_flag(flag: bool, written: &[String]) -> Result<usize, Rejection> {
    let words = if flag { ["true", "yes"] } else { ["false", "no"] };
    let says = |option: &String| words.iter().any(|word| option.trim().eq_ignore_ascii_case(word));
    let mut found = written.iter().enumerate().filter(|(_, option)| says(option)).map(|(place, _)| place);
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only),
        _ => {
            let [one, other] = words;
            Err(Rejection::bad(format!(
                "the answer is {flag} (a boolean), so one of the choices must be `{one}` or `{other}`; there are: {}",
                listed(one, written.iter().map(String::as_str))
            )))
        }
    }
}

fn check_size(options: &[String]) -> Result<(), Rejection> {
    if options.len() > MAX_CHOICES {
        return Err(too_many(options.len()));
    }
    let characters: usize = options.iter().map(|option| option.chars().count()).sum();
    if characters > MAX_CHARACTERS {
        return Err(Rejection::bad(format!("the choices have {characters} characters; the limit is {MAX_CHARACTERS}")));
    }
    Ok(())
}

fn too_many(count: usize) -> Rejection {
    Rejection::bad(format!("there are {count} choices; the limit is {MAX_CHOICES}"))
}

fn check_distinct(options: &[String]) -> Result<(), Rejection> {
    let mut seen = BTreeSet::new();
    for option in options {
        if option.is_empty() {
            return Err(Rejection::bad("a choice is empty"));
        }
        if !seen.insert(option) {
            return Err(Rejection::bad(format!("the choice `{}` is there twice", brief(option))));
        }
    }
    Ok(())
}

/// An option as a prompt shows it: `choice_1.png` is called by the card's name for the second picture, which must be there.
fn shown(card: &Card, option: &str, choice_images: &[bool]) -> Result<String, Rejection> {
    let Some(number) = picture_number(option) else {
        if !card.choices.image_options.is_empty() && is_picture(option) {
            return Err(Rejection::bad(format!(
                "option `{}` is the name of a picture; those that `choices.image_options` calls are `choice_0.png`, `choice_1.png` and so on",
                brief(option)
            )));
        }
        return Ok(option.to_string());
    };
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

/// How names of pictures end.
const PICTURES: [&str; 9] = ["png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "svg"];

fn is_picture(option: &str) -> bool {
    option
        .rsplit_once('.')
        .is_some_and(|(name, end)| !name.is_empty() && PICTURES.iter().any(|known| end.eq_ignore_ascii_case(known)))
}

/// N of `choice_N.png`, of other pictures' names and in folders, too.
fn picture_number(option: &str) -> Option<usize> {
    let name = option.rsplit(['/', '\\']).next().filter(|name| is_picture(name))?;
    name.rsplit_once('.')?.0.strip_prefix("choice_")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_in_their_spellings() {
        for (text, place) in [("A", 0), ("d", 3), ("(B)", 1), ("C.", 2), ("z)", 25), (" a ", 0)] {
            assert_eq!(letter(text), Some(place), "{text}");
        }
        for text in ["", "AB", "1", "A...", "((A))", "\u{e9}", ".", "A. yes"] {
            assert_eq!(letter(text), None, "{text}");
        }
    }

    #[test]
    fn picture_options_are_numbered() {
        for name in ["choice_12.png", "choice_12.jpg", "img/choice_12.PNG", "a\\choice_12.webp"] {
            assert_eq!(picture_number(name), Some(12), "{name}");
        }
        assert!(is_picture("a b.jpeg") && !is_picture(".png") && !is_picture("3.5") && !is_picture("choice_1"));
        assert_eq!(picture_number("choice_x.png"), None);
        assert_eq!(picture_number("a choice"), None);
    }
}
