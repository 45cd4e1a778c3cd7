//! Parquet files of every codec and encoding, and hostile ones.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringDictionaryBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::basic::{BrotliLevel, Compression, Encoding, GzipLevel, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder, WriterVersion};
use schema::Card;
use schema::card::BadRow;
use seed::Seed;
use tempfile::TempDir;

use super::testing::*;
use super::{DataError, Dataset};

fn write_as(path: &Path, columns: Columns, properties: WriterPropertiesBuilder) {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)));
    let batch = batch.expect("columns of one length");
    let file = std::fs::File::create(path).expect("create");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties.build())).expect("writer");
    writer.write(&batch).expect("write");
    writer.close().expect("close");
}

fn folder(columns: Columns, properties: WriterPropertiesBuilder) -> (TempDir, PathBuf) {
    let dir = TempDir::new().expect("temporary folder");
    let path = dir.path().join("train.parquet");
    write_as(&path, columns, properties);
    (dir, path)
}

fn load(dir: &TempDir) -> Result<Dataset, DataError> {
    Dataset::load(dir.path(), &card(), "train", None)
}

fn refused(dir: &TempDir, card: &Card) -> String {
    Dataset::load(dir.path(), card, "train", None).expect_err("refused").to_string()
}

/// Replaces the first place where some bytes are.
fn patched(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).position(|window| window == from).expect("the bytes are there");
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

#[test]
fn every_codec_and_encoding_reads_the_same() {
    let (dir, _) = folder(good_columns(), WriterProperties::builder());
    let expect = load(&dir).expect("plain").examples;
    let codecs = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ];
    for codec in codecs {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            let properties = WriterProperties::builder().set_compression(codec).set_writer_version(version);
            let (dir, _) = folder(good_columns(), properties);
            assert_eq!(load(&dir).expect("a codec").examples, expect, "{codec} {version:?}");
        }
    }
    for encoding in [Encoding::DELTA_LENGTH_BYTE_ARRAY, Encoding::DELTA_BYTE_ARRAY, Encoding::PLAIN] {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            let properties = WriterProperties::builder().set_dictionary_enabled(false).set_writer_version(version);
            let properties = properties.set_column_encoding("question".into(), encoding);
            let properties = properties.set_column_encoding("hint".into(), encoding);
            let (dir, _) = folder(good_columns(), properties);
            assert_eq!(load(&dir).expect("an encoding").examples, expect, "{encoding}");
        }
    }
}

/// Pages of a megabyte are unpacked on trial, those of the second version behind their levels.
#[test]
fn large_pages_are_read_in_both_versions() {
    let mut stream = Seed::new(1).stream("text");
    let texts: Vec<String> = (0..8).map(|_| (0..100_000).map(|_| char::from(33 + stream.below(90) as u8)).collect()).collect();
    let cells: Vec<Option<&str>> = texts.iter().map(|text| Some(text.as_str())).collect();
    let card = card_with("", "", "form = \"none\"", "answer = \"text\"");
    for codec in [Compression::GZIP(GzipLevel::default()), Compression::BROTLI(BrotliLevel::default()), Compression::LZ4] {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            let columns: Columns = vec![("question", strings(&cells)), ("answer", strings(&[Some("a"); 8]))];
            let properties = WriterProperties::builder().set_compression(codec).set_writer_version(version);
            let (dir, _) = folder(columns, properties.set_dictionary_enabled(false));
            let data = Dataset::load(dir.path(), &card, "train", None).expect("large pages");
            assert_eq!(data.examples[7].question, texts[7], "{codec} {version:?}");
        }
    }
}

#[test]
fn a_codec_that_is_not_read_is_named() {
    let (dir, path) = folder(good_columns(), WriterProperties::builder().set_compression(Compression::UNCOMPRESSED));
    let bytes = std::fs::read(&path).expect("read");
    // The column's path, then field 4, the codec.
    for (codec, name) in [(6, "LZO"), (40, "number 20")] {
        let lzo = patched(&bytes, b"\x08question\x15\x00", &[b"\x08question\x15".as_slice(), &[codec]].concat());
        std::fs::write(&path, lzo).expect("write");
        let error = refused(&dir, &card());
        assert!(error.contains(&format!("train.parquet: column `question` is compressed with {name}")), "{error}");
        assert!(!error.contains("download"), "{error}");
    }
    // One that the card does not name does not matter.
    let other = patched(&bytes, b"\x05topic\x15\x00", b"\x05topic\x15\x06");
    std::fs::write(&path, other).expect("write");
    let mut card = card();
    card.columns.tags.clear();
    assert!(Dataset::load(dir.path(), &card, "train", None).is_ok());
}

