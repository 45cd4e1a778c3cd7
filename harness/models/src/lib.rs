//! Frozen multimodal models, and the adapters that are trained on them.
//!
//! A model is its own file over [`nn`]; [`llava`], [`smolvlm`] and [`minigpt4`] read folders in Hugging Face's layout, [`nano`] ships
//! with the suite, [`smol`] in part. [`sites`] says where [`adapter`]s may attach; [`table`] lists what there is by name.
//!
//! It may know pixels and prompts (`data`), what is on disk (`schema`) and how to meet it (`guard`). It must not know which method
//! trains, who the clients are, or what an answer is worth.

pub mod adapter;
mod backbone;
pub mod batch;
mod chat;
pub mod checkpoint;
pub mod clip_vit;
pub mod connector;
mod error;
pub mod eva_vit;
mod files;
pub mod fit;
pub mod flops;
pub mod folder;
pub mod gguf;
pub mod kernels;
pub mod llama;
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
mod shards;
pub mod siglip;
pub mod sites;
pub mod smol;
pub mod smolvlm;
mod stored;
pub mod table;
pub mod text;
mod tokenizer;
pub mod tower;
pub mod vit;

pub use backbone::{Backbone, Embeddings, adapter_dtype};
pub use batch::{Batch, Branch, Sequence};
pub use error::{Error, Result};
pub use sites::{ComponentParameters, SiteSpec, Spec};
pub use table::{BACKBONES, BackboneRow, load, load_as, parse_dtype, spec};
pub use text::{Shown, TextCodec};
