//! Weights in safetensors files, read without trusting them.
//!
//! The format (github.com/huggingface/safetensors) is 8 bytes of header length, a JSON header that names every tensor with its
//! type, shape and place, and the tensors' bytes. Headers are checked when a checkpoint is opened; a tensor is read when the model
//! asks for it, so that no more than one lies in memory beside the model. Errors name the file and the tensor.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::Init;
use candle_nn::var_builder::SimpleBackend;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// A header longer than this is refused, as the format's own library does; bytes.
const MAX_HEADER: u64 = 100_000_000;

/// What the header says of one tensor.
#[derive(Debug, Deserialize)]
struct Stated {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

/// Where a tensor lies.
#[derive(Debug)]
struct Entry {
    /// Which of the checkpoint's files.
    file: usize,
    /// Its name in that file.
    stored_name: String,
    dtype: String,
    shape: Vec<usize>,
    /// First byte, counted from the file's beginning.
    start: u64,
    length: usize,
}

/// A file's bytes, held or on disk.
enum Bytes<'a> {
    Held(Cow<'a, [u8]>),
    File(Mutex<File>),
}

impl Bytes<'_> {
    fn len(&self) -> std::io::Result<u64> {
        match self {
            Self::Held(bytes) => Ok(bytes.len() as u64),
            Self::File(file) => Ok(locked(file)?.metadata()?.len()),
        }
    }

    /// `length` bytes from `start`.
    fn read(&self, start: u64, length: usize) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match self {
            Self::Held(all) => bytes.extend(all.iter().skip(start as usize).take(length)),
            Self::File(file) => {
                let mut file = locked(file)?;
                file.seek(SeekFrom::Start(start))?;
                bytes.reserve_exact(length);
                file.by_ref().take(length as u64).read_to_end(&mut bytes)?;
            }
        }
        if bytes.len() == length { Ok(bytes) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// The files of a folder's weights: `model.safetensors`, or the shards that its `model.safetensors.index.json` names, by name.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let single = folder.join("model.safetensors");
    let index = folder.join("model.safetensors.index.json");
    match (single.is_file(), index.is_file()) {
        (true, _) => Ok(vec![single]),
        (false, true) => Ok(shards(&index)?.iter().map(|name| folder.join(name)).collect()),
        (false, false) => Err(no_weights(folder)),
    }
}

fn locked(file: &Mutex<File>) -> std::io::Result<std::sync::MutexGuard<'_, File>> {
    file.lock().map_err(|_| std::io::Error::other("another thread failed while it read"))
}

/// The tensors of one or more safetensors files, by the names that the models here use.
pub struct Checkpoint<'a> {
    files: Vec<(String, Bytes<'a>)>,
    tensors: BTreeMap<String, Entry>,
    sha256: String,
}

impl<'a> Checkpoint<'a> {
    /// One file's bytes; `label` is its name in messages, `rename` maps stored names to the ones that the model asks for.
    pub fn held(label: &str, bytes: &'a [u8], rename: fn(&str) -> String) -> Result<Self> {
        Self::of(label, Cow::Borrowed(bytes), rename)
    }

    /// The same with bytes of its own.
    pub fn owned(label: &str, bytes: Vec<u8>, rename: fn(&str) -> String) -> Result<Self> {
        Self::of(label, Cow::Owned(bytes), rename)
    }

    fn of(label: &str, bytes: Cow<'a, [u8]>, rename: fn(&str) -> String) -> Result<Self> {
        let mut checkpoint = Self { files: Vec::new(), tensors: BTreeMap::new(), sha256: schema::sha256_hex(&bytes) };
        checkpoint.add(label.into(), Bytes::Held(bytes), rename)?;
        Ok(checkpoint)
    }

    /// A folder's `model.safetensors`, or the shards that its `model.safetensors.index.json` names.
    pub fn open(folder: &Path, rename: fn(&str) -> String) -> Result<Self> {
        let mut checkpoint = Self { files: Vec::new(), tensors: BTreeMap::new(), sha256: String::new() };
        let mut hasher = Sha256::new();
        for path in files(folder)? {
            let read = |source| Error::Read { path: path.clone(), source };
            let mut file = File::open(&path).map_err(read)?;
            std::io::copy(&mut file, &mut hasher).map_err(read)?;
            checkpoint.add(path.display().to_string(), Bytes::File(Mutex::new(file)), rename)?;
        }
        checkpoint.sha256 = schema::hex(&hasher.finalize());
        Ok(checkpoint)
    }

