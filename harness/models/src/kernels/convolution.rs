//! Convolutions of frozen towers, one picture and one thread at a time: a pixel's channels lie side by side, so that a 1 x 1
//! convolution is a product with a matrix, and a depthwise one adds rows of channels.
//!
//! Edges are padded as TensorFlow's SAME pads them: an odd pixel of padding goes behind the picture, to the right and below.

use super::panels::{Stored, Weight};
use super::simd::vectorized;
use super::spread::Spread;
use super::unit::Units;

/// A picture's numbers: rows of pixels of channels.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Rows.
    pub height: usize,
    /// Pixels of a row.
    pub width: usize,
    /// Numbers of a pixel.
    pub channels: usize,
    /// All of them.
    pub numbers: Vec<f32>,
}

/// A frozen convolution's numbers, with its bias.
#[derive(Debug, Clone)]
pub struct Filters {
    /// Of a depthwise one `[k * k, channels]`, of a whole one `[k * k * channels in, channels out]`, of one of 1 x 1
    /// `[channels out, channels in]`.
    pub weight: Vec<f32>,
    /// `[channels out]`.
    pub bias: Vec<f32>,
    /// Pixels on a side, k.
    pub kernel: usize,
    /// Pixels from one window to the next.
    pub stride: usize,
    /// The largest number that leaves, and 0 the least (ReLU6); none where every number leaves.
    pub most: Option<f32>,
}

/// Pixels that come out of so many, and how many of padding stand in front of the first.
pub fn same(size: usize, kernel: usize, stride: usize) -> (usize, usize) {
    let out = size.div_ceil(stride);
    (out, ((out.saturating_sub(1) * stride + kernel).saturating_sub(size)) / 2)
}

impl Picture {
    /// Channel by channel (`[channels, height, width]`) to pixel by pixel.
    pub fn of_planes(planes: &[f32], (channels, height, width): (usize, usize, usize)) -> Self {
        let plane = height * width;
        let numbers = (0..plane).flat_map(|at| (0..channels).map(move |channel| planes[channel * plane + at])).collect();
        Self { height, width, channels, numbers }
    }

    /// 1 x 1: each pixel times a matrix.
    pub fn pointwise(&self, filters: &Filters) -> Self {
        let (d_in, d_out) = (self.channels, filters.bias.len());
        let weight = Weight { numbers: Stored::Whole(&filters.weight), d_out, d_in, units: Units::here() };
        let mut numbers = weight.forward(&self.numbers, Spread::NONE);
        vectorized!(numbers.chunks_exact_mut(d_out).for_each(|pixel| {
            pixel.iter_mut().zip(&filters.bias).for_each(|(x, b)| *x += b);
            if let Some(most) = filters.most {
                pixel.iter_mut().for_each(|x| *x = x.max(0.0).min(most));
            }
        }));
        Self { height: self.height, width: self.width, channels: d_out, numbers }
    }

    /// Each channel by itself.
    pub fn depthwise(&self, filters: &Filters) -> Self {
        self.slide(filters, self.channels, |window, out| {
            let whole = out.len() / LANES * LANES;
            (0..whole).step_by(LANES).for_each(|at| channels::<LANES>(self, filters, window, out, at));
            (whole..out.len()).for_each(|at| channels::<1>(self, filters, window, out, at));
        })
    }

    /// All channels with all, for pictures of few.
    pub fn whole(&self, filters: &Filters) -> Self {
        let d_out = filters.bias.len();
        self.slide(filters, d_out, |window, out| {
            out.copy_from_slice(&filters.bias);
            for (tap, pixel) in window.pixels(self, filters) {
                for (i, x) in self.numbers[pixel * self.channels..][..self.channels].iter().enumerate() {
                    let weight = &filters.weight[(tap * self.channels + i) * d_out..][..d_out];
                    out.iter_mut().zip(weight).for_each(|(y, w)| *y += x * w);
                }
            }
            if let Some(most) = filters.most {
                out.iter_mut().for_each(|y| *y = y.max(0.0).min(most));
            }
        })
    }

