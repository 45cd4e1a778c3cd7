//! Numbers in files, met without trust: what a safetensors header may say, and which numbers a tensor may hold.
//!
//! The format (github.com/huggingface/safetensors) is 8 bytes of header length, a JSON header that names every tensor with its
//! type, shape and place, and the tensors' bytes, which fill the rest of the file one behind the other.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use candle_core::{CpuStorage, DType, Storage, Tensor};
use guard::text::line;
use half::{bf16, f16};
use safetensors::tensor::{Metadata, TensorInfo};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

/// A header longer than this is refused; bytes. (A shard of 5 GB has about 100 kB; the format's own limit of 100 MB would take
/// gigabytes to read.)
pub const MAX_HEADER: u64 = 32 << 20;

/// More tensors than a file can need: 4,000 blocks of a few dozen.
const MAX_TENSORS: usize = 200_000;

/// More dimensions than a tensor of any model has.
const MAX_DIMENSIONS: usize = 8;

/// The characters of a name that a message shows.
pub const SHOWN: usize = 120;

/// The tensors that a header names, in the order in which they lie in the file, of which `available` bytes follow the header. The
/// error is a sentence; the format's own library has the last word.
pub fn header(json: &[u8], available: u64) -> Result<Vec<(String, TensorInfo)>, String> {
    if json.first() != Some(&b'{') {
        return Err("its safetensors header does not begin with `{`; expected a JSON table".into());
    }
    let Header(mut tensors) = serde_json::from_slice(json)
        .map_err(|error| format!("its safetensors header is wrong: {}", line(&error.to_string(), 300)))?;
    tensors.sort_by_key(|(_, tensor)| tensor.data_offsets);
    let mut end = 0;
    for (name, tensor) in &tensors {
        end = place(tensor, end, available).map_err(|what| format!("tensor `{}` {what}", line(name, SHOWN)))?;
    }
    if end != available {
        return Err(format!(
            "goes on for {} bytes behind its last tensor; expected the tensors and nothing else",
            available - end
        ));
    }
    let copy = tensors.clone();
    match guard::panics::caught("safetensors", move || Metadata::new(None, copy))? {
        Ok(_) => Ok(tensors),
        Err(error) => Err(format!("its safetensors header is wrong: {}", line(&error.to_string(), 300))),
    }
}

/// Where a tensor ends that must begin at `from`; the error completes "tensor `x` ...".
fn place(tensor: &TensorInfo, from: u64, available: u64) -> Result<u64, String> {
    let (start, end) = (tensor.data_offsets.0 as u64, tensor.data_offsets.1 as u64);
    let shape = &tensor.shape;
    if shape.len() > MAX_DIMENSIONS {
        return Err(format!("has {} dimensions; at most {MAX_DIMENSIONS} are read", shape.len()));
    }
    if start > end {
        return Err(format!("begins at byte {start} and ends before it, at {end}"));
    }
    if end > available {
        return Err(format!("ends at data byte {end}, but the file holds {available}: it is truncated"));
    }
    // Sides of 0 make no number of the others small.
    if shape.iter().try_fold(64usize, |product, &n| product.checked_mul(n.max(1))).is_none() {
        return Err(format!("has shape {shape:?}, more numbers than can be counted"));
    }
    let bits = shape.iter().try_fold(tensor.dtype.bitsize() as u64, |product, &n| product.checked_mul(n as u64));
    if bits != (end - start).checked_mul(8) {
        return Err(format!("has shape {shape:?} of {:?} in {} bytes", tensor.dtype, end - start));
    }
    if start != from {
        let what = if start < from { "overlaps the one before it" } else { "leaves a hole behind the one before it" };
        return Err(format!("{what}: it begins at data byte {start}, and that one ends at {from}"));
    }
    Ok(end)
}

/// Names and places, each name once. (A JSON table's reader keeps the last of two.)
struct Header(Vec<(String, TensorInfo)>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Names)
    }
}

struct Names;

impl<'de> Visitor<'de> for Names {
    type Value = Header;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a JSON table")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Header, M::Error> {
        let (mut seen, mut tensors) = (BTreeSet::new(), Vec::new());
        while let Some(name) = map.next_key::<String>()? {
            if !seen.insert(name.clone()) {
                return Err(M::Error::custom(format!("`{}` is there twice", line(&name, SHOWN))));
            }
            if name == "__metadata__" {
                map.next_value::<Option<HashMap<String, String>>>()?;
                continue;
            }
            if tensors.len() == MAX_TENSORS {
                return Err(M::Error::custom(format!("it names more than {MAX_TENSORS} tensors")));
            }
            let malformed = |error| M::Error::custom(format!("tensor `{}` is malformed: {error}", line(&name, SHOWN)));
            let tensor = map.next_value::<TensorInfo>().map_err(malformed)?;
            tensors.push((name, tensor));
        }
        Ok(Header(tensors))
    }
}

