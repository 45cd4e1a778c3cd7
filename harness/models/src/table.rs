//! The suite's own backbones.

use super::row::BackboneRow;
use super::{llava, minigpt4, nano, smol, smolvlm, vilt};

/// A model's file has its rows: those that are one by name, then how folders are read.
pub const BACKBONES: &[&BackboneRow] = &[
    &nano::ROW,
    &smol::ROW,
    &vilt::nano::ROW,
    &smolvlm::SHAPES,
    &llava::SHAPES,
    &minigpt4::SHAPES,
    &vilt::SHAPES,
    &llava::FOLDERS,
    &smolvlm::FOLDERS,
    &minigpt4::FOLDERS,
    &vilt::FOLDERS,
];
