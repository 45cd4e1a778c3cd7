//! Tables into parquet files, with their pictures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, BooleanBuilder, Int64Builder, ListBuilder, StringBuilder, StructBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Fields};
use guard::files;
use guard::text::line;
use schema::Card;
use schema::card::Split;

use super::names::is_picture;
use super::table::{Record, Table, TableError, Value};
use crate::output::{Output, SplitFile};
use crate::parquet_out;

/// Bytes of a picture's file.
const LARGEST_PICTURE: u64 = 256 << 20;
/// Bytes of pictures that wait for being written.
const MOST_WAITING: usize = 256 << 20;

/// What the rest of the program says.
pub struct Look<'a> {
    /// Whether a picture can be decoded; the error is a reason.
    pub picture: &'a dyn Fn(&[u8]) -> Result<(), String>,
    /// A card for files that lie there under other names for now; an error where they hold rows that no run could read.
    pub card: &'a mut dyn FnMut(&Written) -> Result<Card, TableError>,
}

/// Files before they have their names.
#[derive(Debug)]
pub struct Written {
    /// The dataset's folder.
    pub folder: PathBuf,
    /// The names in it, for now, by split.
    pub files: BTreeMap<String, String>,
    /// Where each row of a split came from: its file, and its line there.
    pub lines: BTreeMap<String, (PathBuf, Vec<u64>)>,
}

/// What was made.
#[derive(Debug)]
pub struct Made {
    /// The dataset's card.
    pub card: Card,
    /// The columns that hold pictures.
    pub pictures: Vec<String>,
    /// Rows without a picture, where others have one.
    pub without: usize,
}

/// Writes the tables of a dataset into its folder: whole, or as it was before. `named` are the columns with paths of pictures; without
/// them, those whose every cell is called like a picture.
pub fn write(
    tables: &BTreeMap<String, Table>,
    named: &[String],
    out: &Path,
    name: &str,
    look: &mut Look,
) -> Result<Made, TableError> {
    let columns = Columns::of(tables, named)?;
    let output = Output::open(out, name)?;
    let (mut entries, mut growing, mut without) = (BTreeMap::<String, Split>::new(), Vec::new(), 0);
    let mut written = Written { folder: out.into(), files: BTreeMap::new(), lines: BTreeMap::new() };
    for (split, table) in tables {
        let mut file = output.split(split, columns.batch(&[]).schema())?;
        without += columns.write(table, &mut file, look)?;
        let (entry, file) = file.finish()?;
        let aside = file.aside().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        written.files.insert(split.clone(), aside);
        written.lines.insert(split.clone(), (table.path.clone(), table.rows.iter().map(|record| record.line).collect()));
        entries.insert(split.clone(), entry);
        growing.push(file);
    }
    let mut card = (look.card)(&written)?;
    card.name = name.into();
    card.splits = entries;
    output.finish(growing, &card)?;
    Ok(Made { card, pictures: columns.pictures(), without })
}

/// What a column becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Integer,
    Flag,
    List,
    /// One picture, or a list of them.
    Picture,
    Pictures,
}

/// The columns of all tables.
struct Columns(Vec<(String, Kind)>);

impl Columns {
    fn of(tables: &BTreeMap<String, Table>, named: &[String]) -> Result<Self, TableError> {
        let Some(first) = tables.values().next() else { return Ok(Self(Vec::new())) };
        for table in tables.values() {
            if table.columns != first.columns {
                let listed = |table: &Table| {
                    table.columns.iter().map(|name| format!("`{}`", line(name, 40))).collect::<Vec<_>>().join(", ")
                };
                let message = format!("its columns are {}, those of {} {}", listed(table), first.path.display(), listed(first));
                return Err(TableError::file(&table.path, message));
            }
        }
        named.iter().try_for_each(|name| first.expect(name).map(drop))?;
        let kinds =
            first.columns.iter().enumerate().map(|(at, name)| Ok((name.clone(), kind(tables, at, named.contains(name), named)?)));
        kinds.collect::<Result<_, TableError>>().map(Self)
    }