/// The type of a file's tensor as tensors have it, if it is one of the floats that are read.
pub fn float(dtype: safetensors::Dtype) -> Option<DType> {
    match dtype {
        safetensors::Dtype::F64 => Some(DType::F64),
        safetensors::Dtype::F32 => Some(DType::F32),
        safetensors::Dtype::F16 => Some(DType::F16),
        safetensors::Dtype::BF16 => Some(DType::BF16),
        _ => None,
    }
}

/// The largest magnitude among numbers as a file has them (little-endian); it is not finite if any number is not. Of types that are
/// no floats: 0.
pub fn largest(dtype: DType, raw: &[u8]) -> f64 {
    // Without its sign, a float's bits are ordered as the float is, infinity and NaN behind all others.
    match dtype {
        DType::F64 => f64::from_bits(most(raw.as_chunks().0, |bytes| u64::from_le_bytes(bytes) & (u64::MAX >> 1))),
        DType::F32 => f32::from_bits(most(raw.as_chunks().0, |bytes| u32::from_le_bytes(bytes) & (u32::MAX >> 1))).into(),
        DType::F16 => f16::from_bits(most(raw.as_chunks().0, |bytes| u16::from_le_bytes(bytes) & (u16::MAX >> 1))).into(),
        DType::BF16 => bf16::from_bits(most(raw.as_chunks().0, |bytes| u16::from_le_bytes(bytes) & (u16::MAX >> 1))).into(),
        _ => 0.0,
    }
}

fn most<const N: usize, B: Ord + Default>(numbers: &[[u8; N]], bits: impl Fn([u8; N]) -> B) -> B {
    numbers.iter().fold(B::default(), |most, &number| most.max(bits(number)))
}

/// The same of a tensor of f32 in the CPU's memory; 0 of others.
pub fn largest_f32(tensor: &Tensor) -> f64 {
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(numbers)), Some((from, to))) => {
            largest(DType::F32, bytemuck::cast_slice(&numbers[from..to]))
        }
        _ => 0.0,
    }
}

/// Fails if numbers up to this magnitude are not finite, or would not be as `dtype`; the error completes "tensor `x` ...".
pub fn fits(largest: f64, dtype: DType) -> Result<(), String> {
    if !largest.is_finite() {
        return Err(
            "holds a number that is not finite (NaN or infinity): the file is damaged, or what it holds has diverged".into()
        );
    }
    let (as_dtype, most, instead) = match dtype {
        DType::F16 => (f16::from_f64(largest).to_f64(), f16::MAX.to_f64(), ": use bf16 or f32"),
        DType::BF16 => (bf16::from_f64(largest).to_f64(), bf16::MAX.to_f64(), ": use f32"),
        DType::F32 => (f64::from(largest as f32), f64::from(f32::MAX), ""),
        _ => return Ok(()),
    };
    match as_dtype.is_finite() {
        true => Ok(()),
        false => Err(format!("holds {}, more than the {} of {}{instead}", shown(largest), shown(most), dtype.as_str())),
    }
}

/// Weights beyond this are none that training gave, and the squares of much larger ones overflow f32 inside of a norm, which then makes
/// zeros of whatever it sees, all of them finite.
const MAX_WEIGHT: f64 = 1e15;

/// Fails if a model cannot compute with weights up to this magnitude; the error completes "tensor `x` ...".
pub fn bearable(largest: f64) -> Result<(), String> {
    match largest <= MAX_WEIGHT {
        true => Ok(()),
        false => Err(format!(
            "holds {}; weights up to {MAX_WEIGHT:e} are read: norms of larger ones overflow, so the file is damaged",
            shown(largest)
        )),
    }
}

