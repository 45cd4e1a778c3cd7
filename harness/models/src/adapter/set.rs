//! A named set of adapter tensors: what is communicated, aggregated and saved.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Result, Tensor, Var};
use machine::memory::available_bytes;

use crate::Error;
use crate::checkpoint::{self, Checkpoint};
use crate::stored::SHOWN;

/// Tensors by name, in name order wherever they are walked.
#[derive(Debug, Clone, Default)]
pub struct Adapters {
    tensors: BTreeMap<String, Tensor>,
}

impl Adapters {
    /// Adds or replaces a tensor.
    pub fn insert(&mut self, name: String, tensor: Tensor) {
        self.tensors.insert(name, tensor);
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// Names and tensors, in name order.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Tensor)> {
        self.tensors.iter()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// Numbers in all tensors.
    pub fn num_parameters(&self) -> u64 {
        self.tensors.values().map(|tensor| tensor.elem_count() as u64).sum()
    }

    /// `f` of every tensor.
    pub fn map(&self, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let tensors = self.tensors.iter().map(|(name, tensor)| Ok((name.clone(), f(tensor)?))).collect::<Result<_>>()?;
        Ok(Self { tensors })
    }

    /// `f` of every pair of tensors of one name; the other set must hold the same names.
    pub fn zip(&self, other: &Self, f: impl Fn(&Tensor, &Tensor) -> Result<Tensor>) -> Result<Self> {
        let pair = |(name, tensor): (&String, &Tensor)| match other.get(name) {
            Some(partner) => Ok((name.clone(), f(tensor, partner)?)),
            None => candle_core::bail!("adapter sets differ: `{name}` is only in one of them"),
        };
        if self.tensors.len() != other.tensors.len() {
            candle_core::bail!("adapter sets differ: {} tensors against {}", self.tensors.len(), other.tensors.len())
        }
        Ok(Self { tensors: self.tensors.iter().map(pair).collect::<Result<_>>()? })
    }

    /// The tensors whose names `keep` wants.
    pub fn filter(&self, keep: impl Fn(&str) -> bool) -> Self {
        self.iter().filter(|(name, _)| keep(name)).map(|(name, tensor)| (name.clone(), tensor.clone())).collect()
    }

    /// These tensors and the other set's; of two of one name, the other's.
    pub fn with(&self, other: &Self) -> Self {
        self.iter().chain(other.iter()).map(|(name, tensor)| (name.clone(), tensor.clone())).collect()
    }

    /// Whether every number is finite.
    pub fn is_finite(&self) -> Result<bool> {
        Ok(self.flat()?.iter().all(|number| number.is_finite()))
    }

    /// The first tensor that holds a number that is not finite.
    pub fn not_finite(&self) -> Result<Option<&str>> {
        for (name, tensor) in &self.tensors {
            let numbers = tensor.to_dtype(candle_core::DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
            if !numbers.iter().all(|number| number.is_finite()) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Zeros of the same names and shapes.
    pub fn zeros_like(&self) -> Result<Self> {
        self.map(Tensor::zeros_like)
    }

    /// Elementwise difference.
    pub fn sub(&self, other: &Self) -> Result<Self> {
        self.zip(other, |a, b| a - b)
    }

    /// `sum <a, b>` over all tensors, a scalar.
    pub fn dot(&self, other: &Self) -> Result<Tensor> {
        let products = self.zip(other, |a, b| (a * b)?.sum_all())?;
        let products: Vec<Tensor> = products.tensors.into_values().collect();
        Tensor::stack(&products, 0)?.sum_all()
    }

    /// Elementwise sum.
    pub fn add(&self, other: &Self) -> Result<Self> {
        self.zip(other, |a, b| a + b)
    }

    /// Every number times `factor`.
    pub fn scale(&self, factor: f64) -> Result<Self> {
        self.map(|tensor| tensor * factor)
    }

    /// The same tensors as variables, copied so that training one leaves this set untouched.
    pub fn to_vars(&self) -> Result<BTreeMap<String, Var>> {
        self.tensors.iter().map(|(name, tensor)| Ok((name.clone(), Var::from_tensor(&tensor.copy()?)?))).collect()
    }

    /// A set that shares the variables' tensors, so that gradients reach them.
    pub fn from_vars(vars: &BTreeMap<String, Var>) -> Self {
        Self { tensors: vars.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())).collect() }
    }

    /// The variables' present values, cut off from any graph.
    pub fn from_var_values(vars: &BTreeMap<String, Var>) -> Result<Self> {
        let tensors =
            vars.iter().map(|(name, var)| Ok((name.clone(), var.as_detached_tensor().copy()?))).collect::<Result<_>>()?;
        Ok(Self { tensors })
    }

    /// All numbers, in name order.
    pub fn flat(&self) -> Result<Vec<f64>> {
        let mut all = Vec::new();
        for tensor in self.tensors.values() {
            all.extend(tensor.to_dtype(candle_core::DType::F64)?.flatten_all()?.to_vec1::<f64>()?);
        }
        Ok(all)
    }

    /// The safetensors encoding: what crosses a link and lies in a run folder. Nothing takes no bytes.
    pub fn to_bytes(&self) -> crate::Result<Vec<u8>> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        // The encoder orders by element type and name, so the bytes do not depend on the order given.
        safetensors::serialize(self.tensors.iter(), None)
            .map_err(|error| Error::Backbone(format!("cannot encode adapters: {error}")))
    }

    /// Reads the safetensors encoding without trusting it; no more memory is taken than there are bytes.
    pub fn from_bytes(bytes: &[u8], device: &Device) -> crate::Result<Self> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        checkpoint::check(bytes).map_err(Error::Backbone)?;
        let tensors: HashMap<String, Tensor> = candle_core::safetensors::load_buffer(bytes, device)?;
        Ok(Self { tensors: tensors.into_iter().collect() })
    }

