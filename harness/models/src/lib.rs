//! Frozen multimodal models, and the adapters that are trained on them.
//!
//! A model is its own file over [`nn`]; [`llava`], [`smolvlm`], [`minigpt4`] and [`vilt`] (an encoder that answers by class) read folders
//! in Hugging Face's layout, [`nano`] ships with the suite, [`smol`] in part. [`sites`] says where [`adapter`]s may attach. What there is by name is a table of
//! [`BackboneRow`]s and one of [`adapter::AdapterKind`]s; a user's own crate can add to both.
//!
//! It may know pixels and prompts (`data`), what is on disk (`schema`) and how to meet it (`guard`). It must not know which method
//! trains, who the clients are, or what an answer is worth.
//!
//! # Numerics
//!
//! candle's fused `softmax_last_dim`, `rms_norm`, `layer_norm` and `rope` have no backward. With residual streams the result is a
//! partial gradient and no error, and NanoAdapters sit *before* the decoder, so their whole gradient runs through these. Hence:
//!
//! - `models/src/nn.rs`: layers composed of operations that have a backward. They serve every device.
//! - `models/src/kernels/`: attention (rotary included), norms, activations, bias and the product with a frozen weight as CPU
//!   kernels with hand-written backward, f32 and f64, parallel over examples or fixed blocks of rows. Their elementwise loops
//!   give the same bits under every instruction set; matrix products go through `gemm`, which picks its kernel by the CPU, and
//!   those with frozen weights and of attention through kernels of our own where there is AVX-512, so bits repeat on one kind of
//!   CPU, not across kinds. The composed forms are what the kernels are tested against.
//! - `kernels::Decoder`: all blocks of a frozen decoder as one operation, forward and backward by hand, low-rank pairs and
//!   bottlenecks included. Attention's scores exist for 64 queries at a time and up to the last key that one of them may see, so
//!   a causal mask leaves out about half of the square; in the last block only the places that are read are queries. A thread
//!   takes a few sequences through all blocks, so nothing waits for anything between operations. It serves whatever adapters tell
//!   their form (`Adapt::form`: nothing, or a pair that all examples share, with biases and a ReLU or without); otherwise, on
//!   other devices and while weights are trained (pretraining), the decoder goes block by block over `nn`. A test holds one
//!   against the other, in f64. With `backbone.checkpoint = "block"` a part keeps what enters each block alone, and goes through a
//!   block once more on its way back: the same bits, about a seventh of the numbers kept.
//! - `kernels::Residual`: NanoAdapters, computed for the tokens that have one.
//! - A sum over a row goes through eight partial sums (`lanes`) that zeros behind the last number do not change: padding, and
//!   keys that nobody sees, leave no trace in the bits. Elementwise loops are inlined into one function for each instruction set
//!   (`vectorized!`); a closure that is merely passed on would be compiled for the least CPU.
//! - `kernels::FrozenLinear`: for a weight that is no variable, `dX = dY W`, and the weight's gradient is never computed.
//! - `kernels/frozen.rs`: every product with a frozen weight, f32, bf16 or f16, each held once in its own type. Where the
//!   processor has AVX-512 (asked at run time), `avx512.rs` multiplies: the weight goes by in panels of 32 columns that stay in
//!   the second-level cache while all rows pass them; bf16 in AMX's tiles or by dot products of pairs, where these are there and
//!   fast, else widened on the way into the panel. Elsewhere `gemm` does, with 16-bit weights widened some rows at a time. `unit.rs` decides, and
//!   `environment.json` says what was decided. A bf16 weight meets numbers that are rounded to bf16 on every processor, so
//!   processors differ in the order of sums alone.
//! - A missing gradient is an error that names the adapter tensor.
//! - The Fisher needs *per-example* gradients: every example of a batch gets its own copy of the adapters, `[b, r, d]`, and one
//!   backward pass of the summed loss gives each copy its example's gradient (`adapter/fisher.rs`).
//! - Of judged batches no more than 256 rows' logits exist at a time (`Backbone::log_likelihoods`).
//! - NaN takes part in no comparison: scores, aggregates and adapters are asked whether they are finite before anything is ranked
//!   by them.
//! - Log-likelihoods of options are summed in f64, metrics are f64. A client whose loss or update is not finite is left out of
//!   the round and recorded (a loss that is not finite before the first step ends the run: no learning rate is to blame), and so
//!   is one whose update holds a tensor of a name or shape that no site asks for; a round without any other client stops the run.

pub mod adapter;
mod backbone;
mod backbones;
pub mod batch;
pub mod cached;
mod chat;
pub mod checkpoint;
pub mod clip_vit;
pub mod connector;
pub mod crossing;
pub mod efficientnet;
mod error;
pub mod eva_vit;
mod files;
pub mod fit;
pub mod flops;
pub mod folder;
pub mod gguf;
mod halves;
pub mod kernels;
mod language;
pub mod layout;
pub mod llama;
mod llama_config;
pub mod llava;
pub mod minigpt4;
pub mod model;
pub mod nano;
pub mod nn;
pub mod precision;
pub mod pretrain;
pub mod processor;
pub mod qformer;
pub mod rope;
pub mod row;
mod shards;
pub mod siglip;
pub mod sites;
pub mod smol;
pub mod smolvlm;
mod stored;
mod table;
pub mod text;
mod tokenizer;
pub mod tower;
mod trunk;
pub mod vilt;
pub mod vit;

pub use backbone::{Backbone, Context, Embeddings, Halves, adapter_dtype};
pub use backbones::{Backbones, load, load_as, spec};
pub use batch::{Batch, Branch, Sequence};
pub use cached::Cache;
pub use error::{Error, Result};
pub use halves::Half;
pub use precision::parse_dtype;
pub use row::{Architecture, Asking, BackboneKind, BackboneRow, Opened, Part, Shipped};
pub use sites::{ComponentParameters, Encoder, HeadTensor, SiteSpec, Spec, Start};
pub use table::BACKBONES;
pub use text::{Shown, TextCodec};
