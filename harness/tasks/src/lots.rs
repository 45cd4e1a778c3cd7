//! What goes through the model together.

use std::ops::Range;

use models::batch::{BRANCH_TOKENS, MASK_NUMBERS, pieces};
use schema::card::Scoring;

use crate::example::TestExample;
use crate::judge::Judge;

/// Like lengths together, so that little is padded.
pub(crate) fn by_length(judge: &Judge, mut examples: Vec<usize>) -> Vec<usize> {
    examples.sort_by_key(|&example| (judge.examples[example].tokens, example));
    examples
}

/// Some options of one example.
pub(crate) struct Part {
    /// The example, by its place among those asked for.
    pub(crate) at: usize,
    /// Which of its options; none are a generated answer.
    pub(crate) options: Range<usize>,
}

/// What goes through the model together: `evaluation.batch_size` examples in order, or fewer where their mask would pass
/// [`MASK_NUMBERS`]; an example's parts are `cut`'s.
pub(crate) fn lots(judge: &Judge, examples: &[usize], cut: impl Fn(&TestExample) -> Vec<Range<usize>>) -> Vec<Vec<Part>> {
    let size = judge.evaluation.batch_size;
    let mut lots: Vec<Vec<Part>> = Vec::new();
    for (chunk, first) in examples.chunks(size).zip((0..).step_by(size)) {
        let (mut lot, mut width) = (Vec::new(), 0);
        for (i, &example) in chunk.iter().enumerate() {
            let example = &judge.examples[example];
            for options in cut(example) {
                let wide = width.max(example.width(judge, &options));
                if !lot.is_empty() && (lot.len() + 1).saturating_mul(wide * wide) > MASK_NUMBERS {
                    lots.push(std::mem::take(&mut lot));
                    width = 0;
                }
                width = width.max(example.width(judge, &options));
                lot.push(Part { at: first + i, options });
            }
        }
        lots.push(lot);
    }
    lots
}

/// Numbers of the largest mask that judging the test split makes, and tokens of that batch.
pub fn largest_batch(judge: &Judge) -> (usize, usize) {
    let order = by_length(judge, (0..judge.examples.len()).collect());
    let cut = |example: &TestExample| match example.scoring {
        Scoring::OptionLikelihood => pieces(&example.options.branches, BRANCH_TOKENS),
        Scoring::Generation | Scoring::Class => vec![Range { start: 0, end: 0 }],
    };
    let size = |lot: &Vec<Part>| {
        let wide = lot.iter().map(|part| judge.examples[order[part.at]].width(judge, &part.options)).max().unwrap_or(0);
        (lot.len() * wide * wide, lot.len() * wide)
    };
    lots(judge, &order, cut).iter().map(size).max().unwrap_or_default()
}

impl TestExample {
    /// Tokens of a sequence with some of the options, about: none are those of a generated answer.
    pub(crate) fn width(&self, judge: &Judge, options: &Range<usize>) -> usize {
        let answer = match options.is_empty() {
            true if self.scoring == Scoring::Class => 0,
            true => judge.evaluation.max_new_tokens,
            false => self.options.branches[options.clone()].iter().map(|branch| branch.tokens.len()).sum(),
        };
        self.sequence.len() + answer
    }
}
