//! Pictures of small reports: which there are, what is in them, and that they come out the same.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::scene::Form;
use crate::blocks::Block;
use crate::fixture::Fixture;
use crate::library::{Example, Examples, Library, Part};
use crate::{Figure, Report, Run};

fn read(root: &Path) -> Report {
    Report::read(&[root.into()]).unwrap()
}

fn figures(report: &Report) -> Vec<Figure> {
    let figure = |block| match block {
        Block::Figure(figure) => Some(figure),
        _ => None,
    };
    report.illustrated().into_iter().filter_map(figure).collect()
}

fn find(report: &Report, name: &str) -> Figure {
    figures(report).into_iter().find(|figure| figure.name == name).unwrap_or_else(|| panic!("no figure {name}"))
}

fn texts(figure: &Figure) -> Vec<String> {
    let text = |shape: &super::scene::Shape| match &shape.form {
        Form::Text { text, .. } => Some(text.clone()),
        _ => None,
    };
    figure.scene.shapes.iter().filter_map(text).collect()
}

fn tips(figure: &Figure) -> Vec<&str> {
    figure.scene.shapes.iter().map(|shape| shape.tip.as_str()).filter(|tip| !tip.is_empty()).collect()
}

fn study(root: &Path) {
    for seed in 1..=3 {
        for (method, accuracy) in [("fednano", 0.6), ("fedavg-nano", 0.5), ("zero-shot", 0.3)] {
            Fixture::new("icongen", method, seed, accuracy + 0.01 * seed as f64).write(root);
        }
    }
}

#[test]
fn a_study_has_its_pictures() {
    let root = TempDir::new().unwrap();
    study(root.path());
    let names: Vec<String> = figures(&read(root.path())).into_iter().map(|figure| figure.name).collect();
    assert_eq!(names, ["accuracy", "accuracy-bytes", "clients", "storage", "communication", "rounds"]);
}

#[test]
fn the_same_report_gives_the_same_bytes() {
    let root = TempDir::new().unwrap();
    study(root.path());
    for (a, b) in figures(&read(root.path())).iter().zip(&figures(&read(root.path()))) {
        assert_eq!(a.svg(), b.svg());
        assert_eq!(a.png().unwrap(), b.png().unwrap());
    }
}

#[test]
fn pictures_say_their_numbers() {
    let root = TempDir::new().unwrap();
    study(root.path());
    let report = read(root.path());
    assert!(tips(&find(&report, "accuracy")).contains(&"fednano: 62.0 ± 1.0 %"));
    assert!(tips(&find(&report, "accuracy-bytes")).contains(&"fednano: 62.0 ± 1.0 %, 3.0 MiB"));
    assert!(tips(&find(&report, "rounds")).contains(&"fednano, round 1: 31.0 ± 0.5 %"));
    assert!(tips(&find(&report, "clients")).contains(&"fednano, rank 1: 50.0 ± 0.0 %"));
    assert!(tips(&find(&report, "communication")).contains(&"fednano, up: 2.0 MiB"));
}

#[test]
fn thirty_methods_fit() {
    let root = TempDir::new().unwrap();
    let methods: [&str; 30] = std::array::from_fn(|i| &*Box::leak(format!("fedmethod{i:02}").into_boxed_str()));
    for (i, method) in methods.into_iter().enumerate() {
        Fixture::new("icongen", method, 1, 0.3 + 0.01 * i as f64).write(root.path());
    }
    for figure in figures(&read(root.path())) {
        let inside = |at: &(f64, f64)| (0.0..=figure.scene.width).contains(&at.0) && (0.0..=figure.scene.height).contains(&at.1);
        for shape in &figure.scene.shapes {
            let ok = match &shape.form {
                Form::Text { at, .. } => inside(at),
                Form::Line { points, .. } | Form::Area { points, .. } => points.iter().all(inside),
            };
            assert!(ok, "{}: {shape:?}", figure.name);
        }
    }
    let shown = texts(&find(&read(root.path()), "accuracy"));
    assert!(methods.iter().all(|method| shown.iter().any(|text| text == method)));
}

#[test]
fn two_settings_make_a_grid() {
    let root = TempDir::new().unwrap();
    let keys = ["rank = 4\nalpha = 8.0", "rank = 4\nalpha = 16.0", "rank = 16\nalpha = 8.0", "rank = 16\nalpha = 16.0"];
    for (i, keys) in keys.into_iter().enumerate() {
        let data_keys: &'static str = format!("[adapter]\n{keys}").leak();
        let accuracy = 0.5 + 0.1 * i as f64;
        Fixture { data_keys, ..Fixture::new("icongen", "fednano", 1, accuracy) }.write(&root.path().join(i.to_string()));
    }
    let shown = texts(&find(&read(root.path()), "ablation"));
    for text in ["rank →", "8.0", "16.0", "4", "16", "50.0", "60.0", "70.0", "80.0"] {
        assert!(shown.iter().any(|found| found.contains(text)), "no {text} in {shown:?}");
    }
    fs::remove_dir_all(root.path().join("3")).unwrap();
    fs::remove_dir_all(root.path().join("2")).unwrap();
    assert!(figures(&read(root.path())).iter().all(|figure| figure.name != "ablation"), "one setting is no grid");
}

/// Three training examples of two labels.
struct Three;

impl Library for Three {
    fn examples(&mut self, _: &Run, part: Part) -> Result<Examples, String> {
        let example = |(id, label): (&str, &str)| Example { id: id.into(), label: label.into(), ..Example::default() };
        match part {
            Part::Train => Ok(Examples {
                key: "skills".into(),
                examples: [("t0", "count"), ("t1", "colour"), ("t2", "count")].map(example).into(),
            }),
            Part::Test => Err("not asked for".into()),
        }
    }
}

#[test]
fn a_partition_is_a_heat_map_where_labels_are_known() {
    let root = TempDir::new().unwrap();
    study(root.path());
    let mut report = read(root.path());
    report.illustrate(&mut Three).unwrap();
    let figure = find(&report, "partition");
    let tips = tips(&figure);
    assert!(tips.contains(&"client 0, count: 1") && tips.contains(&"client 1, colour: 0"), "{tips:?}");
    report.illustrate(&mut crate::NoLibrary).unwrap();
    assert!(figures(&report).iter().all(|figure| figure.name != "partition"));
    assert_eq!(report.material.missing.len(), 1);
}