fn shown(number: f64) -> String {
    if number < 1e9 { format!("{number}") } else { format!("{number:.3e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, available: u64, expect: &str) {
        let found = header(json.as_bytes(), available).map_or_else(|error| error, |tensors| format!("{} tensors", tensors.len()));
        assert!(found.contains(expect), "{found}");
        assert!(found.len() < 600, "{found}");
    }

    fn tensor(name: &str, numbers: usize, from: usize, to: usize) -> String {
        format!(r#""{name}":{{"dtype":"F32","shape":[{numbers}],"data_offsets":[{from},{to}]}}"#)
    }

    #[test]
    fn a_header_names_every_byte_once() {
        let table = |tensors: &[String]| format!("{{{}}}", tensors.join(","));
        let (a, b) = (tensor("a", 2, 0, 8), tensor("b", 1, 8, 12));
        check(&table(&[a.clone(), b.clone()]), 12, "2 tensors");
        check(&table(&[b.clone(), a.clone()]), 12, "2 tensors");
        check(&format!("{}  ", table(&[a.clone(), b.clone()])), 12, "2 tensors");
        check(&table(&[r#""__metadata__":{"format":"pt"}"#.into(), a.clone()]), 8, "1 tensors");
        check("{}", 0, "0 tensors");
        check(&table(&[a.clone(), b]), 13, "goes on for 1 bytes behind its last tensor");
        check(&table(&[a.clone(), tensor("b", 1, 4, 8)]), 8, "tensor `b` overlaps the one before it: it begins at data byte 4");
        check(&table(&[a.clone(), tensor("b", 2, 0, 8)]), 8, "tensor `b` overlaps the one before it");
        check(&table(&[a.clone(), tensor("b", 1, 12, 16)]), 16, "tensor `b` leaves a hole behind the one before it");
        check(&table(&[tensor("a", 1, 4, 8)]), 8, "tensor `a` leaves a hole");
        check(&table(&[a.clone(), a.clone()]), 8, "`a` is there twice");
        check(
            &table(&[a.clone(), r#""\u0061":{"dtype":"F32","shape":[0],"data_offsets":[8,8]}"#.into()]),
            8,
            "`a` is there twice",
        );
        let metadata = r#""__metadata__":{}"#.to_owned();
        check(&table(&[metadata.clone(), metadata]), 0, "`__metadata__` is there twice");
        check(&format!("{}x", table(std::slice::from_ref(&a))), 8, "trailing characters");
        check(&format!("{}\0", table(std::slice::from_ref(&a))), 8, "trailing characters");
        check(&format!(" {}", table(&[a])), 8, "does not begin with `{`");
        check("[1]", 0, "expected a JSON table");
        check(r#"{"a":{"dtype":"F32","shape":[2],"shape":[1],"data_offsets":[0,4]}}"#, 4, "duplicate field");
        check(r#"{"a":{"dtype":"Q9","shape":[1],"data_offsets":[0,4]}}"#, 4, "tensor `a` is malformed: unknown variant");
        check(&format!(r#"{{"a":{{"dtype":"F32","shape":[{}1],"data_offsets":[0,4]}}}}"#, "1,".repeat(9)), 4, "10 dimensions");
        check(&table(&[tensor(&"x".repeat(100_000), 1, 0, 8)]), 8, "in 8 bytes");
        check(&format!("{{\"a\":{}", "[".repeat(100_000)), 0, "is wrong");
    }

    #[test]
    fn numbers_that_no_type_can_hold_are_seen() {
        let raw: Vec<u8> = [1.5f32, -70_000.0, 0.0].iter().flat_map(|number| number.to_le_bytes()).collect();
        assert_eq!(largest(DType::F32, &raw), 70_000.0);
        assert_eq!(largest(DType::F16, &f16::from_f32(-2.5).to_le_bytes()), 2.5);
        assert_eq!(largest(DType::BF16, &bf16::from_f32(-3.0).to_le_bytes()), 3.0);
        assert_eq!(largest(DType::F64, &(-1e300f64).to_le_bytes()), 1e300);
        for dtype in [DType::F64, DType::F32, DType::F16, DType::BF16] {
            let raw = |number: f64| match dtype {
                DType::F64 => number.to_le_bytes().to_vec(),
                DType::F32 => (number as f32).to_le_bytes().to_vec(),
                DType::F16 => f16::from_f64(number).to_le_bytes().to_vec(),
                _ => bf16::from_f64(number).to_le_bytes().to_vec(),
            };
            for wrong in [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                let found = largest(dtype, &[raw(1.0), raw(wrong), raw(2.0)].concat());
                assert!(fits(found, DType::F64).expect_err("not finite").contains("not finite"), "{dtype:?} {wrong}");
            }
        }
        assert_eq!(fits(65_519.0, DType::F16), Ok(()));
        assert_eq!(fits(65_520.0, DType::F16), Err("holds 65520, more than the 65504 of f16: use bf16 or f32".into()));
        assert_eq!(fits(3.4e38, DType::BF16), Err("holds 3.400e38, more than the 3.390e38 of bf16: use f32".into()));
        assert_eq!(fits(1e39, DType::F32), Err("holds 1.000e39, more than the 3.403e38 of f32".into()));
        assert_eq!((bearable(1e6), bearable(1e30).is_err(), bearable(f64::NAN).is_err()), (Ok(()), true, true));
        assert_eq!((fits(70_000.0, DType::BF16), fits(3.4e38, DType::F32), fits(1e300, DType::F64)), (Ok(()), Ok(()), Ok(())));
    }
}
