//! What a frozen part of a backbone makes of pictures, square by square: computed once for each picture, when it is first wanted, and
//! kept, all squares of a picture together, in memory while there is room and in a file without a name after that.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use crate::{Error, Result};

/// Squares that go through the backbone together, unless one picture has more.
const CHUNK: usize = 32;

/// The features of the squares of a split's pictures, `[squares, tokens, width]` of each picture.
pub(crate) struct Features {
    /// The first square of each picture, and how many squares there are.
    firsts: Vec<usize>,
    pictures: Vec<OnceLock<Kept>>,
    /// Of no square, `[0, tokens, width]`; known with the first.
    none: OnceLock<Tensor>,
    /// Bytes that may still be kept in memory.
    room: AtomicU64,
    file: Mutex<Option<File>>,
}

enum Kept {
    Here(Tensor),
    InFile { at: u64, shape: [usize; 3], dtype: DType, device: Device },
}

impl Features {
    /// Of pictures of so many squares each, none of them computed yet; at most `room` bytes are kept in memory.
    pub(crate) fn new(squares: impl IntoIterator<Item = usize>, room: u64) -> Self {
        let mut firsts = vec![0];
        for squares in squares {
            firsts.push(firsts[firsts.len() - 1] + squares);
        }
        let pictures = std::iter::repeat_with(OnceLock::new).take(firsts.len() - 1).collect();
        Self { firsts, pictures, none: OnceLock::new(), room: AtomicU64::new(room), file: Mutex::new(None) }
    }

    fn squares_of(&self, picture: usize) -> usize {
        self.firsts[picture + 1] - self.firsts[picture]
    }

    /// Computes those of the pictures `wanted` that are not there yet, in chunks that threads share. `compute` gives
    /// `[squares, tokens, width]` for the pictures it is given.
    pub(crate) fn prepare(
        &self,
        wanted: impl IntoIterator<Item = usize>,
        compute: impl Fn(&[usize]) -> Result<Tensor> + Sync,
    ) -> Result<()> {
        let missing: BTreeSet<usize> = wanted.into_iter().filter(|&picture| self.pictures[picture].get().is_none()).collect();
        let missing: Vec<usize> = missing.into_iter().collect();
        let most = missing.iter().map(|&picture| self.squares_of(picture)).max().unwrap_or(1);
        let chunk = (CHUNK / most.max(1)).max(1);
        missing.par_chunks(chunk).try_for_each(|pictures| {
            let (features, mut at) = (compute(pictures)?, 0);
            let _ = self.none.set(features.narrow(0, 0, 0)?.contiguous()?);
            pictures.iter().try_for_each(|&picture| {
                let squares = self.squares_of(picture);
                at += squares;
                self.keep(picture, &features.narrow(0, at - squares, squares)?)
            })
        })
    }

