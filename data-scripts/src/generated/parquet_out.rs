//! Rows to parquet in the Hub's schemas: an image is `struct<bytes: binary, path: string>`, null where there is none.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, ListBuilder, StringBuilder, StructBuilder};
use arrow_array::{ArrayRef, Int8Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Fields};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use seed::Seed;

use super::icongen::{self, IconRow};
use super::scigen::{self, SciRow};

/// Rows per row group, few enough that a reader can look at a part of the pictures.
pub const ROW_GROUP: usize = 500;

/// A parquet file of some batches, snappy-compressed.
pub fn encode(batches: impl Iterator<Item = RecordBatch>) -> Result<Vec<u8>, ParquetError> {
    let mut batches = batches.peekable();
    let schema = batches.peek().expect("there is at least one batch, if an empty one").schema();
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(ROW_GROUP))
        .set_created_by("fedbench".into())
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, Some(properties))?;
    for batch in batches {
        writer.write(&batch)?;
    }
    writer.close()?;
    Ok(bytes)
}

/// Rows of IconGen in the schema of `lmms-lab/ICON-QA`.
pub fn icon_rows(seed: Seed, split: &str, range: Range<usize>) -> RecordBatch {
    let rows: Vec<IconRow> = range.map(|i| icongen::row(seed, split, i)).collect();
    let choice_image =
        |i: usize| images(rows.iter().map(|row| row.choice_images.as_ref().map(|both| &both[i])), &format!("choice_{i}.png"));
    batch(vec![
        ("question_id", strings(&rows, |row| row.question_id.clone())),
        ("question", strings(&rows, |row| row.question.clone())),
        ("choices", strings(&rows, |row| row.choices.join(","))),
        ("answer", strings(&rows, |row| row.answer.clone())),
        ("query_image", images(rows.iter().map(|row| Some(&row.query_image)), "image.png")),
        ("choice_image_0", choice_image(0)),
        ("choice_image_1", choice_image(1)),
        ("ques_type", strings(&rows, |row| row.ques_type.into())),
        ("label", strings(&rows, |row| row.label.clone())),
        ("grade", strings(&rows, |row| row.grade.into())),
        ("skills", strings(&rows, |row| row.skills.into())),
    ])
}

/// Rows of SciGen in the schema of `derek-thomas/ScienceQA`.
pub fn sci_rows(seed: Seed, split: &str, range: Range<usize>) -> RecordBatch {
    let rows: Vec<SciRow> = range.map(|i| scigen::row(seed, split, i)).collect();
    let answers: Int8Array = rows.iter().map(|row| Some(row.answer)).collect();
    batch(vec![
        ("image", images(rows.iter().map(|row| row.image.as_ref()), "image.png")),
        ("question", strings(&rows, |row| row.question.clone())),
        ("choices", lists(&rows)),
        ("answer", Arc::new(answers)),
        ("hint", strings(&rows, |row| row.hint.clone())),
        ("task", strings(&rows, |_| "closed choice".into())),
        ("grade", strings(&rows, |row| row.grade.clone())),
        ("subject", strings(&rows, |row| row.about.subject.into())),
        ("topic", strings(&rows, |row| row.about.topic.into())),
        ("category", strings(&rows, |row| row.about.category.into())),
        ("skill", strings(&rows, |row| row.about.skill.into())),
        ("lecture", strings(&rows, |row| row.about.lecture.into())),
        ("solution", strings(&rows, |row| row.solution.clone())),
    ])
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let nullable = columns.into_iter().map(|(name, array)| (name, array, true));
    RecordBatch::try_from_iter_with_nullable(nullable).expect("all columns have one value per row")
}

fn strings<T>(rows: &[T], cell: impl Fn(&T) -> String) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(rows.iter().map(cell)))
}

fn lists(rows: &[SciRow]) -> ArrayRef {
    let mut lists = ListBuilder::new(StringBuilder::new()).with_field(Field::new("element", DataType::Utf8, true));
    for row in rows {
        for choice in &row.choices {
            lists.values().append_value(choice);
        }
        lists.append(true);
    }
    Arc::new(lists.finish())
}

fn images<'a>(pictures: impl Iterator<Item = Option<&'a Vec<u8>>>, path: &str) -> ArrayRef {
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