/// Each byte of footer and page headers changed: never a panic, and both outcomes.
#[test]
fn changed_bytes_are_errors_or_rows() {
    let (dir, path) = folder(good_columns(), WriterProperties::builder().set_compression(Compression::UNCOMPRESSED));
    let whole = std::fs::read(&path).expect("read");
    let (mut taken, mut cases) = (0, 0);
    let mut stream = Seed::new(1).stream("bytes");
    for at in 4..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] = bytes[at].wrapping_add(1 + stream.below(255) as u8);
        std::fs::write(&path, bytes).expect("write");
        taken += usize::from(load(&dir).is_ok());
        cases += 1;
    }
    assert!(taken > 0 && taken < cases, "{taken} of {cases}");
}

/// `red`, `green`, `blue` as pyarrow writes them with `write_page_checksum`.
const CHECKED: &[u8] = b"PAR1\x15\x00\x150\x150\x15\xb1\x89\x91\xec\x09\x1c\x15\x06\x15\x00\x15\x06\x15\x06\x1c\x00\x00\x00\
    \x03\x00\x00\x00red\x05\x00\x00\x00green\x04\x00\x00\x00blue\
    \x15\x04\x19,5\x00\x18\x06schema\x15\x02\x00\x15\x0c%\x00\x18\x04text%\x00L\x1c\x00\x00\x00\x16\x06\x19\x1c\x19\x1c&\x00\
    \x1c\x15\x0c\x19%\x06\x00\x19\x18\x04text\x15\x00\x16\x06\x16b\x16b&\x08I\x1c\x15\x00\x15\x00\x15\x02\x00<\x16\x18\
    \x19\x06\x19\x06\x00\x00\x00\x16b\x16\x06&\x08\x16b\x00( parquet-cpp-arrow version 26.0.1\
    \x19\x1c\x1c\x00\x00\x00\x86\x00\x00\x00PAR1";

#[test]
fn a_page_is_what_its_checksum_says() {
    let dir = TempDir::new().expect("temporary folder");
    let path = dir.path().join("colours.parquet");
    let read = |bytes: &[u8]| {
        std::fs::write(&path, bytes).expect("write");
        let batches = super::parquet_file::open(&path).expect("a footer").batches(vec![0]).expect("a plan");
        batches.collect::<Result<Vec<RecordBatch>, DataError>>()
    };
    assert_eq!(read(CHECKED).expect("sound")[0].num_rows(), 3);
    let error = read(&patched(CHECKED, b"green", b"greed")).expect_err("changed").to_string();
    assert!(error.contains("colours.parquet") && error.contains("row group 0, from row 0: is damaged ("), "{error}");
    assert!(error.contains("CRC checksum mismatch"), "{error}");
}

#[test]
fn what_a_library_panics_over_is_an_error() {
    let (dir, path) = folder(good_columns(), WriterProperties::builder().set_compression(Compression::UNCOMPRESSED));
    let bytes = std::fs::read(&path).expect("read");
    let at = bytes.windows(10).position(|window| window == b"\x08question\x15").expect("the column");
    // Codec, values, size unpacked, size: the last one's sign.
    let mut place = at + 10;
    for _ in 0..3 {
        place += bytes[place..].iter().position(|byte| *byte < 0x80).expect("a number") + 2;
    }
    let mut negative = bytes.clone();
    negative[place] |= 1;
    std::fs::write(&path, negative).expect("write");
    let error = refused(&dir, &card());
    assert!(error.contains("is a damaged parquet file (row group 0, column `question`: its size is -"), "{error}");
}

fn same_text(length: usize, rows: usize) -> ArrayRef {
    let values = Arc::new(StringArray::from(vec!["x".repeat(length)]));
    Arc::new(DictionaryArray::<Int32Type>::new(Int32Array::from(vec![0; rows]), values))
}

#[test]
fn a_value_that_every_row_shares_has_a_budget() {
    let rows = 1_200;
    let columns: Columns = vec![("question", same_text(1 << 20, rows)), ("answer", strings(&vec![Some("a"); rows]))];
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default()));
    let properties = properties.set_dictionary_page_size_limit(usize::MAX);
    let (dir, path) = folder(columns, properties.set_max_row_group_row_count(Some(rows)));
    assert!(std::fs::metadata(&path).expect("there").len() < 100_000);
    let card = card_with("", "", "form = \"none\"", "answer = \"text\"");
    let error = refused(&dir, &card);
    assert!(error.contains("row 0") && error.contains("the question has 1048576 characters"), "{error}");
    let skip = Card { on_bad_row: BadRow::Skip, ..card };
    let error = refused(&dir, &skip);
    assert!(error.contains("asks for too much (its first "), "{error}");
}

