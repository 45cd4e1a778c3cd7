//! A cell of an image column: a picture, several in a list, or none. A picture is there by its bytes or by the path of a file beside
//! the parquet file; one that is there by neither is never taken for none.

use std::borrow::Cow;
use std::io;
use std::path::{Component, Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use guard::text::line;

use super::decode;

/// Pictures of a row: more would be more image tokens than a prompt has room for.
pub(super) const MAX_PICTURES: usize = 64;

/// Characters of a path that a message shows.
const SHOWN: usize = 120;

/// Characters that a path may have.
const LONGEST_PATH: usize = 4096;

/// A cell of an image column.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ImageCell<'a> {
    /// No picture.
    Null,
    /// A picture.
    One(PictureCell<'a>),
    /// Pictures in order, maybe none.
    List(Vec<PictureCell<'a>>),
}

/// Where a picture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PictureCell<'a> {
    /// Nowhere: null within a list.
    Null,
    /// Nowhere: a cell with neither bytes nor a path.
    Empty,
    /// In the cell.
    Bytes(&'a [u8]),
    /// In a file.
    Path(&'a str),
}

/// A picture that was found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found<'a> {
    /// Its encoded bytes.
    pub bytes: Cow<'a, [u8]>,
    /// The file that it was read from, if not the parquet file.
    pub file: Option<PathBuf>,
}

impl ImageCell<'_> {
    /// How many pictures there should be.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Null => 0,
            Self::One(_) => 1,
            Self::List(pictures) => pictures.len(),
        }
    }
}

/// Whether a column of a type can hold pictures.
pub(super) fn accepts(found: &DataType) -> bool {
    match found {
        DataType::List(item) => !matches!(item.data_type(), DataType::List(_)) && accepts(item.data_type()),
        DataType::Struct(fields) => {
            fields.iter().any(|field| field.name() == "bytes" && matches!(field.data_type(), DataType::Binary | DataType::Null))
        }
        kind => matches!(kind, DataType::Binary | DataType::Null),
    }
}

/// The cell in a row of a column of such a type.
pub(super) fn read(array: &ArrayRef, row: usize) -> ImageCell<'_> {
    if is_null(array, row) {
        return ImageCell::Null;
    }
    let Some(lists) = array.as_list_opt::<i32>() else { return ImageCell::One(picture(array, row)) };
    let (start, end) = (lists.value_offsets()[row] as usize, lists.value_offsets()[row + 1] as usize);
    ImageCell::List((start..end).map(|item| picture(lists.values(), item)).collect())
}

fn is_null(array: &ArrayRef, row: usize) -> bool {
    array.is_null(row) || *array.data_type() == DataType::Null
}

fn picture(array: &ArrayRef, row: usize) -> PictureCell<'_> {
    if is_null(array, row) {
        return PictureCell::Null;
    }
    let (bytes, path) = match array.as_struct_opt() {
        Some(group) => (group.column_by_name("bytes"), group.column_by_name("path")),
        None => (Some(array), None),
    };
    let bytes = bytes.and_then(|bytes| bytes.as_binary_opt::<i32>()).filter(|bytes| bytes.is_valid(row));
    let path = path.and_then(|path| path.as_string_opt::<i32>()).filter(|path| path.is_valid(row));
    match (bytes.map(|bytes| bytes.value(row)), path.map(|path| path.value(row))) {
        (Some(bytes), _) if !bytes.is_empty() => PictureCell::Bytes(bytes),
        (_, Some(path)) if !path.is_empty() => PictureCell::Path(path),
        _ => PictureCell::Empty,
    }
}

/// Where pictures that cells name by a path are looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beside<'a> {
    /// The dataset's folder, which no path may leave.
    pub folder: &'a Path,
    /// The parquet file, from whose folder a path goes.
    pub parquet: &'a Path,
    /// A picture that may have so many pixels has a file of no more bytes than its pixels allow.
    pub max_image_pixels: u64,
}

impl Beside<'_> {
    /// The pictures of a cell, in order. The error is a reason.
    pub(super) fn pictures<'c>(&self, cell: &ImageCell<'c>) -> Result<Vec<Found<'c>>, String> {
        match cell {
            ImageCell::Null => Ok(Vec::new()),
            ImageCell::One(picture) => Ok(vec![self.picture(picture)?]),
            ImageCell::List(pictures) if pictures.len() > MAX_PICTURES => {
                Err(format!("{} pictures; a row may have {MAX_PICTURES}", pictures.len()))
            }
            ImageCell::List(pictures) => {
                let numbered = pictures.iter().enumerate();
                let named = |at: usize| move |reason| format!("picture {} of {}: {reason}", at + 1, pictures.len());
                numbered.map(|(at, picture)| self.picture(picture).map_err(named(at))).collect()
            }
        }
    }

    fn picture<'c>(&self, picture: &PictureCell<'c>) -> Result<Found<'c>, String> {
        let found = match picture {
            PictureCell::Null => return Err("it is null".into()),
            PictureCell::Empty => return Err("the cell has neither bytes nor a path; a row without a picture has null".into()),
            PictureCell::Bytes(bytes) => Found { bytes: Cow::Borrowed(*bytes), file: None },
            PictureCell::Path(path) => {
                let read = self.file(path).map_err(|reason| {
                    let folder = self.parquet.parent().unwrap_or(self.folder);
                    format!("no bytes, and the file `{}` in {} cannot be read: {reason}", line(path, SHOWN), folder.display())
                });
                let (file, bytes) = read?;
                Found { bytes: Cow::Owned(bytes), file: Some(file) }
            }
        };
        decode::check(&found.bytes, self.max_image_pixels).map_err(|reason| match &found.file {
            Some(file) => format!("{}: {reason}", file.display()),
            None => reason,
        })?;
        Ok(found)
    }

    fn file(&self, path: &str) -> Result<(PathBuf, Vec<u8>), String> {
        let relative = Path::new(path);
        if path.len() > LONGEST_PATH
            || !relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        {
            return Err("a path goes down from the parquet file's folder, without `..`".into());
        }
        let file = self.parquet.parent().unwrap_or(self.folder).join(relative);
        let says = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => "there is none".to_owned(),
            _ => error.to_string(),
        };
        // What links lead to, which must lie in the folder, too.
        let real = file.canonicalize().map_err(says)?;
        if !self.within(&real) {
            return Err("a link leads out of the dataset's folder".into());
        }
        let bytes = guard::files::read_here(&real, decode::most_bytes(self.max_image_pixels)).map_err(says)?;
        Ok((file, bytes))
    }

    /// The Hub's cache keeps a snapshot's files in `blobs`, beside `snapshots`, and links to them.
    fn within(&self, real: &Path) -> bool {
        let here = if self.folder.as_os_str().is_empty() { Path::new(".") } else { self.folder };
        let Ok(folder) = here.canonicalize() else { return false };
        let snapshots = folder.parent().filter(|parent| parent.file_name().is_some_and(|name| name == "snapshots"));
        let blobs = snapshots.and_then(Path::parent).map(|repository| repository.join("blobs"));
        real.starts_with(&folder) || blobs.is_some_and(|blobs| real.starts_with(blobs))
    }
}

#[cfg(test)]
#[path = "picture_cell_tests.rs"]
mod tests;
