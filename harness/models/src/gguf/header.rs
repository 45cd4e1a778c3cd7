//! The header of a GGUF file: what it says, held against how large the file is.

use std::collections::BTreeMap;
use std::io::Read;

use candle_core::quantized::GgmlDType;

use super::value::Value;

type Parsed<T> = Result<T, String>;

/// A header longer than this is refused; bytes. (A vocabulary of 150,000 with its merges takes a tenth.)
const MAX_HEADER: u64 = 64 << 20;

/// More dimensions than a tensor of ggml can have.
const MAX_DIMENSIONS: u32 = 4;

/// Where tensor data is aligned without `general.alignment`.
const ALIGNMENT: u64 = 32;

/// Where a tensor lies, and what it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stored {
    pub(super) dtype: GgmlDType,
    /// Outermost first. (The file has it innermost first.)
    pub(super) shape: Vec<usize>,
    /// First byte, counted from the file's beginning.
    pub(super) start: u64,
    /// Bytes.
    pub(super) length: usize,
}

/// Metadata and tensors.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) metadata: BTreeMap<String, Value>,
    pub(super) tensors: BTreeMap<String, Stored>,
}

impl Header {
    /// Of a file of `size` bytes.
    pub(super) fn read(reader: impl Read, size: u64) -> Parsed<Self> {
        let mut cursor = Cursor { reader, at: 0, end: size.min(MAX_HEADER), size };
        if cursor.bytes(4, "the magic number")? != b"GGUF" {
            return Err("it does not begin with `GGUF`".into());
        }
        let version = cursor.u32("the version")?;
        if !(2..=3).contains(&version) {
            return Err(format!("it is of version {version}; 2 and 3 are read"));
        }
        let tensors = cursor.u64("the number of tensors")?;
        let entries = cursor.u64("the number of metadata entries")?;
        let metadata = cursor.metadata(entries)?;
        let stated = cursor.tensors(tensors)?;
        let data = data_start(cursor.at, &metadata)?;
        let place = |(name, stated): (String, Stated)| {
            let stored = stated.place(data, size).map_err(|what| format!("tensor `{name}` {what}"))?;
            Ok((name, stored))
        };
        Ok(Self { tensors: stated.into_iter().map(place).collect::<Parsed<_>>()?, metadata })
    }
}

/// The first byte behind the header at which tensor data may begin.
fn data_start(header_end: u64, metadata: &BTreeMap<String, Value>) -> Parsed<u64> {
    let alignment = match metadata.get("general.alignment") {
        None => ALIGNMENT,
        Some(Value::Integer(n)) if (1..=1 << 20).contains(n) && (*n as u64).is_power_of_two() => *n as u64,
        Some(other) => return Err(format!("metadata `general.alignment` is {other:?}, not a power of two up to 2^20")),
    };
    Ok(header_end.next_multiple_of(alignment))
}

/// What the header says of a tensor.
struct Stated {
    /// Innermost first.
    dimensions: Vec<u64>,
    dtype: u32,
    /// From the first data byte.
    offset: u64,
}

impl Stated {
    /// Where it lies in a file of `size` bytes; the error completes "tensor `x` ...".
    fn place(self, data: u64, size: u64) -> Parsed<Stored> {
        let kind = dtype(self.dtype).ok_or_else(|| {
            let number = self.dtype;
            format!(
                "is of ggml type {number}, which is not read; F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 and Q2_K to Q6_K are"
            )
        })?;
        let (block, bytes) = (kind.block_size() as u64, kind.type_size() as u64);
        let row = self.dimensions.first().copied().unwrap_or(1);
        if row % block != 0 {
            return Err(format!("has rows of {row} numbers of type {kind:?}, which come in blocks of {block}"));
        }
        let numbers = self.dimensions.iter().try_fold(1u64, |product, &n| product.checked_mul(n));
        let length = numbers.and_then(|numbers| (numbers / block).checked_mul(bytes));
        let start = data.checked_add(self.offset);
        let end = start.zip(length).and_then(|(start, length)| start.checked_add(length));
        let (Some(start), Some(length), Some(_)) = (start, length, end.filter(|&end| end <= size)) else {
            let Self { dimensions, offset, .. } = self;
            return Err(format!(
                "of {dimensions:?} numbers at data byte {offset} does not end within the file's {size} bytes: it is truncated"
            ));
        };
        let shape = self.dimensions.iter().rev().map(|&n| n as usize).collect();
        Ok(Stored { dtype: kind, shape, start, length: length as usize })
    }
}

