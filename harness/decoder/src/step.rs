//! A pass through a decoder elsewhere, as an operation with a backward.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, bail};
use line::Line;
use models::crossing::{Meter, decode, encode};
use schema::experiment::{Activations, LossAt};

use crate::far::{Body, Far};
use crate::message::{self, Ask, Forward, Say};
use crate::{Error, Result};

/// One pass of a batch.
pub(crate) struct Step {
    pub(crate) far: Arc<Far>,
    pub(crate) layout: Arc<models::layout::Layout>,
    pub(crate) ask: Forward,
    /// The answer tokens, where the loss is computed at the decoder.
    pub(crate) labels: Option<Vec<u32>>,
    pub(crate) vocabulary: usize,
    pub(crate) meter: Arc<Meter>,
    pub(crate) open: Mutex<Option<Open>>,
}

/// A forward pass that was answered.
pub(crate) struct Open {
    line: Line,
    /// What was asked, should it have to be asked again.
    frame: Vec<u8>,
}

impl Step {
    /// Numbers of an answer token that come back, and how they are encoded.
    fn answer(&self) -> (usize, Activations) {
        match self.ask.loss_at {
            LossAt::Server => (1, Activations::F32),
            LossAt::Client => (self.vocabulary, self.ask.activations),
        }
    }

    fn forward(&self, hidden: &[f32], width: usize) -> Result<Vec<f32>> {
        let ((columns, encoding), rows) = (self.answer(), self.layout.rows());
        let places = self.layout.places();
        let mut sent = Vec::with_capacity(places.len() * width);
        places.iter().for_each(|place| sent.extend_from_slice(&hidden[place * width..][..width]));
        if sent.iter().any(|x| !x.is_finite()) {
            // Nothing that could be encoded; whoever looks at the loss sees it.
            return Ok(vec![f32::NAN; rows * columns]);
        }
        let mut body = encode(&sent, width, self.ask.activations);
        self.labels.iter().flatten().for_each(|label| body.extend(label.to_le_bytes()));
        let frame = message::frame(&Ask::Forward(self.ask), &message::laid(&self.layout, &body));
        let ask = |line: &mut Line| self.asked_forward(line, &frame, body.len());
        let first = self.far.take(&self.meter).and_then(|mut line| Ok((ask(&mut line)?, line)));
        let (said, line) = self.far.twice(first, || {
            let mut line = self.far.call(&self.meter)?;
            Ok((ask(&mut line)?, line))
        })?;
        let numbers = self.numbers(&said, columns, encoding, rows)?;
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(Open { line, frame });
        Ok(numbers)
    }

    fn asked_forward(&self, line: &mut Line, frame: &[u8], payload: usize) -> Result<Body> {
        let (columns, _) = self.answer();
        self.far.ask(line, frame, payload, (Say::Said, 4 * columns * self.layout.rows()), &self.meter)
    }

    fn backward(&self, gradient: &[f32], (places, width): (usize, usize)) -> Result<Vec<f32>> {
        let (columns, encoding) = self.answer();
        let body = encode(gradient, columns, encoding);
        let (frame, most) = (message::frame(&Ask::Backward, &body), 4 * places * width);
        let ask = |line: &mut Line| self.far.ask(line, &frame, body.len(), (Say::Gradient, most), &self.meter);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Open { line, frame: forward }) = open.as_mut() else {
            return Err(self.far.nonsense("to a forward pass is not there".into()));
        };
        let first = ask(line);
        let said = self.far.twice(first, || {
            *line = self.far.call(&self.meter)?;
            // What the decoder said is known; what it kept is gone.
            self.asked_forward(line, forward, 0)?;
            ask(line)
        })?;
        self.numbers(&said, width, self.ask.activations, places)
    }

    /// So many rows of an answer's body.
    fn numbers(&self, body: &[u8], width: usize, encoding: Activations, rows: usize) -> Result<Vec<f32>> {
        let numbers = decode(body, width, encoding).map_err(|what| self.far.nonsense(format!("has numbers that {what}")))?;
        match numbers.len() == rows * width {
            true => Ok(numbers),
            false => Err(self.far.nonsense(format!("has {} numbers; expected {rows} rows of {width}", numbers.len()))),
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(open) = self.open.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            self.far.give_back(open.line);
        }
    }
}

fn failed(error: Error) -> candle_core::Error {
    candle_core::Error::Msg(error.to_string())
}

impl CustomOp1 for Step {
    fn name(&self) -> &'static str {
        "a-decoder-elsewhere"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (_, _, width) = layout.shape().dims3()?;
        let Some((start, end)) = layout.contiguous_offsets() else { bail!("hidden states are to be contiguous") };
        let numbers = self.forward(&storage.as_slice::<f32>()?[start..end], width).map_err(failed)?;
        let rows = self.layout.rows();
        let shape = match self.ask.loss_at {
            LossAt::Server => Shape::from(rows),
            LossAt::Client => Shape::from((rows, self.vocabulary)),
        };
        Ok((CpuStorage::F32(numbers), shape))
    }

    fn bwd(&self, hidden: &Tensor, _: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let (b, t, width) = hidden.dims3()?;
        let gradient = gradient.flatten_all()?.to_vec1::<f32>()?;
        if gradient.iter().any(|x| !x.is_finite()) {
            return Ok(Some(Tensor::full(f32::NAN, (b, t, width), hidden.device())?));
        }
        let places = self.layout.places();
        let found = self.backward(&gradient, (places.len(), width)).map_err(failed)?;
        let mut padded = vec![0f32; b * t * width];
        for (row, place) in found.chunks_exact(width).zip(places) {
            padded[place * width..][..width].copy_from_slice(row);
        }
        Ok(Some(Tensor::from_vec(padded, (b, t, width), hidden.device())?))
    }
}
