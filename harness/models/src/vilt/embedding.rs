//! Texts and patches as ViLT's encoder sees them: positions of a picture's patches are those of the square it was trained on, stretched.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Result, Tensor, bail};
use candle_nn::VarBuilder;
use data::Tiles;

use super::config::ViltConfig;
use crate::{Batch, nn, vit};

/// What is added to words and patches.
pub(super) struct Embedding {
    words: Tensor,
    text_positions: Tensor,
    segment: Tensor,
    norm: nn::LayerNorm,
    kernel: Tensor,
    kernel_bias: Tensor,
    /// `[1, d]`.
    class: Tensor,
    /// `[1 + side * side, d]`, the class token's first.
    positions: Tensor,
    /// `[1 + pictures, d]`, the text's first.
    modalities: Tensor,
    side: usize,
}

/// Where a batch's tokens belong.
pub(super) struct Places {
    /// Which position of its text each token has; 0 of what is no text. `[b * t]`
    text: Vec<u32>,
    /// Which pass each token is of; of padding, the first. `[b * t]`
    pass: Vec<usize>,
    /// Whether it is a token at all. `[b * t]`
    is_token: Vec<bool>,
    /// The pass of each picture, in order.
    pictures: Vec<usize>,
    /// The first place of each text, in order of sequences and passes.
    pub(super) first: Vec<u32>,
}

impl Places {
    /// A pass is a picture and the text behind it, or a text alone; another begins where a picture follows a text.
    pub(super) fn of(batch: &Batch) -> Result<Self> {
        let flags = |mask: &Tensor| mask.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>();
        let (is_image, is_text) = (flags(&batch.image_mask)?, flags(&batch.text_mask)?);
        let width = is_image.len() / batch.size;
        let all = is_image.len();
        let mut places =
            Self { text: vec![0; all], pass: vec![0; all], is_token: vec![false; all], pictures: Vec::new(), first: Vec::new() };
        for row in 0..batch.size {
            let (mut pass, mut position, mut in_picture) = (0, 0, false);
            for place in row * width..(row + 1) * width {
                if is_image[place] > 0.0 {
                    if position > 0 {
                        (pass, position) = (pass + 1, 0);
                    }
                    if !in_picture {
                        places.pictures.push(pass);
                    }
                    in_picture = true;
                } else if is_text[place] > 0.0 {
                    if position == 0 {
                        places.first.push(place as u32);
                    }
                    places.text[place] = position;
                    (position, in_picture) = (position + 1, false);
                } else {
                    continue;
                }
                (places.pass[place], places.is_token[place]) = (pass, true);
            }
        }
        Ok(places)
    }

    /// 0 where a place may look, minus infinity elsewhere, `[b, 1, t, t]`: at every token of its own pass.
    pub(super) fn mask(&self, size: usize, dtype: DType, device: &Device) -> Result<Tensor> {
        let width = self.pass.len() / size;
        let mut mask = Vec::with_capacity(size * width * width);
        for (passes, is_token) in self.pass.chunks(width).zip(self.is_token.chunks(width)) {
            for pass in passes {
                let seen = passes.iter().zip(is_token).map(|(other, is_token)| *is_token && other == pass);
                mask.extend(seen.map(|seen| if seen { 0.0 } else { f32::NEG_INFINITY }));
            }
        }
        Tensor::from_vec(mask, (size, 1, width, width), &Device::Cpu)?.to_dtype(dtype)?.to_device(device)
    }
}

impl Embedding {
    /// Reads `embeddings.*`.
    pub(super) fn new(config: &ViltConfig, weights: &VarBuilder) -> Result<Self> {
        let (d, p, text) = (config.hidden_size, config.patch_size, weights.pp("text_embeddings"));
        let side = config.side();
        let dtype = weights.dtype();
        let table = |weights: &VarBuilder, rows: usize, name: &str| -> Result<Tensor> {
            weights.get((rows, d), &format!("{name}.weight"))?.to_dtype(dtype)
        };
        let modalities = table(weights, config.modality_type_vocab_size, "token_type_embeddings")?;
        let last = modalities.narrow(0, config.modality_type_vocab_size - 1, 1)?;
        let further = config.modalities() - config.modality_type_vocab_size;
        let modalities = Tensor::cat(&[vec![&modalities], vec![&last; further]].concat(), 0)?;
        let projection = weights.pp("patch_embeddings.projection");
        Ok(Self {
            // Matrices of 16 bits stay so.
            words: text.pp("word_embeddings").get((config.vocab_size, d), "weight")?,
            text_positions: table(&text, config.max_position_embeddings, "position_embeddings")?,
            segment: table(&text, config.type_vocab_size, "token_type_embeddings")?.narrow(0, 0, 1)?,
            norm: nn::LayerNorm::new(d, config.layer_norm_eps, &text.pp("LayerNorm"))?,
            kernel: projection.get((d, 3, p, p), "weight")?,
            kernel_bias: projection.get(d, "bias")?,
            class: weights.get((1, 1, d), "cls_token")?.reshape((1, d))?,
            positions: weights.get((1, 1 + side * side, d), "position_embeddings")?.squeeze(0)?,
            modalities,
            side,
        })
    }