/// Reads on, and never past the end.
struct Cursor<R> {
    reader: R,
    at: u64,
    /// Where the header must have ended.
    end: u64,
    size: u64,
}

impl<R: Read> Cursor<R> {
    /// Fails unless `count` things of at least `each` bytes can follow.
    fn room(&self, count: u64, each: u64, what: &str) -> Parsed<()> {
        match count.checked_mul(each) {
            Some(needed) if needed <= self.end - self.at => Ok(()),
            _ if self.end < self.size => {
                Err(format!("its header goes on for more than {MAX_HEADER} bytes: {what} at byte {} ({count})", self.at))
            }
            _ => {
                Err(format!("it is cut off in its header: {what} at byte {} ({count}) in a file of {} bytes", self.at, self.size))
            }
        }
    }

    fn bytes(&mut self, length: u64, what: &str) -> Parsed<Vec<u8>> {
        self.room(length, 1, what)?;
        let mut bytes = vec![0; length as usize];
        self.reader.read_exact(&mut bytes).map_err(|error| format!("{what} cannot be read: {error}"))?;
        self.at += length;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Parsed<[u8; N]> {
        self.room(N as u64, 1, what)?;
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(|error| format!("{what} cannot be read: {error}"))?;
        self.at += N as u64;
        Ok(bytes)
    }

    fn u32(&mut self, what: &str) -> Parsed<u32> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    fn u64(&mut self, what: &str) -> Parsed<u64> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    fn text(&mut self, what: &str) -> Parsed<String> {
        let length = self.u64(what)?;
        let bytes = self.bytes(length, what)?;
        String::from_utf8(bytes).map_err(|_| format!("{what} at byte {} is not UTF-8", self.at - length))
    }

    fn metadata(&mut self, entries: u64) -> Parsed<BTreeMap<String, Value>> {
        // A key's length, a type and a value of one byte at least.
        self.room(entries, 8 + 4 + 1, "metadata entries")?;
        let mut metadata = BTreeMap::new();
        for _ in 0..entries {
            let key = self.text("a metadata key")?;
            let kind = self.u32("a value's type")?;
            let value = self.value(kind).map_err(|what| format!("metadata `{}`: {what}", shortened(&key)))?;
            if metadata.insert(key.clone(), value).is_some() {
                return Err(format!("metadata `{}` is there twice", shortened(&key)));
            }
        }
        Ok(metadata)
    }

    fn value(&mut self, kind: u32) -> Parsed<Value> {
        Ok(match kind {
            0..=5 | 10 | 11 => Value::Integer(self.integer(kind)?),
            6 => Value::Float(f32::from_le_bytes(self.array("a number")?).into()),
            7 => Value::Bool(self.array::<1>("a truth value")? != [0]),
            8 => Value::Text(self.text("a string")?),
            9 => self.list()?,
            12 => Value::Float(f64::from_le_bytes(self.array("a number")?)),
            other => return Err(format!("value type {other} is none of 0 to 12")),
        })
    }

    fn integer(&mut self, kind: u32) -> Parsed<i128> {
        let what = "an integer";
        Ok(match kind {
            0 => u8::from_le_bytes(self.array(what)?).into(),
            1 => i8::from_le_bytes(self.array(what)?).into(),
            2 => u16::from_le_bytes(self.array(what)?).into(),
            3 => i16::from_le_bytes(self.array(what)?).into(),
            4 => u32::from_le_bytes(self.array(what)?).into(),
            5 => i32::from_le_bytes(self.array(what)?).into(),
            10 => u64::from_le_bytes(self.array(what)?).into(),
            _ => i64::from_le_bytes(self.array(what)?).into(),
        })
    }

    fn list(&mut self) -> Parsed<Value> {
        let kind = self.u32("an array's type")?;
        let length = self.u64("an array's length")?;
        let each = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            8 | 10..=12 => 8,
            9 => return Err("an array of arrays is not read".into()),
            other => return Err(format!("value type {other} is none of 0 to 12")),
        };
        self.room(length, each, "an array")?;
        Ok(match kind {
            8 => Value::Texts((0..length).map(|_| self.text("a string")).collect::<Parsed<_>>()?),
            6 | 7 | 12 => {
                self.bytes(length * each, "an array")?;
                Value::Skipped
            }
            _ => Value::Integers((0..length).map(|_| self.small_integer(kind)).collect::<Parsed<_>>()?),
        })
    }

