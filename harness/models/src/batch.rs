//! Sequences with branches, padded into batches.
//!
//! A sequence is a prefix (image placeholders and prompt) and any number of *branches* that continue it, each blind to the
//! others: the gold answer in training, every option in option scoring. All options then share the prompt's forward pass, and a
//! branch is computed as if it stood alone, because the mask hides the other branches and positions restart at the prefix's end.
//! (The order in which its sums are taken depends on where in the row it stands and on how many rows a product has, so the last bits of
//! its numbers may; a test holds that below 1e-4 nats.)
//!
//! A batch's mask takes the square of its longest sequence, so a sequence of many branches goes in [`pieces`], and
//! a batch holds no more sequences than [`MASK_NUMBERS`] allows. Both depend on the sequences alone: never on threads or memory.
//! An option or answer has at most 2,048 tokens, as have the options of a piece together; a sequence has at most 16,384. Padding is on
//! the right and masked. A batch also lists the places at which logits are read: behind the last block's attention the decoder goes on
//! with those alone.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor};

use crate::layout::{Laid, Layout};

/// Tokens of the branches that go through the decoder together behind one prefix: a few hundred options of a word or two. More of
/// them cost more in the square of the mask than the prefix costs once again.
pub const BRANCH_TOKENS: usize = 2048;

/// Tokens of a sequence at most, pictures and its longest branch included: its mask alone is 1 GiB then.
pub const SEQUENCE_TOKENS: usize = 16_384;

/// Tokens of an answer or option at most.
pub const ANSWER_TOKENS: usize = 2048;

/// Numbers of a mask, above which a batch of several sequences is judged as several batches: 256 MiB.
pub const MASK_NUMBERS: usize = 1 << 26;

/// A prefix and what may follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// Token ids; an image placeholder stands once for each of its image's tokens.
    pub prefix: Vec<u32>,
    /// Rows of the feature store, one for each square of a picture, in the order of the placeholders.
    pub images: Vec<usize>,
    /// Continuations.
    pub branches: Vec<Branch>,
}

/// A continuation of the prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// Token ids.
    pub tokens: Vec<u32>,
    /// Logits are read for `tokens[read_from..]`, each at the position before it.
    pub read_from: usize,
}

impl Branch {
    /// A branch all of whose tokens are read: an answer.
    pub fn answer(tokens: Vec<u32>) -> Self {
        Self { tokens, read_from: 0 }
    }

    /// The tokens that enter the model: the last is only ever predicted.
    fn inputs(&self) -> &[u32] {
        &self.tokens[..self.tokens.len().saturating_sub(1)]
    }
}

/// Stands for an embedding that is trained, not looked up, in front of a sequence: no token's id.
const VIRTUAL: u32 = u32::MAX;

impl Sequence {
    /// The same behind so many virtual tokens.
    pub fn behind_virtual_tokens(mut self, count: usize) -> Self {
        self.prefix.splice(0..0, std::iter::repeat_n(VIRTUAL, count));
        self
    }

    /// Tokens that enter the model, image tokens included.
    pub fn len(&self) -> usize {
        self.prefix.len() + self.branches.iter().map(|branch| branch.inputs().len()).sum::<usize>()
    }

    /// Whether it has no token at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The prefix of this sequence with some of `all` branches that may follow it. The longest one comes with them, unread, where it is
    /// not among them, because scaled positions may depend on it.
    pub fn with_piece(&self, all: &[Branch], branches: Range<usize>) -> Self {
        let longest = (0..all.len()).max_by_key(|&k| (all[k].tokens.len(), std::cmp::Reverse(k)));
        let unread = longest.filter(|k| !branches.contains(k)).map(|k| {
            let tokens = all[k].tokens.clone();
            Branch { read_from: tokens.len(), tokens }
        });
        let branches = all[branches].iter().cloned().chain(unread).collect();
        Self { prefix: self.prefix.clone(), images: self.images.clone(), branches }
    }

    /// Its lengths.
    fn laid(&self) -> Laid {
        let branches = self.branches.iter().map(|branch| (branch.tokens.len(), branch.read_from));
        Laid { prefix: self.prefix.len(), branches: branches.collect() }
    }

    /// A sequence of these lengths and of no words.
    fn wordless(laid: &Laid) -> Self {
        let branch = |&(tokens, read_from): &(usize, usize)| Branch { tokens: vec![0; tokens], read_from };
        Self { prefix: vec![0; laid.prefix], images: Vec::new(), branches: laid.branches.iter().map(branch).collect() }
    }

