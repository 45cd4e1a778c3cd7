//! What the tests of this folder share: small cards, small pictures, small parquet files.

use std::fs::File;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, BinaryArray, Int8Array, RecordBatch, StringArray, StructArray};
use arrow_schema::{DataType, Field};
use image::{ImageFormat, RgbImage};
use parquet::arrow::ArrowWriter;
use schema::Card;
use schema::toml_file::{from_table, parse_table};

/// A card of the ScienceQA shape, with one split `train` of `train.parquet`.
pub fn card() -> Card {
    card_with(
        "images = [\"image\"]",
        "choices = \"choices\"\nhint = \"hint\"\ntags = [\"topic\"]",
        "form = \"list\"",
        "answer = \"index\"",
    )
}

/// A card with the given parts of its TOML.
pub fn card_with(images: &str, columns: &str, choices: &str, rest: &str) -> Card {
    let text = format!(
        "name = \"mini\"\ntitle = \"Mini\"\ndescription = \"d\"\nsource = \"s\"\nlicense = \"MIT\"\nrevision = \"1\"\n\
         metric = \"accuracy\"\nscoring = \"option-likelihood\"\n{rest}\n\
         [columns]\nquestion = \"question\"\nanswer = \"answer\"\n{images}\n{columns}\n\
         [choices]\n{choices}\n\
         [prompts.default]\ntemplate = \"{{question}}\"\ntarget = \"text\"\n\
         [splits.train]\nfiles = [\"train.parquet\"]\n"
    );
    from_table("mini.toml", parse_table("mini.toml", &text).expect("toml")).expect("card")
}

/// A PNG of one colour.
pub fn png(width: u32, height: u32) -> Vec<u8> {
    encode(width, height, ImageFormat::Png)
}

/// A picture of one colour.
pub fn encode(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::from_pixel(width, height, image::Rgb([200, 30, 60])).write_to(&mut bytes, format).expect("encode");
    bytes.into_inner()
}

/// Named columns.
pub type Columns = Vec<(&'static str, ArrayRef)>;

/// A string column.
pub fn strings(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// The Hub's image column: struct<bytes, path>, a null struct for no image.
pub fn images(values: &[Option<&[u8]>]) -> ArrayRef {
    let bytes: ArrayRef = Arc::new(BinaryArray::from(values.to_vec()));
    let paths: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>; values.len()]));
    let fields = vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)];
    let present = values.iter().map(Option::is_some).collect::<Vec<bool>>().into();
    Arc::new(StructArray::new(fields.into(), vec![bytes, paths], Some(present)))
}

/// A list<string> column.
pub fn lists(values: &[Option<&[&str]>]) -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new());
    for value in values {
        value.unwrap_or_default().iter().for_each(|item| builder.values().append_value(item));
        builder.append(value.is_some());
    }
    Arc::new(builder.finish())
}

/// Two good rows of the ScienceQA shape; the second has no image.
pub fn good_columns() -> Columns {
    vec![
        ("image", images(&[Some(&png(6, 4)), None])),
        ("question", strings(&[Some("Which is red?"), Some("Which is even?")])),
        ("choices", lists(&[Some(&["rose", "grass"]), Some(&["1", "2", "3"])])),
        ("answer", Arc::new(Int8Array::from(vec![0, 1]))),
        ("hint", strings(&[Some("A picture."), None])),
        ("topic", strings(&[Some("plants"), Some("numbers")])),
    ]
}

/// The columns with one of them replaced.
pub fn with(mut columns: Columns, name: &str, array: ArrayRef) -> Columns {
    columns.iter_mut().find(|(column, _)| *column == name).expect("a column of that name").1 = array;
    columns
}

/// Writes a parquet file with row groups of two rows.
pub fn write(path: &Path, columns: Columns) {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .expect("columns of one length");
    let properties = parquet::file::properties::WriterProperties::builder().set_max_row_group_row_count(Some(2)).build();
    let file = File::create(path).expect("create");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).expect("writer");
    writer.write(&batch).expect("write");
    writer.close().expect("close");
}