    fn pictures(&self) -> Vec<String> {
        self.0.iter().filter(|(_, kind)| matches!(kind, Kind::Picture | Kind::Pictures)).map(|(name, _)| name.clone()).collect()
    }

    /// Writes a table's rows; how many have no picture where they could.
    fn write(&self, table: &Table, file: &mut SplitFile, look: &Look) -> Result<usize, TableError> {
        let root = std::fs::canonicalize(&table.folder).map_err(TableError::io(&table.folder))?;
        let (mut waiting, mut bytes, mut without) = (Vec::new(), 0, 0);
        for record in &table.rows {
            let row = self.row(table, &root, record, look)?;
            let size: usize = row.iter().flat_map(|cell| &cell.pictures).map(|(_, bytes)| bytes.len()).sum();
            without += usize::from(size == 0 && !self.pictures().is_empty());
            bytes += size;
            waiting.push(row);
            if waiting.len() == parquet_out::ROW_GROUP || bytes > MOST_WAITING {
                file.write(&self.batch(&std::mem::take(&mut waiting)))?;
                file.flush()?;
                bytes = 0;
            }
        }
        file.write(&self.batch(&waiting))?;
        Ok(without)
    }

    fn row<'a>(&self, table: &Table, root: &Path, record: &'a Record, look: &Look) -> Result<Vec<Cell<'a>>, TableError> {
        let cells = self.0.iter().zip(&record.cells).map(|((column, kind), value)| {
            let named: Vec<&str> = match (kind, value) {
                (Kind::Picture | Kind::Pictures, Value::Text(path)) => vec![path],
                (Kind::Pictures, Value::List(paths)) => paths.iter().map(String::as_str).collect(),
                _ => vec![],
            };
            let read = |path: &&str| {
                let read = picture(table, root, path, look);
                read.map_err(|reason| table.wrong(record, format!("column `{column}`: picture `{}`: {reason}", line(path, 200))))
            };
            Ok(Cell { value, pictures: named.iter().map(read).collect::<Result<_, _>>()? })
        });
        cells.collect()
    }

    fn batch(&self, rows: &[Vec<Cell<'_>>]) -> RecordBatch {
        let columns = self.0.iter().enumerate().map(|(at, (name, kind))| {
            let cells: Vec<&Cell> = rows.iter().map(|row| &row[at]).collect();
            (name.as_str(), array(*kind, &cells))
        });
        parquet_out::batch(columns.collect())
    }
}

/// A picture's name and its bytes, tried. The error is a reason.
fn picture(table: &Table, root: &Path, named: &str, look: &Look) -> Result<(String, Vec<u8>), String> {
    let path = table.folder.join(named.trim());
    let bytes = files::read_within(root, &path, LARGEST_PICTURE).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("there is no file {}", path.display()),
        _ => error.to_string(),
    })?;
    (look.picture)(&bytes)?;
    Ok((named.trim().to_owned(), bytes))
}

/// A cell, and the pictures that it names.
struct Cell<'a> {
    value: &'a Value,
    pictures: Vec<(String, Vec<u8>)>,
}