    /// What `f` writes for each place of the window.
    #[inline(always)]
    fn slide(&self, filters: &Filters, channels: usize, f: impl Fn(Window, &mut [f32])) -> Self {
        let [(height, above), (width, before)] = [self.height, self.width].map(|size| same(size, filters.kernel, filters.stride));
        let mut numbers = vec![0f32; height * width * channels];
        vectorized!(for (at, out) in numbers.chunks_exact_mut(channels).enumerate() {
            let (row, column) = (at / width * filters.stride, at % width * filters.stride);
            f(Window { row: row as isize - above as isize, column: column as isize - before as isize }, out);
        });
        Self { height, width, channels, numbers }
    }
}

/// Channels that are summed in registers.
const LANES: usize = 16;

/// Where a window's first pixel is; outside of the picture where that is padded.
#[derive(Clone, Copy)]
struct Window {
    row: isize,
    column: isize,
}

impl Window {
    /// The window's pixels that lie in the picture, each with its number in the window.
    #[inline(always)]
    fn pixels(self, picture: &Picture, filters: &Filters) -> impl Iterator<Item = (usize, usize)> {
        let (k, width) = (filters.kernel, picture.width);
        let within = move |from: isize, size: usize| {
            let first = (-from).max(0) as usize;
            first..k.min((size as isize - from).max(0) as usize).max(first)
        };
        let columns = within(self.column, width);
        within(self.row, picture.height).flat_map(move |y| {
            let row = (self.row + y as isize) as usize * width;
            columns.clone().map(move |x| (y * k + x, row + (self.column + x as isize) as usize))
        })
    }
}

/// So many channels of a depthwise window, from `at` on.
#[inline(always)]
fn channels<const N: usize>(picture: &Picture, filters: &Filters, window: Window, out: &mut [f32], at: usize) {
    let c = picture.channels;
    let mut sums = [0f32; N];
    sums.copy_from_slice(&filters.bias[at..at + N]);
    for (tap, pixel) in window.pixels(picture, filters) {
        let (x, w) = (&picture.numbers[pixel * c + at..][..N], &filters.weight[tap * c + at..][..N]);
        for i in 0..N {
            sums[i] += x[i] * w[i];
        }
    }
    if let Some(most) = filters.most {
        sums.iter_mut().for_each(|sum| *sum = sum.max(0.0).min(most));
    }
    out[at..at + N].copy_from_slice(&sums);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// TensorFlow's rule by its own examples: at stride 2 an even picture is padded behind alone.
    #[test]
    fn padding_is_tensorflows() {
        for (size, kernel, stride, wanted) in [
            (224, 3, 2, (112, 0)),
            (28, 5, 2, (14, 1)),
            (7, 3, 1, (7, 1)),
            (9, 3, 2, (5, 1)),
            (9, 5, 2, (5, 2)),
            (1, 3, 2, (1, 1)),
        ] {
            assert_eq!(same(size, kernel, stride), wanted, "{size} {kernel} {stride}");
        }
    }

    /// Against sums written out, over an odd picture with more channels than lanes.
    #[test]
    fn windows_are_summed_as_written_out() {
        let (height, width, c) = (5, 7, 19);
        let mut stream = seed::Seed::new(4).stream("convolution");
        let mut drawn = |count: usize| (0..count).map(|_| stream.normal() as f32).collect::<Vec<f32>>();
        let picture = Picture { height, width, channels: c, numbers: drawn(height * width * c) };
        for (kernel, stride) in [(3, 1), (3, 2), (5, 2)] {
            let filters = Filters { weight: drawn(kernel * kernel * c), bias: drawn(c), kernel, stride, most: Some(6.0) };
            let found = picture.depthwise(&filters);
            let [(h, above), (w, before)] = [height, width].map(|size| same(size, kernel, stride));
            assert_eq!((found.height, found.width, found.channels), (h, w, c));
            for (at, y) in found.numbers.iter().enumerate() {
                let (row, column, channel) = (at / c / w, at / c % w, at % c);
                let mut sum = f64::from(filters.bias[channel]);
                for tap in 0..kernel * kernel {
                    let (y, x) = (
                        (row * stride + tap / kernel).wrapping_sub(above),
                        (column * stride + tap % kernel).wrapping_sub(before),
                    );
                    if y < height && x < width {
                        sum += f64::from(picture.numbers[(y * width + x) * c + channel])
                            * f64::from(filters.weight[tap * c + channel]);
                    }
                }
                assert!(
                    (sum.clamp(0.0, 6.0) - f64::from(*y)).abs() < 1e-5,
                    "kernel {kernel}, stride {stride}: {sum} and {y} at {at}"
                );
            }
        }
    }
}
