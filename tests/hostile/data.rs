//! What datasets are made of: parquet files, pictures, cards, and HFLB's archives.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow_array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray};
use data::{Dataset, Preprocess, inspect};
use data_scripts::hflb;
use image::{ImageFormat, RgbImage};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterVersion};
use schema::{Card, toml_file};
use seed::Stream;
use serde_json::{Value, json};

use super::{attack, fixtures};
use crate::mutate;
use crate::support::Test;

const CARD: &str = r#"name = "hostile"
title = "Hostile"
description = "Made up."
source = "made up"
license = "MIT"
revision = "1"
metric = "accuracy"
scoring = "option-likelihood"
answer = "index"
on_bad_row = "skip"
breakdowns = ["topic"]
partition_keys = ["topic"]
max_image_pixels = 1000000
[columns]
id = "id"
question = "question"
images = ["image"]
choices = "choices"
answer = "answer"
tags = ["topic"]
[choices]
form = "comma"
[prompts.default]
template = "{question}\n{options}"
target = "text"
[splits.train]
files = ["train-*.parquet"]
rows = 12
[splits.test]
files = ["train-00000-of-00001.parquet"]
fold = { of = 3, keep = [0, 2] }
"#;

/// A dozen rows with a small picture each, as a parquet file.
fn rows(compression: Compression, version: WriterVersion) -> Result<Vec<u8>> {
    let picture = encoded(ImageFormat::Png)?;
    let texts = |of: &dyn Fn(usize) -> String| Arc::new(StringArray::from_iter_values((0..12).map(of))) as ArrayRef;
    let batch = RecordBatch::try_from_iter(vec![
        ("id", texts(&|row| format!("row {row}"))),
        ("question", texts(&|row| format!("Which is {row}?"))),
        ("image", Arc::new(BinaryArray::from_iter_values((0..12).map(|_| &picture))) as ArrayRef),
        ("choices", texts(&|row| format!("{row}, {}, no", row + 1))),
        ("answer", Arc::new(Int64Array::from_iter_values((0..12).map(|row| row % 3)))),
        ("topic", texts(&|row| ["a", "b"][row % 2].into())),
    ])?;
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_writer_version(version)
        .set_max_row_group_row_count(Some(5))
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties))?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(bytes)
}

fn encoded(format: ImageFormat) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    let picture = RgbImage::from_fn(24, 17, |x, y| image::Rgb([(x * 10) as u8, (y * 14) as u8, (x * y) as u8]));
    picture.write_to(&mut bytes, format)?;
    Ok(bytes.into_inner())
}

fn parquet(target: &str, damage: fn(&[u8], &mut Stream) -> Vec<u8>) -> Test {
    let (folder, card) = (tempfile::tempdir()?, toml_file::from_table::<Card>("card", toml_file::parse_table("card", CARD)?)?);
    let files = [
        rows(Compression::SNAPPY, WriterVersion::PARQUET_1_0)?,
        rows(Compression::UNCOMPRESSED, WriterVersion::PARQUET_2_0)?,
        rows(Compression::GZIP(GzipLevel::default()), WriterVersion::PARQUET_1_0)?,
        rows(Compression::ZSTD(ZstdLevel::default()), WriterVersion::PARQUET_2_0)?,
        rows(Compression::LZ4_RAW, WriterVersion::PARQUET_1_0)?,
        rows(Compression::BROTLI(Default::default()), WriterVersion::PARQUET_1_0)?,
    ];
    attack(target, &files, damage, |_, bytes| {
        std::fs::write(folder.path().join("train-00000-of-00001.parquet"), bytes)?;
        // What people do with a file: look at it, then run.
        let looked = inspect(folder.path(), &card).map(|inspection| inspection.to_string());
        Dataset::load(folder.path(), &card, "train", None)?;
        looked.map(drop).map_err(Into::into)
    })
}

#[test]
fn parquet_files() -> Test {
    parquet("parquet", mutate::bytes)
}

#[test]
fn parquet_footers() -> Test {
    parquet("parquet footers", mutate::parquet_footer)
}

fn pictures(target: &str, files: &[Vec<u8>], damage: fn(&[u8], &mut Stream) -> Vec<u8>) -> Test {
    let preprocess = Preprocess::clip(16);
    let read = |_: usize, bytes: &[u8]| -> Result<()> {
        preprocess.tiles(bytes)?;
        preprocess.pixels(bytes, 1 << 20)?;
        Ok(())
    };
    for file in files {
        read(0, file).context("sound")?;
    }
    attack(target, files, damage, read)
}

fn fixture(name: &str) -> Result<Vec<u8>> {
    Ok(std::fs::read(fixtures().join("preprocess").join(name))?)
}

#[test]
fn pictures_of_all_formats() -> Test {
    let mut files = ["photo-420.jpg", "progressive.jpg", "gray.jpg", "rgba.png", "palette-transparent.png", "rgb-16-bit.png"]
        .map(fixture)
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    for format in [ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Bmp, ImageFormat::Tiff] {
        files.push(encoded(format)?);
    }
    pictures("pictures", &files, mutate::bytes)
}

#[test]
fn chunks_of_png() -> Test {
    let names = ["rgba.png", "palette-transparent.png", "palette.png", "one-bit.png", "gray-alpha.png"];
    pictures("chunks of PNG", &names.map(fixture).into_iter().collect::<Result<Vec<_>>>()?, mutate::png)
}

#[test]
fn cards() -> Test {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("card.toml");
    std::fs::write(folder.path().join("train-00000-of-00001.parquet"), rows(Compression::SNAPPY, WriterVersion::PARQUET_1_0)?)?;
    let read = |_: usize, text: &[u8]| -> Result<()> {
        std::fs::write(&path, text)?;
        let card: Card = toml_file::read(&path)?;
        for split in card.splits.keys() {
            Dataset::load(folder.path(), &card, split, None)?;
        }
        inspect(folder.path(), &card)?;
        Ok(())
    };
    read(0, CARD.as_bytes()).context("sound")?;
    attack("cards", &[CARD.into()], mutate::json, read)
}

/// One client's tasks in the authors' layout; the file of the first is what is damaged.
fn unpacked(folder: &Path) -> Result<Vec<u8>> {
    std::fs::create_dir_all(folder.join("GQA/images"))?;
    std::fs::write(folder.join("GQA/images/0.png"), encoded(ImageFormat::Png)?)?;
    let record = |row: usize| -> Value {
        let question = format!("<image>\n Question: Is it {row}?\n Choice lists: ['yes', 'no'].\n Your answer is:");
        let said = json!([{"from": "human", "value": question}, {"from": "gpt", "value": "no"}]);
        json!({"id": row.to_string(), "image": "dataset/GQA/images/0.png", "conversations": said})
    };
    let file = serde_json::to_vec_pretty(&(0..3).map(record).collect::<Vec<_>>())?;
    for split in ["train", "test"] {
        std::fs::create_dir_all(folder.join("GQA").join(split))?;
        for task in [10, 20, 30].iter().flat_map(|first| *first..first + 4) {
            std::fs::write(folder.join("GQA").join(split).join(format!("dataset-{task}.json")), &file)?;
        }
    }
    Ok(file)
}

#[test]
fn archives_of_hflb() -> Test {
    let (folder, out) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let file = unpacked(folder.path())?;
    attack("hflb", &[file], mutate::json, |_, text| {
        std::fs::write(folder.path().join("GQA/train/dataset-10.json"), text)?;
        let sources = hflb::sources(folder.path())?;
        hflb::import(folder.path(), &sources, Some((3, 1)), out.path(), &mut |_, _| {})?;
        Ok(())
    })
}
