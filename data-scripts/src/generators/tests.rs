//! What every generated dataset must keep.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;

static SEED: std::sync::LazyLock<Seed> = std::sync::LazyLock::new(|| Seed::new(0));

fn texts(generator: &Generator, split: &str, rows: usize) -> Vec<TextRow> {
    (0..rows).map(|i| (generator.text)(*SEED, split, i)).collect()
}

fn temporary(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("data-scripts-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    dir
}

#[test]
fn writing_twice_gives_the_same_bytes_and_a_smaller_one_is_the_beginning() {
    for generator in GENERATORS {
        let (first, second) = (temporary(&format!("{}-a", generator.name)), temporary(&format!("{}-b", generator.name)));
        let card = write(generator, &first, Some((60, 20)), 7).unwrap();
        assert_eq!(card, write(generator, &second, Some((60, 20)), 7).unwrap());
        for file in
            ["train-00000-of-00001.parquet", "test-00000-of-00001.parquet", "validation-00000-of-00001.parquet", "card.toml"]
        {
            assert_eq!(std::fs::read(first.join(file)).unwrap(), std::fs::read(second.join(file)).unwrap(), "{file}");
        }
        assert_eq!(card, schema::toml_file::read(&first.join("card.toml")).unwrap());
        assert_eq!(["train", "test", "validation"].map(|split| card.splits[split].rows), [Some(60), Some(20), Some(20)]);
        assert_eq!(check(generator, &first, Some((60, 20)), 7).unwrap(), card);
        let damaged = std::fs::read(first.join("test-00000-of-00001.parquet")).unwrap();
        std::fs::write(first.join("test-00000-of-00001.parquet"), &damaged[..damaged.len() / 2]).unwrap();
        let error = check(generator, &first, Some((60, 20)), 7).unwrap_err().to_string();
        assert!(error.contains("test-00000-of-00001.parquet is not the one") && error.contains("remove the folder"), "{error}");
        assert!(check(generator, &second, Some((60, 20)), 8).unwrap_err().to_string().contains("another dataset"));
        let (short, long) = ((generator.rows)(*SEED, "test", 0..5), (generator.rows)(*SEED, "test", 0..9));
        assert_eq!(short, long.slice(0, 5));
        std::fs::remove_dir_all(first).unwrap();
        std::fs::remove_dir_all(second).unwrap();
    }
}

#[test]
fn columns_are_those_of_the_hub() {
    let check = |name: &str, expect: &[&str]| {
        let dir = temporary(&format!("{name}-columns"));
        write(find(name).unwrap(), &dir, Some((30, 1)), 0).unwrap();
        let file = std::fs::File::open(dir.join("train-00000-of-00001.parquet")).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let columns: Vec<String> =
            reader.schema().fields().iter().map(|field| format!("{}: {}", field.name(), field.data_type())).collect();
        assert_eq!(columns.len(), expect.len(), "{columns:?}");
        for (column, expect) in columns.iter().zip(expect) {
            assert!(column.starts_with(expect), "{column} is not {expect}");
        }
        assert_eq!(reader.build().unwrap().map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 30);
        std::fs::remove_dir_all(dir).unwrap();
    };
    check(
        "icongen",
        &[
            "question_id: Utf8",
            "question: Utf8",
            "choices: Utf8",
            "answer: Utf8",
            "query_image: Struct",
            "choice_image_0: Struct",
            "choice_image_1: Struct",
            "ques_type: Utf8",
            "label: Utf8",
            "grade: Utf8",
            "skills: Utf8",
        ],
    );
    check(
        "scigen",
        &[
            "image: Struct",
            "question: Utf8",
            "choices: List",
            "answer: Int8",
            "hint: Utf8",
            "task: Utf8",
            "grade: Utf8",
            "subject: Utf8",
            "topic: Utf8",
            "category: Utf8",
            "skill: Utf8",
            "lecture: Utf8",
            "solution: Utf8",
        ],
    );
}

#[test]
fn pictures_are_png_of_64_by_64() {
    let size = |bytes: &[u8]| image::load_from_memory_with_format(bytes, image::ImageFormat::Png).unwrap().to_rgb8().dimensions();
    let mut without = 0;
    for i in 0..200 {
        let row = icongen::row(*SEED, "test", i);
        assert_eq!(size(&row.query_image), (64, 64));
        assert_eq!(row.choice_images.is_some(), row.ques_type == "choose_img");
        for image in row.choice_images.iter().flatten() {
            assert_eq!(size(image), (64, 64));
        }
        let row = scigen::row(*SEED, "test", i);
        assert!(row.image.as_ref().is_none_or(|image| size(image) == (64, 64)));
        assert!(row.hint.split(' ').count() <= 25, "{}", row.hint);
        without += usize::from(row.image.is_none());
    }
    assert!((6..=30).contains(&without), "{without} of 200 rows without picture");
}

#[test]
fn options_are_distinct_and_hold_the_answer_and_texts_are_short() {
    for generator in GENERATORS {
        let most = if generator.name.starts_with("icongen") { 20 } else { 45 };
        let mut topics = BTreeSet::new();
        for row in texts(generator, "train", 1500) {
            let distinct: BTreeSet<&String> = row.options.iter().collect();
            assert_eq!(distinct.len(), row.options.len(), "{row:?}");
            assert!(row.options.is_empty() || (2..=5).contains(&row.options.len()), "{row:?}");
            assert!(row.options.is_empty() || row.options.contains(&row.answer), "{row:?}");
            assert!(row.options.iter().all(|option| !option.contains(',')), "{row:?}");
            assert!(row.question.split(' ').count() <= most && !row.question.contains('{'), "{row:?}");
            topics.insert(row.topic);
        }
        assert!(topics.len() >= 10, "{topics:?}");
    }
}

#[test]
fn an_option_that_is_offered_is_right_as_often_as_any_other() {
    for generator in GENERATORS {
        let mut offered: BTreeMap<(String, String), (f64, f64, f64)> = BTreeMap::new();
        let mut places: BTreeMap<(usize, usize), f64> = BTreeMap::new();
        let rows = texts(generator, "train", 3000);
        for row in rows.iter().filter(|row| !row.options.is_empty()) {
            let count = row.options.len();
            let place = row.options.iter().position(|option| *option == row.answer).unwrap();
            *places.entry((count, place)).or_default() += 1.0 / count as f64;
            for option in &row.options {
                let entry = offered.entry((row.topic.clone(), option.clone())).or_default();
                entry.0 += 1.0;
                entry.1 += f64::from(u8::from(*option == row.answer));
                entry.2 += 1.0 / count as f64;
            }
        }
        for ((topic, option), (offered, right, expected)) in offered.into_iter().filter(|(_, counts)| counts.0 >= 40.0) {
            let error = (right - expected) / offered;
            assert!(
                error.abs() < 0.5 * (40.0 / offered).sqrt().max(0.4),
                "{topic}: {option} is right {right} of {offered}, expected {expected:.0}"
            );
        }
        for count in 2..=5 {
            let of: Vec<f64> = (0..count).map(|place| places.get(&(count, place)).copied().unwrap_or(0.0)).collect();
            let total: f64 = of.iter().sum();
            let even = total / count as f64;
            assert!(total < 20.0 || of.iter().all(|share| (share - even).abs() < 0.3 * even), "{}: {of:?}", generator.name);
        }
    }
}

#[test]
fn blanks_have_even_answers() {
    let mut counts: BTreeMap<(String, String), BTreeMap<String, usize>> = BTreeMap::new();
    for i in 0..4000 {
        let row = icongen::row(*SEED, "train", i);
        if row.ques_type == "fill_in_blank" {
            assert!(row.choices.is_empty());
            *counts.entry((row.skills.into(), row.label)).or_default().entry(row.answer).or_default() += 1;
        }
    }
    for (topic, answers) in counts {
        let (most, total) = (answers.values().max().unwrap(), answers.values().sum::<usize>());
        assert!((*most as f64) < 1.9 * total as f64 / answers.len() as f64, "{topic:?}: {answers:?}");
    }
}

#[test]
fn forms_come_in_their_shares() {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for i in 0..2000 {
        *counts.entry(icongen::row(*SEED, "train", i).ques_type).or_default() += 1;
    }
    let share = |form: &str| counts[form] as f64 / 2000.0;
    assert!((share("choose_txt") - 0.74).abs() < 0.04 && (share("choose_img") - 0.06).abs() < 0.02, "{counts:?}");
}

#[allow(clippy::disallowed_methods, reason = "a test of speed; this crate may not use the harness' clock")]
#[test]
fn nobody_comes_far_without_looking() {
    for generator in GENERATORS {
        let start = std::time::Instant::now();
        let shortcuts = shortcuts::measure(generator, None, 0);
        let micros = start.elapsed().as_micros() / 5000;
        eprintln!("{shortcuts:?} (about {micros} microseconds a row)");
        let ceiling = shortcuts.chance + 15.0;
        assert!(shortcuts.text_only() <= ceiling, "{shortcuts:?}");
        assert!(shortcuts.most_frequent_answer <= ceiling && shortcuts.most_frequent_position <= ceiling, "{shortcuts:?}");
    }
}

#[test]
fn pretraining_asks_nothing_that_a_benchmark_asks() {
    let asked: BTreeSet<String> = (0..3000).flat_map(|i| pretrain::sample(*SEED, i).qa).map(|qa| qa.question).collect();
    for generator in GENERATORS {
        for row in texts(generator, "test", 1000) {
            assert!(!asked.contains(row.question.trim()), "{}", row.question);
        }
    }
}
