//! How long prompts and options may be: what is refused before it takes memory.

use models::batch::{ANSWER_TOKENS, SEQUENCE_TOKENS};
use models::{Branch, Sequence};

use crate::{Error, Result};

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