    /// SHA-256 of the file; of shards, of their bytes one after the other, in the order of their names.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    fn add(&mut self, label: String, bytes: Bytes<'a>, rename: fn(&str) -> String) -> Result<()> {
        let failed = |reason: String| Error::Backbone(format!("{label}: {reason}"));
        let (header, data, end) = header(&bytes).map_err(failed)?;
        for (stored_name, value) in header {
            if stored_name == "__metadata__" {
                continue;
            }
            let entry = entry(self.files.len(), &stored_name, value, data, end)
                .map_err(|reason| failed(format!("tensor `{stored_name}` {reason}")))?;
            let name = rename(&stored_name);
            if let Some(other) = self.tensors.insert(name.clone(), entry) {
                return Err(failed(format!("tensors `{}` and `{stored_name}` are both `{name}`", other.stored_name)));
            }
        }
        self.files.push((label, bytes));
        Ok(())
    }

    /// Reads a tensor; the error is a sentence.
    fn read(&self, name: &str, shape: &Shape, dtype: DType, device: &Device) -> std::result::Result<Tensor, String> {
        let Some(entry) = self.tensors.get(name) else {
            let files: Vec<&str> = self.files.iter().map(|(label, _)| label.as_str()).collect();
            // A hostile header may hold any number of names of any length.
            let names = self.tensors.keys().map(String::as_str).filter(|name| name.len() < 200).take(10_000);
            let near = schema::nearest(name, names);
            let nearest = near.first().map_or_else(String::new, |near| format!("; the nearest is `{near}`"));
            return Err(format!("no tensor `{name}` in {}{nearest}", files.join(", ")));
        };
        let (label, bytes) = &self.files[entry.file];
        let named = format!("{label}: tensor `{}`", entry.stored_name);
        if entry.shape != shape.dims() {
            return Err(format!("{named} has shape {:?}; the config makes it {:?}", entry.shape, shape.dims()));
        }
        let stored = float(&entry.dtype).ok_or_else(|| {
            format!("{named} is of type {}; weights must be F32, F16, BF16 or F64 (quantised ones are not read)", entry.dtype)
        })?;
        let raw = bytes.read(entry.start, entry.length).map_err(|error| format!("{named} cannot be read: {error}"))?;
        let tensor = Tensor::from_raw_buffer(&raw, stored, &entry.shape, &Device::Cpu).and_then(|tensor| tensor.to_dtype(dtype));
        tensor.and_then(|tensor| tensor.to_device(device)).map_err(|error| format!("{named}: {error}"))
    }
}

impl SimpleBackend for Checkpoint<'_> {
    fn get(&self, shape: Shape, name: &str, _: Init, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        self.read(name, &shape, dtype, device).map_err(candle_core::Error::Msg)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("weight `{name}` is asked for without a shape")
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }
}

/// The header, the place of the first data byte and that behind the last.
fn header(bytes: &Bytes) -> std::result::Result<(BTreeMap<String, serde_json::Value>, u64, u64), String> {
    let total = bytes.len().map_err(|error| format!("cannot be read: {error}"))?;
    let cut = |_| format!("is no safetensors file: it is cut off in its header ({total} bytes)");
    let length = bytes.read(0, 8).map_err(cut)?;
    let length = u64::from_le_bytes(length.try_into().expect("8 bytes were read"));
    if length > MAX_HEADER {
        return Err(format!("is no safetensors file: its first 8 bytes speak of a header of {length} bytes"));
    }
    let header = bytes.read(8, length as usize).map_err(cut)?;
    let header = serde_json::from_slice(&header).map_err(|error| format!("its safetensors header is no JSON table: {error}"))?;
    Ok((header, 8 + length, total))
}

/// Checks what the header says of a tensor against the file's size; the error completes "tensor `x` ...".
fn entry(file: usize, name: &str, value: serde_json::Value, data: u64, end: u64) -> std::result::Result<Entry, String> {
    let stated: Stated = serde_json::from_value(value).map_err(|error| format!("has a malformed header: {error}"))?;
    let [from, to] = stated.data_offsets;
    let available = end - data;
    if from > to {
        return Err(format!("begins at byte {from} and ends before it, at {to}"));
    }
    if to > available {
        return Err(format!("ends at data byte {to}, but the file holds {available}: it is truncated"));
    }
    let numbers = stated.shape.iter().try_fold(1u64, |product, &n| product.checked_mul(n as u64));
    if let Some(size) = float(&stated.dtype).map(|dtype| dtype.size_in_bytes() as u64) {
        let wanted = numbers.and_then(|numbers| numbers.checked_mul(size));
        if wanted != Some(to - from) {
            return Err(format!("has shape {:?} of {} in {} bytes", stated.shape, stated.dtype, to - from));
        }
    }
    let length = usize::try_from(to - from).map_err(|_| "is larger than memory can be".to_owned())?;
    Ok(Entry { file, stored_name: name.into(), dtype: stated.dtype, shape: stated.shape, start: data + from, length })
}

fn float(name: &str) -> Option<DType> {
    match name {
        "F64" => Some(DType::F64),
        "F32" => Some(DType::F32),
        "F16" => Some(DType::F16),
        "BF16" => Some(DType::BF16),
        _ => None,
    }
}

