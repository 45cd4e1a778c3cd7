//! How a tensor's numbers are encoded on their way: as they are, or with fewer bits each.
//!
//! Quantised numbers go in blocks of 64: four bytes of scale, the block's largest magnitude over the largest whole number, then whole
//! multiples of it (symmetric, rounded to nearest, ties to even). All of it is payload, and counted.

use candle_core::{DType, Device, Result, Tensor};
use schema::experiment::Wire;

/// Numbers that share a scale.
const BLOCK: usize = 64;
/// Bytes of a scale.
const SCALE: usize = 4;

/// A tensor as it travels.
pub fn encode(tensor: &Tensor, wire: Wire) -> Result<Tensor> {
    match wire {
        Wire::F32 => Ok(tensor.clone()),
        Wire::F16 => tensor.to_dtype(DType::F16),
        Wire::Int8 | Wire::Int4 => quantised(tensor, wire),
    }
}

/// What the other end makes of it: numbers of a type in a shape, which its head promises. What has arrived may be anything; the error
/// completes "tensor `x` ...".
pub fn decode(encoded: &Tensor, shape: &[usize], dtype: DType, wire: Wire) -> std::result::Result<Tensor, String> {
    let Some(count) = shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side)) else {
        return Err(format!("has shape {shape:?}, more numbers than can be counted"));
    };
    let wanted = match wire {
        Wire::F32 => (dtype, shape.to_vec()),
        Wire::F16 => (DType::F16, shape.to_vec()),
        Wire::Int8 | Wire::Int4 => (DType::U8, vec![quantised_bytes(count, wire)]),
    };
    if (encoded.dtype(), encoded.dims()) != (wanted.0, &*wanted.1) {
        let (found, wanted_type, dtype) = (encoded.dtype().as_str(), wanted.0.as_str(), dtype.as_str());
        return Err(format!(
            "is {found} of {:?}; expected {wanted_type} of {:?}, for {dtype} of {shape:?} as {wire:?}",
            encoded.dims(),
            wanted.1
        ));
    }
    if wire != Wire::F32 && !dtype.is_float() {
        return Err(format!("would be {} of numbers as {wire:?}; expected floats", dtype.as_str()));
    }
    let decoded = match wire {
        Wire::F32 => Ok(encoded.clone()),
        Wire::F16 => encoded.to_dtype(dtype),
        Wire::Int8 | Wire::Int4 => restored(encoded, shape, dtype, wire),
    };
    decoded.map_err(|error| format!("cannot be decoded: {error}"))
}

/// The largest whole number of a quantised one.
fn largest(wire: Wire) -> f64 {
    if wire == Wire::Int4 { 7.0 } else { 127.0 }
}

/// Bytes of so many quantised numbers.
fn quantised_bytes(numbers: usize, wire: Wire) -> usize {
    let whole = if wire == Wire::Int4 { numbers.div_ceil(2) } else { numbers };
    numbers.div_ceil(BLOCK).saturating_mul(SCALE).saturating_add(whole)
}

/// Blocks of a scale and whole numbers, a byte each or two in a byte.
fn quantised(tensor: &Tensor, wire: Wire) -> Result<Tensor> {
    let (numbers, most) = (tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?, largest(wire));
    let mut bytes = Vec::with_capacity(numbers.len() + numbers.len() / 8);
    for block in numbers.chunks(BLOCK) {
        let scale = (block.iter().fold(0f64, |largest, x| largest.max(x.abs())) / most) as f32;
        let step = if scale > 0.0 { f64::from(scale) } else { 1.0 };
        let whole: Vec<u8> = block.iter().map(|x| ((x / step).round_ties_even().clamp(-most, most) + most) as u8).collect();
        bytes.extend(scale.to_le_bytes());
        match wire {
            Wire::Int4 => bytes.extend(whole.chunks(2).map(|pair| pair[0] | pair.get(1).copied().unwrap_or(0) << 4)),
            _ => bytes.extend(whole),
        }
    }
    let n = bytes.len();
    Tensor::from_vec(bytes, n, &Device::Cpu)
}

fn restored(encoded: &Tensor, shape: &[usize], dtype: DType, wire: Wire) -> Result<Tensor> {
    let (bytes, n) = (encoded.to_vec1::<u8>()?, shape.iter().product());
    let block = SCALE + if wire == Wire::Int4 { BLOCK / 2 } else { BLOCK };
    let mut numbers: Vec<f64> = Vec::with_capacity(n + 1);
    for block in bytes.chunks(block) {
        let Some((scale, whole)) = block.split_first_chunk::<SCALE>() else { break };
        let scale = f64::from(f32::from_le_bytes(*scale));
        let number = |whole: u8| (f64::from(whole) - largest(wire)) * scale;
        match wire {
            Wire::Int4 => numbers.extend(whole.iter().flat_map(|byte| [number(byte & 15), number(byte >> 4)])),
            _ => numbers.extend(whole.iter().map(|&whole| number(whole))),
        }
    }
    // Half of the last byte may be nothing.
    numbers.truncate(n);
    Tensor::from_vec(numbers, shape, &Device::Cpu)?.to_dtype(dtype)
}
