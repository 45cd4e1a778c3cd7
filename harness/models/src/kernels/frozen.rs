//! Products with a frozen weight.
//!
//! A weight is held once, in its own type, row by row as checkpoints store it. f32 weights are multiplied as f32. With bf16
//! weights, what is multiplied with them is rounded to bf16 too, and products are summed in f32: the same numbers on every
//! processor, but for the order of the sums. f16 weights are widened. Everything that is not a product stays as wide as it was.

use candle_core::{CpuStorage, Layout, Result, Storage, Tensor};
use half::f16;
use rayon::prelude::*;

use super::matrix::{Matrix, write_product};
use super::panels::{Stored, Way, Weight};
use super::real::Real;
use super::spread::{ROWS, Spread};
use super::storage::{Held, hold, values};
use super::sums::add;
use super::unit::Units;

/// Frozen weights, held for reading.
pub(super) struct FrozenWeights<'t>(Vec<(Held<'t>, &'t Tensor)>);

impl<'t> FrozenWeights<'t> {
    pub(super) fn of(tensors: impl IntoIterator<Item = &'t Tensor>) -> Self {
        Self(tensors.into_iter().map(|tensor| (hold(Some(tensor)), tensor)).collect())
    }

    pub(super) fn get<T: Real>(&self, i: usize) -> Result<Weight<'_, T>> {
        let (held, tensor) = &self.0[i];
        let (d_out, d_in) = tensor.dims2()?;
        let Some((storage, layout)) = held else { candle_core::bail!("a weight is not held") };
        let Storage::Cpu(storage) = &***storage else { candle_core::bail!("a CPU kernel was given a weight of another device") };
        Ok(Weight { numbers: Stored::of(storage, layout)?, d_out, d_in, units: Units::here() })
    }
}

impl<'a, T: Real> Stored<'a, T> {
    fn of(storage: &'a CpuStorage, layout: &Layout) -> Result<Self> {
        Ok(match storage {
            CpuStorage::BF16(_) => Self::Bf16(values(storage, layout)?),
            CpuStorage::F16(_) => Self::F16(values(storage, layout)?),
            _ => Self::Whole(values(storage, layout)?),
        })
    }
}

/// Rows of a weight that few rows meet at a time; fixed likewise.
const WEIGHT_ROWS: usize = 4096;

