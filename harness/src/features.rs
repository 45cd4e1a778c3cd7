//! What a frozen part of a backbone makes of pictures: computed once for each picture, when it is first wanted, and kept, in memory
//! while there is room and in a file without a name after that.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use crate::{Error, Result};

/// Pictures that go through the backbone together.
const CHUNK: usize = 32;

/// The features of a split's pictures, `[tokens, width]` each.
pub(crate) struct Features {
    pictures: Vec<OnceLock<Kept>>,
    /// Of no picture, `[0, tokens, width]`; known with the first.
    none: OnceLock<Tensor>,
    /// Bytes that may still be kept in memory.
    room: AtomicU64,
    file: Mutex<Option<File>>,
}

enum Kept {
    Here(Tensor),
    InFile { at: u64, shape: [usize; 2], dtype: DType, device: Device },
}

impl Features {
    /// Of so many pictures, none of them computed yet; at most `room` bytes are kept in memory.
    pub(crate) fn new(pictures: usize, room: u64) -> Self {
        let pictures = std::iter::repeat_with(OnceLock::new).take(pictures).collect();
        Self { pictures, none: OnceLock::new(), room: AtomicU64::new(room), file: Mutex::new(None) }
    }

    /// Computes those of `wanted` that are not there yet, in chunks that threads share. `compute` gives `[n, tokens, width]` for the n
    /// pictures it is given.
    pub(crate) fn prepare(
        &self,
        wanted: impl IntoIterator<Item = usize>,
        compute: impl Fn(&[usize]) -> Result<Tensor> + Sync,
    ) -> Result<()> {
        let mut missing: Vec<usize> = wanted.into_iter().filter(|&picture| self.pictures[picture].get().is_none()).collect();
        missing.sort_unstable();
        missing.dedup();
        missing.par_chunks(CHUNK).try_for_each(|chunk| {
            let features = compute(chunk)?;
            let _ = self.none.set(features.narrow(0, 0, 0)?.contiguous()?);
            chunk.iter().enumerate().try_for_each(|(i, &picture)| self.keep(picture, &features.get(i)?))
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
        let (shape, dtype, device) = (features.dims2()?.into(), features.dtype(), features.device().clone());
        Ok(Kept::InFile { at, shape, dtype, device })
    }

    /// Some pictures' features, one under the other, `[n, tokens, width]`; all must have been prepared. Of no picture, `none` serves
    /// where none has been prepared either.
    pub(crate) fn of(&self, pictures: &[u32], none: impl FnOnce() -> candle_core::Result<Tensor>) -> Result<Tensor> {
        if pictures.is_empty() {
            return Ok(self.none.get().cloned().map_or_else(none, Ok)?);
        }
        let features = pictures.iter().map(|&picture| self.one(picture as usize)).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::stack(&features, 0)?)
    }

    fn one(&self, picture: usize) -> Result<Tensor> {
        match self.pictures[picture].get() {
            Some(Kept::Here(features)) => Ok(features.clone()),
            Some(Kept::InFile { at, shape, dtype, device }) => {
                let mut bytes = vec![0; shape[0] * shape[1] * dtype.size_in_bytes()];
                let mut file = self.lock();
                let read = file.as_mut().map(|file| file.seek(SeekFrom::Start(*at)).and_then(|_| file.read_exact(&mut bytes)));
                if let Some(Err(source)) = read {
                    return Err(Error::Read { path: std::env::temp_dir(), source });
                }
                Ok(Tensor::from_raw_buffer(&bytes, *dtype, shape, device)?)
            }
            None => Err(Error::Usage(format!("the features of picture {picture} are wanted before they are computed"))),
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

    /// Features come back as they were computed, each computed once, whether there is room for all, some or none.
    #[test]
    fn come_back_whether_in_memory_or_not() -> Result<()> {
        for (room, dtype, here) in [(u64::MAX, DType::F32, 6), (50, DType::F32, 2), (0, DType::F32, 0), (24, DType::BF16, 2)] {
            let (features, computed) = (Features::new(7, room), AtomicUsize::new(0));
            let compute = |pictures: &[usize]| {
                computed.fetch_add(pictures.len(), Ordering::Relaxed);
                let numbers: Vec<f32> =
                    pictures.iter().flat_map(|&picture| (0..6).map(move |i| (10 * picture + i) as f32)).collect();
                Ok(Tensor::from_vec(numbers, (pictures.len(), 2, 3), &Device::Cpu)?.to_dtype(dtype)?)
            };
            features.prepare([3, 0, 3], compute)?;
            features.prepare([0, 1, 2, 4, 6, 3], compute)?;
            assert_eq!(computed.load(Ordering::Relaxed), 6);
            assert_eq!(features.numbers_in_memory(), 6 * here, "{room} bytes of room");
            let nothing = || Tensor::zeros((0, 1, 1), dtype, &Device::Cpu);
            let found = features.of(&[6, 0, 6, 2], nothing)?;
            assert_eq!(features.of(&[], nothing)?.dims(), [0, 2, 3]);
            assert_eq!(found.dims(), [4, 2, 3]);
            let firsts: Vec<f32> = found.narrow(2, 0, 1)?.narrow(1, 1, 1)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
            assert_eq!(firsts, [63.0, 3.0, 63.0, 23.0], "{room} bytes of room");
            assert!(features.of(&[5], nothing).is_err_and(|error| error.to_string().contains("picture 5")));
        }
        Ok(())
    }
}
