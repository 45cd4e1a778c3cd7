//! From columns to a card.

use std::collections::BTreeMap;
use std::path::Path;

use schema::card::{AnswerForm, BadRow, Card, ChoiceForm, Columns, Prompt, Scoring, Target};
use serde::Serialize;

use super::answers::{Candidate, candidates};
use super::found::Found;
use super::glance::{Glance, MOST_ROWS, glance};
use super::roles;
use super::splits::splits;
use super::trial::{Trial, Unread, trial};
use crate::card;
use crate::error::{DataError, brief};

/// What a row of pictures and labels is asked.
const ASKED: &str = "What is in the picture?";

/// What files hold, and a card for them.
#[derive(Debug, Clone, Serialize)]
pub struct Draft {
    /// Rows by split, as the files' names say.
    pub rows: BTreeMap<String, usize>,
    /// The columns.
    pub columns: Vec<Glance>,
    /// The card, which the loader takes.
    pub card: Card,
    /// What was guessed, a sentence each.
    pub notes: Vec<String>,
    /// Rows that the loader does not take, of the splits that the card has.
    pub unread_rows: usize,
    /// The first of them.
    pub unread: Vec<Unread>,
}

/// Looks at the columns and proposes a card. An error says what is missing, and which columns there are.
pub fn draft(found: &Found) -> Result<Draft, DataError> {
    let (columns, rows) = glance(&found.folder, &found.splits)?;
    let wrong = |message: String| DataError::Card { dataset: brief(&found.name), message };
    let guess = Guess::of(&columns).map_err(|what| wrong(format!("{what}; {}", listed(&columns))))?;
    let (candidate, answer, mut tried) = guess.best(found).map_err(wrong)?;
    let mut notes = guess.notes(&candidate, answer, &tried);
    if rows.values().any(|&rows| rows > MOST_ROWS) {
        notes.push(format!("of each split, the first {MOST_ROWS} rows were looked at"));
    }
    let mut files = found.splits.clone();
    leave_out(&mut files, &mut tried, &mut notes);
    let (named, of_splits) = splits(&files, &rows);
    notes.extend(of_splits);
    let mut card = guess.card(&found.name, &candidate, answer);
    card.splits = named;
    if tried.all_bad() > 0 {
        card.on_bad_row = BadRow::Skip;
        notes.push(format!(
            "{} rows cannot be read so and are left out, counted and listed (`on_bad_row = \"skip\"`); the first: {}",
            tried.all_bad(),
            tried.first.first().map(|row| format!("row {} of `{}`: {}", row.row, row.split, row.reason)).unwrap_or_default()
        ));
    }
    card::check(&card)?;
    Ok(Draft { rows, columns, card, notes, unread_rows: tried.all_bad(), unread: tried.first })
}

/// A split of which no row can be read, as one whose answers are kept back, is of no use.
fn leave_out(files: &mut BTreeMap<String, Vec<String>>, tried: &mut Trial, notes: &mut Vec<String>) {
    let useless: Vec<String> = files.keys().filter(|split| !tried.read.contains_key(*split)).cloned().collect();
    for split in useless {
        let first = tried.first.iter().find(|row| row.split == split).map(|row| row.reason.clone()).unwrap_or_default();
        notes.push(format!("split `{split}` is left out: none of its rows can be read ({first})"));
        files.remove(&split);
        tried.bad.remove(&split);
        tried.first.retain(|row| row.split != split);
    }
}

fn listed(columns: &[Glance]) -> String {
    let shown: Vec<String> =
        columns.iter().take(20).map(|column| format!("`{}` ({})", brief(&column.name), brief(&column.kind))).collect();
    format!("there are: {}. `fedbench init card` writes a card to fill in", shown.join(", "))
}

/// What the columns are for.
struct Guess<'a> {
    all: &'a [Glance],
    question: Option<&'a Glance>,
    pictures: Vec<String>,
    choices: Option<&'a Glance>,
    answers: Vec<&'a Glance>,
    hint: Option<&'a Glance>,
}

impl<'a> Guess<'a> {
    fn of(all: &'a [Glance]) -> Result<Self, String> {
        let question = roles::question(all);
        let pictures: Vec<String> = all.iter().filter(|glance| glance.is_picture()).map(|glance| glance.name.clone()).collect();
        if question.is_none() && pictures.is_empty() {
            return Err("no column looks like the question, and none holds pictures".into());
        }
        let choices = roles::choices(all);
        let answers = roles::answers(all, question, choices);
        if answers.is_empty() {
            return Err("no column looks like the answer (`answer`, `label`, ...)".into());
        }
        let hint = roles::hint(all, question);
        Ok(Self { all, question, pictures, choices, answers, hint })
    }