#[test]
fn a_list_may_not_repeat_a_value_without_end() {
    let mut builder = ListBuilder::new(StringDictionaryBuilder::<Int32Type>::new());
    for items in [200_000, 2] {
        let text = "y".repeat(1_000);
        for _ in 0..items {
            builder.values().append(&text).expect("appended");
        }
        builder.append(true);
    }
    let columns = with(good_columns(), "choices", Arc::new(builder.finish()));
    let (dir, _) = folder(columns, WriterProperties::builder());
    let error = refused(&dir, &card());
    assert!(error.contains("column `choices") && error.contains("each of up to 1000 bytes, may be one row's"), "{error}");
}

#[test]
fn a_page_may_not_count_more_values_than_it_has() {
    let properties = WriterProperties::builder().set_dictionary_enabled(false).set_compression(Compression::UNCOMPRESSED);
    for encoding in [Encoding::DELTA_LENGTH_BYTE_ARRAY, Encoding::DELTA_BYTE_ARRAY] {
        let properties = properties.clone().set_column_encoding("question".into(), encoding);
        let (dir, path) = folder(good_columns(), properties);
        // Blocks of 128, four parts each, two values.
        let bytes = patched(&std::fs::read(&path).expect("read"), b"\x80\x01\x04\x02", b"\x80\x01\x04\x7f");
        std::fs::write(&path, bytes).expect("write");
        let error = refused(&dir, &card());
        assert!(error.contains("column `question`") && error.contains("says that it has more values"), "{error}");
    }
}

#[test]
fn pipes_are_refused_at_once() {
    let dir = TempDir::new().expect("temporary folder");
    let made = std::process::Command::new("mkfifo").arg(dir.path().join("train.parquet")).status().expect("mkfifo");
    assert!(made.success());
    let error = refused(&dir, &card());
    assert!(error.contains("train.parquet: it is a pipe, a socket or a device; expected a regular file"), "{error}");
}

#[test]
fn files_come_whole_once_and_from_the_folder() {
    let (dir, path) = folder(good_columns(), WriterProperties::builder());
    for name in ["part-00000-of-00003.parquet", "part-00002-of-00003.parquet"] {
        std::fs::copy(&path, dir.path().join(name)).expect("copied");
    }
    let error = |files: &[&str]| {
        let mut card = card();
        card.splits.get_mut("train").expect("the split").files = files.iter().map(ToString::to_string).collect();
        refused(&dir, &card)
    };
    assert!(error(&["part-*.parquet"]).contains("2 of the 3 files of split `train`"));
    assert!(error(&["part-*-of-*.parquet"]).contains("missing is number 1"));
    assert!(error(&["train.parquet", "./train.parquet"]).contains("names it twice"));
    assert!(error(&["train.parquet", "tra*.parquet"]).contains("names it twice"));
    let outside = path.display().to_string();
    assert!(error(&[&outside]).contains("a card's files lie within the dataset's folder"));
    assert!(error(&["../train.parquet"]).contains("names `../train.parquet`"));
    let mut pictured = card();
    pictured.columns.images.clear();
    pictured.pictures = Some(schema::card::PictureFiles { key: "topic".into(), id: "topic".into(), image: "image".into() });
    pictured.splits.get_mut("train").expect("the split").pictures = vec![outside];
    assert!(refused(&dir, &pictured).contains("a card's files lie within"));
}

/// Pages of a file that unpack to more than is said.
#[test]
fn unpacking_stops_where_the_header_says() {
    use guard::parquet::Packed;
    let zeros = vec![0; 1 << 20];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&zeros).expect("packed");
    let mut brotli = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
    brotli.write_all(&zeros).expect("packed");
    let packed = [
        (Compression::GZIP(GzipLevel::default()), gzip.finish().expect("packed")),
        (Compression::BROTLI(BrotliLevel::default()), brotli.into_inner()),
    ];
    for (codec, bytes) in packed {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"PAR1").expect("written");
        file.write_all(&bytes).expect("written");
        let page = |unpacked| Packed { at: 4, packed: bytes.len() as u64, unpacked };
        assert_eq!(super::parquet_pages::unpacks(&file, codec, page(1 << 20)), Ok(()));
        let error = super::parquet_pages::unpacks(&file, codec, page(1000)).expect_err("more");
        assert!(error.contains("more than the 1000 bytes that its header says"), "{error}");
    }
}
