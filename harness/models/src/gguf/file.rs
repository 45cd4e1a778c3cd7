//! An opened GGUF file: its metadata by key, its tensors dequantised.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Mutex;

use candle_core::quantized::ggml_file::qtensor_from_ggml;
use candle_core::{DType, Device, Tensor};
use sha2::{Digest, Sha256};

use super::header::{Header, Stored};
use super::value::Value;
use crate::{Error, Result, stored};

/// An opened file.
#[derive(Debug)]
pub struct Gguf {
    label: String,
    file: Mutex<File>,
    metadata: BTreeMap<String, Value>,
    tensors: BTreeMap<String, Stored>,
    sha256: String,
}

impl Gguf {
    /// Reads the header and the file's checksum; tensors stay where they are.
    pub fn open(path: &Path) -> Result<Self> {
        let read = |source| Error::Read { path: path.into(), source };
        let label = path.display().to_string();
        let mut file = guard::files::open(path).map_err(read)?;
        let mut head = Vec::new();
        (&mut file).take(64).read_to_end(&mut head).map_err(read)?;
        if guard::files::is_lfs_pointer(&head) {
            return Err(Error::Backbone(format!("{label}: it {}", guard::files::LFS_ADVICE)));
        }
        file.rewind().map_err(read)?;
        let size = file.metadata().map_err(read)?.len();
        let header = Header::read(BufReader::new(&mut file), size)
            .map_err(|what| Error::Backbone(format!("{label}: is no sound GGUF file: {what}")))?;
        file.rewind().map_err(read)?;
        let mut hasher = Sha256::new();
        std::io::copy(&mut file, &mut hasher).map_err(read)?;
        let sha256 = schema::hex(&hasher.finalize());
        Ok(Self { label, file: Mutex::new(file), metadata: header.metadata, tensors: header.tensors, sha256 })
    }

    /// SHA-256 of the file.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The tensors' names.
    pub fn tensors(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Whether there is such a tensor.
    pub fn has_tensor(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// A value of the metadata, if it is there.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    /// A whole number that is at least zero, if the key is there.
    pub fn count(&self, key: &str) -> Result<Option<usize>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Integer(value)) if usize::try_from(*value).is_ok() => Ok(Some(*value as usize)),
            Some(_) => Err(self.wrong(key, "must be a whole number, at least 0")),
        }
    }

    /// A number, if the key is there.
    pub fn number(&self, key: &str) -> Result<Option<f64>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Float(value)) if value.is_finite() => Ok(Some(*value)),
            Some(Value::Integer(value)) => Ok(Some(*value as f64)),
            Some(_) => Err(self.wrong(key, "must be a finite number")),
        }
    }

    /// A string, if the key is there.
    pub fn text(&self, key: &str) -> Result<Option<&str>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(key, "must be a string")),
        }
    }

    /// An array of strings that must be there.
    pub fn texts(&self, key: &str) -> Result<&[String]> {
        match self.get(key) {
            Some(Value::Texts(texts)) => Ok(texts),
            Some(_) => Err(self.wrong(key, "must be an array of strings")),
            None => Err(self.wrong(key, "is not there; it must be an array of strings")),
        }
    }

    /// An array of integers that must be there.
    pub fn integers(&self, key: &str) -> Result<&[i64]> {
        match self.get(key) {
            Some(Value::Integers(integers)) => Ok(integers),
            Some(_) => Err(self.wrong(key, "must be an array of integers")),
            None => Err(self.wrong(key, "is not there; it must be an array of integers")),
        }
    }

    /// An error about a key of the metadata.
    pub fn wrong(&self, key: &str, what: &str) -> Error {
        Error::Backbone(format!("{}: metadata `{key}` {what}", self.label))
    }

    /// An error about the file.
    pub fn failed(&self, what: impl std::fmt::Display) -> Error {
        Error::Backbone(format!("{}: {what}", self.label))
    }

    /// A tensor as f32 on the CPU, all its numbers finite; `shape` is what it must have, outermost first. The error is a sentence.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> std::result::Result<Tensor, String> {
        let Some(stored) = self.tensors.get(name) else {
            let near = schema::nearest(name, self.tensors().filter(|name| name.len() < 200).take(10_000));
            let nearest = near.first().map_or_else(String::new, |near| format!("; the nearest is `{near}`"));
            return Err(format!("no tensor `{name}` in {}{nearest}", self.label));
        };
        let named = format!("{}: tensor `{name}`", self.label);
        if stored.shape != shape {
            return Err(format!("{named} has shape {:?}; the metadata makes it {shape:?}", stored.shape));
        }
        let raw = self.read(stored).map_err(|error| format!("{named} cannot be read: {error}"))?;
        let tensor = qtensor_from_ggml(stored.dtype, &raw, shape.to_vec(), &Device::Cpu);
        let tensor = tensor.and_then(|tensor| tensor.dequantize(&Device::Cpu)).map_err(|error| format!("{named}: {error}"))?;
        stored::fits(stored::largest_f32(&tensor), DType::F32).map_err(|what| format!("{named} {what}"))?;
        Ok(tensor)
    }

    fn read(&self, stored: &Stored) -> std::io::Result<Vec<u8>> {
        let mut file = self.file.lock().map_err(|_| std::io::Error::other("another thread failed while it read"))?;
        file.seek(SeekFrom::Start(stored.start))?;
        let mut raw = Vec::with_capacity(stored.length);
        file.by_ref().take(stored.length as u64).read_to_end(&mut raw)?;
        if raw.len() == stored.length { Ok(raw) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) }
    }
}
