//! One row's cells become an example, or a reason why not.

use schema::card::{AnswerForm, Card};

use super::columns::Cells;
use super::examples::Answer;
use super::{choices, image, people};

/// Why a row gives no example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rejection {
    /// It cannot be read; the card says what happens then.
    Bad(String),
    /// The card leaves such rows out.
    Skip(String),
}

impl Rejection {
    /// A row that cannot be read.
    pub(super) fn bad(reason: impl Into<String>) -> Self {
        Self::Bad(reason.into())
    }
}

/// What a row holds, checked; its pictures still where the reader has them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row<'a> {
    pub id: Option<String>,
    pub question: String,
    pub hint: String,
    pub choices: Vec<String>,
    pub answer: Answer,
    pub images: Vec<&'a [u8]>,
    /// The name of its picture in files of their own.
    pub picture: Option<String>,
    pub tags: Vec<String>,
}

impl<'a> Row<'a> {
    /// Checks a row and resolves its choices and answer.
    pub(super) fn read(cells: Cells<'a>, card: &Card) -> Result<Self, Rejection> {
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
        let choice_images: Vec<bool> = cells.images.iter().skip(1).map(Option::is_some).collect();
        let (choices, answer) = match card.answer {
            AnswerForm::People => (Vec::new(), people::answer(&cells.people)?),
            _ => choices::read(card, &cells.choices, cells.answer, &choice_images)?,
        };
        if card.pictures.is_some() && cells.picture.is_none() {
            return Err(Rejection::bad("the picture's name is null"));
        }
        for (encoded, column) in cells.images.iter().zip(&card.columns.images) {
            if let Some(encoded) = encoded {
                image::check(encoded, card.max_image_pixels)
                    .map_err(|reason| Rejection::bad(format!("column `{column}`: {reason}")))?;
            }
        }
        Ok(Self {
            id: cells.id,
            question: question.into(),
            hint: cells.hint.trim().into(),
            choices,
            answer,
            images: cells.images.into_iter().flatten().collect(),
            picture: cells.picture,
            tags: cells.tags,
        })
    }

    /// What sending the row as it is would cost: pictures and text, in bytes.
    pub(super) fn raw_bytes(&self) -> u64 {
        let pictures: usize = self.images.iter().map(|encoded| encoded.len()).sum();
        let choices: usize = self.choices.iter().map(String::len).sum();
        let answer = match &self.answer {
            Answer::Choice(_) => 1,
            Answer::Text(text) | Answer::People { gold: text, .. } => text.len(),
        };
        (pictures + self.question.len() + self.hint.len() + choices + answer) as u64
    }
}