impl<T: Real> Weight<'_, T> {
    pub(super) fn d_in(&self) -> usize {
        self.d_in
    }

    /// `x W^T`.
    pub(super) fn forward(&self, x: &[T], spread: Spread) -> Vec<T> {
        self.product(Way::Forward, x, self.rows_at_a_time(x.len() / self.d_in, spread))
    }

    /// `dy W`.
    pub(super) fn backward(&self, dy: &[T], spread: Spread) -> Vec<T> {
        self.product(Way::Backward, dy, self.rows_at_a_time(dy.len() / self.d_out, spread))
    }

    /// Adds `dy W` to `dx`.
    #[allow(unsafe_code, reason = "what is written is given as memory; its size is checked first")]
    pub(super) fn add_backward(&self, dy: &[T], dx: &mut [T], spread: Spread) {
        assert_eq!(dx.len(), dy.len() / self.d_out * self.d_in, "a gradient of another shape than the input");
        let rows = self.rows_at_a_time(dy.len() / self.d_out, spread);
        dx.par_chunks_mut(rows * self.d_in).zip(dy.par_chunks(rows * self.d_out)).for_each(|(dx, dy)| {
            // SAFETY: `dx` holds a number for each that is written: its rows are those of `dy`.
            unsafe { self.write(Way::Backward, dy, dx.as_mut_ptr(), true) }
        });
    }

    fn rows_at_a_time(&self, rows: usize, spread: Spread) -> usize {
        spread.rows(rows, !T::has_panels(self)).max(1)
    }

    /// `x W^T` over all threads: each takes some rows of `x`, or where these are few and the weight's many, some of the weight's.
    pub(super) fn forward_in_parallel(&self, x: &[T]) -> Vec<T> {
        if x.len() / self.d_in > ROWS || self.d_out <= WEIGHT_ROWS {
            return self.product(Way::Forward, x, ROWS);
        }
        let parts: Vec<(usize, Vec<T>)> =
            self.parts().par_iter().map(|part| (part.d_out, part.forward(x, Spread::NONE))).collect();
        let mut y = Vec::with_capacity(x.len() / self.d_in * self.d_out);
        for row in 0..x.len() / self.d_in {
            parts.iter().for_each(|(width, part)| y.extend_from_slice(&part[row * width..][..*width]));
        }
        y
    }

    /// `dy W` over all threads, cut likewise.
    pub(super) fn backward_in_parallel(&self, dy: &[T]) -> Vec<T> {
        let rows = dy.len() / self.d_out;
        if rows > ROWS || self.d_out <= WEIGHT_ROWS {
            return self.product(Way::Backward, dy, ROWS);
        }
        let part = |(i, part): (usize, Self)| {
            let dy: Vec<T> = dy.chunks_exact(self.d_out).flat_map(|row| &row[i * WEIGHT_ROWS..][..part.d_out]).copied().collect();
            part.backward(&dy, Spread::NONE)
        };
        let parts: Vec<Vec<T>> = self.parts().into_par_iter().enumerate().map(part).collect();
        let mut dx = vec![T::zero(); rows * self.d_in];
        parts.iter().for_each(|part| add(&mut dx, part));
        dx
    }

    /// The weight in lots of rows.
    fn parts(&self) -> Vec<Self> {
        (0..self.d_out).step_by(WEIGHT_ROWS).map(|from| self.rows(from, WEIGHT_ROWS.min(self.d_out - from))).collect()
    }

    fn rows(&self, from: usize, count: usize) -> Self {
        let range = from * self.d_in..(from + count) * self.d_in;
        let numbers = match self.numbers {
            Stored::Whole(numbers) => Stored::Whole(&numbers[range]),
            Stored::Bf16(numbers) => Stored::Bf16(&numbers[range]),
            Stored::F16(numbers) => Stored::F16(&numbers[range]),
        };
        Self { numbers, d_out: count, ..*self }
    }

    /// So many rows at a time, on as many threads as there are lots.
    #[allow(unsafe_code, reason = "nobody should have to write zeros where the product is written next")]
    fn product(&self, way: Way, x: &[T], rows: usize) -> Vec<T> {
        let (entering, leaving) = self.widths(way);
        let size = x.len() / entering * leaving;
        let mut y = Vec::with_capacity(size);
        let room = y.spare_capacity_mut()[..size].par_chunks_mut(rows * leaving);
        room.zip(x.par_chunks(rows * entering)).for_each(|(y, x)| {
            // SAFETY: there is room for these rows of the product, which are written whole and not read before.
            unsafe { self.write(way, x, y.as_mut_ptr().cast(), false) }
        });
        // SAFETY: all rows are written.
        unsafe { y.set_len(size) };
        y
    }

    /// # Safety
    /// `y` must be valid for a row of what leaves for each row of `x`, and hold numbers where they are added to.
    #[allow(unsafe_code, reason = "the product may be written to memory that nobody has written yet")]
    unsafe fn write(&self, way: Way, x: &[T], y: *mut T, accumulate: bool) {
        let (entering, _) = self.widths(way);
        assert!(x.len().is_multiple_of(entering), "rows of another width than the weight's");
        // SAFETY: as the caller promises.
        unsafe {
            if T::write_with_panels(self, way, x, y, accumulate) {
                return;
            }
            match self.numbers {
                Stored::Whole(numbers) => self.write_whole(numbers, way, x, y, accumulate),
                Stored::Bf16(numbers) => self.write_widened((numbers, T::widen), way, &T::rounded(x), y, accumulate),
                Stored::F16(numbers) => self.write_widened((numbers, widen), way, x, y, accumulate),
            }
        }
    }

    /// # Safety
    /// As for [`Weight::write`].
    #[allow(unsafe_code, reason = "as for `write`")]
    unsafe fn write_whole(&self, numbers: &[T], way: Way, x: &[T], y: *mut T, accumulate: bool) {
        let ((entering, leaving), weight) = (self.widths(way), Matrix::new(numbers, self.d_in, 1));
        let weight = if way == Way::Forward { weight.t() } else { weight };
        // SAFETY: as the caller promises.
        unsafe {
            write_product((x.len() / entering, leaving, entering), Matrix::new(x, entering, 1), weight, y, leaving, accumulate)
        }
    }

    /// The same with a 16-bit weight, some of its rows widened at a time.
    ///
    /// # Safety
    /// As for [`Weight::write`].
    #[allow(unsafe_code, reason = "as for `write`")]
    unsafe fn write_widened<N>(
        &self,
        (numbers, widen): (&[N], impl Fn(&[N], &mut Vec<T>)),
        way: Way,
        x: &[T],
        y: *mut T,
        accumulate: bool,
    ) {
        const AT_A_TIME: usize = 512;
        let (entering, leaving) = self.widths(way);
        let rows = x.len() / entering;
        if rows == 0 {
            return;
        }
        let mut wide = Vec::with_capacity(AT_A_TIME.min(self.d_out) * self.d_in);
        for from in (0..self.d_out).step_by(AT_A_TIME) {
            let count = AT_A_TIME.min(self.d_out - from);
            wide.clear();
            widen(&numbers[from * self.d_in..][..count * self.d_in], &mut wide);
            let weight = Matrix::new(&wide, self.d_in, 1);
            // SAFETY: forward, these are the columns from `from` on of what the caller promises; backward, all of it.
            unsafe {
                match way {
                    Way::Forward => {
                        let size = (rows, count, entering);
                        write_product(size, Matrix::new(x, entering, 1), weight.t(), y.add(from), leaving, accumulate);
                    }
                    Way::Backward => {
                        let size = (rows, leaving, count);
                        write_product(size, Matrix::new(&x[from..], entering, 1), weight, y, leaving, accumulate || from > 0);
                    }
                }
            }
        }
    }
}

