//! Collects the questions about a scene: each in one of several phrasings, its answer among a few that would also fit.

use seed::Stream;
use serde::Serialize;

use super::phrases::{self, Phrases};
use crate::generators::look::{Colour, SHAPES, Shape, colour_words, shape_words};

/// A question about a scene.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuestionAnswer {
    /// Phrased in one of its topic's ways.
    pub question: String,
    /// The answer: mostly one word or one digit.
    pub answer: String,
    /// The answer and what else it might have been, in random order.
    pub choices: Vec<String>,
    /// What it asks about: `color`, `count check`.
    pub topic: &'static str,
}

/// The numbers that pretraining counts to.
pub const NUMBERS: &[&str] = &["1", "2", "3", "4", "5", "6"];
/// The two answers to a claim.
pub const YES_NO: &[&str] = &["yes", "no"];

/// Questions about one scene, and the stream that phrases them.
pub struct Asker<'a> {
    /// What decides phrasings, options and what is asked for.
    pub s: &'a mut Stream,
    /// The questions so far, in the order of asking.
    pub qa: Vec<QuestionAnswer>,
}

impl<'a> Asker<'a> {
    /// No question yet.
    pub fn new(s: &'a mut Stream) -> Self {
        Self { s, qa: Vec::new() }
    }

    /// One of the templates, its `{}` filled in order; the answer among up to three others of the pool.
    pub fn of(&mut self, topic: &'static str, templates: Phrases, words: &[&str], answer: &str, pool: &[&str]) {
        let template = *self.s.pick(templates);
        let question = words.iter().fold(template.to_owned(), |text, word| text.replacen("{}", word, 1));
        let question = phrases::vary(self.s, question, words);
        let others: Vec<&str> = pool.iter().copied().filter(|other| *other != answer).collect();
        let mut choices = vec![answer.to_owned()];
        choices.extend(self.s.sample(others.len(), others.len().min(3)).into_iter().map(|i| others[i].to_owned()));
        self.s.shuffle(&mut choices);
        self.qa.push(QuestionAnswer { question, answer: answer.to_owned(), choices, topic });
    }

    /// A question answered by a colour.
    pub fn colour(&mut self, templates: Phrases, word: &str, colour: Colour) {
        self.of("color", templates, &[word], colour.name(), colour_words());
    }

    /// A question answered by a shape.
    pub fn shape(&mut self, templates: Phrases, word: &str, shape: Shape) {
        self.of("shape", templates, &[word], shape.name(), &shape_words());
    }

    /// A question answered by a number from 1 to 6.
    pub fn number(&mut self, topic: &'static str, templates: Phrases, words: &[&str], number: usize) {
        self.of(topic, templates, words, NUMBERS[number - 1], NUMBERS);
    }

    /// A question answered by yes or no.
    pub fn check(&mut self, topic: &'static str, templates: Phrases, words: &[&str], truth: bool) {
        self.of(topic, templates, words, if truth { "yes" } else { "no" }, YES_NO);
    }

    /// Two claims, the truth and something else: one picture that answers yes and no teaches to look.
    pub fn is_it(&mut self, topic: &'static str, templates: Phrases, truth: &str, pool: &[&str]) {
        let others: Vec<&str> = pool.iter().copied().filter(|other| *other != truth).collect();
        let other = *self.s.pick(&others);
        self.check(topic, templates, &[truth], true);
        self.check(topic, templates, &[other], false);
    }

    /// "Are there 3 stars?", once right and once one off.
    pub fn claim_count(&mut self, plural: &str, count: usize) {
        let near = if count == 1 || (count < 6 && self.s.chance(0.5)) { count + 1 } else { count - 1 };
        self.check("count check", phrases::COUNT_CHECK, &[NUMBERS[count - 1], plural], true);
        self.check("count check", phrases::COUNT_CHECK, &[NUMBERS[near - 1], plural], false);
    }

    /// "Is there a star?", once of a shape that is there and once of another.
    pub fn there_is_shape(&mut self, present: &[Shape]) {
        let absent: Vec<Shape> = SHAPES.iter().copied().filter(|shape| !present.contains(shape)).collect();
        let (here, gone) = (*self.s.pick(present), *self.s.pick(&absent));
        self.check("there is", phrases::ANY_SHAPE, &[here.name()], true);
        self.check("there is", phrases::ANY_SHAPE, &[gone.name()], false);
    }

    /// "Is anything red?", once of a colour that is there and once of another.
    pub fn there_is_colour(&mut self, present: &[Colour]) {
        let absent: Vec<Colour> = Colour::all().into_iter().filter(|colour| !present.contains(colour)).collect();
        let (here, gone) = (*self.s.pick(present), *self.s.pick(&absent));
        self.check("there is", phrases::ANY_COLOUR, &[here.name()], true);
        self.check("there is", phrases::ANY_COLOUR, &[gone.name()], false);
    }
}

/// "a" or "an", by the first letter of the word that follows.
pub fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}
