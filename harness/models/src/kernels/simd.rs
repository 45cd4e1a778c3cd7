//! Elementwise loops, compiled for several instruction sets.

/// Runs elementwise work with the widest instructions the CPU has.
///
/// All of it has to be inlined: a closure of some size that need not be would be compiled on its own, for the least CPU, and so
/// would the shim through which a closure that could be called again is called once.
macro_rules! vectorized {
    ($work:expr) => {
        crate::kernels::simd::dispatch(
            #[inline(always)]
            || $work,
        )
    };
}
pub(super) use vectorized;

/// What [`vectorized`] calls.
#[inline(always)]
pub(super) fn dispatch<R>(work: impl FnMut() -> R) -> R {
    struct Work<F>(F);
    impl<R, F: FnMut() -> R> pulp::WithSimd for Work<F> {
        type Output = R;

        #[inline(always)]
        fn with_simd<S: pulp::Simd>(mut self, _: S) -> R {
            (self.0)()
        }
    }
    pulp::Arch::new().dispatch(Work(work))
}
