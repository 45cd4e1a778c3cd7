//! Do the parts of a card fit together? One whose parts do not would make every row a bad one.

use schema::card::{AnswerForm, Card, ChoiceForm, Scoring};
use schema::metrics::Score;
use schema::tag::{CONTEXT, GRADE, GRADE_BAND};

use super::error::{DataError, brief, listed};
use super::{choices, decode, prompt};

/// The first thing in which a card contradicts itself.
pub fn check(card: &Card) -> Result<(), DataError> {
    let all: [fn(&Card) -> Checked; 10] =
        [question, scoring, choices, values, prompts, metric, breakdowns, pictures, splits, tags];
    let wrong = |message| DataError::Card { dataset: card.name.clone(), message };
    all.iter().try_for_each(|check| check(card)).map_err(wrong)
}

/// One card over several datasets in one federation; refuses none, and one twice.
pub fn join_cards(cards: &[Card]) -> Result<Card, DataError> {
    let bad = |dataset: &str, message: String| Err(DataError::Card { dataset: dataset.into(), message });
    let Some(joined) = Card::joined(cards) else { return bad("", "there is none".into()) };
    for (i, card) in cards.iter().enumerate() {
        if cards[..i].iter().any(|before| before.name == card.name) {
            return bad(&card.name, "named twice; every dataset of a federation once".into());
        }
        if card.columns.tags.iter().any(|tag| tag == Card::DATASET) {
            let message =
                format!("`columns.tags` holds `{}`, by which the datasets of a federation are told apart", Card::DATASET);
            return bad(&card.name, message);
        }
    }
    Ok(joined)
}

type Checked = Result<(), String>;

/// A question of every row is one about its picture.
fn question(card: &Card) -> Checked {
    let pictures = !card.columns.images.is_empty() || card.pictures.is_some();
    Err(match (&card.question, &card.columns.question) {
        (Some(_), Some(column)) => format!(
            "`question` is asked of every row, so `columns.question` may not name `{}`; leave one of them out",
            brief(column)
        ),
        (None, None) => "`columns.question` names no column; without one, `question = \"...\"` is what every row is asked".into(),
        (Some(asked), None) if asked.trim().is_empty() => "`question` is empty".into(),
        (Some(_), None) if !pictures => {
            "`question` is asked of every row, and rows have no pictures (`columns.images`), so all would be the same".into()
        }
        _ => return Ok(()),
    })
}

/// Whether a model answers by class is the model's affair.
fn scoring(card: &Card) -> Checked {
    match card.scoring {
        Scoring::Class => Err("`scoring` is `class`, which a backbone that answers by class does by itself; expected \
                               `option-likelihood` or `generation`"
            .into()),
        Scoring::OptionLikelihood | Scoring::Generation => Ok(()),
    }
}

fn choices(card: &Card) -> Checked {
    let (form, values) = (card.choices.form, card.choices.values.len());
    if let Some(split) = &card.choices.labels_of {
        return labels_of(card, split);
    }
    Err(match (form, &card.columns.choices) {
        (ChoiceForm::List | ChoiceForm::Comma, None) => {
            "`choices.form` is `list` or `comma`, but `columns.choices` names no column".into()
        }
        (ChoiceForm::ClosedSet, _) if values > choices::MAX_CHOICES => {
            format!("`choices.values` has {values} answers; the limit is {}", choices::MAX_CHOICES)
        }
        (ChoiceForm::ClosedSet, _) if values == 0 => "`choices.form` is `closed-set`, but `choices.values` is empty".into(),
        (ChoiceForm::ClosedSet, _) if values == 1 => {
            "`choices.values` has one answer, which would always be right; at least two are needed".into()
        }
        (ChoiceForm::ClosedSet | ChoiceForm::None, Some(column)) => format!(
            "`columns.choices` names `{}`, which `choices.form` ignores; leave it out, or take `list` or `comma`",
            brief(column)
        ),
        (ChoiceForm::None, _)
            if !matches!(card.answer, AnswerForm::Text | AnswerForm::People | AnswerForm::AnyOf | AnswerForm::Box) =>
        {
            "`choices.form` is `none`, so `answer` must be `text`, `any-of`, `people` or `box`".into()
        }
        (form, _) if card.answer == AnswerForm::Box && form != ChoiceForm::None => {
            "`answer` is `box`, so `choices.form` must be `none`".into()
        }
        _ if card.answer != AnswerForm::Box && card.boxes.is_some() => {
            "a section `boxes` says how boxes are written, and `answer` is not `box`; leave it out".into()
        }
        (form, _) if card.answer == AnswerForm::People && form != ChoiceForm::None => {
            "`answer` is `people`, so `choices.form` must be `none`; a list of choices that are right is `answer = \"any-of\"`"
                .into()
        }
        _ => return Ok(()),
    })
}

