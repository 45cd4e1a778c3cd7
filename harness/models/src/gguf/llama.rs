//! A Llama in a GGUF file: its config from the metadata, its weights under the names that transformers gives them.

use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::Init;
use candle_nn::var_builder::SimpleBackend;
use tokenizers::Tokenizer;

use super::file::Gguf;
use super::tokenizer;
use super::value::Value;
use crate::llama::LlamaConfig;
use crate::{Result, stored};

/// Names within a block: transformers' and GGUF's.
const BLOCK: [(&str, &str); 9] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];

/// Names outside of blocks.
const OUTSIDE: [(&str, &str); 3] = [
    ("model.embed_tokens.weight", "token_embd.weight"),
    ("model.norm.weight", "output_norm.weight"),
    ("lm_head.weight", UNTIED_HEAD),
];

const UNTIED_HEAD: &str = "output.weight";

/// A file that holds a Llama.
#[derive(Debug)]
pub struct GgufLlama {
    file: Gguf,
    config: LlamaConfig,
}

impl GgufLlama {
    /// Reads the metadata; fails if the file holds anything that a plain Llama has no place for.
    pub fn new(file: Gguf) -> Result<Self> {
        let config = config(&file)?;
        let strange = file.tensors().find(|name| !is_expected(name, config.num_hidden_layers));
        if let Some(strange) = strange.map(|name| name.chars().take(80).collect::<String>()) {
            return Err(file.failed(format!(
                "tensor `{strange}` has no place in a Llama without biases, experts and scaled positions; the model would be wrong"
            )));
        }
        Ok(Self { file, config })
    }

    /// Shapes of the decoder.
    pub fn config(&self) -> &LlamaConfig {
        &self.config
    }

    /// SHA-256 of the file, which holds config and tokenizer too.
    pub fn sha256(&self) -> &str {
        self.file.sha256()
    }

    /// The tokenizer that the metadata describes.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        tokenizer::build(&self.file)
    }

    /// A weight by its name in transformers, as f32 that `dtype` can hold; the error is a sentence.
    fn weight(&self, name: &str, shape: &[usize], dtype: DType) -> std::result::Result<Tensor, String> {
        let inside = stored_name(name).ok_or_else(|| format!("a Llama has no weight `{name}`"))?;
        let weight = self.file.tensor(&inside, shape)?;
        let largest = stored::largest_f32(&weight);
        stored::fits(largest, dtype)
            .and_then(|()| stored::bearable(largest))
            .map_err(|what| self.file.failed(format!("tensor `{inside}` {what}")).to_string())?;
        let heads = match inside.rsplit('.').nth(1) {
            Some("attn_q") => self.config.num_attention_heads,
            Some("attn_k") => self.config.num_key_value_heads.unwrap_or(self.config.num_attention_heads),
            _ => return Ok(weight),
        };
        halves(&weight, heads).map_err(|error| format!("tensor `{inside}`: {error}"))
    }
}

/// Whether a Llama of so many blocks has a tensor of this name.
fn is_expected(name: &str, blocks: usize) -> bool {
    let within = |name: &str| {
        let (block, rest) = name.strip_prefix("blk.")?.split_once('.')?;
        let rest = rest.strip_suffix(".weight")?;
        Some(block.parse::<usize>().ok()? < blocks && BLOCK.iter().any(|(_, stored)| *stored == rest))
    };
    OUTSIDE.iter().any(|(_, stored)| *stored == name) || within(name).unwrap_or(false)
}

/// Rows `[heads * hd, in]` whose neighbours turn together, as llama.cpp has them, to rows whose halves do, as transformers has them.
fn halves(weight: &Tensor, heads: usize) -> candle_core::Result<Tensor> {
    let (rows, d_in) = weight.dims2()?;
    weight.reshape((heads, rows / heads / 2, 2, d_in))?.transpose(1, 2)?.contiguous()?.reshape((rows, d_in))
}

fn stored_name(name: &str) -> Option<String> {
    if let Some((_, stored)) = OUTSIDE.iter().find(|(ours, _)| *ours == name) {
        return Some((*stored).into());
    }
    let (block, rest) = name.strip_prefix("model.layers.")?.split_once('.')?;
    let rest = rest.strip_suffix(".weight")?;
    let (_, stored) = BLOCK.iter().find(|(ours, _)| *ours == rest)?;
    Some(format!("blk.{block}.{stored}.weight"))
}

impl SimpleBackend for GgufLlama {
    fn get(&self, shape: Shape, name: &str, _: Init, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        self.weight(name, shape.dims(), dtype).map_err(candle_core::Error::Msg)?.to_dtype(dtype)?.to_device(device)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("weight `{name}` is asked for without a shape")
    }

    fn contains_tensor(&self, name: &str) -> bool {
        stored_name(name).is_some_and(|stored| self.file.has_tensor(&stored))
    }
}

/// The decoder that the metadata describes.
fn config(file: &Gguf) -> Result<LlamaConfig> {
    match file.text("general.architecture")? {
        Some("llama") => {}
        other => return Err(file.wrong("general.architecture", &format!("is {other:?}; only \"llama\" is read"))),
    }
    let needed = |key: &str| file.count(key)?.ok_or_else(|| file.wrong(key, "is not there; it must be a whole number"));
    let defaults = LlamaConfig::default();
    let heads = needed("llama.attention.head_count")?;
    let config = LlamaConfig {
        model_type: Some("llama".into()),
        hidden_size: needed("llama.embedding_length")?,
        intermediate_size: needed("llama.feed_forward_length")?,
        num_hidden_layers: needed("llama.block_count")?,
        num_attention_heads: heads,
        num_key_value_heads: Some(file.count("llama.attention.head_count_kv")?.unwrap_or(heads)),
        vocab_size: file.texts("tokenizer.ggml.tokens")?.len(),
        rms_norm_eps: file.number("llama.attention.layer_norm_rms_epsilon")?.unwrap_or(defaults.rms_norm_eps),
        rope_theta: file.number("llama.rope.freq_base")?.unwrap_or(defaults.rope_theta),
        tie_word_embeddings: !file.has_tensor(UNTIED_HEAD),
        max_position_embeddings: file.count("llama.context_length")?.unwrap_or(defaults.max_position_embeddings),
        head_dim: file.count("llama.attention.key_length")?,
        ..defaults
    };
    if let Some(what) = config.unsupported() {
        return Err(file.failed(format!("{what} is not supported (its metadata, as transformers would name it)")));
    }
    let (key, tensors) = ("llama.block_count", file.tensors().count());
    if config.num_hidden_layers > tensors {
        return Err(file.wrong(key, &format!("is {}, more than the file's {tensors} tensors", config.num_hidden_layers)));
    }
    unscaled(file, &config)?;
    Ok(config)
}

/// Fails unless every pair of a head turns, at its own pace.
fn unscaled(file: &Gguf, config: &LlamaConfig) -> Result<()> {
    let key = "llama.rope.scaling.type";
    if file.text(key)?.is_some_and(|kind| kind != "none") {
        return Err(file.wrong(key, "asks for scaled rotary positions, which are read from safetensors only"));
    }
    let (key, width) = ("llama.rope.dimension_count", config.head_dim.unwrap_or(config.hidden_size / config.num_attention_heads));
    if file.count(key)?.is_some_and(|turned| turned != width) {
        return Err(file.wrong(key, &format!("must be the width of a head, {width}")));
    }
    if matches!(file.get("llama.expert_count"), Some(Value::Integer(experts)) if *experts > 0) {
        return Err(file.wrong("llama.expert_count", "asks for a mixture of experts, which is not read"));
    }
    Ok(())
}
