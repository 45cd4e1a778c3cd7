//! A test example, ready to be asked.

use std::sync::Arc;

use data::Rendered;
use models::{Branch, Sequence};
use schema::card::{OptionScore, Scoring, Target};

use crate::cider::Corpus;
use crate::task::{Gold, Measure, TaskRow};

/// What an example is answered with, shared by all examples that have the same options.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// As texts (or letters); none for free text.
    pub texts: Vec<String>,
    /// As they continue the prompt.
    pub branches: Vec<Branch>,
}

/// A test example, ready for batches.
#[derive(Debug, Clone)]
pub struct TestExample {
    /// Its id.
    pub id: String,
    /// The prompt.
    pub sequence: Sequence,
    /// What may follow it.
    pub options: Arc<Options>,
    /// Tokens of both.
    pub tokens: usize,
    /// The prompt's parts, without the options.
    pub rendered: Rendered,
    /// The task that it sets.
    pub task: &'static TaskRow,
    /// The score that its card's `metric` names.
    pub metric: &'static Measure,
    /// What all references of its dataset say together, where its task has some.
    pub corpus: Option<Arc<Corpus>>,
    /// What the model is to say.
    pub target: Target,
    /// How it is answered.
    pub scoring: Scoring,
    /// How an option's log-likelihood is normalised.
    pub option_score: OptionScore,
    /// The client whose test shard holds it.
    pub shard: Option<usize>,
}

impl TestExample {
    /// What is right of it.
    pub fn gold(&self) -> Gold<'_> {
        let rendered = &self.rendered;
        Gold {
            options: &self.options.texts,
            said_as: self.target,
            option: rendered.gold,
            text: &rendered.gold_text,
            people: &rendered.people,
            corners: rendered.corners,
            corpus: self.corpus.as_deref(),
        }
    }
}
