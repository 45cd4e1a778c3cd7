//! EfficientNet-Lite (Tan & Le, arXiv 1905.11946), a convolutional tower: inverted residuals with ReLU6, without squeeze-and-excite.
//!
//! Weights have timm's names (`tf_efficientnet_lite0`): `conv_stem`, `bn1`, `blocks.S.B.*`, `conv_head`, `bn2`. The classifier behind
//! them is not read. Batch norms (their floor is 1e-3) are folded into the convolutions in front of them when these are read. Edges are padded as TensorFlow
//! pads them ([`kernels::convolution`]). The tower is frozen and passed once by a picture, in f32 on the CPU, wherever the rest of a
//! model is: what leaves it goes where it is wanted.

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::VarBuilder;
use data::{Filter, Fit, Preprocess};
use rayon::prelude::*;
use serde::Deserialize;

use super::folder::Folder;
use super::kernels::convolution::{Filters, Picture};

/// The floor of its batch norms.
const EPS: f64 = 1e-3;

/// A stage: blocks of one width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// Blocks.
    pub blocks: usize,
    /// Pixels on a side of the depthwise windows.
    pub kernel: usize,
    /// Of the first block.
    pub stride: usize,
    /// How many times wider a block is within; 1 has no expansion.
    pub expansion: usize,
    /// Channels that leave it.
    pub width: usize,
}

/// Shapes of a tower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EfficientNetConfig {
    /// Channels of the first convolution, 3 x 3 at stride 2.
    pub stem: usize,
    /// In their order.
    pub stages: Vec<Stage>,
    /// Channels of the last convolution, 1 x 1. What leaves it counts as one stage more.
    pub head: usize,
    /// Pixels on a side of a picture.
    pub image_size: usize,
}

/// The architecture's name in timm.
const LITE0: &str = "tf_efficientnet_lite0";

/// `config.json` as timm writes it.
#[derive(Debug, Deserialize)]
struct TimmConfig {
    architecture: String,
    #[serde(default)]
    pretrained_cfg: Pretrained,
}

/// How pictures are shown to a checkpoint.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Pretrained {
    input_size: [usize; 3],
    mean: [f32; 3],
    std: [f32; 3],
}

impl Default for Pretrained {
    fn default() -> Self {
        Self { input_size: [3, 224, 224], mean: [0.5; 3], std: [0.5; 3] }
    }
}

impl TimmConfig {
    fn unsupported(&self) -> Option<String> {
        let Pretrained { input_size, mean, std } = &self.pretrained_cfg;
        if self.architecture != LITE0 {
            return Some(format!("architecture = \"{}\" (only \"{LITE0}\" is)", self.architecture));
        }
        if *input_size != [3, 224, 224] {
            return Some(format!("pretrained_cfg.input_size = {input_size:?} (only [3, 224, 224] is)"));
        }
        let is_sound = mean.iter().all(|mean| (0.0..=1.0).contains(mean)) && std.iter().all(|std| (0.01..=1.0).contains(std));
        (!is_sound).then(|| format!("pretrained_cfg: mean = {mean:?}, std = {std:?} (of numbers between 0 and 1)"))
    }
}

impl EfficientNetConfig {
    /// EfficientNet-Lite0 at 224 pixels: 49 places of 1,280 numbers.
    pub fn lite0() -> Self {
        let stage = |(blocks, kernel, stride, expansion, width)| Stage { blocks, kernel, stride, expansion, width };
        let stages = [
            (1, 3, 1, 1, 16),
            (2, 3, 2, 6, 24),
            (2, 5, 2, 6, 40),
            (3, 3, 2, 6, 80),
            (3, 5, 1, 6, 112),
            (4, 5, 2, 6, 192),
            (1, 3, 1, 6, 320),
        ];
        Self { stem: 32, stages: stages.map(stage).to_vec(), head: 1280, image_size: 224 }
    }

    /// What a folder in timm's form holds, and how its pictures are shown: stretched to a square.
    pub fn of(folder: &Folder) -> crate::Result<(Self, Preprocess)> {
        let TimmConfig { pretrained_cfg: Pretrained { mean, std, .. }, .. } = folder.config(TimmConfig::unsupported)?;
        let config = Self::lite0();
        let preprocess = Preprocess { mean, std, ..config.preprocess() };
        Ok((config, preprocess))
    }

    /// How pictures are shown where nothing is said of it.
    pub fn preprocess(&self) -> Preprocess {
        let (size, rescale) = (self.image_size, 1.0 / 255.0);
        Preprocess { size, fit: Fit::Stretch, filter: Filter::Bicubic, rescale, mean: [0.5; 3], std: [0.5; 3] }
    }