    /// The words' own element type.
    pub(super) fn weights_dtype(&self) -> DType {
        self.words.dtype()
    }

    /// The element type of what it gives.
    pub(super) fn dtype(&self) -> DType {
        self.class.dtype()
    }

    pub(super) fn device(&self) -> &Device {
        self.class.device()
    }

    /// Patches `[n, 3, p, p]` through the projection, `[n, 1, d]`.
    pub(super) fn project(&self, pixels: &Tensor) -> Result<Tensor> {
        vit::patches(pixels, &self.kernel)?.broadcast_add(&self.kernel_bias)
    }

    /// Text and patches in place, `[b, t, d]`. `features` `[squares, 1, d]` are the pictures' patches, a row more behind each.
    pub(super) fn hidden(&self, batch: &Batch, places: &Places, features: &Tensor, pictures: &[Tiles]) -> Result<Tensor> {
        let text = self.texts(&batch.tokens, places)?;
        let rows = match batch.images.elem_count() {
            0 => text,
            _ => Tensor::cat(&[&text, &self.pictures(places, features, pictures)?], 0)?,
        };
        rows.index_select(&batch.source, 0)?.reshape((batch.size, (), rows.dim(1)?))
    }

    fn texts(&self, tokens: &Tensor, places: &Places) -> Result<Tensor> {
        let at = Tensor::new(places.text.as_slice(), self.device())?;
        let words = self.words.index_select(tokens, 0)?.to_dtype(self.dtype())?;
        let sum = (words.broadcast_add(&self.segment)? + self.text_positions.index_select(&at, 0)?)?;
        self.norm.forward(&sum)?.broadcast_add(&self.modalities.narrow(0, 0, 1)?)
    }

    /// Every picture's tokens, the class token behind its patches, `[tokens, d]`.
    fn pictures(&self, places: &Places, features: &Tensor, pictures: &[Tiles]) -> Result<Tensor> {
        let squares: usize = pictures.iter().map(|tiles| tiles.squares()).sum();
        let (found, d) = (features.dim(0)?, self.class.dim(1)?);
        if found != squares || pictures.len() != places.pictures.len() {
            bail!("{} pictures of {squares} squares, and {found} squares for {} pictures", pictures.len(), places.pictures.len())
        }
        let class = (&self.class + self.positions.narrow(0, 0, 1)?)?;
        let (mut stretched, mut rows, mut at) = (BTreeMap::new(), Vec::new(), 0);
        let features = features.reshape((found, d))?;
        for (tiles, pass) in pictures.iter().zip(&places.pictures) {
            let patches = tiles.rows * tiles.columns;
            let positions = match stretched.entry((tiles.rows, tiles.columns)) {
                std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::btree_map::Entry::Vacant(new) => new.insert(self.stretched(*tiles)?),
            };
            let modality = self.modalities.narrow(0, 1 + pass, 1)?;
            rows.push((features.narrow(0, at, patches)? + &*positions)?.broadcast_add(&modality)?);
            rows.push((&class + modality)?);
            at += tiles.squares();
        }
        Tensor::cat(&rows, 0)
    }

    /// The square's positions on a grid of another shape, `[rows * columns, d]`: between its corners, straight lines in both directions
    /// (PyTorch's bilinear interpolation with `align_corners`).
    fn stretched(&self, Tiles { rows, columns }: Tiles) -> Result<Tensor> {
        let (side, dtype) = (self.side, self.dtype());
        let square = self.positions.narrow(0, 1, side * side)?;
        if (rows, columns) == (side, side) {
            return Ok(square);
        }
        let (down, along) = (between(rows, side), between(columns, side));
        let mut weights = vec![0f64; rows * columns * side * side];
        for (row, of_row) in down.iter().enumerate() {
            for (column, of_column) in along.iter().enumerate() {
                let here = &mut weights[(row * columns + column) * side * side..][..side * side];
                for (y, v) in of_row {
                    of_column.iter().for_each(|(x, u)| here[y * side + x] += v * u);
                }
            }
        }
        let weights = Tensor::from_vec(weights, (rows * columns, side * side), &Device::Cpu)?;
        weights.to_dtype(dtype)?.to_device(self.device())?.matmul(&square.contiguous()?)
    }
}

/// Of each of `n` places from the first to the last of `side`: between which two it lies, and how much each counts.
fn between(n: usize, side: usize) -> Vec<[(usize, f64); 2]> {
    let step = if n > 1 { (side - 1) as f64 / (n - 1) as f64 } else { 0.0 };
    let place = |i: usize| {
        let at = i as f64 * step;
        let before = (at.floor() as usize).min(side - 1);
        let beyond = at - before as f64;
        [(before, 1.0 - beyond), ((before + 1).min(side - 1), beyond)]
    };
    (0..n).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_lie_between_the_corners() {
        assert_eq!(between(1, 3), [[(0, 1.0), (1, 0.0)]]);
        assert_eq!(between(2, 3), [[(0, 1.0), (1, 0.0)], [(2, 1.0), (2, 0.0)]]);
        assert_eq!(between(5, 3)[1], [(0, 0.5), (1, 0.5)]);
        assert_eq!(between(3, 1), [[(0, 1.0), (0, 0.0)]; 3]);
    }
}
