//! What all tests share: single-threaded operations, seeded tensors, comparisons.

use std::sync::Once;

use candle_core::{DType, Device, Shape, Tensor};
use models::Batch;
use models::adapter::{Adapt, Untouched};
use models::llama::Llama;
use seed::Seed;

/// What a test returns.
pub type Test = anyhow::Result<()>;

/// As `main` does first thing: candle's operations stay on one thread.
pub fn setup() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // The pool may exist already; the thread counts that candle reads are set before that is known.
        let _ = machine::threads::init(None);
    });
}

/// Standard normal numbers, the same for the same name.
pub fn normal(name: &str, shape: impl Into<Shape>, dtype: DType) -> candle_core::Result<Tensor> {
    setup();
    let shape = shape.into();
    let mut stream = Seed::new(11).stream(name);
    let values: Vec<f64> = (0..shape.elem_count()).map(|_| stream.normal()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)
}

/// All numbers of a tensor.
pub fn flat(tensor: &Tensor) -> candle_core::Result<Vec<f64>> {
    tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1()
}

/// Token ids of a tensor of integers.
pub fn ids(tensor: &Tensor) -> candle_core::Result<Vec<u32>> {
    tensor.to_dtype(DType::U32)?.flatten_all()?.to_vec1()
}

/// The largest distance between two tensors of one shape.
pub fn distance(found: &Tensor, wanted: &Tensor) -> candle_core::Result<f64> {
    assert_eq!(found.dims(), wanted.dims());
    Ok(flat(found)?.iter().zip(flat(wanted)?).map(|(a, b)| (a - b).abs()).fold(0.0, nan_max))
}

/// The length of the difference over the length of what is wanted.
pub fn relative(found: &Tensor, wanted: &Tensor) -> candle_core::Result<f64> {
    assert_eq!(found.dims(), wanted.dims());
    let (found, wanted) = (flat(found)?, flat(wanted)?);
    let difference: Vec<f64> = found.iter().zip(&wanted).map(|(a, b)| a - b).collect();
    Ok(length(&difference) / length(&wanted))
}

/// Euclidean length.
pub fn length(values: &[f64]) -> f64 {
    values.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// The larger number; NaN wins, so that no comparison hides one.
pub fn nan_max(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

/// Fails unless an error is within its bound; says what it is (`cargo test -- --nocapture`).
pub fn within(what: &str, error: f64, bound: f64) {
    eprintln!("{what}: {error:.1e} (bound {bound:.0e})");
    assert!(error <= bound, "{what}: off by {error:e}, more than {bound:e}");
}

/// Logits of a decoder alone, at the places of a batch of text that are read.
pub fn decoder_logits(decoder: &Llama, batch: Batch) -> candle_core::Result<Tensor> {
    adapted_logits(decoder, batch, &|hidden| Ok(hidden.clone()), &Untouched)
}

/// The same with adapters inside, and with `before` on the way from the embeddings to the decoder.
pub fn adapted_logits(
    decoder: &Llama,
    batch: Batch,
    before: &dyn Fn(&Tensor) -> candle_core::Result<Tensor>,
    adapt: &dyn Adapt,
) -> candle_core::Result<Tensor> {
    let text = decoder.embed(&batch.tokens)?;
    let hidden = before(&text.reshape((batch.size, (), text.dim(1)?))?)?;
    decoder.forward(&hidden, &decoder.context(&batch)?, adapt)
}
