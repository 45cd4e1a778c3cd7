//! The tasks there are, and which of them a card sets.

use schema::Card;
use schema::metrics::{Direction, Score};

use crate::captioning::CAPTIONING;
use crate::classification::CLASSIFICATION;
use crate::grounding::GROUNDING;
use crate::multiple_choice::MULTIPLE_CHOICE;
use crate::people::{DIRECT_ANSWERS, VQA};
use crate::short_answer::SHORT_ANSWER;
use crate::task::{Aggregate, Measure, Target, TaskRow};
use crate::{Error, Result};

/// The tasks of the suite.
pub const TASKS: &[&TaskRow] =
    &[&MULTIPLE_CHOICE, &SHORT_ANSWER, &VQA, &DIRECT_ANSWERS, &CLASSIFICATION, &CAPTIONING, &GROUNDING];

/// A table of tasks.
#[derive(Debug, Clone)]
pub struct Tasks(Vec<&'static TaskRow>);

impl Default for Tasks {
    /// The suite's own.
    fn default() -> Self {
        Self(TASKS.to_vec())
    }
}

impl Tasks {
    /// Adds a row.
    pub fn with(mut self, row: &'static TaskRow) -> Self {
        self.0.push(row);
        self
    }

    /// All rows, in order.
    pub fn rows(&self) -> &[&'static TaskRow] {
        &self.0
    }

    /// Refuses a row that could not be told from another, or that would be worth nothing or two things.
    pub fn check(&self) -> Result<()> {
        if let Some(name) = schema::twice(self.0.iter().map(|row| row.name)) {
            return Err(Error::Usage(format!("two tasks are called `{name}`; give yours another name")));
        }
        for row in &self.0 {
            if row.scores.is_empty() {
                return Err(Error::Usage(format!("task `{}` has no score, so no answer would be worth anything", row.name)));
            }
            if let Some(score) = schema::twice(row.scores.iter().map(|measure| measure.row.name)) {
                return Err(Error::Usage(format!("task `{}` has two scores called `{score}`", row.name)));
            }
        }
        Ok(())
    }

    /// Refuses a card, or one of several, that sets no task there is.
    pub fn check_card(&self, card: &Card) -> Result<()> {
        card.each().try_for_each(|card| self.of(card).map(drop))
    }

    /// The task that a card's rows set: the one that it names, or the first that takes such answers and has its metric first, or at all.
    pub fn of(&self, card: &Card) -> Result<&'static TaskRow> {
        let target = Target::of(card);
        let row = match &card.task {
            Some(name) => self.0.iter().find(|row| row.name == name),
            None => {
                let taking = || self.0.iter().filter(|row| row.target.takes(target));
                let is_first = |row: &&&'static TaskRow| row.scores.first().is_some_and(|first| first.row.name == card.metric);
                taking().find(is_first).or_else(|| taking().find(|row| row.score(&card.metric).is_some()))
            }
        };
        let wrong = |what: String| Error::Usage(format!("card of dataset `{}`: {what}", card.name));
        let names = || self.0.iter().map(|row| row.name);
        let Some(row) = row else {
            return Err(match &card.task {
                Some(name) => wrong(schema::unknown("task", name, names())),
                None => wrong(format!("no task takes such answers and is judged by `{}`; name one: `task = ...`", card.metric)),
            });
        };
        if !row.target.takes(target) {
            return Err(wrong(format!(
                "task `{}` asks for {}, its rows' right answers are {}",
                row.name,
                row.target.words(),
                target.words()
            )));
        }
        measure(row, card).map(|_| *row)
    }
}

/// The score that a card's `metric` names.
pub fn measure(row: &TaskRow, card: &Card) -> Result<&'static Measure> {
    let wrong = |what: String| Error::Usage(format!("card of dataset `{}`: {what}", card.name));
    let names = || row.scores.iter().map(|measure| measure.row.name);
    let Some(measure) = row.score(&card.metric) else {
        return Err(wrong(schema::unknown(&format!("metric of task `{}`", row.name), &card.metric, names())));
    };
    if measure.row.direction != Direction::Higher || measure.row.unit.most().is_none() {
        return Err(wrong(format!(
            "metric `{}` is no share of which more is better, so it cannot be recorded as `accuracy`; it is kept beside another score of \
             task `{}`",
            card.metric, row.name
        )));
    }
    // Reports know a metric by its name, and hold what is recorded against the predictions' mean, unless the table says it has none.
    let is_whole = !matches!(measure.aggregate, Aggregate::Mean);
    if is_whole && !Score::parse(measure.row.name).is_some_and(|score| score.is_of_corpus()) {
        return Err(wrong(format!(
            "metric `{}` is one number of all answers, which only the suite's own may be; it is kept beside another score of task `{}`",
            card.metric, row.name
        )));
    }
    Ok(measure)
}

