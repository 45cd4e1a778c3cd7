//! How long prompts, options and batches may be: what is refused before it takes memory, and options that are tokenized once.

use std::collections::HashMap;
use std::sync::Arc;

use schema::Experiment;

use crate::accounting::memory::available_bytes;
use crate::backbone::batch::{ANSWER_TOKENS, SEQUENCE_TOKENS};
use crate::backbone::{Backbone, Branch, Sequence, TextCodec};
use crate::data::Example;
use crate::metrics::evaluate::Options;
use crate::study::TrainExample;
use crate::{Error, Result};

/// Options as they are scored; those of the example before, where they are the same: a closed set is held once.
pub(crate) fn options_of(texts: Vec<String>, example: &Example, text: &TextCodec, before: Arc<Options>) -> Result<Arc<Options>> {
    let end = usize::from(!example.card.option_end);
    // The same texts with and without the end token are two sets.
    let is_same = before.texts == texts
        && before
            .branches
            .first()
            .is_none_or(|branch| (branch.tokens.last() == Some(&text.end_token())) == example.card.option_end);
    if is_same {
        return Ok(before);
    }
    let branch = |option: &String| {
        let mut tokens = text.answer(option)?;
        tokens.truncate(tokens.len() - end);
        match tokens.is_empty() {
            true => Err(Error::Usage(format!(
                "example `{}`: option `{}` has no token, and its card's `option_end = false` leaves out the one that ends it",
                example.id,
                guard::text::line(option, 80)
            ))),
            false => Ok(Branch::answer(tokens)),
        }
    };
    let branches = texts.iter().map(branch).collect::<Result<_>>()?;
    Ok(Arc::new(Options { texts, branches }))
}

/// Two options of the same tokens have one score, and none of them is the answer.
pub(crate) fn check_told_apart(id: &str, options: &Options) -> Result<()> {
    let mut seen: HashMap<&[u32], &str> = HashMap::with_capacity(options.branches.len());
    for (branch, text) in options.branches.iter().zip(&options.texts) {
        if let Some(other) = seen.insert(&branch.tokens, text) {
            let [id, other, text] = [id, other, text].map(|text| guard::text::line(text, 80));
            return Err(Error::Usage(format!(
                "example `{id}`: the tokenizer makes the same tokens of the options `{other}` and `{text}`; options that the model cannot \
                 tell apart cannot be ranked"
            )));
        }
    }
    Ok(())
}

/// Sequences of a length that no model was made for would take memory in its square.
pub(crate) fn check_lengths(id: &str, sequence: &Sequence, answers: &[Branch]) -> Result<()> {
    let id = guard::text::line(id, 80);
    let longest = answers.iter().map(|branch| branch.tokens.len()).max().unwrap_or(0);
    if longest > ANSWER_TOKENS {
        return Err(Error::Usage(format!(
            "example `{id}`: an option or answer takes {longest} tokens; at most {ANSWER_TOKENS} are scored"
        )));
    }
    let whole = sequence.prefix.len() + longest;
    if whole > SEQUENCE_TOKENS {
        return Err(Error::Usage(format!(
            "example `{id}`: its prompt, pictures and answer take {whole} tokens; at most {SEQUENCE_TOKENS} are computed: lower \
             `data.max_prompt_tokens`, or give it fewer pictures"
        )));
    }
    Ok(())
}

/// A batch of the longest examples must fit into memory: its masks, and what a backward pass keeps of every block.
pub(crate) fn check_memory(train: &[TrainExample], experiment: &Experiment, backbone: &dyn Backbone) -> Result<()> {
    let (Some(free), true) = (available_bytes(), backbone.device().is_cpu()) else { return Ok(()) };
    let Some(longest) = train.iter().max_by_key(|example| example.sequence.len()) else { return Ok(()) };
    let (tokens, spec) = (longest.sequence.len() as u64, backbone.spec());
    let count = experiment.federation.batch_size.min(train.len()) as u64;
    // Queries, keys, values and so on: about 8 times the width for each token and block.
    let numbers = count * tokens * (tokens + 8 * (spec.d_model * spec.layers) as u64);
    let bytes = numbers.saturating_mul(4);
    if bytes <= free {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "federation.batch_size = {count}: a batch of the longest examples (`{}` has {tokens} tokens) takes about {} MiB, and {} MiB are \
         free; lower it, or `data.max_prompt_tokens`",
        guard::text::line(&longest.id, 80),
        bytes >> 20,
        free >> 20
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_the_same_tokens_are_named() {
        let options = |tokens: [Vec<u32>; 3]| Options {
            texts: ["red", "blue", "Red"].map(str::to_owned).to_vec(),
            branches: tokens.map(Branch::answer).to_vec(),
        };
        assert!(check_told_apart("a", &options([vec![1, 9], vec![2, 9], vec![1, 1, 9]])).is_ok());
        let error = check_told_apart("a", &options([vec![1, 9], vec![2, 9], vec![1, 9]])).expect_err("the same").to_string();
        assert!(error.starts_with("example `a`: ") && error.contains("options `red` and `Red`"), "{error}");
    }
}
