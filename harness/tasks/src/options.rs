//! Options that are tokenized once, and told apart.

use std::collections::HashMap;
use std::sync::Arc;

use data::Example;
use models::{Branch, TextCodec};

use crate::example::Options;
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
        let mut tokens = text.answer(option).map_err(|error| Error::of_example(&example.id, error))?;
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
