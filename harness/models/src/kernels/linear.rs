//! Multiplication by a frozen weight.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp1, DType, Layout, Result, Shape, Storage, Tensor, WithDType};

use super::frozen::FrozenWeights;
use super::real::Real;
use super::storage::{Numbers, by_dtype, serves, values};

/// `[n, in]` times the transpose of `weight` `[out, in]`: `[n, out]`. Backward `dX = dY W`; the weight has no gradient.
pub struct FrozenLinear {
    /// Never trained.
    pub weight: Tensor,
}

impl FrozenLinear {
    fn forward<T: Real>(&self, x: &[T]) -> Result<Vec<T>> {
        Ok(FrozenWeights::of([&self.weight]).get(0)?.forward_in_parallel(x))
    }

    fn backward<T: Real>(&self, dy: &Tensor) -> Result<Tensor> {
        let (held, numbers) = (FrozenWeights::of([&self.weight]), Numbers::of(&[dy]));
        let weight = held.get::<T>(0)?;
        Tensor::from_vec(weight.backward_in_parallel(numbers.get(0)?), (dy.dim(0)?, weight.d_in()), dy.device())
    }

    /// The problem's size (batch, rows, out, in) and the layout of `W^T`, for candle's matrix product.
    fn problem(&self, x: &Layout, weight: &Layout) -> Result<((usize, usize, usize, usize), Layout)> {
        let (rows, d_in) = x.shape().dims2()?;
        let (d_out, _) = weight.shape().dims2()?;
        Ok(((1, rows, d_out, d_in), weight.transpose(0, 1)?))
    }
}

impl CustomOp1 for FrozenLinear {
    fn name(&self) -> &'static str {
        "frozen-linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let shape = Shape::from((layout.shape().dims2()?.0, self.weight.dim(0)?));
        if !matches!(x.dtype(), DType::F32 | DType::F64) {
            candle_core::bail!(
                "frozen-linear: on the CPU what enters is f32 or f64, whatever the weight's type; it is {:?}",
                x.dtype()
            )
        }
        Ok((by_dtype!(x.dtype(), self.forward(values(x, layout)?)?), shape))
    }

    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let (storage, weight_layout) = self.weight.storage_and_layout();
        let Storage::Cuda(weight) = &*storage else {
            candle_core::bail!("frozen-linear: the input is on the GPU, the weight is not")
        };
        let (size, transposed) = self.problem(layout, weight_layout)?;
        let y = x.matmul(weight, size, layout, &transposed)?;
        Ok((y, Shape::from((size.1, size.2))))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        match dy.dtype() {
            DType::F32 if serves(&dy) => self.backward::<f32>(&dy),
            DType::F64 if serves(&dy) => self.backward::<f64>(&dy),
            _ => dy.matmul(&self.weight),
        }
        .map(Some)
    }
}
