//! Whether a device computes what the CPU does: what is worth knowing before anything is timed on it.

use std::collections::BTreeMap;

use anyhow::Result;
use candle_core::{CustomOp1, DType, Device, Tensor};
use models::kernels::FrozenLinear;

use crate::step::drawn;
use crate::{Shape, Step};

/// A comparison with the CPU.
#[derive(Debug)]
pub struct Check {
    /// What is compared.
    pub what: String,
    /// The length of the difference over the length of what is right.
    pub error: f64,
    /// What it may be.
    pub bound: f64,
}

impl Check {
    /// Whether the two agree; a NaN never does.
    pub fn holds(&self) -> bool {
        self.error <= self.bound
    }
}

/// What f32 sums in other orders may differ by, with room; a product in TF32 is ten times beyond it.
const SINGLE: f64 = 5e-5;
/// A number rounded to bf16.
const ROUNDED: f64 = 4e-3;
/// A decoder that computes in bf16.
const HALF: f64 = 0.1;

/// Products first, then whole steps: loss and adapter gradients at shape S.
pub fn checks(device: &Device) -> Result<Vec<Check>> {
    let mut found = products(device)?;
    for kind in ["nano", "lora"] {
        let (wanted_loss, wanted) = Step::new(Shape::S, kind, DType::F32, &Device::Cpu)?.gradients()?;
        for (dtype, bound) in [(DType::F32, SINGLE), (DType::BF16, HALF)] {
            let (loss, gradients) = Step::new(Shape::S, kind, dtype, device)?.gradients()?;
            let what = |of: &str| format!("{of} of a step of S, {kind}, {}", dtype.as_str());
            let error = f64::from((loss - wanted_loss) / wanted_loss).abs();
            found.push(Check { what: what("loss"), error, bound });
            found.push(Check { what: what("gradients"), error: apart(&gradients, &wanted)?, bound });
        }
    }
    Ok(found)
}

/// Plain products, and those with a frozen weight forward and backward, against f64.
fn products(device: &Device) -> Result<Vec<Check>> {
    let (x, weight) = (drawn("x", &[192, 320], 1.0)?, drawn("weight", &[256, 320], 1.0)?);
    let mut found = Vec::new();
    for (dtype, bound) in [(DType::F32, SINGLE), (DType::BF16, ROUNDED)] {
        let [x, weight] = [&x, &weight].map(|tensor| tensor.to_dtype(dtype));
        let (x, weight) = (x?, weight?);
        let wide = [&x, &weight].map(|tensor| tensor.to_dtype(DType::F64));
        let [wide_x, wide_weight] = wide;
        let (wide_x, wide_weight) = (wide_x?, wide_weight?);
        let y = wide_x.matmul(&wide_weight.t()?)?;
        let (x, weight) = (x.to_device(device)?, weight.to_device(device)?);
        let mut check = |what: &str, product: &Tensor, wanted: &Tensor| {
            found.push(Check { what: format!("{what}, {}", dtype.as_str()), error: relative(product, wanted)?, bound });
            Ok::<_, anyhow::Error>(())
        };
        check("product", &x.matmul(&weight.t()?)?, &y)?;
        // On the CPU what meets a bf16 weight is f32.
        let x = if device.is_cpu() { x.to_dtype(DType::F32)? } else { x };
        let linear = || FrozenLinear { weight: weight.clone() };
        let product = x.apply_op1(linear())?;
        check("product with a frozen weight", &product, &y)?;
        let rounded = product.to_dtype(dtype)?.to_dtype(product.dtype())?;
        let back = linear().bwd(&x, &rounded, &rounded)?;
        let wanted = rounded.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.matmul(&wide_weight)?;
        if let Some(back) = back {
            check("gradient through a frozen weight", &back, &wanted)?;
        }
    }
    Ok(found)
}

/// Of all tensors together.
fn apart(found: &BTreeMap<String, Tensor>, wanted: &BTreeMap<String, Tensor>) -> Result<f64> {
    let all = |set: &BTreeMap<String, Tensor>| -> Result<Tensor> {
        let flat = set.values().map(|tensor| tensor.flatten_all()).collect::<candle_core::Result<Vec<_>>>()?;
        Ok(Tensor::cat(&flat, 0)?)
    };
    relative(&all(found)?, &all(wanted)?)
}

fn relative(found: &Tensor, wanted: &Tensor) -> Result<f64> {
    let [found, wanted] = [found, wanted].map(|tensor| tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64));
    let (found, wanted) = (found?, wanted?);
    let length = |tensor: &Tensor| tensor.sqr()?.sum_all()?.to_scalar::<f64>();
    Ok((length(&(found - &wanted)?)? / length(&wanted)?).sqrt())
}
