//! What teaches a tower to see: each image token, read out as if it were a word, names what has its centre there.
//!
//! One answer to a question says little about sixty-four pixels squared; a name at a place says what and where at once. A token
//! where nothing has its centre is to say [`EMPTY`].

use candle_core::{Device, Tensor};

use super::lesson::Lesson;
use crate::llava::Llava;
use crate::{Backbone, Result, nn};

/// The word of a place where nothing is.
const EMPTY: &str = "empty";

/// Which rows of the image tokens `[n * tokens]` should read out as which words.
pub(super) struct Names {
    rows: Vec<u32>,
    words: Vec<u32>,
    /// The first so many are names, the rest are empty places.
    named: usize,
}

impl Names {
    pub(super) fn new(model: &Llava, lessons: &[Lesson]) -> Result<Self> {
        let (tokens, side) = (model.spec().image_tokens, model.preprocess().size);
        let columns = tokens.isqrt();
        let place = |at: f32| ((at / side as f32 * columns as f32).max(0.0) as usize).min(columns - 1);
        let mut names = Self { rows: Vec::new(), words: Vec::new(), named: 0 };
        let mut taken = vec![false; lessons.len() * tokens];
        for (i, lesson) in lessons.iter().enumerate() {
            for mark in &lesson.marks {
                let row = i * tokens + place(mark.y) * columns + place(mark.x);
                taken[row] = true;
                for word in &mark.words {
                    names.rows.push(row as u32);
                    names.words.push(first_token(model, word)?);
                }
            }
        }
        names.named = names.rows.len();
        let empty = first_token(model, EMPTY)?;
        for row in (0..taken.len()).filter(|&row| !taken[row]) {
            names.rows.push(row as u32);
            names.words.push(empty);
        }
        Ok(names)
    }

    /// How many names, and how many empty places.
    pub(super) fn counts(&self) -> [usize; 2] {
        [self.named, self.rows.len() - self.named]
    }

    /// Mean negative log-likelihood of the names plus that of the empty places, for image tokens `[n, tokens, d]`; the means are
    /// over `counts`, those of the whole batch this is a part of.
    pub(super) fn loss(&self, model: &Llava, features: &Tensor, counts: [usize; 2]) -> Result<Tensor> {
        let n = self.rows.len();
        let rows = features.flatten(0, 1)?.index_select(&Tensor::from_slice(&self.rows, n, &Device::Cpu)?, 0)?;
        let likelihood = nn::log_likelihood(&model.read_out(&rows)?, &Tensor::from_slice(&self.words, n, &Device::Cpu)?)?;
        let weights: Vec<f32> = (0..n).map(|i| -1.0 / counts[usize::from(i >= self.named)].max(1) as f32).collect();
        Ok((likelihood * Tensor::from_vec(weights, n, &Device::Cpu)?)?.sum_all()?)
    }
}

fn first_token(model: &Llava, word: &str) -> Result<u32> {
    Ok(model.text().encode(&format!(" {word}"))?[0])
}
