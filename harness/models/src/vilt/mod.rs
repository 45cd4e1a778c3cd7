//! ViLT (Kim et al., arXiv 2102.03334): text and patches of a picture through one encoder, which answers by class. FedDAT's own
//! benchmark is on it.
//!
//! Reads folders as `dandelin/vilt-b32-mlm` has them: `ViltModel`'s weights, whatever head lies beside them. What differs from
//! transformers:
//!
//! - Where `max_image_length` would have patches drawn by chance, the folder is refused; without it their order means nothing.
//! - A text of too many tokens loses its beginning, as in all backbones here; transformers cuts its end.
//! - A row without a picture is its text alone; transformers has no such pass.
//! - A side of a picture that would be less than one patch becomes one.
//! - With `num_images` beyond `modality_type_vocab_size - 1` the last row serves the further pictures, each with its own copy, as FedDAT's
//!   third row begins (`modeling/vilt.py`).
//!
//! The head is FedDAT's, and of `ViltForQuestionAnswering`: `d -> 2 d`, layer norm, GELU, `-> classes`; with several pictures their
//! pooled states side by side, `k d -> k d -> classes`, as in `ViltForImagesAndTextClassification`. It is trained, never read from the
//! folder.

mod blocks;
mod config;
mod embedding;
mod head;
mod model;
pub mod nano;
mod rows;

pub use config::ViltConfig;
pub use model::Vilt;
pub use rows::{FOLDERS, SHAPES};
