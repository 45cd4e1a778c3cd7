//! ViLT's rows among the backbones.

use super::config::ViltConfig;
use super::model::Vilt;
use crate::row::{Architecture, BackboneKind, BackboneRow};

/// The name under which ViLT-B/32's shapes are known.
const VILT_B32: &str = "vilt-b32";

/// Its shapes.
pub const SHAPES: BackboneRow = BackboneRow {
    name: VILT_B32,
    sentence: "ViLT-B/32, an encoder that answers by class; known by its shapes, for `fedbench cost`.",
    source: "Kim et al., arXiv 2102.03334; dandelin/vilt-b32-mlm",
    kind: BackboneKind::Shapes(|| Ok(ViltConfig::default().spec(VILT_B32))),
};

/// Folders in its layout.
pub const FOLDERS: BackboneRow = BackboneRow {
    name: "vilt",
    sentence: "ViLT's architecture, an encoder that answers by class, from a folder whose config.json has the model_type vilt.",
    source: "Kim et al., arXiv 2102.03334; transformers, ViltModel",
    kind: BackboneKind::Folders(Architecture {
        matches: &["vilt"],
        spec: |folder| Ok(ViltConfig::of(folder)?.spec(&folder.name())),
        open: |folder, dtype, device| Ok(Box::new(Vilt::open(folder, dtype, device)?)),
    }),
};
