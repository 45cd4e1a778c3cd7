//! What pretraining a small backbone tells on its way, and of the weights.

use std::collections::BTreeMap;

use data_scripts::generators::pretrain as lessons;
use machine::clock::Stopwatch;
use models::pretrain::{Lesson, Mark, Question, StepReport};

use super::note;
use super::weights::made;
use crate::progress::duration;

/// Validation pictures.
pub(super) const VALIDATION: usize = 300;

/// (right, asked) by topic.
pub(super) type Scores = BTreeMap<&'static str, (usize, usize)>;

/// Tells now and then how far a training is.
pub(super) struct Progress<'a> {
    quiet: bool,
    clock: &'a Stopwatch,
    /// When the phase began, seconds.
    began: f64,
}

impl<'a> Progress<'a> {
    pub(super) fn new(quiet: bool, clock: &'a Stopwatch) -> Self {
        Self { quiet, clock, began: clock.seconds() }
    }

    pub(super) fn show(&mut self, report: StepReport) {
        let StepReport { phase, step, steps, loss } = report;
        if step == 1 {
            self.began = self.clock.seconds();
        }
        let every = (steps / 50).clamp(1, 100);
        if !self.quiet && (step.is_multiple_of(every) || step == steps) {
            let since = self.clock.seconds() - self.began;
            let left = since / (step - 1).max(1) as f64 * (steps - step) as f64;
            note(&format!("  {phase} {step:>5}/{steps}  loss {loss:.4}  about {} left in this phase", duration(left)));
        }
    }
}

/// How weights came to be: what is `stated` of them, then commit, time and scores.
pub(super) fn card(stated: &[(&str, &str)], scores: &Scores, seconds: f64) -> String {
    let (right, asked) = scores.values().fold((0, 0), |sum, score| (sum.0 + score.0, sum.1 + score.1));
    let share = |(right, asked): (usize, usize)| right as f64 / asked.max(1) as f64;
    let mut lines: Vec<String> = stated.iter().map(|(key, value)| format!("{key} = {value:?}")).collect();
    lines.extend(made(seconds));
    lines.extend([
        format!("validation_accuracy = {:.4}", share((right, asked))),
        format!("validation_questions = {asked}"),
        String::new(),
        "[validation_accuracy_by_topic]".to_owned(),
    ]);
    lines.extend(scores.iter().map(|(topic, score)| format!("{topic:?} = {:.4}", share(*score))));
    lines.push(String::new());
    lines.join("\n")
}

pub(super) fn lesson(sample: lessons::PretrainSample) -> Lesson {
    let question =
        |qa: lessons::QuestionAnswer| Question { question: qa.question, answer: qa.answer, choices: qa.choices, topic: qa.topic };
    let mark = |mark: lessons::Mark| Mark { x: mark.centre.0, y: mark.centre.1, words: mark.words };
    Lesson {
        rgb: sample.rgb,
        marks: sample.marks.into_iter().map(mark).collect(),
        caption: Some(sample.caption),
        text: sample.text,
        questions: sample.qa.into_iter().map(question).collect(),
    }
}