/// What the cells of a column have in common.
fn kind(tables: &BTreeMap<String, Table>, at: usize, is_named: bool, named: &[String]) -> Result<Kind, TableError> {
    let all = || tables.values().flat_map(|table| table.rows.iter().map(move |record| (table, record)));
    let values = || all().map(|(_, record)| &record.cells[at]).filter(|value| **value != Value::Null);
    let called = |value: &Value| match value {
        Value::Text(text) => is_picture(text),
        Value::List(texts) => !texts.is_empty() && texts.iter().all(|text| is_picture(text)),
        _ => false,
    };
    let lists = values().filter(|value| matches!(value, Value::List(_))).count();
    // Names of rows may be those of their pictures.
    let is_id = tables.values().next().is_some_and(|table| table.columns[at].to_lowercase().ends_with("id"));
    if is_named || (named.is_empty() && !is_id && values().next().is_some() && values().all(called)) {
        let odd = all().find(|(_, record)| matches!(record.cells[at], Value::Integer(_) | Value::Flag(_)));
        return match odd {
            Some((table, record)) => {
                Err(table.wrong(record, format!("column `{}` holds no path of a picture", table.columns[at])))
            }
            None if lists > 0 => Ok(Kind::Pictures),
            None => Ok(Kind::Picture),
        };
    }
    let odd = |value: &Value| lists > 0 && !matches!(value, Value::List(_) | Value::Null);
    if let Some((table, record)) = all().find(|(_, record)| odd(&record.cells[at])) {
        let message = format!("column `{}` is no list here, as it is in other rows", line(&table.columns[at], 80));
        return Err(table.wrong(record, message));
    }
    Ok(match () {
        () if lists > 0 => Kind::List,
        () if values().next().is_some() && values().all(|value| matches!(value, Value::Integer(_))) => Kind::Integer,
        () if values().next().is_some() && values().all(|value| matches!(value, Value::Flag(_))) => Kind::Flag,
        () => Kind::Text,
    })
}

fn array(kind: Kind, cells: &[&Cell<'_>]) -> ArrayRef {
    let values = cells.iter().map(|cell| cell.value);
    match kind {
        Kind::Text => {
            let mut texts = StringBuilder::new();
            values.for_each(|value| match value {
                Value::Text(text) => texts.append_value(text),
                Value::Integer(number) => texts.append_value(number.to_string()),
                Value::Flag(flag) => texts.append_value(flag.to_string()),
                Value::Null | Value::List(_) => texts.append_null(),
            });
            Arc::new(texts.finish())
        }
        Kind::Integer => {
            let mut numbers = Int64Builder::new();
            values.for_each(|value| numbers.append_option(if let Value::Integer(number) = value { Some(*number) } else { None }));
            Arc::new(numbers.finish())
        }
        Kind::Flag => {
            let mut flags = BooleanBuilder::new();
            values.for_each(|value| flags.append_option(if let Value::Flag(flag) = value { Some(*flag) } else { None }));
            Arc::new(flags.finish())
        }
        Kind::List => {
            let mut lists = ListBuilder::new(StringBuilder::new()).with_field(Field::new("element", DataType::Utf8, true));
            values.for_each(|value| match value {
                Value::List(texts) => {
                    texts.iter().for_each(|text| lists.values().append_value(text));
                    lists.append(true);
                }
                _ => lists.append(false),
            });
            Arc::new(lists.finish())
        }
        Kind::Picture => {
            let mut structs = structs();
            cells.iter().for_each(|cell| append(&mut structs, cell.pictures.first()));
            Arc::new(structs.finish())
        }
        Kind::Pictures => {
            let field = Field::new("element", DataType::Struct(fields()), true);
            let mut lists = ListBuilder::new(structs()).with_field(field);
            for cell in cells {
                cell.pictures.iter().for_each(|picture| append(lists.values(), Some(picture)));
                lists.append(true);
            }
            Arc::new(lists.finish())
        }
    }
}

/// Pictures as the Hub has them: `struct<bytes, path>`, null where there is none.
fn structs() -> StructBuilder {
    StructBuilder::from_fields(fields(), parquet_out::ROW_GROUP)
}

fn fields() -> Fields {
    Fields::from(vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)])
}

fn append(structs: &mut StructBuilder, picture: Option<&(String, Vec<u8>)>) {
    let bytes: &mut BinaryBuilder = structs.field_builder(0).expect("the first field is binary");
    bytes.append_option(picture.map(|(_, bytes)| bytes));
    let paths: &mut StringBuilder = structs.field_builder(1).expect("the second field is a string");
    paths.append_option(picture.map(|(path, _)| path));
    structs.append(picture.is_some());
}