    fn small_integer(&mut self, kind: u32) -> Parsed<i64> {
        let value = self.integer(kind)?;
        i64::try_from(value).map_err(|_| format!("{value} in an array is larger than 2^63"))
    }

    fn tensors(&mut self, count: u64) -> Parsed<BTreeMap<String, Stated>> {
        // A name's length, the number of dimensions, a type and an offset.
        self.room(count, 8 + 4 + 4 + 8, "tensors")?;
        let mut tensors = BTreeMap::new();
        for _ in 0..count {
            let name = self.text("a tensor's name")?;
            let stated = self.stated().map_err(|what| format!("tensor `{}`: {what}", shortened(&name)))?;
            if tensors.insert(name.clone(), stated).is_some() {
                return Err(format!("tensor `{}` is there twice", shortened(&name)));
            }
        }
        Ok(tensors)
    }

    fn stated(&mut self) -> Parsed<Stated> {
        let rank = self.u32("the number of dimensions")?;
        if rank > MAX_DIMENSIONS {
            return Err(format!("{rank} dimensions; there can be {MAX_DIMENSIONS}"));
        }
        let dimensions = (0..rank).map(|_| self.u64("a dimension")).collect::<Parsed<_>>()?;
        Ok(Stated { dimensions, dtype: self.u32("a tensor's type")?, offset: self.u64("a tensor's place")? })
    }
}

/// The beginning of a name: a hostile file's may be megabytes long.
fn shortened(name: &str) -> String {
    name.chars().take(80).collect()
}