/// Appends f16 numbers as another type, which is exact.
fn widen<T: Real>(numbers: &[f16], wide: &mut Vec<T>) {
    wide.extend(numbers.iter().map(|x| T::of(x.to_f64())));
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use half::bf16;
    use seed::Seed;

    use super::*;
    use crate::kernels::unit::Unit;

    fn drawn(name: &str, count: usize) -> Vec<f32> {
        let mut stream = Seed::new(3).stream(name);
        (0..count).map(|_| stream.normal() as f32).collect()
    }

    /// What is multiplied with a weight of this type.
    fn seen(x: f32, dtype: DType) -> f64 {
        if dtype == DType::BF16 { bf16::from_f32(x).to_f64() } else { f64::from(x) }
    }

    /// Products both ways in f64, of numbers rounded as the weight's type asks for.
    fn reference(x: &[f32], dy: &[f32], weight: &Tensor) -> Result<[Vec<f64>; 2]> {
        let ((d_out, d_in), dtype) = (weight.dims2()?, weight.dtype());
        let w = weight.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
        let (mut y, mut dx) = (Vec::new(), Vec::new());
        for (x, dy) in x.chunks_exact(d_in).zip(dy.chunks_exact(d_out)) {
            y.extend((0..d_out).map(|o| (0..d_in).map(|i| seen(x[i], dtype) * w[o * d_in + i]).sum::<f64>()));
            dx.extend((0..d_in).map(|i| (0..d_out).map(|o| seen(dy[o], dtype) * w[o * d_in + i]).sum::<f64>()));
        }
        Ok([y, dx])
    }

    fn far(found: &[f32], wanted: &[f64]) -> f64 {
        let (mut error, mut size) = (0.0, 0.0);
        for (&found, &wanted) in found.iter().zip(wanted) {
            error += (f64::from(found) - wanted).powi(2);
            size += wanted.powi(2);
        }
        assert_eq!(found.len(), wanted.len());
        (error / size).sqrt()
    }

    const SHAPES: [(usize, usize, usize); 6] =
        [(1, 1, 1), (5, 7, 9), (12, 32, 32), (27, 66, 130), (130, 48, 4100), (3, 4099, 34)];

    /// Every type of weight by every unit of this processor, in shapes that fill panels and tiles and in shapes that do not, over a
    /// panel's depth and a lot's rows.
    #[test]
    fn products_are_those_of_f64() -> Result<()> {
        for dtype in [DType::F32, DType::BF16, DType::F16] {
            for (rows, d_out, d_in) in SHAPES {
                let weight = Tensor::from_vec(drawn("weight", d_out * d_in), (d_out, d_in), &Device::Cpu)?.to_dtype(dtype)?;
                let (x, dy) = (drawn("x", rows * d_in), drawn("dy", rows * d_out));
                let wanted = reference(&x, &dy, &weight)?;
                let held = FrozenWeights::of([&weight]);
                for units in Units::possible() {
                    let weight = Weight { units, ..held.get::<f32>(0)? };
                    check(&weight, &x, &dy, &wanted, &format!("{rows} rows, {d_out} x {d_in} {dtype:?}, {units:?}"));
                }
            }
        }
        Ok(())
    }

    fn check(weight: &Weight<f32>, x: &[f32], dy: &[f32], [y, dx]: &[Vec<f64>; 2], what: &str) {
        for (found, wanted) in [(weight.forward(x, Spread::NONE), y), (weight.forward_in_parallel(x), y)] {
            assert!(far(&found, wanted) < 2e-6, "{what}, forward: {}", far(&found, wanted));
        }
        for (found, wanted) in [(weight.backward(dy, Spread::NONE), dx), (weight.backward_in_parallel(dy), dx)] {
            assert!(far(&found, wanted) < 2e-6, "{what}, backward: {}", far(&found, wanted));
        }
        let mut twice = weight.backward(dy, Spread::NONE);
        weight.add_backward(dy, &mut twice, Spread::NONE);
        let wanted: Vec<f64> = dx.iter().map(|x| 2.0 * x).collect();
        assert!(far(&twice, &wanted) < 2e-6, "{what}, added");
    }

    /// Whether bf16 weights are multiplied as pairs or widened makes no difference but for the sums' order: not even where numbers
    /// lie between two of bf16. Of whole numbers, where every order gives the same, none at all.
    #[test]
    fn units_round_alike() -> Result<()> {
        let (rows, d_out, d_in) = (13, 70, 66);
        let whole = |name: &str, count: usize| drawn(name, count).into_iter().map(|x| (4.0 * x).round()).collect::<Vec<_>>();
        let weight = Tensor::from_vec(whole("weight", d_out * d_in), (d_out, d_in), &Device::Cpu)?.to_dtype(DType::BF16)?;
        // Half a step of bf16 beside each whole number from 128 to 256: a tie, rounded to even.
        let x: Vec<f32> = whole("x", rows * d_in).into_iter().map(|x| x.abs() + 128.5).collect();
        let held = FrozenWeights::of([&weight]);
        let [y, _] = reference(&x, &vec![0.0; rows * d_out], &weight)?;
        for units in Units::possible() {
            let weight = Weight { units, ..held.get::<f32>(0)? };
            let found: Vec<f64> = weight.forward(&x, Spread::NONE).into_iter().map(f64::from).collect();
            assert_eq!(found, y, "{units:?}");
        }
        Ok(())
    }

    /// Of no row comes no row, whatever the weight's type and however many lots of rows it has.
    #[test]
    fn no_rows_give_no_rows() -> Result<()> {
        for dtype in [DType::F32, DType::BF16, DType::F16] {
            for (d_out, d_in) in [(4, 6), (513, 3), (5000, 2)] {
                let weight = Tensor::zeros((d_out, d_in), dtype, &Device::Cpu)?;
                let held = FrozenWeights::of([&weight]);
                let weight = held.get::<f32>(0)?;
                for rows in
                    [weight.forward(&[], Spread::NONE), weight.backward(&[], Spread::NONE), weight.forward_in_parallel(&[])]
                {
                    assert!(rows.is_empty(), "{dtype:?}");
                }
                assert!(weight.backward_in_parallel(&[]).is_empty(), "{dtype:?}");
                weight.add_backward(&[], &mut [], Spread::NONE);
            }
        }
        Ok(())
    }

    /// By panels, a row's product does not depend on the rows beside it, to the bit.
    #[test]
    fn bits_do_not_depend_on_the_cut() -> Result<()> {
        let (rows, d_out, d_in) = (31, 70, 2100);
        for dtype in [DType::F32, DType::BF16] {
            let weight = Tensor::from_vec(drawn("weight", d_out * d_in), (d_out, d_in), &Device::Cpu)?.to_dtype(dtype)?;
            let (held, x) = (FrozenWeights::of([&weight]), drawn("x", rows * d_in));
            for units in Units::possible().into_iter().filter(|units| units.f32 != Unit::Gemm) {
                let weight = Weight { units, ..held.get::<f32>(0)? };
                let whole = weight.forward(&x, Spread::NONE);
                for from in [0, 1, 12, 30] {
                    let part = weight.forward(&x[from * d_in..], Spread::NONE);
                    assert_eq!(part, whole[from * d_out..], "{dtype:?} from row {from}, {units:?}");
                }
            }
        }
        Ok(())
    }
}
