//! A question with its picture, before it becomes a row: the answer first, so that nothing but the picture decides it.

use seed::Stream;

use super::look::Page;

/// A question, its answer, what else might have been the answer, and the picture that decides.
#[derive(Debug, Clone)]
pub struct Item {
    /// A context shown before the question; may be empty.
    pub hint: String,
    /// The question, in one of its phrasings.
    pub question: String,
    /// The right answer, as an option spells it.
    pub answer: String,
    /// Wrong answers that are as likely as the right one to whoever does not look.
    pub others: Vec<String>,
    /// The picture; some language questions have none.
    pub page: Option<Page>,
}

impl Item {
    /// The `index`-th of some values is the answer, the rest are the others.
    pub fn among<T: AsRef<str>>(question: String, values: &[T], index: usize, page: Page) -> Self {
        let mut others: Vec<String> = values.iter().map(|value| value.as_ref().to_owned()).collect();
        let answer = others.remove(index);
        Self { hint: String::new(), question, answer, others, page: Some(page) }
    }

    /// The same with a context before the question.
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    /// At most `count` options in random order, and where the answer is among them.
    pub fn options(&self, s: &mut Stream, count: usize) -> (Vec<String>, usize) {
        let kept = s.sample(self.others.len(), self.others.len().min(count - 1));
        let mut options: Vec<String> = kept.into_iter().map(|i| self.others[i].clone()).collect();
        let position = s.below(options.len() + 1);
        options.insert(position, self.answer.clone());
        (options, position)
    }
}

/// One of the templates with its `{}` filled in order.
pub fn say(s: &mut Stream, templates: &[&str], words: &[&str]) -> String {
    words.iter().fold((*s.pick(templates)).to_owned(), |text, word| text.replacen("{}", word, 1))
}

/// The whole numbers from `low` to `high`, both included, in digits.
pub fn numbers(low: usize, high: usize) -> Vec<String> {
    (low..=high).map(|number| number.to_string()).collect()
}