    /// Tokens whose logits are read.
    pub fn num_targets(&self) -> usize {
        self.branches.iter().map(|branch| branch.tokens.len() - branch.read_from).sum()
    }
}

/// Branches in runs of at most `most` tokens, one branch at least: what is computed together.
pub fn pieces(branches: &[Branch], most: usize) -> Vec<Range<usize>> {
    let mut pieces: Vec<Range<usize>> = Vec::new();
    let mut tokens = 0;
    for (k, branch) in branches.iter().enumerate() {
        tokens += branch.tokens.len();
        match pieces.last_mut() {
            Some(piece) if tokens <= most => piece.end = k + 1,
            _ => {
                pieces.push(k..k + 1);
                tokens = branch.tokens.len();
            }
        }
    }
    pieces
}

/// Which sequence and branch a row of logits belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowOwner {
    /// Index of the sequence in its batch.
    pub sequence: usize,
    /// Index of the branch in its sequence.
    pub branch: usize,
}

/// Sequences of one batch, padded on the right to the longest.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Token ids `[b * t]`; 0 at image tokens, whose own embedding is never used (and may not exist). A placeholder in a branch, which
    /// only a model says, is a token like others.
    pub tokens: Tensor,
    /// Where each hidden state comes from, `[b * t]`: the token at that place, or row `b * t + i` for the i-th image token.
    pub source: Tensor,
    /// Rows of the feature store for all images in order, `[images]`.
    pub images: Tensor,
    /// 1 where the k-th virtual token is, 0 elsewhere, `[b, t, p]`; none where there are no virtual tokens.
    pub virtual_tokens: Option<Tensor>,
    /// 1 at image tokens, 0 elsewhere, `[b, t, 1]`.
    pub image_mask: Tensor,
    /// 1 at text tokens, 0 elsewhere (padding included), `[b, t, 1]`.
    pub text_mask: Tensor,
    /// 0 where a position may look, minus infinity elsewhere, `[b, 1, t, t]`.
    pub mask: Tensor,
    /// Position ids, `b` rows of `t`.
    pub positions: Vec<Vec<u32>>,
    /// The places of each sequence at which a logit is read, `[b * r]` into `[b * t]`, filled up with the sequence's first place:
    /// behind the last attention nothing else is computed.
    pub read: Tensor,
    /// Where the read logits are, into `[b * r]`.
    pub rows: Tensor,
    /// The token each row should predict, `[rows]`.
    pub targets: Tensor,
    /// Whose row it is.
    pub owners: Vec<RowOwner>,
    /// How sequences lie in it.
    pub layout: Arc<Layout>,
    /// Sequences in the batch.
    pub size: usize,
    /// Tokens that are not padding.
    pub num_tokens: usize,
    /// Whether a decoder that goes as one operation keeps what enters its blocks alone, and computes the rest again in the backward pass.
    pub checkpoint: bool,
}

impl Batch {
    /// A batch that lies so, of no words: what the decoder's half of a model makes of a layout.
    pub fn wordless(layout: &Layout, dtype: DType, device: &Device) -> Result<Self> {
        let sequences: Vec<Sequence> = layout.0.iter().map(Sequence::wordless).collect();
        Self::new(&sequences.iter().collect::<Vec<_>>(), VIRTUAL, dtype, device)
    }

