//! One line as the decoder sees it: every question is looked at before anything is computed, and nothing in it is trusted.

use candle_core::{DType, Tensor, Var};
use models::adapter::Untouched;
use models::batch::SEQUENCE_TOKENS;
use models::crossing::{decode, encode};
use models::layout::Layout;
use models::{Backbone, Batch, nn};
use schema::experiment::{Activations, LossAt};

use crate::far::hello;
use crate::message::{self, Ask, Forward, Hello, Say};

/// Bytes of a label.
const LABEL: usize = 4;

/// The most numbers that are said to one question: 1 GiB of logits.
const MOST_SAID: usize = 1 << 28;

/// A line's state.
pub(crate) struct Session<'a> {
    backbone: &'a dyn Backbone,
    greeted: bool,
    /// The last forward pass, until its backward pass, or the next one.
    kept: Option<Kept>,
}

struct Kept {
    hidden: Var,
    said: Tensor,
    layout: Layout,
    ask: Forward,
}

/// What is answered; the error is why not.
type Answer = Result<(Say, Vec<u8>), String>;

impl<'a> Session<'a> {
    pub(crate) fn new(backbone: &'a dyn Backbone) -> Self {
        Self { backbone, greeted: false, kept: None }
    }

    /// The answer to a frame.
    pub(crate) fn answer(&mut self, frame: &[u8]) -> Answer {
        let (ask, body) = message::open(frame).map_err(|what| format!("the message {what}"))?;
        match ask {
            Ask::Hello(theirs) => self.greet(&theirs),
            _ if !self.greeted => Err("nobody has said hello".into()),
            Ask::Forward(ask) => self.forward(ask, body),
            Ask::Backward => self.backward(body),
        }
    }

    fn greet(&mut self, theirs: &Hello) -> Answer {
        let ours = hello(self.backbone);
        if theirs.protocol != ours.protocol {
            return Err(format!(
                "this side speaks protocol {}, the caller {}: take one version of fedbench",
                ours.protocol, theirs.protocol
            ));
        }
        if theirs.weights != ours.weights {
            let name = &self.backbone.spec().name;
            let [ours, theirs] = [&ours.weights, &theirs.weights].map(|sha256| guard::text::line(sha256, 64));
            return Err(format!("this is the decoder of `{name}`, weights {ours}; the caller's half has {theirs}"));
        }
        if theirs.dtype != ours.dtype {
            let theirs = guard::text::line(&theirs.dtype, 20);
            return Err(format!("weights are {} here and {theirs} there: give both one backbone.dtype", ours.dtype));
        }
        self.greeted = true;
        Ok((Say::Ready, Vec::new()))
    }

    fn forward(&mut self, ask: Forward, body: &[u8]) -> Answer {
        self.kept = None;
        let (layout, body) = message::lies(body).map_err(|what| format!("a layout {what}"))?;
        let (numbers, labels) = self.read(&ask, &layout, body)?;
        let computed = self.compute(&ask, &layout, &numbers, labels).map_err(|error| format!("the decoder cannot: {error}"))?;
        let (said, hidden) = computed;
        let found = numbers_of(&said).map_err(|error| error.to_string())?;
        let body = match ask.loss_at {
            LossAt::Server => encode(&found, 1, Activations::F32),
            LossAt::Client => encode(&found, self.backbone.spec().vocabulary, ask.activations),
        };
        self.kept = hidden.map(|hidden| Kept { hidden, said, layout, ask });
        Ok((Say::Said, body))
    }

