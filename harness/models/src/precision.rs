//! Which numbers of a model have 16 bits.
//!
//! On a GPU all of them have the weights' type, as in transformers. On the CPU only matrices have 16 bits, nearly all of a model's
//! memory; hidden states, norms, softmax and everything else are f32, and [`super::kernels`] multiplies the two.

use candle_core::{DType, Device, Result, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};

use super::nn::is_half;

/// The type of hidden states where weights have this one.
pub fn computes_in(weights: DType, device: &Device) -> DType {
    if device.is_cpu() && is_half(weights) { DType::F32 } else { weights }
}

/// A builder for a model whose weights are held as `dtype`.
pub fn builder<'a>(weights: Box<dyn SimpleBackend + 'a>, dtype: DType, device: &Device) -> VarBuilder<'a> {
    let computes_in = computes_in(dtype, device);
    VarBuilder::from_backend(Box::new(Held { weights, matrices: dtype }), computes_in, device.clone())
}

/// Weights whose matrices are of another type than the rest.
struct Held<'a> {
    weights: Box<dyn SimpleBackend + 'a>,
    matrices: DType,
}

impl SimpleBackend for Held<'_> {
    fn get(&self, shape: Shape, name: &str, init: Init, dtype: DType, device: &Device) -> Result<Tensor> {
        let dtype = if shape.rank() == 2 { self.matrices } else { dtype };
        self.weights.get(shape, name, init, dtype, device)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        self.weights.get_unchecked(name, dtype, device)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.weights.contains_tensor(name)
    }
}

/// The type of weights that a config names: `f32` without a name.
pub fn parse_dtype(name: Option<&str>) -> crate::Result<DType> {
    match name {
        None | Some("f32") => Ok(DType::F32),
        Some("bf16") => Ok(DType::BF16),
        Some("f16") => Ok(DType::F16),
        Some(other) => Err(crate::Error::Usage(format!("backbone.dtype = \"{other}\": expected \"f32\", \"bf16\" or \"f16\""))),
    }
}