    /// Pads and masks. `image_token` is the placeholder's id, `dtype` the model's.
    pub fn new(sequences: &[&Sequence], image_token: u32, dtype: DType, device: &Device) -> Result<Self> {
        let width = sequences.iter().map(|sequence| sequence.len()).max().unwrap_or(0);
        let rows: Vec<Row> = sequences.iter().map(|sequence| Row::new(sequence, width)).collect();
        let mut plan = Plan { text_rows: (sequences.len() * width) as u32, ..Plan::default() };
        for (index, (sequence, row)) in sequences.iter().zip(&rows).enumerate() {
            plan.add(index, sequence, row, width, image_token);
        }
        let (b, t) = (sequences.len(), width);
        let (read, read_rows) = plan.read(width);
        let float =
            |values: Vec<f32>, shape: &[usize]| Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)?.to_device(device);
        let index = |values: Vec<u32>| {
            let n = values.len();
            Tensor::from_vec(values, n, device)
        };
        let virtual_tokens = rows.iter().map(Row::virtual_tokens).max().filter(|&most| most > 0);
        let virtual_tokens = virtual_tokens
            .map(|most| float(rows.iter().flat_map(|row| row.places_of_virtual(most)).collect(), &[b, t, most]))
            .transpose()?;
        // Grown without knowing how far, the largest of these would be held twice.
        let mut mask = Vec::with_capacity(b * t * t);
        rows.iter().for_each(|row| mask.extend(row.mask()));
        let image_mask = rows.iter().flat_map(|row| row.images(image_token)).collect();
        let text_mask = rows.iter().flat_map(|row| row.texts(image_token)).collect();
        Ok(Self {
            tokens: index(rows.iter().flat_map(|row| row.looked_up(image_token)).collect())?,
            source: index(plan.source)?,
            images: index(plan.images)?,
            virtual_tokens,
            image_mask: float(image_mask, &[b, t, 1])?,
            text_mask: float(text_mask, &[b, t, 1])?,
            mask: float(mask, &[b, 1, t, t])?,
            positions: rows.iter().map(|row| row.positions.clone()).collect(),
            read: index(read)?,
            rows: index(read_rows)?,
            targets: index(plan.targets)?,
            owners: plan.owners,
            layout: Arc::new(Layout(sequences.iter().map(|sequence| sequence.laid()).collect())),
            size: b,
            num_tokens: sequences.iter().map(|sequence| sequence.len()).sum(),
            checkpoint: false,
        })
    }
}

/// One padded sequence.
struct Row {
    tokens: Vec<u32>,
    positions: Vec<u32>,
    /// 0 for the prefix, k + 1 for the k-th branch, `PADDING` for padding.
    segment: Vec<usize>,
}

const PADDING: usize = usize::MAX;

impl Row {
    fn new(sequence: &Sequence, width: usize) -> Self {
        let mut row = Self { tokens: Vec::new(), positions: Vec::new(), segment: Vec::new() };
        row.append(&sequence.prefix, 0, 0);
        for (k, branch) in sequence.branches.iter().enumerate() {
            row.append(branch.inputs(), sequence.prefix.len(), k + 1);
        }
        row.tokens.resize(width, 0);
        // At the first position: a row's last one is that of its sequence.
        row.positions.resize(width, 0);
        row.segment.resize(width, PADDING);
        row
    }

    fn append(&mut self, tokens: &[u32], first_position: usize, segment: usize) {
        self.tokens.extend(tokens);
        self.positions.extend((0..tokens.len()).map(|i| (first_position + i) as u32));
        self.segment.extend(std::iter::repeat_n(segment, tokens.len()));
    }

    /// Place `i` sees place `j` if `j` is not later and lies in the prefix or in the same branch.
    fn mask(&self) -> impl Iterator<Item = f32> + '_ {
        let t = self.tokens.len();
        (0..t * t).map(move |place| {
            let (i, j) = (place / t, place % t);
            let seen = j <= i && (self.segment[j] == self.segment[i] || (self.segment[j] == 0 && self.segment[i] != PADDING));
            if seen { 0.0 } else { f32::NEG_INFINITY }
        })
    }

    fn looked_up(&self, image_token: u32) -> impl Iterator<Item = u32> + '_ {
        let frozen = move |(i, &token): (usize, &u32)| if self.is_image(i, image_token) || token == VIRTUAL { 0 } else { token };
        self.tokens.iter().enumerate().map(frozen)
    }

    /// Virtual tokens; they stand in front.
    fn virtual_tokens(&self) -> usize {
        self.tokens.iter().take_while(|&&token| token == VIRTUAL).count()
    }

    fn places_of_virtual(&self, most: usize) -> impl Iterator<Item = f32> + '_ {
        let mine = self.virtual_tokens();
        (0..self.tokens.len() * most).map(move |at| f32::from(u8::from(at / most == at % most && at % most < mine)))
    }

    /// Whether a picture's token stands at a place.
    fn is_image(&self, i: usize, image_token: u32) -> bool {
        self.tokens[i] == image_token && self.segment[i] == 0
    }

    fn images(&self, image_token: u32) -> impl Iterator<Item = f32> + '_ {
        (0..self.tokens.len()).map(move |i| f32::from(u8::from(self.is_image(i, image_token))))
    }

    fn texts(&self, image_token: u32) -> impl Iterator<Item = f32> + '_ {
        let is_text = move |i| !self.is_image(i, image_token) && self.tokens[i] != VIRTUAL && self.segment[i] != PADDING;
        (0..self.tokens.len()).map(move |i| f32::from(u8::from(is_text(i))))
    }
}