    /// The hidden states that a layout promises, padded, and the labels.
    fn read(&self, ask: &Forward, layout: &Layout, body: &[u8]) -> Result<(Vec<f32>, Vec<u32>), String> {
        let spec = self.backbone.spec();
        layout.check(SEQUENCE_TOKENS).map_err(|what| format!("a layout {what}"))?;
        let (rows, width) = (layout.rows(), spec.d_model);
        if ask.loss_at == LossAt::Client && rows.saturating_mul(spec.vocabulary) > MOST_SAID {
            return Err(format!("logits at {rows} places are more than the {MOST_SAID} numbers that are said at a time"));
        }
        let labels = if ask.loss_at == LossAt::Server { rows } else { 0 };
        let behind = body.len().checked_sub(labels * LABEL).ok_or("the body is shorter than its labels")?;
        let (hidden, labels) = body.split_at(behind);
        let numbers = decode(hidden, width, ask.activations).map_err(|what| format!("numbers {what}"))?;
        if numbers.len() != layout.tokens() * width {
            return Err(format!("{} numbers came for {} tokens of {width}", numbers.len(), layout.tokens()));
        }
        if numbers.iter().any(|x| !x.is_finite()) {
            return Err("a hidden state is not finite".into());
        }
        let labels: Vec<u32> = labels.as_chunks().0.iter().map(|four| u32::from_le_bytes(*four)).collect();
        if let Some(label) = labels.iter().find(|label| **label as usize >= spec.vocabulary) {
            return Err(format!("label {label} is no token; expected one below {}", spec.vocabulary));
        }
        let mut padded = vec![0f32; layout.0.len() * layout.width() * width];
        for (row, place) in numbers.chunks_exact(width).zip(layout.places()) {
            padded[place * width..][..width].copy_from_slice(row);
        }
        Ok((padded, labels))
    }

    /// What the decoder says, and the hidden states where a backward pass may follow.
    fn compute(
        &self,
        ask: &Forward,
        layout: &Layout,
        padded: &[f32],
        labels: Vec<u32>,
    ) -> candle_core::Result<(Tensor, Option<Var>)> {
        let (halves, spec) = (self.backbone.halves()?, self.backbone.spec());
        let (dtype, device) = (self.backbone.dtype(), self.backbone.device());
        let context = halves.context(&Batch::wordless(layout, dtype, device)?)?;
        let shape = (layout.0.len(), layout.width(), spec.d_model);
        let hidden = Tensor::from_slice(padded, shape, device)?.to_dtype(dtype)?;
        let labels = Tensor::new(labels, device)?;
        if !ask.keep {
            return Ok(match ask.loss_at {
                LossAt::Server => (halves.likelihoods(&hidden, &context, &labels, &Untouched)?, None),
                LossAt::Client => (halves.finish(&hidden, &context, &Untouched)?, None),
            });
        }
        let hidden = Var::from_tensor(&hidden)?;
        let logits = halves.finish(hidden.as_tensor(), &context, &Untouched)?;
        let said = match ask.loss_at {
            LossAt::Server => nn::log_likelihood(&logits, &labels)?,
            LossAt::Client => logits,
        };
        Ok((said, Some(hidden)))
    }

    fn backward(&mut self, body: &[u8]) -> Answer {
        let Kept { hidden, said, layout, ask } = self.kept.take().ok_or("no forward pass is kept")?;
        let (columns, encoding) = match ask.loss_at {
            LossAt::Server => (1, Activations::F32),
            LossAt::Client => (self.backbone.spec().vocabulary, ask.activations),
        };
        let gradient = decode(body, columns, encoding).map_err(|what| format!("numbers {what}"))?;
        if gradient.len() != said.elem_count() {
            return Err(format!("a gradient of {} numbers came for {}", gradient.len(), said.elem_count()));
        }
        if gradient.iter().any(|x| !x.is_finite()) {
            return Err("the gradient is not finite".into());
        }
        let found = gradient_of(&hidden, &said, gradient).map_err(|error| format!("the decoder cannot: {error}"))?;
        let width = self.backbone.spec().d_model;
        let mut sent = Vec::with_capacity(layout.tokens() * width);
        layout.places().iter().for_each(|place| sent.extend_from_slice(&found[place * width..][..width]));
        Ok((Say::Gradient, encode(&sent, width, ask.activations)))
    }
}

fn numbers_of(tensor: &Tensor) -> candle_core::Result<Vec<f32>> {
    tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
}

/// The gradient of hidden states, from that of what was said to them.
fn gradient_of(hidden: &Var, said: &Tensor, gradient: Vec<f32>) -> candle_core::Result<Vec<f32>> {
    let gradient = Tensor::from_vec(gradient, said.shape(), said.device())?.to_dtype(said.dtype())?;
    let gradients = (said * gradient)?.sum_all()?.backward()?;
    match gradients.get(hidden) {
        Some(found) => numbers_of(found),
        None => candle_core::bail!("hidden states got no gradient"),
    }
}