/// The files an index names, each once, by name.
fn shards(index: &Path) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let text = std::fs::read_to_string(index).map_err(|source| Error::Read { path: index.into(), source })?;
    let failed = |reason: String| Error::Backbone(format!("{}: {reason}", index.display()));
    let map: Index = serde_json::from_str(&text).map_err(|error| failed(format!("expected a table `weight_map`: {error}")))?;
    let mut names: Vec<String> = map.weight_map.into_values().collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        return Err(failed("`weight_map` names no file".into()));
    }
    for name in &names {
        // A name with a folder in it could lead anywhere.
        if Path::new(name).file_name() != Some(name.as_ref()) {
            return Err(failed(format!("`{name}` is not the name of a file in this folder")));
        }
        if !index.with_file_name(name).is_file() {
            return Err(failed(format!("it names `{name}`, which is not there; download all shards")));
        }
    }
    Ok(names)
}

fn no_weights(folder: &Path) -> Error {
    let pickled = ["pytorch_model.bin", "pytorch_model.bin.index.json"].iter().any(|name| folder.join(name).is_file());
    let hint = match pickled {
        true => "; its pytorch_model.bin is a pickle, which can run any code and is never read: convert it to safetensors",
        false => "",
    };
    Error::Backbone(format!("{}: holds neither model.safetensors nor model.safetensors.index.json{hint}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with one tensor `a` as the header states it.
    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(std::iter::repeat_n(0, data));
        bytes
    }

    fn check(bytes: &[u8], expect: &str) {
        let read = |bytes: &[u8]| -> std::result::Result<Tensor, String> {
            let checkpoint = Checkpoint::held("w.safetensors", bytes, str::to_owned).map_err(|error| error.to_string())?;
            checkpoint.read("a", &Shape::from((2, 3)), DType::F32, &Device::Cpu)
        };
        let found = match read(bytes) {
            Ok(tensor) => format!("w.safetensors {:?}", tensor.dims()),
            Err(error) => error,
        };
        assert!(found.contains(expect) && found.contains("w.safetensors"), "{found}");
    }

    #[test]
    fn what_is_wrong_is_said_with_file_and_tensor() {
        let sound = r#"{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}"#;
        check(&file(sound, 24), "[2, 3]");
        check(&file(sound, 23), "tensor `a` ends at data byte 24, but the file holds 23: it is truncated");
        check(&file(sound, 24)[..30], "cut off in its header");
        check(&[1, 2, 3], "cut off in its header");
        check(&[255; 40], "speak of a header of 18446744073709551615 bytes");
        check(&file("[1]", 0), "no JSON table");
        check(&file(r#"{"a":{"dtype":"F32"}}"#, 0), "tensor `a` has a malformed header");
        check(&file(r#"{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[24,0]}}"#, 24), "ends before it");
        check(&file(r#"{"a":{"dtype":"F32","shape":[2,4],"data_offsets":[0,24]}}"#, 24), "has shape [2, 4] of F32 in 24 bytes");
        check(&file(r#"{"a":{"dtype":"F16","shape":[3,2],"data_offsets":[0,12]}}"#, 12), "the config makes it [2, 3]");
        check(&file(r#"{"a":{"dtype":"I8","shape":[2,3],"data_offsets":[0,6]}}"#, 6), "is of type I8");
        let huge = r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#;
        check(&file(huge, 0), "in 0 bytes");
        check(&file(r#"{"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 4), "no tensor `a` in w.safetensors");
        check(&file("{}", 0), "no tensor `a` in w.safetensors");
    }

    #[test]
    fn two_names_for_one_tensor_are_refused() {
        let header =
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
        let error = Checkpoint::held("w", &file(header, 4), |_| "same".into()).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some("w: tensors `a` and `b` are both `same`"));
    }

    #[test]
    fn an_index_may_not_lead_out_of_its_folder_nor_to_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let check = |index: &str, expect: &str| {
            std::fs::write(folder.path().join("model.safetensors.index.json"), index).expect("written");
            let error = Checkpoint::open(folder.path(), str::to_owned).err().map_or_else(String::new, |error| error.to_string());
            assert!(error.contains(expect) && error.contains("index.json"), "{error}");
        };
        check(r#"{"weight_map":{"a":"../w.safetensors"}}"#, "`../w.safetensors` is not the name of a file");
        check(r#"{"weight_map":{"a":"/etc/passwd"}}"#, "is not the name of a file");
        check(r#"{"weight_map":{"a":"model-1.safetensors"}}"#, "names `model-1.safetensors`, which is not there");
        check(r#"{"weight_map":{}}"#, "names no file");
        check(r#"{}"#, "expected a table `weight_map`");
    }
}
