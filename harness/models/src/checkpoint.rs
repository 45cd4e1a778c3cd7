//! Weights in safetensors files, read without trusting them.
//!
//! Headers are checked when a checkpoint is opened; a tensor is read when the model asks for it, so that no more than one lies in
//! memory beside the model, and its numbers must be finite, as stored and as the model holds them. Errors name the file and the
//! tensor.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::Init;
use candle_nn::var_builder::SimpleBackend;
use guard::files::{LFS_ADVICE, is_lfs_pointer};
use guard::text::line;
use safetensors::tensor::TensorInfo;
use sha2::{Digest, Sha256};

use super::files::there;
use super::shards::shards;
use crate::stored::{self, MAX_HEADER, SHOWN, float};
use crate::{Error, Result};

/// What a model reads whole, by the names that the models here use: a weight in there that none asks for belongs to a model of another
/// config.
const READ_WHOLE: [&str; 10] = [
    "vilt.encoder.layer.",
    "model.layers.",
    "language_model.model.layers.",
    "vision_tower.vision_model.encoder.layers.",
    "vision_model.encoder.layers.",
    "qformer.encoder.layer.",
    "multi_modal_projector.",
    "connector.",
    "language_projection.",
    "blocks.",
];

/// What of these no model needs: frequencies that old versions of transformers saved, and how many batches a norm has seen.
const LEFTOVERS: [&str; 4] = [".rotary_emb.inv_freq", ".attn.masked_bias", ".self_attn.bias", ".num_batches_tracked"];

/// The Q-Former's text half, within a block.
const TEXT_HALF: [&str; 2] = ["intermediate.dense.", "output."];

/// What is compared at a time; bytes.
const PIECE: usize = 1 << 20;