/// The types of tensors that candle dequantises, by their numbers in a file.
fn dtype(number: u32) -> Option<GgmlDType> {
    Some(match number {
        0 => GgmlDType::F32,
        1 => GgmlDType::F16,
        2 => GgmlDType::Q4_0,
        3 => GgmlDType::Q4_1,
        6 => GgmlDType::Q5_0,
        7 => GgmlDType::Q5_1,
        8 => GgmlDType::Q8_0,
        10 => GgmlDType::Q2K,
        11 => GgmlDType::Q3K,
        12 => GgmlDType::Q4K,
        13 => GgmlDType::Q5K,
        14 => GgmlDType::Q6K,
        30 => GgmlDType::BF16,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Vec<u8> {
        [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
    }

    fn entry(key: &str, kind: u32, value: &[u8]) -> Vec<u8> {
        [&text(key)[..], &kind.to_le_bytes(), value].concat()
    }

    fn tensor(name: &str, dimensions: &[u64], kind: u32, offset: u64) -> Vec<u8> {
        let mut bytes = [&text(name)[..], &(dimensions.len() as u32).to_le_bytes()].concat();
        dimensions.iter().for_each(|n| bytes.extend(n.to_le_bytes()));
        [&bytes[..], &kind.to_le_bytes(), &offset.to_le_bytes()].concat()
    }

    /// A file of these entries and tensors, with `data` bytes behind the header.
    fn file(entries: &[Vec<u8>], tensors: &[Vec<u8>], data: usize) -> Vec<u8> {
        let mut bytes = [&b"GGUF"[..], &3u32.to_le_bytes()].concat();
        bytes.extend((tensors.len() as u64).to_le_bytes());
        bytes.extend((entries.len() as u64).to_le_bytes());
        bytes.extend(entries.iter().chain(tensors).flatten());
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT as usize) + data, 0);
        bytes
    }

    fn read(bytes: &[u8]) -> Parsed<Header> {
        Header::read(bytes, bytes.len() as u64)
    }

    fn check(bytes: &[u8], expect: &str) {
        let found = read(bytes).map_or_else(|error| error, |header| format!("{:?}", header.tensors));
        assert!(found.contains(expect), "{found}");
    }

    #[test]
    fn what_is_sound_is_read() {
        let one = entry("a", 4, &7u32.to_le_bytes());
        let several = entry("b", 9, &[&8u32.to_le_bytes()[..], &2u64.to_le_bytes(), &text("x"), &text("yz")].concat());
        let header = read(&file(&[one, several], &[tensor("w", &[32, 2], 8, 0)], 68)).expect("sound");
        assert_eq!(header.metadata["a"], Value::Integer(7));
        assert_eq!(header.metadata["b"], Value::Texts(vec!["x".into(), "yz".into()]));
        assert_eq!((header.tensors["w"].shape.as_slice(), header.tensors["w"].length), (&[2, 32][..], 68));
    }

    #[test]
    fn what_is_wrong_is_said() {
        check(b"GGML", "does not begin with `GGUF`");
        check(b"GG", "cut off in its header: the magic number");
        check(&[&b"GGUF"[..], &9u32.to_le_bytes()].concat(), "version 9; 2 and 3 are read");
        check(&file(&[entry("a", 13, &[0])], &[], 0), "metadata `a`: value type 13 is none of 0 to 12");
        check(&file(&[entry("a", 9, &[9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])], &[], 0), "an array of arrays is not read");
        let twice = entry("a", 0, &[1]);
        check(&file(&[twice.clone(), twice], &[], 0), "metadata `a` is there twice");
        let place = tensor("w", &[32], 8, 0);
        check(&file(&[], &[place.clone(), place], 34), "tensor `w` is there twice");
        check(&file(&[], &[tensor("w", &[32], 8, 0)], 33), "tensor `w` of [32] numbers at data byte 0 does not end within");
        check(&file(&[], &[tensor("w", &[31], 8, 0)], 99), "rows of 31 numbers of type Q8_0, which come in blocks of 32");
        check(&file(&[], &[tensor("w", &[32], 99, 0)], 99), "tensor `w` is of ggml type 99, which is not read");
        check(&file(&[], &[tensor("w", &[1; 5], 0, 0)], 99), "5 dimensions; there can be 4");
        check(&file(&[entry("a", 8, &[&1u64.to_le_bytes()[..], &[255]].concat())], &[], 0), "is not UTF-8");
    }

    #[test]
    fn counts_and_places_larger_than_the_file_are_refused() {
        let many = |tensors: u64, entries: u64| {
            [&b"GGUF"[..], &3u32.to_le_bytes(), &tensors.to_le_bytes(), &entries.to_le_bytes()].concat()
        };
        check(&many(0, u64::MAX), "metadata entries at byte 24 (18446744073709551615)");
        check(&many(1 << 60, 0), "tensors at byte 24");
        check(&file(&[entry("a", 8, &u64::MAX.to_le_bytes())], &[], 0), "metadata `a`: it is cut off in its header: a string");
        let array = [&0u32.to_le_bytes()[..], &(1u64 << 40).to_le_bytes()].concat();
        check(&file(&[entry("a", 9, &array)], &[], 0), "metadata `a`: it is cut off in its header: an array");
        check(&file(&[], &[tensor("w", &[1 << 40, 1 << 40], 0, 0)], 64), "does not end within");
        check(&file(&[], &[tensor("w", &[32], 0, u64::MAX)], 64), "does not end within");
        for alignment in [0u32, 3, 1 << 21] {
            check(&file(&[entry("general.alignment", 4, &alignment.to_le_bytes())], &[], 0), "not a power of two");
        }
    }

    /// Every beginning of a sound file, and a sound file with any one byte changed: an answer, and no panic.
    #[test]
    fn no_cut_and_no_flipped_byte_is_a_panic() {
        let array = entry("t", 9, &[&8u32.to_le_bytes()[..], &2u64.to_le_bytes(), &text("x"), &text("yz")].concat());
        let sound = file(&[entry("general.alignment", 4, &32u32.to_le_bytes()), array], &[tensor("w", &[32, 2], 3, 0)], 40);
        for end in 0..sound.len() {
            assert!(read(&sound[..end]).is_err());
        }
        for (at, flip) in (0..sound.len()).flat_map(|at| [1, 128, 255].map(|flip| (at, flip))) {
            let mut bytes = sound.clone();
            bytes[at] ^= flip;
            let _ = read(&bytes);
        }
    }
}
