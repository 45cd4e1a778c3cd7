//! Multiplication by a frozen weight.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp1, DType, Layout, Result, Shape, Storage, Tensor, WithDType};

use super::matrix::{Matrix, rows_times};
use super::{Numbers, Real, by_dtype, serves, values};

/// `[n, in]` times the transpose of `weight` `[out, in]`: `[n, out]`. Backward `dX = dY W`; the weight has no gradient.
pub struct FrozenLinear {
    /// Never trained.
    pub weight: Tensor,
}

impl FrozenLinear {
    fn forward<T: Real>(&self, x: &[T]) -> Result<Vec<T>> {
        let (d_out, d_in) = self.weight.dims2()?;
        let numbers = Numbers::of(&[&self.weight]);
        Ok(rows_times(x, d_in, Matrix::new(numbers.get(0)?, d_in, 1).t(), d_out))
    }

    fn backward<T: Real>(&self, dy: &Tensor) -> Result<Tensor> {
        let (d_out, d_in) = self.weight.dims2()?;
        let numbers = Numbers::of(&[dy, &self.weight]);
        let dx = rows_times(numbers.get::<T>(0)?, d_out, Matrix::new(numbers.get(1)?, d_in, 1), d_in);
        Tensor::from_vec(dx, (dy.dim(0)?, d_in), dy.device())
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
        if serves(&self.weight) {
            return Ok((by_dtype!(x.dtype(), self.forward(values(x, layout)?)?), shape));
        }
        let (storage, weight_layout) = self.weight.storage_and_layout();
        let Storage::Cpu(weight) = &*storage else {
            candle_core::bail!("frozen-linear: the input is on the CPU, the weight is not")
        };
        let (size, transposed) = self.problem(layout, weight_layout)?;
        Ok((x.matmul(weight, size, layout, &transposed)?, shape))
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