#[cfg(test)]
mod tests {
    use schema::metrics::{Row, Unit};

    use super::*;

    fn card(change: impl Fn(&mut Card)) -> Card {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data-scripts/cards/scienceqa.toml");
        let mut card = schema::toml_file::read(path.as_ref()).expect("a card");
        change(&mut card);
        card
    }

    fn refusal(tasks: &Tasks, change: impl Fn(&mut Card)) -> String {
        tasks.of(&card(change)).expect_err("must be refused").to_string()
    }

    /// Every card that ships sets one task, the one that its answers and its metric make it.
    #[test]
    fn cards_set_a_task() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data-scripts/cards");
        let mut set = std::collections::BTreeMap::new();
        for entry in std::fs::read_dir(folder).expect("cards") {
            let card: Card = schema::toml_file::read(&entry.expect("a card").path()).expect("a card");
            let task = Tasks::default().of(&card).expect("a task");
            assert_eq!(
                task.score(&card.metric).map(|measure| measure.row),
                Score::parse(&card.metric).and_then(|score| score.row())
            );
            set.insert(card.name, task.name);
        }
        let found = ["scienceqa", "vqav2", "a-okvqa-direct", "gqa"].map(|name| set.get(name).copied().unwrap_or_default());
        assert_eq!(found, ["multiple-choice", "vqa", "direct-answers", "short-answer"]);
    }

    #[test]
    fn a_card_may_name_its_task() {
        let tasks = Tasks::default();
        let named = tasks.of(&card(|card| card.task = Some("multiple-choice".into()))).expect("a task");
        assert_eq!(named.name, "multiple-choice");
        let error = refusal(&tasks, |card| card.task = Some("multiple-choise".into()));
        assert!(error.starts_with("card of dataset `scienceqa`: unknown task `multiple-choise`; nearest first"), "{error}");
        let error = refusal(&tasks, |card| card.task = Some("vqa".into()));
        assert!(error.contains("task `vqa` asks for several people's answers, its rows' right answers are options"), "{error}");
        let error = refusal(&tasks, |card| {
            card.task = Some("multiple-choice".into());
            card.metric = "acuracy".into();
        });
        assert!(error.contains("unknown metric of task `multiple-choice` `acuracy`") && error.contains("`accuracy`"), "{error}");
        assert!(refusal(&tasks, |card| card.metric = "vqa-accuracy".into()).contains("no task takes such answers"));
    }

    #[test]
    fn rows_that_cannot_be_told_apart_are_refused() {
        let error = |tasks: Tasks| tasks.check().expect_err("must be refused").to_string();
        assert!(Tasks::default().check().is_ok());
        assert_eq!(error(Tasks::default().with(&VQA)), "two tasks are called `vqa`; give yours another name");
        const BARE: TaskRow = TaskRow { name: "bare", scores: &[], ..VQA };
        assert!(error(Tasks::default().with(&BARE)).contains("task `bare` has no score"));
        const TWICE: TaskRow = TaskRow { name: "twice", scores: &[VQA.scores[0], VQA.scores[0]], ..VQA };
        assert!(error(Tasks::default().with(&TWICE)).contains("two scores called `vqa-accuracy`"));
    }

    /// What is recorded as `accuracy` is a share.
    #[test]
    fn a_score_in_another_unit_is_no_accuracy() {
        const CIDER: Row = Row {
            name: "CIDEr-D",
            per: None,
            unit: Unit::Own,
            direction: Direction::Higher,
            sentence: "Consensus.",
            source: "arXiv 1411.5726",
        };
        const ROW: TaskRow =
            TaskRow { name: "c", scores: &[Measure { row: &CIDER, ..MULTIPLE_CHOICE.scores[0] }], ..MULTIPLE_CHOICE };
        let error = refusal(&Tasks::default().with(&ROW), |card| {
            card.task = Some("c".into());
            card.metric = "CIDEr-D".into();
        });
        assert!(error.contains("metric `CIDEr-D` is no share of which more is better"), "{error}");
    }
}
