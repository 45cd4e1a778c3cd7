//! What crosses the cut in front of the decoder in split training, and how it is encoded.
//!
//! The numbers of a token (a hidden state, its gradient, the logits at an answer token, their gradients) are a row and are encoded
//! together: as they are, rounded to bf16, or as whole multiples of a scale (f32, the row's largest magnitude over the largest whole
//! number; symmetric, rounded to nearest, ties to even). Where nothing travels, [`through`] makes of numbers what the other side would
//! have got, forward and backward, so a run in one process has the bits of one over a socket.

use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor, bail};
use half::bf16;
use schema::experiment::{Activations, LossAt};

/// Bytes of a scale.
const SCALE: usize = 4;

/// How a model is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crossing {
    /// How numbers are encoded.
    pub activations: Activations,
    /// Whether labels go up, or logits come down.
    pub loss_at: LossAt,
}

/// What a model said at a batch's answer tokens.
#[derive(Debug, Clone)]
pub struct Said {
    /// What of it is at hand.
    pub words: Words,
    /// What crossed a line for it, and will in its backward pass; none in one process.
    pub meter: Option<std::sync::Arc<Meter>>,
}

/// What of a model's words is at hand.
#[derive(Debug, Clone)]
pub enum Words {
    /// `[rows, vocabulary]`.
    Logits(Tensor),
    /// Of the right tokens alone, `[rows]`.
    LogLikelihoods(Tensor),
}

impl Said {
    /// Said in this process.
    pub fn here(logits: Tensor) -> Self {
        Self { words: Words::Logits(logits), meter: None }
    }
}

/// Bytes that crossed a line for one pass: up and down.
#[derive(Debug, Default)]
pub struct Meter {
    /// Numbers and labels.
    pub payload: [AtomicU64; 2],
    /// All that the socket carried.
    pub socket: [AtomicU64; 2],
}

impl Meter {
    /// Counts a question of so many bytes of payload and its answer, and what the socket carried for both.
    pub fn add(&self, payload: [u64; 2], socket: [u64; 2]) {
        for (counts, bytes) in [(&self.payload, payload), (&self.socket, socket)] {
            counts.iter().zip(bytes).for_each(|(count, bytes)| _ = count.fetch_add(bytes, Ordering::Relaxed));
        }
    }

    /// Payload and socket so far.
    pub fn read(&self) -> [[u64; 2]; 2] {
        [&self.payload, &self.socket].map(|counts| counts.each_ref().map(|count| count.load(Ordering::Relaxed)))
    }
}

/// Bytes of a row of so many numbers, which are of a type where they are not encoded.
pub fn row_bytes(activations: Activations, width: usize, plain: DType) -> usize {
    match activations {
        Activations::F32 => width * plain.size_in_bytes(),
        Activations::Bf16 => 2 * width,
        Activations::Int8 => SCALE + width,
        Activations::Int4 => SCALE + width.div_ceil(2),
    }
}

/// Rows of so many numbers as they travel.
pub fn encode(numbers: &[f32], width: usize, activations: Activations) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(numbers.len() / width.max(1) * row_bytes(activations, width, DType::F32));
    match activations {
        Activations::F32 => bytes.extend_from_slice(bytemuck::cast_slice(numbers)),
        Activations::Bf16 => numbers.iter().for_each(|&x| bytes.extend(bf16::from_f32(x).to_le_bytes())),
        Activations::Int8 | Activations::Int4 => {
            let most = largest(activations);
            for row in numbers.chunks(width.max(1)) {
                let scale = row.iter().fold(0f32, |largest, x| largest.max(x.abs())) / most;
                let step = if scale > 0.0 { scale } else { 1.0 };
                let whole = |x: &f32| ((x / step).round_ties_even().clamp(-most, most) + most) as u8;
                bytes.extend(scale.to_le_bytes());
                match activations {
                    Activations::Int4 => {
                        bytes.extend(row.chunks(2).map(|pair| whole(&pair[0]) | pair.get(1).map_or(0, whole) << 4));
                    }
                    _ => bytes.extend(row.iter().map(whole)),
                }
            }
        }
    }
    bytes
}

/// What the other side makes of them; the error completes "numbers ...".
pub fn decode(bytes: &[u8], width: usize, activations: Activations) -> std::result::Result<Vec<f32>, String> {
    let row = row_bytes(activations, width, DType::F32);
    if row == 0 || !bytes.len().is_multiple_of(row) {
        return Err(format!("are {} bytes; expected rows of {row}, for {width} as {activations:?}", bytes.len()));
    }
    let most = largest(activations);
    Ok(match activations {
        Activations::F32 => bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect(),
        Activations::Bf16 => bytes.as_chunks().0.iter().map(|two| bf16::from_le_bytes(*two).to_f32()).collect(),
        Activations::Int8 | Activations::Int4 => {
            let mut numbers = Vec::with_capacity(bytes.len() / row * width);
            for row in bytes.chunks_exact(row) {
                let Some((scale, whole)) = row.split_first_chunk::<SCALE>() else { break };
                let scale = f32::from_le_bytes(*scale);
                let number = |whole: u8| (f32::from(whole) - most) * scale;
                match activations {
                    // Half of the last byte may be nothing.
                    Activations::Int4 => {
                        numbers.extend(whole.iter().flat_map(|byte| [number(byte & 15), number(byte >> 4)]).take(width));
                    }
                    _ => numbers.extend(whole.iter().map(|&whole| number(whole))),
                }
            }
            numbers
        }
    })
}