/// Labels that are those of a split.
fn labels_of(card: &Card, split: &str) -> Checked {
    let names = || listed(split, card.splits.keys().map(String::as_str));
    Err(match card.choices.form {
        ChoiceForm::ClosedSet if !card.choices.values.is_empty() => {
            "`choices.labels_of` takes the labels of a split, and `choices.values` lists them; leave one of them out".into()
        }
        ChoiceForm::ClosedSet if card.answer != AnswerForm::OptionText => {
            "`choices.labels_of` takes the labels from the answers' texts, so `answer` must be `option-text`".into()
        }
        ChoiceForm::ClosedSet if card.columns.choices.is_some() => {
            "`choices.form` is `closed-set`, so `columns.choices` must name no column".into()
        }
        ChoiceForm::ClosedSet if !card.splits.contains_key(split) => {
            format!("`choices.labels_of` names the split `{}`; nearest first, there are: {}", brief(split), names())
        }
        ChoiceForm::ClosedSet => return Ok(()),
        _ => "`choices.labels_of` goes with `choices.form = \"closed-set\"` alone".into(),
    })
}

/// The answers of a closed set.
fn values(card: &Card) -> Checked {
    if card.choices.form != ChoiceForm::ClosedSet {
        return Ok(());
    }
    if let Some(value) = card.choices.values.iter().find(|value| value.trim() != value.as_str()) {
        return Err(format!("`choices.values` holds `{}` with spaces around it; leave them out", brief(value)));
    }
    choices::check_apart(card, &card.choices.values).map_err(|reason| format!("`choices.values`: {reason}"))
}

fn prompts(card: &Card) -> Checked {
    let named = |name: &str, reason: String| format!("prompt `{}`: {reason}", brief(name));
    card.prompts.iter().try_for_each(|(name, prompt)| prompt::check(prompt).map_err(|reason| named(name, reason)))
}

/// Of a card that names its task, whoever knows that says whether it has the metric.
fn metric(card: &Card) -> Checked {
    if card.task.is_some() {
        return Ok(());
    }
    let Some(score) = Score::parse(&card.metric) else {
        let known = listed(&card.metric, Score::ALL.iter().map(Score::name));
        return Err(format!("unknown metric `{}`; nearest first, there are: {known}", card.metric));
    };
    match score.is_of_people().is_none_or(|of_people| of_people == (card.answer == AnswerForm::People)) {
        true => Ok(()),
        false => Err(format!("metric `{}` and `answer` do not go together: only people's answers have soft scores", card.metric)),
    }
}

fn breakdowns(card: &Card) -> Checked {
    let has = |tag: &str| card.columns.tags.iter().any(|other| other == tag);
    let unknown = |tag: &&String| match tag.as_str() {
        CONTEXT | "answer" => false,
        GRADE_BAND => !has(GRADE),
        tag => !has(tag),
    };
    if let Some(tag) = card.breakdowns.iter().find(unknown) {
        return Err(format!(
            "`breakdowns` holds `{tag}`, which is neither `{CONTEXT}` nor among `columns.tags` (`{GRADE_BAND}` needs a tag `{GRADE}`)"
        ));
    }
    let both = |tag: &&str| has(tag) && card.breakdowns.iter().any(|other| other == tag);
    [CONTEXT, GRADE_BAND].iter().find(|tag| both(tag)).map_or(Ok(()), |tag| {
        Err(format!("`breakdowns` holds `{tag}`, which is worked out and not the column `{tag}` of `columns.tags`; rename that"))
    })
}

fn pictures(card: &Card) -> Checked {
    if card.max_image_pixels > decode::MAX_IMAGE_PIXELS {
        let (asked, most) = (card.max_image_pixels, decode::MAX_IMAGE_PIXELS);
        return Err(format!("`max_image_pixels` is {asked}; at most {most} are read"));
    }
    match card.pictures.is_some() && !card.columns.images.is_empty() {
        true => Err("a section `pictures` says where the pictures are, so `columns.images` must be empty".into()),
        false => Ok(()),
    }
}

fn splits(card: &Card) -> Checked {
    let folds = card.splits.iter().filter_map(|(name, split)| Some((name, split.fold.as_ref()?)));
    let mut wrong = folds.filter(|(_, fold)| fold.keep.is_empty() || fold.keep.iter().any(|&kept| kept >= fold.of));
    match wrong.next() {
        Some((name, _)) => Err(format!("`fold` of split `{name}`: `keep` names folds from 0 to `of` - 1, at least one")),
        None => Ok(()),
    }
}

fn tags(card: &Card) -> Checked {
    match card.columns.tags.iter().any(|tag| tag == "answer") {
        true => Err("`columns.tags` holds `answer`, which always names the right answer's text; leave it out".into()),
        false => Ok(()),
    }
}
