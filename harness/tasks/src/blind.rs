//! What is shown instead of pictures where an answer may not depend on them.
//!
//! The mean square: of all squares of a split's pictures, each picture's content once, the mean of every pixel and channel, of what the
//! tower would have seen (resized, cut and normalised). A picture that a backbone cuts into several squares has as many as before, each
//! of them this one; so has a row with several pictures. Of several datasets in one federation there is one mean over all.

use std::collections::BTreeSet;

use data::Dataset;
use data::image::Preprocess;
use rayon::prelude::*;

use crate::Result;

/// Pictures whose sum one thread makes.
const TOGETHER: usize = 64;

/// The mean square of a dataset's pictures, `3 x size x size`; zeros of none. Sums are added in the pictures' order, whatever the threads.
pub(crate) fn mean_square(dataset: &Dataset, preprocess: &Preprocess) -> Result<Vec<f32>> {
    let numbers = 3 * preprocess.size * preprocess.size;
    let shown: BTreeSet<usize> = dataset.examples.iter().flat_map(|example| example.images.iter().copied()).collect();
    let all: Vec<usize> = shown.into_iter().collect();
    let sum = |pictures: &[usize]| -> Result<(Vec<f64>, usize)> {
        let (mut sum, mut squares) = (vec![0.0; numbers], 0);
        for &picture in pictures {
            for square in dataset.pixels(picture, preprocess)?.chunks_exact(numbers) {
                sum.iter_mut().zip(square).for_each(|(sum, pixel)| *sum += f64::from(*pixel));
                squares += 1;
            }
        }
        Ok((sum, squares))
    };
    let sums: Vec<(Vec<f64>, usize)> = all.par_chunks(TOGETHER).map(sum).collect::<Result<_>>()?;
    let squares: usize = sums.iter().map(|(_, squares)| squares).sum();
    let mut mean = vec![0.0; numbers];
    for (sum, _) in &sums {
        mean.iter_mut().zip(sum).for_each(|(mean, sum)| *mean += sum);
    }
    Ok(mean.into_iter().map(|sum| (sum / squares.max(1) as f64) as f32).collect())
}