/// The largest whole number of a quantised one.
fn largest(activations: Activations) -> f32 {
    if activations == Activations::Int4 { 7.0 } else { 127.0 }
}

/// What the other side would have of `x` `[..., width]`, and of its gradient on the way back.
pub fn through(x: &Tensor, activations: Activations) -> Result<Tensor> {
    if activations.is_plain() {
        return Ok(x.clone());
    }
    let (dtype, device) = (x.dtype(), x.device());
    let there = x.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.contiguous()?.apply_op1(Through(activations))?;
    there.to_dtype(dtype)?.to_device(device)
}

struct Through(Activations);

impl Through {
    fn of(&self, numbers: &[f32], width: usize) -> Result<Vec<f32>> {
        // NaN has no scale, and shall be seen on the other side.
        if numbers.iter().any(|x| !x.is_finite()) {
            return Ok(numbers.to_vec());
        }
        decode(&encode(numbers, width, self.0), width, self.0).map_err(candle_core::Error::Msg)
    }
}

impl CustomOp1 for Through {
    fn name(&self) -> &'static str {
        "through-an-encoding"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Some((start, end)) = layout.contiguous_offsets() else { bail!("an encoding takes contiguous numbers") };
        let width = layout.dims().last().copied().unwrap_or(1);
        let numbers = self.of(&storage.as_slice::<f32>()?[start..end], width)?;
        Ok((CpuStorage::F32(numbers), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let width = gradient.dims().last().copied().unwrap_or(1);
        let numbers = self.of(&gradient.flatten_all()?.to_vec1::<f32>()?, width)?;
        Ok(Some(Tensor::from_vec(numbers, gradient.shape(), gradient.device())?))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Var;

    use super::*;

    const ALL: [Activations; 4] = [Activations::F32, Activations::Bf16, Activations::Int8, Activations::Int4];

    #[test]
    fn a_row_takes_what_it_is_said_to_and_comes_back_nearly() {
        let rows = [0.0, 0.0, 0.0, 1.0, -0.6, 0.26, 1e-3, 2e-3, -4e-3];
        for (activations, (bytes, error)) in ALL.into_iter().zip([(12, 0.0), (6, 0.005), (7, 0.005), (6, 0.08)]) {
            let encoded = encode(&rows, 3, activations);
            assert_eq!((encoded.len(), row_bytes(activations, 3, DType::F32)), (3 * bytes, bytes), "{activations:?}");
            let decoded = decode(&encoded, 3, activations).expect("whole rows");
            for (at, (&x, &y)) in rows.iter().zip(&decoded).enumerate() {
                let largest = rows[at / 3 * 3..][..3].iter().fold(0f32, |most, x| most.max(x.abs()));
                assert!((x - y).abs() <= error * largest, "{activations:?}: {x} is {y}");
            }
        }
        assert_eq!(
            decode(&encode(&rows, 3, Activations::Int4), 3, Activations::Int4).expect("rows")[3..6],
            [1.0, -4.0 / 7.0, 2.0 / 7.0]
        );
    }

    #[test]
    fn what_is_no_row_is_refused() {
        for activations in ALL {
            assert!(decode(&[0; 5], 3, activations).expect_err("half a row").contains("expected rows of"));
            assert!(decode(&[0; 5], 0, activations).is_err());
        }
    }

    #[test]
    fn the_gradient_goes_through_as_the_number_does() -> Result<()> {
        let x = Var::new(&[[1f32, 0.3], [0.0, 5.0]], &Device::Cpu)?;
        let seen = through(x.as_tensor(), Activations::Int4)?;
        assert_eq!(seen.to_vec2::<f32>()?, [[1.0, 2.0 / 7.0], [0.0, 5.0]]);
        let gradients = (seen * Tensor::new(&[[7f32, 2.4], [0.0, 0.0]], &Device::Cpu)?)?.sum_all()?.backward()?;
        let gradient = gradients.get(&x).expect("a gradient").to_vec2::<f32>()?;
        assert_eq!(gradient, [[7.0, 2.0], [0.0, 0.0]]);
        let nan = through(&Tensor::new(&[f32::NAN, 1.0], &Device::Cpu)?, Activations::Int8)?.to_vec1::<f32>()?;
        assert!(nan[0].is_nan());
        Ok(())
    }
}