/// Where a tensor lies.
#[derive(Debug)]
struct Entry {
    /// Which of the checkpoint's files.
    file: usize,
    /// Its name in that file.
    stored_name: String,
    dtype: safetensors::Dtype,
    shape: Vec<usize>,
    /// First byte, counted from the file's beginning.
    start: u64,
    length: usize,
    /// Whether the model has read it.
    asked: AtomicBool,
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
    match (there(&single), there(&index)) {
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
            checkpoint.open_file(&path, &mut hasher, rename)?;
        }
        checkpoint.sha256 = schema::hex(&hasher.finalize());
        Ok(checkpoint)
    }

    /// One file, under its own names.
    pub fn file(path: &Path) -> Result<Self> {
        let mut checkpoint = Self { files: Vec::new(), tensors: BTreeMap::new(), sha256: String::new() };
        let mut hasher = Sha256::new();
        checkpoint.open_file(path, &mut hasher, str::to_owned)?;
        checkpoint.sha256 = schema::hex(&hasher.finalize());
        Ok(checkpoint)
    }

    /// The header first: what is not sound, or is not the file itself, need not be read to its end.
    fn open_file(&mut self, path: &Path, hasher: &mut Sha256, rename: fn(&str) -> String) -> Result<()> {
        let read = |source| Error::Read { path: path.into(), source };
        let file = guard::files::open(path).map_err(read)?;
        let mut again = file.try_clone().map_err(read)?;
        self.add(path.display().to_string(), Bytes::File(Mutex::new(file)), rename)?;
        again.rewind().map_err(read)?;
        std::io::copy(&mut again, hasher).map_err(read)?;
        Ok(())
    }

    /// SHA-256 of the file; of shards, of their bytes one after the other, in the order of their names.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    fn add(&mut self, label: String, bytes: Bytes<'a>, rename: fn(&str) -> String) -> Result<()> {
        let failed = |reason: String| Error::Backbone(format!("{label}: {reason}"));
        let (header, data) = header(&bytes).map_err(failed)?;
        for (stored_name, tensor) in header {
            let name = rename(&stored_name);
            let (start, end) = tensor.data_offsets;
            let (dtype, shape) = (tensor.dtype, tensor.shape);
            let (file, start, length) = (self.files.len(), data + start as u64, end - start);
            let entry = Entry { file, stored_name, dtype, shape, start, length, asked: AtomicBool::new(false) };
            let stored_name = line(&entry.stored_name, SHOWN);
            if let Some(other) = self.tensors.insert(name.clone(), entry) {
                let (other, name) = (line(&other.stored_name, SHOWN), line(&name, SHOWN));
                return Err(failed(format!("tensors `{other}` and `{stored_name}` are both `{name}`")));
            }
        }
        self.files.push((label, bytes));
        Ok(())
    }

    /// All tensors in name order, each in the type that it is stored in.
    pub fn all(&self, device: &Device) -> Result<Vec<(String, Tensor)>> {
        let read = |(name, entry): (&String, &Entry)| {
            let dtype = float(entry.dtype).unwrap_or(DType::F32);
            let tensor = self.read(name, &Shape::from(entry.shape.as_slice()), dtype, device).map_err(Error::Backbone)?;
            Ok((name.clone(), tensor))
        };
        self.tensors.iter().map(read).collect()
    }

    /// Fails if a weight within what a model reads whole was never asked for: the config makes a smaller model than the file holds,
    /// which would answer something else. `wanted` tells those of the model's half that was read.
    pub fn all_asked(&self, wanted: impl Fn(&str) -> bool) -> Result<()> {
        let is_missing = |name: &str, entry: &Entry| !entry.asked.load(Ordering::Relaxed) && is_needed(name) && wanted(name);
        let mut left = self.tensors.iter().filter(|(name, entry)| is_missing(name, entry));
        let Some((_, first)) = left.next() else { return Ok(()) };
        let (label, name) = (&self.files[first.file].0, line(&first.stored_name, SHOWN));
        let more = match left.count() {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        Err(Error::Backbone(format!(
            "{label}: tensor `{name}`{more} has no place in the model that config.json describes: its num_hidden_layers, its biases or \
             what else it says are not those of these weights; the model would be wrong"
        )))
    }

    /// Whether two tensors hold the same bytes; `None` unless both are there.
    pub fn same(&self, one: &str, other: &str) -> Result<Option<bool>> {
        let (Some(one), Some(other)) = (self.tensors.get(one), self.tensors.get(other)) else { return Ok(None) };
        if (one.dtype, &one.shape) != (other.dtype, &other.shape) {
            return Ok(Some(false));
        }
        let (mut at, whole) = (0, one.length);
        while at < whole {
            let length = (whole - at).min(PIECE);
            if self.bytes(one, at, length)? != self.bytes(other, at, length)? {
                return Ok(Some(false));
            }
            at += length;
        }
        Ok(Some(true))
    }

    fn bytes(&self, entry: &Entry, from: usize, length: usize) -> Result<Vec<u8>> {
        let (label, bytes) = &self.files[entry.file];
        let failed = |error| Error::Backbone(format!("{label}: tensor `{}` cannot be read: {error}", entry.stored_name));
        bytes.read(entry.start + from as u64, length).map_err(failed)
    }

    /// Reads a tensor; the error is a sentence.
    fn read(&self, name: &str, shape: &Shape, dtype: DType, device: &Device) -> std::result::Result<Tensor, String> {
        self.bounded(name, shape, dtype, device, |_| Ok(()))
    }

    /// Reads a tensor whose largest magnitude a model can bear; the error is a sentence.
    fn bounded(
        &self,
        name: &str,
        shape: &Shape,
        dtype: DType,
        device: &Device,
        bearable: fn(f64) -> std::result::Result<(), String>,
    ) -> std::result::Result<Tensor, String> {
        let Some(entry) = self.tensors.get(name) else { return Err(self.missing(name)) };
        entry.asked.store(true, Ordering::Relaxed);
        let (label, bytes) = &self.files[entry.file];
        let named = format!("{label}: tensor `{}`", line(&entry.stored_name, SHOWN));
        if entry.shape != shape.dims() {
            return Err(format!("{named} has shape {:?}; the config makes it {:?}", entry.shape, shape.dims()));
        }
        let stored = float(entry.dtype).ok_or_else(|| {
            format!("{named} is of type {:?}; weights must be F32, F16, BF16 or F64 (quantised ones are not read)", entry.dtype)
        })?;
        let raw = bytes.read(entry.start, entry.length).map_err(|error| format!("{named} cannot be read: {error}"))?;
        let largest = stored::largest(stored, &raw);
        stored::fits(largest, dtype).and_then(|()| bearable(largest)).map_err(|what| format!("{named} {what}"))?;
        let tensor = Tensor::from_raw_buffer(&raw, stored, &entry.shape, &Device::Cpu).and_then(|tensor| tensor.to_dtype(dtype));
        tensor.and_then(|tensor| tensor.to_device(device)).map_err(|error| format!("{named}: {error}"))
    }

    fn missing(&self, name: &str) -> String {
        let files: Vec<&str> = self.files.iter().map(|(label, _)| label.as_str()).collect();
        // A hostile header may hold any number of names of any length.
        let names = self.tensors.keys().map(String::as_str).filter(|name| name.len() < 200).take(10_000);
        let near = schema::nearest(name, names);
        let nearest = near.first().map_or_else(String::new, |near| format!("; the nearest is `{near}`"));
        let hint = match name.ends_with("lm_head.weight") {
            true => "; a head that is the token embedding is not saved: then `tie_word_embeddings` in config.json must be true",
            false => "",
        };
        format!("no tensor `{name}` in {}{nearest}{hint}", line(&files.join(", "), 400))
    }
}

