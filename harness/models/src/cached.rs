//! Generation that keeps what earlier tokens' keys and values are, so that a token costs a token's computation and not a sequence's.
//!
//! Every adapter works on tokens by themselves, so what is kept of a token never changes. Numbers differ from those of a whole sequence
//! by their rounding alone (other kernels compute them); where a likeliest token leads by no more than that, another may be said.

use candle_core::{Result, Tensor};

use super::nn::{self, Rotary};

/// A block's keys, turned, and values, `[b, heads, t, d_head]`.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) keys: Tensor,
    pub(super) values: Tensor,
}

/// What is kept of sequences that go on token by token.
#[derive(Debug, Clone)]
pub struct Cache {
    pub(super) blocks: Vec<Kept>,
    /// What each sequence's next token may look at, `[b, 1, 1, t]`.
    mask: Tensor,
    /// The position of each one's next token.
    next: Vec<u32>,
}

impl Cache {
    /// Of a batch's blocks, by its mask `[b, 1, t, t]`, the place of each sequence that is read, `[b]` into `[b * t]`, and its positions.
    pub(super) fn new(blocks: Vec<Kept>, mask: &Tensor, read: &Tensor, positions: &[Vec<u32>]) -> Result<Self> {
        let (b, t) = (positions.len(), mask.dim(3)?);
        let mask = mask.broadcast_as((b, 1, t, t))?.reshape((b * t, t))?.index_select(read, 0)?.reshape((b, 1, 1, t))?;
        let places = read.to_vec1::<u32>()?;
        let next = places.iter().zip(positions).map(|(&place, row)| row[place as usize % t] + 1).collect();
        Ok(Self { blocks, mask, next })
    }

    /// Makes room for a token more of each sequence; what it may look at, and its positions.
    pub(super) fn grow(&mut self) -> Result<(Tensor, Vec<Vec<u32>>)> {
        let seen = Tensor::zeros((self.size(), 1, 1, 1), self.mask.dtype(), self.mask.device())?;
        self.mask = Tensor::cat(&[&self.mask, &seen], 3)?;
        let positions = self.next.iter().map(|&next| vec![next]).collect();
        self.next.iter_mut().for_each(|next| *next += 1);
        Ok((self.mask.clone(), positions))
    }

    /// Keeps some sequences alone, by their places.
    pub fn keep(&mut self, places: &[usize]) -> Result<()> {
        let ids: Vec<u32> = places.iter().map(|&place| place as u32).collect();
        let ids = Tensor::from_vec(ids, places.len(), self.mask.device())?;
        for kept in &mut self.blocks {
            kept.keys = kept.keys.index_select(&ids, 0)?;
            kept.values = kept.values.index_select(&ids, 0)?;
        }
        self.mask = self.mask.index_select(&ids, 0)?;
        self.next = places.iter().map(|&place| self.next[place]).collect();
        Ok(())
    }

    /// How many sequences go on.
    pub fn size(&self) -> usize {
        self.next.len()
    }
}

impl Kept {
    /// A token more of each sequence.
    pub(super) fn grow(&mut self, keys: &Tensor, values: &Tensor) -> Result<()> {
        self.keys = Tensor::cat(&[&self.keys, keys], 2)?;
        self.values = Tensor::cat(&[&self.values, values], 2)?;
        Ok(())
    }
}

/// Attention of one token of each sequence over all that is kept; it joins it first. `q`, `k` and `v` are `[b, 1, heads * d_head]`.
pub(super) fn attend(
    [q, k, v]: [&Tensor; 3],
    (heads, kv_heads): (usize, usize),
    kept: &mut Kept,
    (mask, rotary): (&Tensor, &Rotary),
) -> Result<Tensor> {
    kept.grow(&rotary.rotate(&nn::split_heads(k, kv_heads)?)?, &nn::split_heads(v, kv_heads)?)?;
    let q = rotary.rotate(&nn::split_heads(q, heads)?)?;
    nn::attend_to(
        &q,
        &nn::repeat_heads(&kept.keys, heads / kv_heads)?,
        &nn::repeat_heads(&kept.values, heads / kv_heads)?,
        Some(mask),
    )
}