    /// The side of the grid that leaves a stage, of a picture with so many pixels on a side.
    pub fn side(&self, stage: usize) -> usize {
        let halved = |size: usize, stage: &Stage| size.div_ceil(stage.stride);
        self.stages.iter().take(stage + 1).fold(self.image_size.div_ceil(2), halved)
    }

    /// Channels that leave a stage.
    pub fn width(&self, stage: usize) -> usize {
        self.stages.get(stage).map_or(self.head, |stage| stage.width)
    }

    /// Channels that enter the head.
    fn last(&self) -> usize {
        self.stages.last().map_or(self.stem, |stage| stage.width)
    }

    /// Blocks with what enters them: channels and the side of their grid.
    fn blocks(&self) -> impl Iterator<Item = (usize, usize, Stage, usize, usize)> + '_ {
        let (mut entering, mut side) = (self.stem, self.image_size.div_ceil(2));
        self.stages.iter().enumerate().flat_map(|(s, stage)| (0..stage.blocks).map(move |b| (s, b, stage))).map(
            move |(s, b, stage)| {
                let stage = Stage { stride: if b == 0 { stage.stride } else { 1 }, ..*stage };
                let block = (s, b, stage, entering, side);
                (entering, side) = (stage.width, side.div_ceil(stage.stride));
                block
            },
        )
    }

    /// Parameters without the classifier: convolutions, and two numbers of a norm for each channel.
    pub fn parameters(&self) -> u64 {
        let block = |(_, _, stage, entering, _): (usize, usize, Stage, usize, usize)| {
            let wide = entering * stage.expansion;
            let expansion = if stage.expansion > 1 { wide * (entering + 2) } else { 0 };
            expansion + wide * (stage.kernel.pow(2) + 2) + stage.width * (wide + 2)
        };
        let ends = self.stem * (27 + 2) + self.head * (self.last() + 2);
        (ends + self.blocks().map(block).sum::<usize>()) as u64
    }

    /// Floating-point operations of a picture: two for each product of a number and a weight.
    pub fn image_flops(&self) -> f64 {
        let block = |(_, _, stage, entering, side): (usize, usize, Stage, usize, usize)| {
            let (wide, after) = (entering * stage.expansion, side.div_ceil(stage.stride).pow(2));
            let expansion = if stage.expansion > 1 { side * side * wide * entering } else { 0 };
            expansion + after * wide * (stage.kernel.pow(2) + stage.width)
        };
        let stem = self.image_size.div_ceil(2).pow(2) * self.stem * 27;
        let head = self.side(self.stages.len()).pow(2) * self.head * self.last();
        2.0 * (stem + head + self.blocks().map(block).sum::<usize>()) as f64
    }
}

/// An inverted residual.
#[derive(Debug, Clone)]
struct Block {
    stage: usize,
    expansion: Option<Filters>,
    depthwise: Filters,
    projection: Filters,
    is_residual: bool,
}

impl Block {
    fn new((stage, _, shape, entering, _): (usize, usize, Stage, usize, usize), weights: &VarBuilder) -> Result<Self> {
        let Stage { kernel, stride, expansion, width, .. } = shape;
        let wide = entering * expansion;
        let names = if expansion > 1 { ["bn2", "conv_pwl", "bn3"] } else { ["bn1", "conv_pw", "bn2"] };
        let expanding = || pointwise(weights, "conv_pw", "bn1", (wide, entering), Some(6.0));
        Ok(Self {
            stage,
            expansion: (expansion > 1).then(expanding).transpose()?,
            depthwise: windows(weights, "conv_dw", names[0], (wide, 1), (kernel, stride))?,
            projection: pointwise(weights, names[1], names[2], (width, wide), None)?,
            is_residual: stride == 1 && entering == width,
        })
    }

    fn forward(&self, x: Picture) -> Picture {
        let wide = self.expansion.as_ref().map(|filters| x.pointwise(filters));
        let mut y = wide.as_ref().unwrap_or(&x).depthwise(&self.depthwise).pointwise(&self.projection);
        if self.is_residual {
            y.numbers.iter_mut().zip(&x.numbers).for_each(|(y, x)| *y += x);
        }
        y
    }
}

/// What a norm makes of a channel: a factor, and what is added.
fn norm(weights: &VarBuilder, name: &str, channels: usize) -> Result<Vec<(f64, f64)>> {
    let read = |part: &str| weights.pp(name).get(channels, part)?.to_dtype(DType::F64)?.to_vec1::<f64>();
    let (weight, bias, mean, variance) = (read("weight")?, read("bias")?, read("running_mean")?, read("running_var")?);
    if let Some(wrong) = variance.iter().find(|variance| **variance < 0.0) {
        candle_core::bail!("tensor `{}.{name}.running_var` holds {wrong}: a variance is not negative", weights.prefix())
    }
    let folded = |i: usize| {
        let factor = weight[i] / (variance[i] + EPS).sqrt();
        (factor, bias[i] - mean[i] * factor)
    };
    Ok((0..channels).map(folded).collect())
}