    fn keep(&self, picture: usize, features: &Tensor) -> Result<()> {
        let bytes = (features.elem_count() * features.dtype().size_in_bytes()) as u64;
        let room = self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(bytes));
        let kept = match room {
            // A copy of its own: a view would hold the whole chunk.
            Ok(_) => Kept::Here(features.force_contiguous()?.copy()?),
            Err(_) => self.write(features)?,
        };
        // Whoever was first has computed the same.
        let _ = self.pictures[picture].set(kept);
        Ok(())
    }

    fn write(&self, features: &Tensor) -> Result<Kept> {
        let mut bytes = Vec::new();
        features.write_bytes(&mut bytes)?;
        let mut file = self.lock();
        let mut append = || -> std::io::Result<u64> {
            let file = match &mut *file {
                Some(file) => file,
                none => none.insert(tempfile::tempfile()?),
            };
            let at = file.seek(SeekFrom::End(0))?;
            file.write_all(&bytes).map(|()| at)
        };
        let at = append().map_err(|error| Error::Write {
            path: std::env::temp_dir(),
            reason: format!("{error}; picture features that memory has no room for are kept there (TMPDIR names another folder)"),
        })?;
        let (shape, dtype, device) = (features.dims3()?.into(), features.dtype(), features.device().clone());
        Ok(Kept::InFile { at, shape, dtype, device })
    }

    /// Some squares' features, one under the other, `[n, tokens, width]`; all must have been prepared. Of no square, `none` serves
    /// where none has been prepared either.
    pub(crate) fn of(&self, squares: &[u32], none: impl FnOnce() -> candle_core::Result<Tensor>) -> Result<Tensor> {
        if squares.is_empty() {
            return Ok(self.none.get().cloned().map_or_else(none, Ok)?);
        }
        let (mut features, mut rest) = (Vec::new(), squares);
        while let Some(&first) = rest.first() {
            let first = first as usize;
            let picture = self.firsts.partition_point(|begin| *begin <= first) - 1;
            let end = self.firsts.get(picture + 1).copied().unwrap_or(first + 1);
            let in_a_row = rest.iter().zip(first..end).take_while(|(square, place)| **square as usize == *place).count();
            let within = self.picture(picture, first)?;
            features.push(within.narrow(0, first - self.firsts[picture], in_a_row)?);
            rest = &rest[in_a_row..];
        }
        Ok(Tensor::cat(&features, 0)?)
    }

    /// All squares of a picture, one of which is wanted.
    fn picture(&self, picture: usize, square: usize) -> Result<Tensor> {
        match self.pictures.get(picture).and_then(OnceLock::get) {
            Some(Kept::Here(features)) => Ok(features.clone()),
            Some(Kept::InFile { at, shape, dtype, device }) => {
                let mut bytes = vec![0; shape.iter().product::<usize>() * dtype.size_in_bytes()];
                let mut file = self.lock();
                let file = file.as_mut().ok_or_else(|| std::io::ErrorKind::NotFound.into());
                file.and_then(|file| file.seek(SeekFrom::Start(*at)).and_then(|_| file.read_exact(&mut bytes)))
                    .map_err(|source| Error::Read { path: std::env::temp_dir(), source })?;
                Ok(Tensor::from_raw_buffer(&bytes, *dtype, shape, device)?)
            }
            None => Err(Error::Usage(format!("the features of square {square} are wanted before they are computed"))),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<File>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers that are kept in memory.
    pub(crate) fn numbers_in_memory(&self) -> usize {
        let here = |kept: &OnceLock<Kept>| match kept.get() {
            Some(Kept::Here(features)) => features.elem_count(),
            _ => 0,
        };
        self.pictures.iter().map(here).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Features come back as they were computed, each picture computed once, whether there is room for all, some or none. Picture 2
    /// has three squares.
    #[test]
    fn come_back_whether_in_memory_or_not() -> Result<()> {
        let places = |picture: usize| match picture {
            0 | 1 => picture..picture + 1,
            2 => 2..5,
            _ => picture + 2..picture + 3,
        };
        for (room, dtype, most, least) in
            [(u64::MAX, DType::F32, 7, 7), (50, DType::F32, 2, 1), (0, DType::F32, 0, 0), (24, DType::BF16, 2, 1)]
        {
            let (features, computed) = (Features::new([1, 1, 3, 1, 1, 1, 1], room), AtomicUsize::new(0));
            let compute = |pictures: &[usize]| {
                computed.fetch_add(pictures.len(), Ordering::Relaxed);
                let squares: Vec<usize> = pictures.iter().flat_map(|&picture| places(picture)).collect();
                let numbers: Vec<f32> = squares.iter().flat_map(|square| (0..6).map(move |i| (10 * square + i) as f32)).collect();
                Ok(Tensor::from_vec(numbers, (squares.len(), 2, 3), &Device::Cpu)?.to_dtype(dtype)?)
            };
            features.prepare([3, 0, 3], compute)?;
            features.prepare([0, 1, 2, 4, 3], compute)?;
            assert_eq!(computed.load(Ordering::Relaxed), 5);
            let here = features.numbers_in_memory() / 6;
            assert!((least..=most).contains(&here), "{here} squares in memory with {room} bytes of room");
            let nothing = || Tensor::zeros((0, 1, 1), dtype, &Device::Cpu);
            let found = features.of(&[6, 0, 6, 3], nothing)?;
            assert_eq!((found.dims(), features.of(&[], nothing)?.dims()), (&[4, 2, 3][..], &[0, 2, 3][..]));
            let firsts: Vec<f32> = found.narrow(2, 0, 1)?.narrow(1, 1, 1)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
            assert_eq!(firsts, [63.0, 3.0, 63.0, 33.0], "{room} bytes of room");
            assert!(features.of(&[8], nothing).is_err_and(|error| error.to_string().contains("square 8")));
        }
        Ok(())
    }
}