impl SimpleBackend for Checkpoint<'_> {
    fn get(&self, shape: Shape, name: &str, _: Init, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        self.bounded(name, &shape, dtype, device, stored::bearable).map_err(candle_core::Error::Msg)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("weight `{name}` is asked for without a shape")
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }
}

/// A checkpoint that a builder reads from while others hold it, too.
pub(super) struct Shared(pub(super) Arc<Checkpoint<'static>>);

impl SimpleBackend for Shared {
    fn get(&self, shape: Shape, name: &str, init: Init, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        self.0.get(shape, name, init, dtype, device)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        self.0.get_unchecked(name, dtype, device)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.0.contains_tensor(name)
    }
}

/// Whether a model without this weight is another model.
fn is_needed(name: &str) -> bool {
    let Some(inside) = READ_WHOLE.iter().find_map(|part| name.strip_prefix(part)) else { return false };
    let in_block = inside.split_once('.').map_or("", |(_, rest)| rest);
    let is_text_half = name.starts_with("qformer.") && TEXT_HALF.iter().any(|half| in_block.starts_with(half));
    !is_text_half && !LEFTOVERS.iter().any(|leftover| name.ends_with(leftover))
}

/// Fails if bytes are no sound safetensors; the error says what they are or hold.
pub(crate) fn check(bytes: &[u8]) -> std::result::Result<(), String> {
    header(&Bytes::Held(Cow::Borrowed(bytes))).map(|_| ())
}

/// The tensors that a file's header names, and the place of the first data byte.
fn header(bytes: &Bytes) -> std::result::Result<(Vec<(String, TensorInfo)>, u64), String> {
    let total = bytes.len().map_err(|error| format!("cannot be read: {error}"))?;
    let head = bytes.read(0, total.min(64) as usize).map_err(|error| format!("cannot be read: {error}"))?;
    if is_lfs_pointer(&head) {
        return Err(format!("it {LFS_ADVICE}"));
    }
    let cut = || format!("is no safetensors file: it is cut off in its header ({total} bytes)");
    let length = u64::from_le_bytes(*head.first_chunk().ok_or_else(cut)?);
    if length > MAX_HEADER {
        return Err(format!(
            "is no safetensors file: its first 8 bytes speak of a header of {length} bytes (at most {MAX_HEADER} are read)"
        ));
    }
    let available = (total - 8).checked_sub(length).ok_or_else(cut)?;
    let header = bytes.read(8, length as usize).map_err(|error| format!("its header cannot be read: {error}"))?;
    Ok((stored::header(&header, available)?, 8 + length))
}

fn no_weights(folder: &Path) -> Error {
    let pickled = ["pytorch_model.bin", "pytorch_model.bin.index.json"].iter().any(|name| there(&folder.join(name)));
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
        check(&file("[1]", 0), "expected a JSON table");
        check(&file(r#"{"a":{"dtype":"F32"}}"#, 0), "tensor `a` is malformed");
        check(&file(r#"{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[24,0]}}"#, 24), "ends before it");
        check(&file(r#"{"a":{"dtype":"F32","shape":[2,4],"data_offsets":[0,24]}}"#, 24), "has shape [2, 4] of F32 in 24 bytes");
        check(&file(r#"{"a":{"dtype":"F16","shape":[3,2],"data_offsets":[0,12]}}"#, 12), "the config makes it [2, 3]");
        check(&file(r#"{"a":{"dtype":"I8","shape":[2,3],"data_offsets":[0,6]}}"#, 6), "is of type I8");
        let huge = r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#;
        check(&file(huge, 0), "more numbers than can be counted");
        check(&file(r#"{"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 4), "no tensor `a` in w.safetensors");
        check(&file("{}", 0), "no tensor `a` in w.safetensors");
    }

    #[test]
    fn two_names_for_one_tensor_are_refused() {
        let header =
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#;
        let error = Checkpoint::held("w", &file(header, 8), |_| "same".into()).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some("w: tensors `a` and `b` are both `same`"));
    }
}