    /// The way to read the answer by which most rows can be read, the likelier of equals.
    fn best(&self, found: &Found) -> Result<(Candidate, &'a Glance, Trial), String> {
        let mut best: Option<(Candidate, &Glance, Trial)> = None;
        let mut first = None;
        let choices = [self.choices, None];
        for choices in &choices[usize::from(self.choices.is_none())..] {
            for &answer in &self.answers {
                for candidate in candidates(answer, *choices) {
                    match self.tried(&found.folder, found, &candidate, answer) {
                        Ok(tried) if tried.read.is_empty() => {
                            first = first.or_else(|| tried.first.first().map(|row| row.reason.clone()));
                        }
                        Ok(tried) if best.as_ref().is_none_or(|(_, _, other)| tried.all_bad() < other.all_bad()) => {
                            let done = tried.all_bad() == 0;
                            best = Some((candidate, answer, tried));
                            if done {
                                return best.ok_or_else(String::new);
                            }
                        }
                        Ok(_) => {}
                        Err(error) => first = first.or(Some(error.to_string())),
                    }
                }
            }
            if best.is_some() {
                break;
            }
        }
        best.ok_or_else(|| format!("no row can be read; {}; {}", first.unwrap_or_default(), listed(self.all)))
    }

    fn tried(&self, folder: &Path, found: &Found, candidate: &Candidate, answer: &Glance) -> Result<Trial, DataError> {
        trial(folder, &self.card(&found.name, candidate, answer), &found.splits)
    }

    fn notes(&self, candidate: &Candidate, answer: &Glance, tried: &Trial) -> Vec<String> {
        let mut notes = Vec::new();
        match self.question {
            Some(question) => notes.push(format!("`{}` is the question", question.name)),
            None => notes.push(format!("no column is the question: every row is asked `{ASKED}` (`question`)")),
        }
        if !self.pictures.is_empty() {
            notes.push(format!("pictures: `{}`", self.pictures.join("`, `")));
        }
        notes.push(candidate.said.clone());
        if candidate.form == AnswerForm::Index && answer.class_names.is_empty() && !tried.has_first {
            notes.push("no answer is 0: they may be counted from 1 (`answer = \"index-from-one\"`)".into());
        }
        if self.choices.is_some() && candidate.column.is_none() {
            let name = self.choices.map_or("", |choices| &choices.name);
            notes.push(format!("`{name}` cannot be read as choices with any answer, and is not used"));
        }
        notes
    }

    fn card(&self, name: &str, candidate: &Candidate, answer: &Glance) -> Card {
        let id = roles::id(self.all);
        let named = |glance: Option<&Glance>| glance.map(|glance| glance.name.clone());
        let mut taken: Vec<&str> = self.pictures.iter().map(String::as_str).collect();
        taken
            .extend([self.question, self.hint, self.choices, id, Some(answer)].into_iter().flatten().map(|glance| &*glance.name));
        let tags: Vec<String> = roles::tags(self.all, &taken).iter().map(|glance| glance.name.clone()).collect();
        let partition_keys = tags.iter().cloned().chain([String::from("answer")]).collect();
        let columns = Columns {
            id: named(id),
            question: named(self.question),
            images: self.pictures.clone(),
            choices: candidate.column.clone(),
            answer: answer.name.clone(),
            skip: None,
            hint: named(self.hint),
            tags,
        };
        Card {
            question: self.question.is_none().then(|| ASKED.to_owned()),
            partition_keys,
            prompts: prompts(self.hint.is_some(), candidate),
            ..Card::bare(&plain(name), candidate.metric, candidate.scoring, columns, candidate.choices.clone(), candidate.form)
        }
    }
}

/// A name that a user types and a folder may have.
fn plain(name: &str) -> String {
    let safe: String = name.trim().chars().map(|c| if c.is_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect();
    let safe = safe.trim_matches(['-', '.']);
    if safe.is_empty() { "data".into() } else { safe.into() }
}

fn prompts(has_hint: bool, candidate: &Candidate) -> BTreeMap<String, Prompt> {
    let asked = if has_hint { "Context: {hint}\n{question}" } else { "{question}" };
    let prompt = |more: &str, target| Prompt { template: format!("{asked}{more}"), option: "{letter}. {text}".into(), target };
    let words = match candidate.scoring {
        Scoring::Generation => "\nAnswer the question using a single word or phrase.",
        Scoring::OptionLikelihood | Scoring::Class => "",
    };
    let mut prompts = BTreeMap::from([("default".to_owned(), prompt(words, Target::Text))]);
    if candidate.choices.form != ChoiceForm::None && candidate.choices.values.len() <= 26 {
        let letters = prompt("\n{options}\nAnswer with the option's letter from the given choices directly.", Target::Letter);
        prompts.insert("letters".to_owned(), letters);
    }
    prompts
}
