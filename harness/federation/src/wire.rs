//! How tensor sets are encoded on their way: as they are, or with fewer bits a number.
//!
//! What a client has learnt is sent as the difference to what it received, where there is one of the same shape: it is small, so few
//! bits go far. Quantised numbers go in blocks of 64: four bytes of scale, the block's largest magnitude over the largest whole
//! number, then whole multiples of it (symmetric, rounded to nearest, ties to even). All of it is payload, and counted.

use candle_core::{DType, Device, Tensor};
use models::adapter::Adapters;
use schema::experiment::Wire;

use crate::{Error, Result};

/// Numbers that share a scale.
const BLOCK: usize = 64;
/// Bytes of a scale.
const SCALE: usize = 4;

/// What the other end decodes, and the bytes it took.
pub fn carry(set: &Adapters, base: Option<&Adapters>, wire: Wire, device: &Device) -> Result<(Adapters, u64)> {
    if wire == Wire::F32 {
        let payload = set.to_bytes()?;
        return Ok((Adapters::from_bytes(&payload, device)?, payload.len() as u64));
    }
    let base = base.filter(|base| same_shapes(set, base));
    let sent = match base {
        Some(base) => set.sub(base)?,
        None => set.clone(),
    };
    let payload = encode(&sent, wire)?.to_bytes()?;
    let received = decode(&Adapters::from_bytes(&payload, device)?, set, wire)?;
    let received = match base {
        Some(base) => received.add(base)?,
        None => received,
    };
    Ok((received, payload.len() as u64))
}

fn same_shapes(a: &Adapters, b: &Adapters) -> bool {
    a.iter().map(|(name, x)| (name, x.dims())).eq(b.iter().map(|(name, x)| (name, x.dims())))
}

/// The largest whole number of a quantised one.
fn largest(wire: Wire) -> f64 {
    if wire == Wire::Int4 { 7.0 } else { 127.0 }
}

fn encode(set: &Adapters, wire: Wire) -> Result<Adapters> {
    if wire == Wire::F16 {
        return Ok(set.map(|tensor| tensor.to_dtype(DType::F16))?);
    }
    set.iter().map(|(name, tensor)| Ok((name.clone(), quantised(tensor, wire)?))).collect()
}

fn decode(encoded: &Adapters, like: &Adapters, wire: Wire) -> Result<Adapters> {
    let one = |(name, like): (&String, &Tensor)| {
        let missing = || Error::Usage(format!("a payload without `{name}` cannot be decoded"));
        let encoded = encoded.get(name).ok_or_else(missing)?;
        let decoded = if wire == Wire::F16 { encoded.to_dtype(like.dtype())? } else { restored(encoded, like, wire)? };
        Ok((name.clone(), decoded))
    };
    like.iter().map(one).collect()
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
    Ok(Tensor::from_vec(bytes, n, &Device::Cpu)?)
}

fn restored(encoded: &Tensor, like: &Tensor, wire: Wire) -> Result<Tensor> {
    let (bytes, n) = (encoded.to_vec1::<u8>()?, like.elem_count());
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
    Ok(Tensor::from_vec(numbers, like.dims(), &Device::Cpu)?.to_dtype(like.dtype())?.to_device(like.device())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(name: &str) -> Adapters {
        let mut stream = seed::Seed::new(4).stream(name);
        let mut tensor = |shape: &[usize]| {
            let values: Vec<f32> = (0..shape.iter().product()).map(|_| stream.normal() as f32).collect();
            Tensor::from_vec(values, shape, &Device::Cpu).expect("values fill their shape")
        };
        [("a".to_owned(), tensor(&[3, 5])), ("b".to_owned(), tensor(&[7])), ("c".to_owned(), tensor(&[2, 4]))]
            .into_iter()
            .collect()
    }

    fn worst(found: &Adapters, wanted: &Adapters) -> f64 {
        let apart = found.sub(wanted).and_then(|apart| apart.flat()).expect("the same shapes");
        apart.into_iter().fold(0.0, |worst, x| f64::max(worst, x.abs()))
    }

    /// No number moves by more than half a scale, and more bits are never worse.
    #[test]
    fn numbers_arrive_within_half_a_step() {
        let set = drawn("set");
        let largest = set.flat().expect("numbers").into_iter().fold(0.0, |most: f64, x| most.max(x.abs()));
        for (wire, bound) in
            [(Wire::F32, 0.0), (Wire::F16, largest * 2f64.powi(-11)), (Wire::Int8, largest / 254.0), (Wire::Int4, largest / 14.0)]
        {
            let (received, _) = carry(&set, None, wire, &Device::Cpu).expect("carried");
            assert!(worst(&received, &set) <= bound * 1.0001, "{wire:?}: {} over {bound}", worst(&received, &set));
        }
    }

    /// The difference to what was received is small, so it arrives more exactly than the whole.
    #[test]
    fn differences_arrive_more_exactly() {
        let (base, more) = (drawn("base"), drawn("more").scale(0.01).expect("scaled"));
        let set = base.add(&more).expect("the same shapes");
        let whole = worst(&carry(&set, None, Wire::Int8, &Device::Cpu).expect("carried").0, &set);
        let difference = worst(&carry(&set, Some(&base), Wire::Int8, &Device::Cpu).expect("carried").0, &set);
        assert!(difference < whole / 20.0, "{difference} against {whole}");
    }

    /// A byte or half a byte a number and four bytes a block, besides the encoding's header.
    #[test]
    fn bytes_are_counted_with_their_scales() {
        let set: Adapters =
            [("a".to_owned(), Tensor::zeros((8, 1001), DType::F32, &Device::Cpu).expect("zeros"))].into_iter().collect();
        let bytes = |wire| carry(&set, None, wire, &Device::Cpu).expect("carried").1;
        let (header, blocks) = (bytes(Wire::F32) - 4 * 8008, 8008u64.div_ceil(BLOCK as u64));
        for (wire, numbers) in [(Wire::F16, 2 * 8008), (Wire::Int8, 8008 + 4 * blocks), (Wire::Int4, 4004 + 4 * blocks)] {
            assert!(bytes(wire).abs_diff(numbers + header) <= 16, "{wire:?}: {} bytes", bytes(wire));
        }
    }

    /// Zeros stay zeros, and what is carried twice is the same twice.
    #[test]
    fn zeros_stay() {
        let zeros = drawn("set").zeros_like().expect("zeros");
        for wire in [Wire::F16, Wire::Int8, Wire::Int4] {
            assert_eq!(worst(&carry(&zeros, None, wire, &Device::Cpu).expect("carried").0, &zeros), 0.0);
        }
    }
}
