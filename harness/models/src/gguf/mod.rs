//! GGUF files (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>), versions 2 and 3: metadata and tensors, read without
//! trust and dequantised by candle.
//!
//! candle's own reader of the header divides by `general.alignment`, names neither file nor tensor in its errors and keeps a value
//! of four words for every byte of an array; so the header is read here, each count, length and place checked against the file's
//! size before anything is allocated.

mod file;
mod header;
pub mod llama;
mod tokenizer;
mod value;

pub use file::Gguf;
pub use value::Value;
