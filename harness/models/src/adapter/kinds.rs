//! The table of adapter kinds.

use super::kind::{AdapterKind, Shape};
use super::{bottleneck, lora, nano, prompt, vector};
use crate::{Error, Result};

/// The suite's own adapter kinds.
pub const KINDS: &[AdapterKind] = &[nano::KIND, lora::KIND, bottleneck::KIND, vector::BIAS, vector::NORM, prompt::KIND];

/// A table of adapter kinds.
#[derive(Debug, Clone)]
pub struct Kinds(Vec<&'static AdapterKind>);

impl Default for Kinds {
    /// The suite's own.
    fn default() -> Self {
        Self(KINDS.iter().collect())
    }
}

impl Kinds {
    /// Adds a row.
    pub fn with(mut self, kind: &'static AdapterKind) -> Self {
        self.0.push(kind);
        self
    }

    /// All rows, in order.
    pub fn rows(&self) -> &[&'static AdapterKind] {
        &self.0
    }

    /// Refuses two rows of one name, and a row that no model can attach.
    pub fn check(&self) -> Result<()> {
        if let Some(name) = schema::twice(self.0.iter().map(|kind| kind.name)) {
            return Err(Error::Usage(format!("two adapter kinds are called `{name}`; give yours another name")));
        }
        for kind in &self.0 {
            let in_front = matches!(kind.shape, Shape::Tokens { .. });
            if let Some(site) = kind.allowed.iter().find(|site| in_front != (**site == prompt::SITE)) {
                let what = if in_front { "tokens are" } else { "only tokens are" };
                return Err(Error::Usage(format!(
                    "adapter kind `{}` may attach to `{site}`: {what} attached to `{}`",
                    kind.name,
                    prompt::SITE
                )));
            }
        }
        Ok(())
    }

    /// The kind of this name.
    pub fn find(&self, name: &str) -> Result<&'static AdapterKind> {
        let known = || self.0.iter().map(|kind| kind.name);
        self.0.iter().find(|kind| kind.name == name).copied().ok_or_else(|| Error::unknown("adapter.kind", name, known()))
    }
}

/// The suite's own kind of this name.
pub fn kind(name: &str) -> Result<&'static AdapterKind> {
    Kinds::default().find(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_cannot_be_told_apart_or_attached_are_refused() {
        static AGAIN: AdapterKind = AdapterKind { sentence: "Another.", ..lora::KIND };
        static ASTRAY: AdapterKind = AdapterKind { name: "astray", allowed: &["text", "prompt"], ..nano::KIND };
        static BEHIND: AdapterKind = AdapterKind { name: "behind", allowed: &["text"], ..prompt::KIND };
        let error = |kind| Kinds::default().with(kind).check().expect_err("must be refused").to_string();
        assert!(Kinds::default().check().is_ok());
        assert_eq!(error(&AGAIN), "two adapter kinds are called `lora`; give yours another name");
        assert_eq!(error(&ASTRAY), "adapter kind `astray` may attach to `prompt`: only tokens are attached to `prompt`");
        assert_eq!(error(&BEHIND), "adapter kind `behind` may attach to `text`: tokens are attached to `prompt`");
    }
}
