//! Rows to parquet in the Hub's schemas: an image is `struct<bytes: binary, path: string>`, null where there is none.

use std::io::Write;
use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, Float64Builder, ListBuilder, StringBuilder, StructBuilder};
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Fields, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

/// Rows per row group, few enough that a reader can look at a part of the pictures.
pub const ROW_GROUP: usize = 500;

/// A parquet file that grows batch by batch, snappy-compressed.
pub fn writer<W: Write + Send>(sink: W, schema: SchemaRef) -> Result<ArrowWriter<W>, ParquetError> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(ROW_GROUP))
        .set_created_by("fedbench".into())
        .build();
    ArrowWriter::try_new(sink, schema, Some(properties))
}

/// Columns side by side.
pub fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let nullable = columns.into_iter().map(|(name, array)| (name, array, true));
    RecordBatch::try_from_iter_with_nullable(nullable).expect("all columns have one value per row")
}

/// A column of text.
pub fn strings<T>(rows: &[T], cell: impl Fn(&T) -> String) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(rows.iter().map(cell)))
}

/// A column of lists of text.
pub fn lists<'a>(rows: impl Iterator<Item = &'a Vec<String>>) -> ArrayRef {
    let mut lists = ListBuilder::new(StringBuilder::new()).with_field(Field::new("element", DataType::Utf8, true));
    for row in rows {
        for text in row {
            lists.values().append_value(text);
        }
        lists.append(true);
    }
    Arc::new(lists.finish())
}

/// A column of lists of numbers.
pub fn numbers<'a>(rows: impl Iterator<Item = &'a [f64]>) -> ArrayRef {
    let mut lists = ListBuilder::new(Float64Builder::new()).with_field(Field::new("element", DataType::Float64, true));
    for row in rows {
        lists.values().append_slice(row);
        lists.append(true);
    }
    Arc::new(lists.finish())
}

/// A column of pictures, as encoded files; `path` stands for their names.
pub fn images<'a>(pictures: impl Iterator<Item = Option<&'a Vec<u8>>>, path: &str) -> ArrayRef {
    let fields = Fields::from(vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)]);
    let mut structs = StructBuilder::from_fields(fields, ROW_GROUP);
    for picture in pictures {
        let bytes: &mut BinaryBuilder = structs.field_builder(0).expect("the first field is binary");
        bytes.append_option(picture);
        let paths: &mut StringBuilder = structs.field_builder(1).expect("the second field is a string");
        paths.append_option(picture.map(|_| path));
        structs.append(picture.is_some());
    }
    Arc::new(structs.finish())
}
