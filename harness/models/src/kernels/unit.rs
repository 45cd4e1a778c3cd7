//! What multiplies with frozen weights: the one place that asks the processor, and decides.
//!
//! Units differ in the order of their sums alone, so in last digits; `environment.json` says which ones a run went through. A variable
//! of the environment forbids one, for tests and comparisons, as if the processor had none:
//!
//! | set to 1 | then |
//! |---|---|
//! | `FEDBENCH_NO_AMX` | bf16 weights do not go by AMX's tiles |
//! | `FEDBENCH_NO_AVX512_BF16` | nor by dot products: they are widened while they are packed, and multiplied as f32 |
//! | `FEDBENCH_NO_AVX512` | nothing goes by panels; `gemm` still picks its own kernel |

use std::collections::BTreeMap;
use std::sync::OnceLock;

use candle_core::DType;

#[cfg(target_arch = "x86_64")]
use super::avx512::Words;

/// What multiplies with a frozen weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// The `gemm` crate, behind which 16-bit weights are widened some rows at a time.
    Gemm,
    /// Panels of f32; bf16 weights are widened on the way into them, which is exact.
    Panels,
    /// Panels of bf16 pairs and their dot products.
    Pairs,
    /// Panels of bf16 pairs and AMX's tiles.
    Tiles,
}

/// What multiplies with weights of these types. (f16 and f64 go through `gemm` everywhere.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Units {
    pub(super) f32: Unit,
    pub(super) bf16: Unit,
}

/// What a processor has.
#[derive(Debug, Clone, Copy, Default)]
struct Processor {
    /// AVX-512, as far as panels need it.
    avx512: bool,
    /// Dot products of bf16 pairs.
    pairs: bool,
    /// Whether these take twice as many operations in the time of a multiply-add, as on AMD's processors. Intel's split them: a
    /// bf16 step of shape M took 1.42 times an f32 step on a Xeon, 0.6 times on an EPYC.
    pairs_are_fast: bool,
    /// AMX's tiles for bf16, and the permission to use them.
    tiles: bool,
}

impl Processor {
    #[cfg(target_arch = "x86_64")]
    fn here() -> Self {
        let vendor = std::arch::x86_64::__cpuid(0);
        let is_intel = [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).concat() == *b"GenuineIntel";
        Self {
            avx512: Words::Single.served(),
            pairs: Words::Pair.served(),
            pairs_are_fast: !is_intel,
            tiles: Words::Tiled.served() && permitted(),
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn here() -> Self {
        Self::default()
    }

    /// Without what these variables forbid.
    fn allowed(self, forbids: impl Fn(&str) -> bool) -> Self {
        let avx512 = self.avx512 && !forbids("FEDBENCH_NO_AVX512");
        let pairs = avx512 && self.pairs && !forbids("FEDBENCH_NO_AVX512_BF16");
        Self { avx512, pairs, tiles: pairs && self.tiles && !forbids("FEDBENCH_NO_AMX"), ..self }
    }
}

/// Whether this process may use tiles: Linux keeps them for those that ask (`arch_prctl`, `ARCH_REQ_XCOMP_PERM`), once for all threads.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[allow(unsafe_code, reason = "a question to the system that no library asks")]
fn permitted() -> bool {
    const REQUEST: libc::c_long = 0x1023;
    const TILES: libc::c_long = 18;
    // SAFETY: it reads and writes no memory of ours.
    unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST, TILES) == 0 }
}

#[cfg(all(target_arch = "x86_64", not(target_os = "linux")))]
fn permitted() -> bool {
    false
}

impl Units {
    /// Of this process: decided once.
    pub(super) fn here() -> Self {
        static HERE: OnceLock<Units> = OnceLock::new();
        *HERE.get_or_init(|| Self::of(Processor::here().allowed(|name| std::env::var_os(name).is_some_and(|value| value == "1"))))
    }

    fn of(has: Processor) -> Self {
        let f32 = if has.avx512 { Unit::Panels } else { Unit::Gemm };
        let bf16 = match has {
            Processor { tiles: true, .. } => Unit::Tiles,
            Processor { pairs: true, pairs_are_fast: true, .. } => Unit::Pairs,
            _ => f32,
        };
        Self { f32, bf16 }
    }