/// A 1 x 1 convolution with the norm behind it.
fn pointwise(
    weights: &VarBuilder,
    name: &str,
    norm_name: &str,
    (d_out, d_in): (usize, usize),
    most: Option<f32>,
) -> Result<Filters> {
    let weight = weights.pp(name).get((d_out, d_in, 1, 1), "weight")?.flatten_all()?.to_vec1::<f32>()?;
    let norm = norm(weights, norm_name, d_out)?;
    let weight = weight.iter().enumerate().map(|(i, w)| (f64::from(*w) * norm[i / d_in].0) as f32).collect();
    Ok(Filters { weight, bias: norm.iter().map(|(_, bias)| *bias as f32).collect(), kernel: 1, stride: 1, most })
}

/// A convolution by windows with the norm and the ReLU6 behind it.
fn windows(
    weights: &VarBuilder,
    name: &str,
    norm_name: &str,
    (d_out, d_in): (usize, usize),
    (kernel, stride): (usize, usize),
) -> Result<Filters> {
    let stored = weights.pp(name).get((d_out, d_in, kernel, kernel), "weight")?.flatten_all()?.to_vec1::<f32>()?;
    let norm = norm(weights, norm_name, d_out)?;
    let mut weight = vec![0f32; stored.len()];
    for (i, w) in stored.iter().enumerate() {
        let (out, channel, tap) = (i / (d_in * kernel * kernel), i / (kernel * kernel) % d_in, i % (kernel * kernel));
        weight[(tap * d_in + channel) * d_out + out] = (f64::from(*w) * norm[out].0) as f32;
    }
    Ok(Filters { weight, bias: norm.iter().map(|(_, bias)| *bias as f32).collect(), kernel, stride, most: Some(6.0) })
}

/// The tower with its weights.
#[derive(Debug, Clone)]
pub struct EfficientNet {
    stem: Filters,
    blocks: Vec<Block>,
    head: Filters,
}

impl EfficientNet {
    /// Reads `conv_stem`, `bn1`, `blocks`, `conv_head` and `bn2`.
    pub fn new(config: &EfficientNetConfig, weights: &VarBuilder) -> Result<Self> {
        let weights = weights.clone().set_device(Device::Cpu).set_dtype(DType::F32);
        let stem = windows(&weights, "conv_stem", "bn1", (config.stem, 3), (3, 2))?;
        let block = |block: (usize, usize, Stage, usize, usize)| Block::new(block, &weights.pp("blocks").pp(block.0).pp(block.1));
        let blocks = config.blocks().map(block).collect::<Result<_>>()?;
        let head = pointwise(&weights, "conv_head", "bn2", (config.head, config.last()), Some(6.0))?;
        Ok(Self { stem, blocks, head })
    }

    /// What leaves some stages, pixel by pixel, for pixels `[n, 3, h, w]`: for each stage `[n, h', w', channels]`, on the device of the
    /// pixels.
    pub fn stages(&self, pixels: &Tensor, wanted: &[usize]) -> Result<Vec<Tensor>> {
        let (n, channels, height, width) = pixels.dims4()?;
        let numbers = pixels.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        let one = |planes: &[f32]| self.picture(Picture::of_planes(planes, (channels, height, width)), wanted);
        let pictures: Vec<Vec<Picture>> = numbers.par_chunks((channels * height * width).max(1)).map(one).collect();
        let stage = |i: usize| {
            let Some(first) = pictures.first().and_then(|stages| stages.get(i)) else {
                candle_core::bail!("a tower was shown no picture, or asked for a stage that it does not have")
            };
            let shape = (n, first.height, first.width, first.channels);
            let all: Vec<f32> = pictures.iter().flat_map(|stages| stages[i].numbers.iter().copied()).collect();
            Tensor::from_vec(all, shape, &Device::Cpu)?.to_dtype(pixels.dtype())?.to_device(pixels.device())
        };
        (0..wanted.len()).map(stage).collect()
    }

    /// Of one picture, in the order of the stages.
    fn picture(&self, picture: Picture, wanted: &[usize]) -> Vec<Picture> {
        let (mut x, mut kept) = (picture.whole(&self.stem), Vec::new());
        for (i, block) in self.blocks.iter().enumerate() {
            x = block.forward(x);
            let is_last = self.blocks.get(i + 1).is_none_or(|next| next.stage != block.stage);
            if is_last && wanted.contains(&block.stage) {
                kept.push(x.clone());
            }
        }
        let head = self.blocks.last().map_or(0, |block| block.stage + 1);
        kept.extend(wanted.contains(&head).then(|| x.pointwise(&self.head)));
        kept
    }
}
