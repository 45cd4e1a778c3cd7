//! Whether a model fits into memory, asked before it is loaded.

use candle_core::{DType, Device};
use machine::memory::available_bytes;

use super::{Half, Spec};
use crate::{Error, Result};

/// Fails if the weights of a half alone are larger than the memory that is free. Only the CPU's is known here; where the system does not
/// tell, nothing is refused.
pub fn check(spec: &Spec, half: Half, dtype: DType, device: &Device) -> Result<()> {
    match device.is_cpu().then(available_bytes).flatten() {
        Some(available) => within(spec, half, dtype, available),
        None => Ok(()),
    }
}

fn within(spec: &Spec, half: Half, dtype: DType, available: u64) -> Result<()> {
    let all = &spec.parameters;
    let parameters = match half {
        Half::Whole => all.total(),
        Half::Client => all.vision + all.connector + all.embedding,
        Half::Decoder => all.decoder,
    };
    let bytes = |dtype: DType| parameters * dtype.size_in_bytes() as u64;
    let needed = bytes(dtype);
    if needed <= available {
        return Ok(());
    }
    let gigabytes = |bytes: u64| bytes as f64 / 1e9;
    let hint = match dtype {
        DType::F32 => format!("; `backbone.dtype = \"bf16\"` needs {:.1} GB", gigabytes(bytes(DType::BF16))),
        _ => String::new(),
    };
    Err(Error::Backbone(format!(
        "backbone `{}` does not fit: its {} parameters are {:.1} GB as {}, and {:.1} GB of memory are free{hint}",
        spec.name,
        parameters,
        gigabytes(needed),
        dtype.as_str(),
        gigabytes(available)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_too_large_is_refused_with_the_way_out() {
        let spec = crate::spec("llava-1.5-7b").expect("known");
        assert!(within(&spec, Half::Whole, DType::BF16, 16_000_000_000).is_ok());
        assert!(within(&spec, Half::Client, DType::F32, 2_000_000_000).is_ok());
        let error = within(&spec, Half::Whole, DType::F32, 16_000_000_000).expect_err("28 GB").to_string();
        assert_eq!(
            error,
            "backbone `llava-1.5-7b` does not fit: its 7063427072 parameters are 28.3 GB as f32, and 16.0 GB of memory are free; \
             `backbone.dtype = \"bf16\"` needs 14.1 GB"
        );
    }
}
