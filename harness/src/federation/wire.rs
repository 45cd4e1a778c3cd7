//! How tensor sets are encoded on their way: as they are, or with fewer bits a number.
//!
//! What a client has learnt is sent as the difference to what it received, where there is one of the same shape: it is small, so few
//! bits go far. Quantised numbers are whole multiples of a scale, the row's largest magnitude over the largest whole number
//! (symmetric, rounded to nearest, ties to even); a scale is four bytes, and is counted like everything else in the payload.

use candle_core::{DType, Device, Tensor};
use schema::experiment::Wire;

use crate::adapter::Adapters;
use crate::{Error, Result};

/// The suffix of a quantised tensor's scales.
const SCALE: &str = "#scale";

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
    let mut encoded = Adapters::default();
    for (name, tensor) in set.iter() {
        let (bytes, scales) = quantised(tensor, wire)?;
        encoded.insert(name.clone(), bytes);
        encoded.insert(format!("{name}{SCALE}"), scales);
    }
    Ok(encoded)
}

fn decode(encoded: &Adapters, like: &Adapters, wire: Wire) -> Result<Adapters> {
    let tensor =
        |name: &str| encoded.get(name).ok_or_else(|| Error::Usage(format!("a payload without `{name}` cannot be decoded")));
    let one = |(name, like): (&String, &Tensor)| {
        let decoded = match wire {
            Wire::F16 => tensor(name)?.to_dtype(like.dtype())?,
            _ => restored(tensor(name)?, tensor(&format!("{name}{SCALE}"))?, like, wire)?,
        };
        Ok((name.clone(), decoded))
    };
    like.iter().map(one).collect()
}

/// Rows of whole numbers as bytes (two in a byte with four bits), and a scale a row.
fn quantised(tensor: &Tensor, wire: Wire) -> Result<(Tensor, Tensor)> {
    let rows = rows(tensor)?;
    let (mut bytes, mut scales) = (Vec::new(), Vec::new());
    for row in &rows {
        let scale = (row.iter().fold(0f64, |most, x| most.max(x.abs())) / largest(wire)) as f32;
        let whole = |x: &f64| {
            if scale > 0.0 { (x / f64::from(scale)).round_ties_even().clamp(-largest(wire), largest(wire)) } else { 0.0 }
        };
        let whole: Vec<u8> = row.iter().map(|x| (whole(x) + largest(wire)) as u8).collect();
        match wire {
            Wire::Int4 => bytes.extend(whole.chunks(2).map(|pair| pair[0] | pair.get(1).copied().unwrap_or(0) << 4)),
            _ => bytes.extend(whole),
        }
        scales.push(scale);
    }
    let (n, k) = (bytes.len(), scales.len());
    Ok((Tensor::from_vec(bytes, n, &Device::Cpu)?, Tensor::from_vec(scales, k, &Device::Cpu)?))
}

fn restored(bytes: &Tensor, scales: &Tensor, like: &Tensor, wire: Wire) -> Result<Tensor> {
    let bytes: Vec<u8> = bytes.to_vec1()?;
    let scales: Vec<f32> = scales.to_vec1()?;
    let width = like.elem_count() / scales.len().max(1);
    let mut values = Vec::with_capacity(like.elem_count());
    let in_row = if wire == Wire::Int4 { width.div_ceil(2) } else { width };
    for (row, &scale) in bytes.chunks(in_row.max(1)).zip(&scales) {
        let whole = row.iter().flat_map(|&byte| if wire == Wire::Int4 { [byte & 15, byte >> 4] } else { [byte, 0] });
        let whole = whole.step_by(if wire == Wire::Int4 { 1 } else { 2 }).take(width);
        values.extend(whole.map(|whole| (f64::from(whole) - largest(wire)) * f64::from(scale)));
    }
    Ok(Tensor::from_vec(values, like.dims(), &Device::Cpu)?.to_dtype(like.dtype())?.to_device(like.device())?)
}

/// The tensor's rows; a vector is one row.
fn rows(tensor: &Tensor) -> Result<Vec<Vec<f64>>> {
    let rows = if tensor.rank() > 1 { tensor.dim(0)? } else { 1 };
    Ok(tensor.to_dtype(DType::F64)?.reshape((rows, ()))?.to_vec2()?)
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

    /// A byte or half a byte a number and four bytes a row, besides the encoding's header.
    #[test]
    fn bytes_are_counted_with_their_scales() {
        let set: Adapters =
            [("a".to_owned(), Tensor::zeros((8, 1001), DType::F32, &Device::Cpu).expect("zeros"))].into_iter().collect();
        let bytes = |wire| carry(&set, None, wire, &Device::Cpu).expect("carried").1;
        let header = bytes(Wire::F32) - 4 * 8008;
        for (wire, numbers) in [(Wire::F16, 2 * 8008), (Wire::Int8, 8008 + 4 * 8), (Wire::Int4, 8 * 501 + 4 * 8)] {
            let more = bytes(wire) - numbers;
            assert!(more >= header - 8 && more < 2 * header + 100, "{wire:?}: {more} bytes of header");
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
