//! The backbones there are: by name, and by what lies in a folder.

use std::path::Path;

use candle_core::{DType, Device};

use super::folder::Folder;
use super::row::{Architecture, BackboneKind, BackboneRow, Opened};
use super::{Half, Spec, table};
use crate::{Error, Result};

/// A table of backbones. It begins with the suite's own.
#[derive(Debug, Clone)]
pub struct Backbones {
    rows: Vec<&'static BackboneRow>,
}

impl Default for Backbones {
    fn default() -> Self {
        Self { rows: table::BACKBONES.to_vec() }
    }
}

impl Backbones {
    /// The same with one more.
    pub fn with(mut self, row: &'static BackboneRow) -> Self {
        self.rows.push(row);
        self
    }

    /// All rows, in order.
    pub fn rows(&self) -> &[&'static BackboneRow] {
        &self.rows
    }

    /// What is known of a name.
    pub fn find(&self, name: &str) -> Option<BackboneKind> {
        self.rows.iter().find(|row| row.name == name).map(|row| row.kind)
    }

    /// Fails if two rows have one name, or recognise the same folders.
    pub fn check(&self) -> Result<()> {
        if let Some(name) = schema::twice(self.rows.iter().map(|row| row.name)) {
            return Err(Error::Usage(format!("two backbones are called `{name}`; give yours another name")));
        }
        let matches = self.architectures().flat_map(|(_, architecture)| architecture.matches);
        let Some(shared) = schema::twice(matches.copied()) else { return Ok(()) };
        let readers = self.architectures().filter(|(_, architecture)| architecture.matches.contains(&shared));
        let readers: Vec<String> = readers.map(|(name, _)| format!("`{name}`")).collect();
        Err(Error::Usage(format!(
            "model_type \"{shared}\" is read by {}: one of them must leave it to the other",
            readers.join(" and ")
        )))
    }

    fn architectures(&self) -> impl Iterator<Item = (&'static str, Architecture)> {
        self.rows.iter().filter_map(|row| match row.kind {
            BackboneKind::Folders(architecture) => Some((row.name, architecture)),
            _ => None,
        })
    }

    /// The architecture that recognises a folder.
    pub fn architecture(&self, folder: &Folder) -> Result<Architecture> {
        let name = folder.model_type()?;
        let found = self.architectures().find(|(_, architecture)| architecture.matches.contains(&name));
        found.map(|(_, architecture)| architecture).ok_or_else(|| {
            let known = self.architectures().flat_map(|(_, architecture)| architecture.matches);
            let known: Vec<String> = known.map(|name| format!("\"{name}\"")).collect();
            let name = guard::text::line(name, 80);
            folder.wrong(&format!("model_type = \"{name}\" is not supported; there are {}", known.join(", ")))
        })
    }

    /// The shapes of a backbone by name or folder, without its weights.
    pub fn spec(&self, name: &str) -> Result<Spec> {
        match self.find(name) {
            Some(BackboneKind::Shapes(spec)) => spec(),
            Some(BackboneKind::Shipped(shipped)) => (shipped.spec)(),
            Some(BackboneKind::Asking(asking)) => (asking.spec)(),
            _ if Path::new(name).is_dir() => {
                let folder = Folder::open(Path::new(name))?;
                let spec = (self.architecture(&folder)?.spec)(&folder)?;
                Ok(Spec { name: name.into(), ..spec })
            }
            _ => Err(self.not_one(name)),
        }
    }

    /// A backbone with its weights as `dtype`, by name or folder.
    pub fn open(&self, name: &str, dtype: DType, device: &Device) -> Opened {
        self.open_half(name, Half::Whole, dtype, device)
    }

    /// The same of a half alone.
    pub fn open_half(&self, name: &str, half: Half, dtype: DType, device: &Device) -> Opened {
        match self.find(name) {
            Some(BackboneKind::Shipped(shipped)) => (shipped.open)(half, dtype, device),
            Some(BackboneKind::Asking(asking)) => {
                let parts: Vec<String> = asking.parts.iter().map(|part| format!("its {} ({})", part.name, part.form)).collect();
                Err(Error::Usage(format!("backbone `{name}` needs to be told where its parts lie: {}", parts.join(", "))))
            }
            _ if Path::new(name).is_dir() => {
                let folder = Folder::open(Path::new(name))?.of_half(half);
                (self.architecture(&folder)?.open)(&folder, dtype, device)
            }
            _ => Err(self.not_one(name)),
        }
    }

    /// A name for which there are no weights, or nothing.
    fn not_one(&self, name: &str) -> Error {
        const FOLDER: &str = "a folder with config.json, tokenizer.json and safetensors";
        let shown = guard::text::line(name, 200);
        match self.find(name) {
            Some(BackboneKind::Folders(_)) => {
                return Error::Usage(format!("backbone `{shown}` is an architecture, which has no weights: give {FOLDER}"));
            }
            Some(_) => {
                return Error::Usage(format!("backbone `{shown}` is known by its shapes only (`fedbench cost`): give {FOLDER}"));
            }
            None => {}
        }
        let path = Path::new(name);
        let wanted = format!("expected the name of a backbone (`fedbench list backbones`) or {FOLDER}");
        if std::fs::symlink_metadata(path).is_ok() {
            return Error::Usage(format!("backbone `{shown}` is no folder; {wanted}"));
        }
        // What is spelled as a path is one.
        if path.components().count() != 1 || name.starts_with(['.', '~']) || name.ends_with('/') {
            return Error::Usage(format!("backbone `{shown}`: there is no such folder; {wanted}"));
        }
        Error::unknown("backbone", name, self.rows.iter().map(|row| row.name))
    }
}

/// The shapes of one of the suite's own backbones, or of a folder that they read.
pub fn spec(name: &str) -> Result<Spec> {
    Backbones::default().spec(name)
}

/// The same with its weights as f32.
pub fn load(name: &str, device: &Device) -> Opened {
    load_as(name, DType::F32, device)
}

/// The same with its weights as `dtype`.
pub fn load_as(name: &str, dtype: DType, device: &Device) -> Opened {
    Backbones::default().open(name, dtype, device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{llava, nano};

    #[test]
    fn rows_that_cannot_be_told_apart_are_refused() {
        static AGAIN: BackboneRow = BackboneRow { sentence: "Another.", ..nano::ROW };
        static ASIDE: BackboneRow = BackboneRow { name: "aside", ..llava::FOLDERS };
        let error = |row| Backbones::default().with(row).check().expect_err("must be refused").to_string();
        assert!(Backbones::default().check().is_ok());
        assert_eq!(error(&AGAIN), "two backbones are called `nano`; give yours another name");
        assert_eq!(error(&ASIDE), "model_type \"llava\" is read by `llava` and `aside`: one of them must leave it to the other");
    }

    /// Every row's shapes are known without weights, or it says what is missing.
    #[test]
    fn names_say_what_they_are() {
        let backbones = Backbones::default();
        for row in backbones.rows() {
            match (row.kind, backbones.spec(row.name)) {
                (BackboneKind::Folders(_), spec) => {
                    let error = spec.expect_err("an architecture has no shapes").to_string();
                    assert!(error.starts_with(&format!("backbone `{}` is an architecture", row.name)), "{error}");
                }
                (_, spec) => assert_eq!(spec.expect("shapes").name, row.name),
            }
        }
        let open = |name| backbones.open(name, DType::F32, &Device::Cpu).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(open("llava-1.5-7b").contains("known by its shapes only"));
        assert!(open("smol").contains("needs to be told where its parts lie: its language model (a GGUF"));
    }
}
