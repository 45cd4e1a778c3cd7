//! The table of adapter kinds.

use super::kind::AdapterKind;
use super::{bottleneck, lora, nano, prompt, vector};
use crate::{Error, Result};

/// The adapter kinds there are.
pub const KINDS: &[AdapterKind] = &[nano::KIND, lora::KIND, bottleneck::KIND, vector::BIAS, vector::NORM, prompt::KIND];

/// The kind of this name.
pub fn kind(name: &str) -> Result<&'static AdapterKind> {
    KINDS
        .iter()
        .find(|kind| kind.name == name)
        .ok_or_else(|| Error::unknown("adapter.kind", name, KINDS.iter().map(|kind| kind.name)))
}
