//! Pretraining a small LLaVA-shaped backbone from scratch, seeded, in two phases, each with warm-up and cosine decay; AdamW, and
//! Muon for the hidden matrices (`muon`).
//!
//! An encoder that answers by class learns from questions alone, and begins with what another model sees (`encoder`).
//!
//! *Grounding* teaches tower, connector and embeddings to name what stands where (`grounding`); the decoder does not run.
//! *Dialogue* then trains everything on captions, questions and plain sentences: they are branches of one sequence, so a picture's
//! tokens are computed once per lesson (see [`super::batch`]); grounding stays as a second term of the loss.

mod adamw;
mod align;
mod dialogue;
mod encoder;
mod grounding;
mod judge;
mod lesson;
mod made;
mod muon;
mod schedule;
mod tokenizer;
mod train;
mod weights;

pub use align::{Alignment, Course, Lessons, Turn};
pub use encoder::{EncoderCourse, pretrain_encoder};
pub use judge::judge;
pub use lesson::{Lesson, Mark, Question};
pub use made::{Pretrained, pretrain};
pub use schedule::{Phase, Schedule, StepReport};
pub use tokenizer::train_tokenizer;