    /// Reads a file without trusting it: all its numbers must be f32, as adapters are saved, and finite. An empty file holds no
    /// adapters.
    pub fn read(path: &Path, device: &Device) -> crate::Result<Self> {
        let read = |source| Error::Read { path: path.into(), source };
        let size = guard::files::open(path).and_then(|file| file.metadata()).map_err(read)?.len();
        if size == 0 {
            return Ok(Self::default());
        }
        if let Some(free) = available_bytes().filter(|&free| size > free) {
            let path = path.display();
            return Err(Error::Backbone(format!("{path}: has {size} bytes, and {free} bytes of memory are free")));
        }
        let read = Checkpoint::file(path).and_then(|checkpoint| checkpoint.all(device));
        let tensors = read.map_err(|error| match error {
            Error::Backbone(what) => Error::Backbone(format!("not sound adapters in safetensors: {what}")),
            other => other,
        })?;
        match tensors.iter().find(|(_, tensor)| tensor.dtype() != DType::F32) {
            None => Ok(tensors.into_iter().collect()),
            Some((name, tensor)) => Err(Error::Backbone(format!(
                "not sound adapters in safetensors: {}: tensor `{}` is of type {:?}; adapters are F32: convert them",
                path.display(),
                guard::text::line(name, SHOWN),
                tensor.dtype()
            ))),
        }
    }
}

impl FromIterator<(String, Tensor)> for Adapters {
    fn from_iter<I: IntoIterator<Item = (String, Tensor)>>(tensors: I) -> Self {
        Self { tensors: tensors.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapters_of_a_file_are_named_once_finite_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("adapters.safetensors");
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).expect("written");
            Adapters::read(&path, &Device::Cpu).map_err(|error| error.to_string())
        };
        let of = |numbers: [f32; 2]| {
            let tensor = Tensor::new(&numbers, &Device::Cpu).expect("a tensor");
            Adapters::from_iter([("image.down".to_owned(), tensor)]).to_bytes().expect("encoded")
        };
        let sound = of([1.0, 2.0]);
        assert_eq!(read(&sound).expect("sound").flat().expect("numbers"), [1.0, 2.0]);
        assert!(read(b"").expect("none").is_empty());
        let as_type = |dtype: DType| {
            let tensor = Tensor::new(&[1.0f32, 2.0], &Device::Cpu).and_then(|tensor| tensor.to_dtype(dtype)).expect("a tensor");
            Adapters::from_iter([("image.down".to_owned(), tensor)]).to_bytes().expect("encoded")
        };
        for (bytes, expect) in [
            (as_type(DType::F64), "tensor `image.down` is of type F64; adapters are F32"),
            (as_type(DType::F16), "tensor `image.down` is of type F16; adapters are F32"),
            (as_type(DType::BF16), "tensor `image.down` is of type BF16; adapters are F32"),
            (of([1.0, f32::NAN]), "tensor `image.down` holds a number that is not finite"),
            ([sound.as_slice(), b"x"].concat(), "goes on for 1 bytes behind its last tensor"),
            (sound[..sound.len() - 1].to_vec(), "it is truncated"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n".to_vec(), "is a Git LFS pointer"),
        ] {
            let error = read(&bytes).expect_err(expect);
            assert!(error.contains(expect) && error.contains("adapters.safetensors"), "{error}");
        }
    }
}