    /// All that this processor could be told to use. (`FEDBENCH_EMULATED_AMX` says that something stands in for its tiles.)
    #[cfg(test)]
    pub(super) fn possible() -> Vec<Self> {
        let has = Processor::here();
        let mut all = vec![Self { f32: Unit::Gemm, bf16: Unit::Gemm }];
        all.extend(has.avx512.then_some(Self { f32: Unit::Panels, bf16: Unit::Panels }));
        all.extend(has.pairs.then_some(Self { f32: Unit::Panels, bf16: Unit::Pairs }));
        let tiles = has.tiles || has.pairs && std::env::var_os("FEDBENCH_EMULATED_AMX").is_some();
        all.extend(tiles.then_some(Self { f32: Unit::Panels, bf16: Unit::Tiles }));
        all
    }

    fn with(self, weights: DType) -> String {
        match (weights, self) {
            (DType::F32, Self { f32: Unit::Panels, .. }) => "avx512".into(),
            (DType::BF16, Self { bf16: Unit::Panels, .. }) => "avx512, widened".into(),
            (DType::BF16, Self { bf16: Unit::Pairs, .. }) => "avx512-bf16".into(),
            (DType::BF16, Self { bf16: Unit::Tiles, .. }) => "amx-bf16".into(),
            (DType::BF16 | DType::F16, _) => format!("{}, widened", gemm()),
            _ => gemm().into(),
        }
    }
}

/// The kernels that a model of such weights goes through on this CPU: those of products with its weights, of attention's, and of all
/// others.
pub fn in_use(weights: DType) -> BTreeMap<String, String> {
    let of_weights = (format!("{} weights", weights.as_str()), Units::here().with(weights));
    // Hidden states are f32 here, whatever weights are.
    [of_weights, ("attention".into(), Units::here().with(DType::F32)), ("other products".into(), gemm().into())].into()
}

/// The kernel that `gemm` picks: it asks for these features, in this order.
#[cfg(target_arch = "x86_64")]
fn gemm() -> &'static str {
    match (is_x86_feature_detected!("avx512f"), is_x86_feature_detected!("fma")) {
        (true, _) => "gemm-avx512",
        (_, true) => "gemm-fma",
        _ => "gemm-scalar",
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn gemm() -> &'static str {
    "gemm"
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPYC: Processor = Processor { avx512: true, pairs: true, pairs_are_fast: true, tiles: false };
    const XEON: Processor = Processor { pairs_are_fast: false, tiles: true, ..EPYC };

    fn units(has: Processor, forbidden: &[&str]) -> [Unit; 2] {
        let Units { f32, bf16 } = Units::of(has.allowed(|name| forbidden.contains(&name)));
        [f32, bf16]
    }

    /// A bf16 weight never meets a slower unit than an f32 weight does.
    #[test]
    fn slow_units_are_left_alone() {
        assert_eq!(units(EPYC, &[]), [Unit::Panels, Unit::Pairs]);
        assert_eq!(units(XEON, &[]), [Unit::Panels, Unit::Tiles]);
        assert_eq!(units(Processor { tiles: false, ..XEON }, &[]), [Unit::Panels; 2], "its dot products are slow");
        assert_eq!(units(Processor { pairs: false, ..EPYC }, &[]), [Unit::Panels; 2], "a processor before bf16");
        assert_eq!(units(Processor::default(), &[]), [Unit::Gemm; 2], "AVX2, or none");
    }

    #[test]
    fn units_can_be_forbidden() {
        assert_eq!(units(EPYC, &["FEDBENCH_NO_AVX512_BF16"]), [Unit::Panels; 2]);
        assert_eq!(units(XEON, &["FEDBENCH_NO_AMX"]), [Unit::Panels; 2]);
        for processor in [EPYC, XEON] {
            assert_eq!(units(processor, &["FEDBENCH_NO_AVX512"]), [Unit::Gemm; 2], "pairs and tiles need it too");
        }
    }

    #[test]
    fn units_have_names() {
        let gemm = Units { f32: Unit::Gemm, bf16: Unit::Gemm };
        assert!(gemm.with(DType::F32).starts_with("gemm") && gemm.with(DType::BF16).ends_with(", widened"));
        let pairs = Units { f32: Unit::Panels, bf16: Unit::Pairs };
        assert_eq!([DType::F32, DType::BF16].map(|dtype| pairs.with(dtype)), ["avx512", "avx512-bf16"]);
        assert_eq!(Units { f32: Unit::Panels, bf16: Unit::Panels }.with(DType::BF16), "avx512, widened");
        assert_eq!(in_use(DType::F16).keys().collect::<Vec<_>>(), ["attention", "f16 weights", "other products"]);
    }
}
