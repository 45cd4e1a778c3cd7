//! One row's cells become an example, or a reason why not.

use schema::card::{AnswerForm, Card};

use super::columns::Cells;
use super::example::{Answer, Rejection};
use super::picture_cell::{Beside, Found, MAX_PICTURES};
use super::{boxes, choices, decode, people};

/// Characters of a question, a hint or an answer, at most: more than any model reads.
const MAX_TEXT: usize = 200_000;
/// Characters of an id, a picture's name or a tag.
const MAX_NAME: usize = 4_096;

/// What a row holds, checked; its pictures still where the reader has them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row<'a> {
    pub id: Option<String>,
    pub question: String,
    pub hint: String,
    pub choices: Vec<String>,
    pub answer: Answer,
    /// Its pictures in order, each with its column.
    pub images: Vec<(&'a str, Found<'a>)>,
    /// The name of its picture in files of their own.
    pub picture: Option<String>,
    pub tags: Vec<String>,
}

impl<'a> Row<'a> {
    /// Checks a row, resolves its choices and answer, and finds its pictures.
    pub(super) fn read(cells: Cells<'a>, card: &'a Card, beside: &Beside<'_>) -> Result<Self, Rejection> {
        if cells.skip {
            return Err(Rejection::Skip(format!("column `{}` is true", card.columns.skip.as_deref().unwrap_or_default())));
        }
        let question = cells.question.trim();
        if question.is_empty() {
            return Err(Rejection::bad("the question is empty"));
        }
        if card.columns.id.is_some() && cells.id.as_deref().unwrap_or_default().is_empty() {
            return Err(Rejection::bad("the id is empty"));
        }
        cells_fit(&cells)?;
        let choice_images: Vec<bool> = cells.images.iter().skip(1).map(|cell| cell.len() > 0).collect();
        let (choices, answer) = match card.answer {
            AnswerForm::People => (Vec::new(), people::answer(&cells.people)?),
            AnswerForm::AnyOf => choices::any_of(card, &cells.choices, people::answer(&cells.people)?, &choice_images)?,
            AnswerForm::Box => (Vec::new(), boxed(&cells, card, beside)?),
            _ => choices::read(card, &cells.choices, cells.answer, &choice_images)?,
        };
        answer_fits(&answer)?;
        if card.pictures.is_some() && cells.picture.is_none() {
            return Err(Rejection::bad("the picture's name is null"));
        }
        let images = pictures(&cells, card, beside)?;
        Ok(Self {
            id: cells.id,
            question: question.into(),
            hint: cells.hint.trim().into(),
            choices,
            answer,
            images,
            picture: cells.picture,
            tags: cells.tags,
        })
    }

    /// What sending the row as it is would cost: pictures and text, in bytes.
    pub(super) fn raw_bytes(&self) -> u64 {
        let pictures: usize = self.images.iter().map(|(_, found)| found.bytes.len()).sum();
        (pictures + self.asked_bytes()) as u64
    }

    /// What its texts take in memory, about.
    pub(super) fn text_bytes(&self) -> usize {
        let tags: usize = self.tags.iter().map(|tag| tag.len() + 64).sum();
        let people = if let Answer::People { all, .. } = &self.answer { all.iter().map(|text| text.len() + 32).sum() } else { 0 };
        self.asked_bytes() + tags + people + 32 * self.choices.len()
    }

    fn asked_bytes(&self) -> usize {
        let choices: usize = self.choices.iter().map(String::len).sum();
        let answer = match &self.answer {
            Answer::Choice(_) | Answer::AnyOf { .. } => 1,
            Answer::Text(text) | Answer::People { gold: text, .. } | Answer::Box { text, .. } => text.len(),
        };
        self.question.len() + self.hint.len() + choices + answer
    }
}

fn cells_fit(cells: &Cells<'_>) -> Result<(), Rejection> {
    fits("the question", cells.question, MAX_TEXT)?;
    fits("the hint", cells.hint, MAX_TEXT)?;
    let names = [("the id", &cells.id), ("the picture's name", &cells.picture)];
    names.iter().try_for_each(|(what, name)| fits(what, name.as_deref().unwrap_or_default(), MAX_NAME))?;
    cells.tags.iter().try_for_each(|tag| fits("a tag", tag, MAX_NAME))
}

fn answer_fits(answer: &Answer) -> Result<(), Rejection> {
    match answer {
        Answer::Choice(_) | Answer::AnyOf { .. } | Answer::Box { .. } => Ok(()),
        Answer::Text(text) => fits("the answer", text, MAX_TEXT),
        Answer::People { all, .. } if all.len() > choices::MAX_CHOICES => {
            Err(Rejection::bad(format!("there are {} answers; the limit is {}", all.len(), choices::MAX_CHOICES)))
        }
        Answer::People { all, .. } => all.iter().try_for_each(|text| fits("an answer", text, MAX_NAME)),
    }
}

fn fits(what: &str, text: &str, most: usize) -> Result<(), Rejection> {
    // A character has a byte at least.
    let characters = if text.len() > most { text.chars().count() } else { 0 };
    match characters > most {
        true => Err(Rejection::bad(format!("{what} has {characters} characters; the limit is {most}"))),
        false => Ok(()),
    }
}

/// The right box, which may be counted in pixels of the row's first picture.
fn boxed(cells: &Cells<'_>, card: &Card, beside: &Beside<'_>) -> Result<Answer, Rejection> {
    let size = || {
        let cell = cells.images.first().ok_or("a box in pixels needs a picture in its row")?;
        let found = beside.pictures(cell)?;
        let first = found.first().ok_or("a box in pixels needs a picture in its row, which has none")?;
        decode::dimensions(&first.bytes)
    };
    boxes::answer(&cells.boxed, &card.boxes.unwrap_or_default(), size)
}

/// All columns' pictures in order.
fn pictures<'a>(cells: &Cells<'a>, card: &'a Card, beside: &Beside<'_>) -> Result<Vec<(&'a str, Found<'a>)>, Rejection> {
    let mut pictures = Vec::new();
    for (at, (cell, column)) in cells.images.iter().zip(&card.columns.images).enumerate() {
        let bad = |reason: String| Rejection::bad(format!("column `{column}`: {reason}"));
        if at > 0 && cell.len() > 1 && !card.choices.image_options.is_empty() {
            return Err(bad(format!("an option is one picture, and the list has {}", cell.len())));
        }
        let found = beside.pictures(cell).map_err(bad)?;
        pictures.extend(found.into_iter().map(|found| (column.as_str(), found)));
    }
    match pictures.len() {
        count if count > MAX_PICTURES => Err(Rejection::bad(format!("{count} pictures; a row may have {MAX_PICTURES}"))),
        _ => Ok(pictures),
    }
}
