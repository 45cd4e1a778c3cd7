//! What the classes of a backbone's head stand for: answers of training rows.
//!
//! A client's classes are the answers of its own training rows, the most frequent first (among equals by the alphabet), as many as
//! `adapter.classes` says. Where the head is shared, or data are pooled, they are those of all training rows together. A training row
//! whose answer is none of them is not trained on; a test row's is judged like all others, and cannot be right.
//!
//! Training descends the cross entropy of the right class; of several people's answers, the binary cross entropy of every class, summed,
//! with what the class's answer would be worth to them for its target (ViLT's: 0, 0.3, 0.6, 0.9 or 1).

use std::collections::BTreeMap;
use std::sync::Arc;

use data::{Answer, Example};
use models::adapter::AdapterSpec;

use crate::table::{Tasks, measure};
use crate::task::{Gold, Reading};
use crate::{Error, Result};

/// The answers that one head's classes stand for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Classes {
    answers: Vec<String>,
    places: BTreeMap<String, usize>,
}

/// Whose classes are which.
#[derive(Debug, Clone)]
pub struct Heads {
    /// Of each client; with a shared head, of everybody.
    lists: Vec<Arc<Classes>>,
    is_private: bool,
}

/// What a training row's right class is.
#[derive(Debug, Clone, PartialEq)]
pub struct Right {
    /// The class; of several people's answers, the one that is worth most to them.
    pub class: usize,
    /// What each class is worth, where several people answered.
    pub soft: Option<Vec<f32>>,
}

impl Classes {
    /// The most frequent answers of some rows, at most so many.
    fn of<'e>(rows: impl Iterator<Item = &'e Example>, most: usize) -> Self {
        let mut counts = BTreeMap::<&str, usize>::new();
        rows.for_each(|row| *counts.entry(row.answer_text()).or_default() += 1);
        let mut by_count: Vec<(&str, usize)> = counts.into_iter().collect();
        by_count.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let answers: Vec<String> = by_count.into_iter().take(most).map(|(answer, _)| answer.to_owned()).collect();
        let places = answers.iter().cloned().enumerate().map(|(place, answer)| (answer, place)).collect();
        Self { answers, places }
    }

    /// The answers, class by class.
    pub fn answers(&self) -> &[String] {
        &self.answers
    }

    /// The right class of a row; none where no class is right.
    pub fn right(&self, row: &Example, tasks: &Tasks, width: usize) -> Result<Option<Right>> {
        let Answer::People { all, .. } = &row.answer else {
            return Ok(self.places.get(row.answer_text()).map(|&class| Right { class, soft: None }));
        };
        let task = tasks.of(&row.card)?;
        let worth = measure(task, &row.card)?;
        let gold = Gold {
            options: &[],
            said_as: schema::card::Target::Text,
            option: None,
            text: row.answer_text(),
            people: all,
            corners: None,
            corpus: None,
        };
        let mut soft = vec![0.0; width];
        for (class, answer) in self.answers.iter().enumerate() {
            let given = crate::task::Given { text: answer, reading: (task.read)(answer, &gold) };
            soft[class] = (worth.of)(&given, &gold) as f32;
        }
        // The first of equals.
        let class = (1..soft.len()).fold(0, |best, i| if soft[i] > soft[best] { i } else { best });
        Ok((soft[class] > 0.0).then_some(Right { class, soft: Some(soft) }))
    }
}

impl Heads {
    /// Of a federation's training rows, each client's by its place among all.
    pub fn new(adapter: &AdapterSpec, rows: &[Example], shards: &[Vec<usize>]) -> Result<Self> {
        let Some(most) = adapter.head.as_ref().and_then(models::adapter::Head::classes) else {
            return Err(Error::Usage("a backbone that answers by class has no head that tells some apart".into()));
        };
        let is_private = adapter.private_head().is_some();
        let of = |shard: &Vec<usize>| Arc::new(Classes::of(shard.iter().map(|&row| &rows[row]), most));
        let lists = match is_private {
            true => shards.iter().map(of).collect(),
            false => vec![Arc::new(Classes::of(shards.iter().flatten().map(|&row| &rows[row]), most))],
        };
        Ok(Self { lists, is_private })
    }

    /// The classes of whoever answers: a client with a head of its own, or anybody.
    pub fn by(&self, client: Option<usize>) -> Result<&Classes> {
        let found = match (self.is_private, client) {
            (false, _) => self.lists.first(),
            (true, Some(client)) => self.lists.get(client),
            (true, None) => None,
        };
        let nobody = || Error::Usage("a private head's classes are its client's: nobody else answers by them".into());
        found.map(|list| &**list).ok_or_else(nobody)
    }

    /// Whether each client has its own.
    pub fn is_private(&self) -> bool {
        self.is_private
    }
}

/// What a class's answer says to a row: one of its options, or words.
pub(crate) fn reading(answer: &str, gold: &Gold, read: fn(&str, &Gold) -> Reading) -> Reading {
    match gold.options.is_empty() {
        true => read(answer, gold),
        false => gold.options.iter().position(|option| option == answer).map_or(Reading::Nothing, Reading::Option),
    }
}
