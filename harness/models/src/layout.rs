//! How sequences lie in a batch: all that the decoder has to know of them besides their hidden states.

use serde::{Deserialize, Serialize};

/// Sequences at most; numbers of a batch's mask, padding included; and what is read of it.
const SEQUENCES: usize = 1 << 12;
const MASK: usize = 1 << 28;
const READ: usize = 1 << 20;

/// The lengths of a batch's sequences, and what is read of each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Layout(pub Vec<Laid>);

/// One sequence's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Laid {
    /// Tokens that all branches follow, those of pictures included.
    pub prefix: usize,
    /// Of each branch, its tokens and from which on they are read.
    pub branches: Vec<(usize, usize)>,
}

impl Laid {
    /// Tokens that enter the decoder: of a branch, all but the last, which is only ever predicted.
    pub fn len(&self) -> usize {
        self.prefix + self.branches.iter().map(|(tokens, _)| tokens.saturating_sub(1)).sum::<usize>()
    }

    /// Whether no token enters.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Layout {
    /// Tokens that enter the decoder, without padding.
    pub fn tokens(&self) -> usize {
        self.0.iter().map(Laid::len).sum()
    }

    /// The longest sequence, to which the others are padded.
    pub fn width(&self) -> usize {
        self.0.iter().map(Laid::len).max().unwrap_or(0)
    }

    /// Tokens whose logits are read.
    pub fn rows(&self) -> usize {
        self.0.iter().flat_map(|laid| &laid.branches).map(|(tokens, from)| tokens - from).sum()
    }

    /// The places that are no padding, in a batch of rows as wide as the widest.
    pub fn places(&self) -> Vec<usize> {
        let width = self.width();
        self.0.iter().enumerate().flat_map(|(row, laid)| (0..laid.len()).map(move |i| row * width + i)).collect()
    }

    /// Fails if it cannot be a batch's, or is larger than any; the error completes "a layout ...".
    pub fn check(&self, longest: usize) -> Result<(), String> {
        if self.0.is_empty() || self.0.len() > SEQUENCES {
            return Err(format!("of {} sequences; expected 1 to {SEQUENCES}", self.0.len()));
        }
        for laid in &self.0 {
            // Each by itself, before anything is added up.
            let fits = |&(tokens, from): &(usize, usize)| (1..=longest).contains(&tokens) && from <= tokens;
            let sound = (1..=longest).contains(&laid.prefix) && laid.branches.len() <= longest && laid.branches.iter().all(fits);
            if !sound || laid.len() > longest {
                return Err(format!("with a sequence that is empty, read beyond its end, or longer than {longest} tokens"));
            }
        }
        let (mask, read) = (self.0.len() * self.width().pow(2), self.rows());
        if mask > MASK || !(1..=READ).contains(&read) {
            return Err(format!(
                "with a mask of {mask} numbers and {read} tokens read; expected at most {MASK}, and 1 to {READ}"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(sequences: &[(usize, &[(usize, usize)])]) -> Layout {
        Layout(sequences.iter().map(|(prefix, branches)| Laid { prefix: *prefix, branches: branches.to_vec() }).collect())
    }

    #[test]
    fn padding_is_no_place() {
        let layout = layout(&[(3, &[(2, 0), (1, 1)]), (1, &[(2, 1)])]);
        assert_eq!((layout.tokens(), layout.width(), layout.rows()), (6, 4, 3));
        assert_eq!(layout.places(), [0, 1, 2, 3, 4, 5]);
        assert_eq!(layout.check(4), Ok(()));
    }

    #[test]
    fn what_no_batch_has_is_refused() {
        let far = usize::MAX;
        for wrong in [
            layout(&[]),
            layout(&[(0, &[(1, 0)])]),
            layout(&[(1, &[])]),
            layout(&[(1, &[(0, 0)])]),
            layout(&[(1, &[(1, 2)])]),
            layout(&[(1, &[(1, 1)])]),
            layout(&[(far, &[(1, 0)])]),
            layout(&[(1, &[(far, 0), (far, 0)])]),
            layout(&[(9, &[(1, 0)])]),
            layout(&vec![(1, &[(1, 0)][..]); SEQUENCES + 1]),
        ] {
            assert!(wrong.check(8).is_err(), "{:?}", wrong.0.first());
        }
        assert!(layout(&[(16_000, &[(1, 0)][..]); 2]).check(16_384).is_err(), "a mask of 2 GiB");
    }
}