/// Index lists over a whole batch.
#[derive(Default)]
struct Plan {
    source: Vec<u32>,
    images: Vec<u32>,
    /// Rows of text embeddings, after which image rows are counted.
    text_rows: u32,
    image_tokens: u32,
    /// The places of each sequence that are read, each once.
    places: Vec<Vec<u32>>,
    /// For each target, which of its sequence's places predicts it.
    rows: Vec<usize>,
    targets: Vec<u32>,
    owners: Vec<RowOwner>,
}

impl Plan {
    fn add(&mut self, index: usize, sequence: &Sequence, row: &Row, width: usize, image_token: u32) {
        self.images.extend(sequence.images.iter().map(|&image| image as u32));
        let base = (index * width) as u32;
        for i in 0..row.tokens.len() {
            let is_image = row.is_image(i, image_token);
            self.source.push(if is_image { self.text_rows + self.image_tokens } else { base + i as u32 });
            self.image_tokens += u32::from(is_image);
        }
        let mut start = sequence.prefix.len();
        let mut places: Vec<u32> = Vec::new();
        for (k, branch) in sequence.branches.iter().enumerate() {
            for (j, &target) in branch.tokens.iter().enumerate().skip(branch.read_from) {
                let place = if j == 0 { sequence.prefix.len() - 1 } else { start + j - 1 };
                self.rows.push(slot(&mut places, base + place as u32));
                self.targets.push(target);
                self.owners.push(RowOwner { sequence: index, branch: k });
            }
            start += branch.inputs().len();
        }
        self.places.push(places);
    }

    /// [`Batch::read`] and [`Batch::rows`].
    fn read(&self, width: usize) -> (Vec<u32>, Vec<u32>) {
        let most = self.places.iter().map(Vec::len).max().unwrap_or(0);
        let mut read = Vec::with_capacity(self.places.len() * most);
        for (index, places) in self.places.iter().enumerate() {
            read.extend(places);
            read.resize((index + 1) * most, (index * width) as u32);
        }
        let rows = self.rows.iter().zip(&self.owners).map(|(slot, owner)| (owner.sequence * most + slot) as u32).collect();
        (read, rows)
    }
}

/// Where a place stands among the places so far; it is added if it is new.
fn slot(places: &mut Vec<u32>, place: u32) -> usize {
    places.iter().position(|&other| other == place).unwrap_or_else(|| {
        places.push(place);
        places.len() - 1
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(lengths: &[usize]) -> Sequence {
        let branches = lengths.iter().map(|&n| Branch::answer((0..n as u32).collect())).collect();
        Sequence { prefix: vec![7; 5], images: vec![], branches }
    }

    #[test]
    fn pieces_hold_every_branch_once_and_no_more_than_they_may() {
        let all = sequence(&[3, 3, 3, 9, 1, 1, 8, 2]);
        assert_eq!(pieces(&all.branches, 6), [0..2, 2..3, 3..4, 4..6, 6..7, 7..8]);
        assert_eq!(pieces(&all.branches, usize::MAX).len(), 1);
        assert!(pieces(&[], 6).is_empty());
    }

    /// The longest branch goes with every piece, so that positions reach as far as in the whole, and is read in its own alone.
    #[test]
    fn a_piece_reaches_as_far_as_the_whole() {
        let all = sequence(&[3, 9, 3, 9]);
        let piece = all.with_piece(&all.branches, 2..3);
        assert_eq!(piece.branches[0], all.branches[2]);
        assert_eq!((piece.branches.len(), piece.branches[1].tokens.len(), piece.num_targets()), (2, 9, 3));
        assert_eq!(all.with_piece(&all.branches, 0..2).branches, all.branches[0..2]);
    }

    /// A placeholder that a model says is a token like others: no picture stands there.
    #[test]
    fn a_placeholder_in_a_branch_is_text() -> Result<()> {
        let sequence = Sequence { prefix: vec![9, 9, 4], images: vec![0], branches: vec![Branch::answer(vec![9, 5])] };
        let batch = Batch::new(&[&sequence], 9, DType::F32, &Device::Cpu)?;
        assert_eq!(batch.tokens.to_vec1::<u32>()?, [0, 0, 4, 9]);
        assert_eq!(batch.source.to_vec1::<u32>()?, [4, 5, 2, 3]);
        assert_eq!(batch.image_mask.flatten_all()?.to_vec1::<f32>()?, [1.0, 1.0, 0.0, 0.0]);
        assert_eq!(batch.text_mask.flatten_all()?.to_vec1::<f32>()?, [0.0, 0.0, 1.0, 1.0]);
        Ok(())
    }
}
