//! Products with a frozen weight beside the same product by `gemm`, one thread; elements are floating-point operations, so elements
//! a second are flop/s. `square` is what a large product by `gemm` reaches: the peak that the others are seen against.

use candle_core::{CustomOp1, DType, Device, Tensor};
use criterion::{Criterion, Throughput};
use machine::threads;
use models::kernels::FrozenLinear;
use seed::Seed;

/// Rows, columns out, columns in: projections of shape S's and M's decoders, over as many rows as a thread has of them.
const SHAPES: [(&str, [usize; 3]); 4] = [
    ("S q_proj", [448, 192, 192]),
    ("S gate_proj", [448, 512, 192]),
    ("M gate_proj", [256, 1536, 576]),
    ("M down_proj", [256, 576, 1536]),
];

fn main() {
    bench::start(Some(1)).expect("threads start once");
    // On the thread itself: waking another takes as long as a small product.
    threads::pool(1).expect("a pool of one thread").install(products).expect("products");
}

fn products() -> study::Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("products");
    let square = [drawn("square", &[1024, 1024]), drawn("other", &[1024, 1024])];
    group.throughput(Throughput::Elements(2 * 1024 * 1024 * 1024));
    group.bench_function("square/gemm", |bench| bench.iter(|| square[0].matmul(&square[1]).expect("a product")));
    for (name, [rows, d_out, d_in]) in SHAPES {
        let (x, dy) = (drawn("x", &[rows, d_in]), drawn("dy", &[rows, d_out]));
        let weight = drawn("weight", &[d_out, d_in]);
        group.throughput(Throughput::Elements((2 * rows * d_out * d_in) as u64));
        let turned = weight.t().expect("a matrix");
        group.bench_function(format!("{name}/forward/gemm"), |bench| bench.iter(|| x.matmul(&turned).expect("a product")));
        group.bench_function(format!("{name}/backward/gemm"), |bench| bench.iter(|| dy.matmul(&weight).expect("a product")));
        for dtype in [DType::F32, DType::BF16] {
            let weight = weight.to_dtype(dtype).expect("a type of weights");
            let product = |x: &Tensor| x.apply_op1(FrozenLinear { weight: weight.clone() }).expect("a product");
            group.bench_function(format!("{name}/forward/{}", dtype.as_str()), |bench| bench.iter(|| product(&x)));
            let op = FrozenLinear { weight: weight.clone() };
            group.bench_function(format!("{name}/backward/{}", dtype.as_str()), |bench| {
                bench.iter(|| op.bwd(&x, &dy, &dy).expect("a gradient"));
            });
        }
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}

fn drawn(name: &str, shape: &[usize]) -> Tensor {
    let mut stream = Seed::new(2).stream(name);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| stream.normal() as f32).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).expect("values fill their shape")
}
