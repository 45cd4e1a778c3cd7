#![allow(clippy::unwrap_used)]

use serde_json::Value;

use super::Target;
use crate::fixture::Fixture;
use crate::source::Source;
use crate::{Run, Trust};

fn run(root: &std::path::Path) -> Run {
    let records = vec![(1, Some(0), "train_loss", 1.5), (2, Some(0), "train_loss", 1.25), (2, Some(1), "train_loss", 0.5)];
    let folder = Fixture { records, ..Fixture::new("icongen", "fedavg-lora", 3, 0.6) }.write(root);
    Run::read(Source::Folder(folder), Trust::AsTheyAre).unwrap()
}

/// The TFRecords of an event file; checksums are compared, which a reader does, too.
fn events(bytes: &[u8]) -> Vec<&[u8]> {
    let masked = |bytes: &[u8]| crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes();
    let (mut at, mut found) = (0, Vec::new());
    while at < bytes.len() {
        let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
        assert_eq!(masked(&bytes[at..at + 8]), bytes[at + 8..at + 12]);
        let event = &bytes[at + 12..at + 12 + length];
        assert_eq!(masked(event), bytes[at + 12 + length..at + 16 + length]);
        found.push(event);
        at += 16 + length;
    }
    found
}

#[test]
fn event_files_hold_every_record() {
    let root = tempfile::tempdir().unwrap();
    let run = run(root.path());
    let written = Target::TensorBoard.write(&run, &root.path().join("tb")).unwrap();
    let bytes = std::fs::read(&written[0]).unwrap();
    let events = events(&bytes);
    assert_eq!(events.len(), 1 + super::files::records(&run).unwrap().len());
    let text = String::from_utf8_lossy(events[0]).into_owned();
    assert!(text.contains("brain.Event:2"), "{text}");
    let loss = events.iter().filter(|event| String::from_utf8_lossy(event).contains("train_loss/client-0"));
    let values: Vec<f32> = loss.map(|event| f32::from_le_bytes(event[event.len() - 4..].try_into().unwrap())).collect();
    assert_eq!(values, [1.5, 1.25]);
    // A known event: wall time 0, step 300, of no summary.
    assert_eq!(super::tensorboard::known_event(), [9, 0, 0, 0, 0, 0, 0, 0, 0, 16, 172, 2]);
}

#[test]
fn results_are_the_runs() {
    let root = tempfile::tempdir().unwrap();
    let run = run(root.path());
    let written = Target::LmEval.write(&run, &root.path().join("lm")).unwrap();
    let results: Value = serde_json::from_slice(&std::fs::read(&written[0]).unwrap()).unwrap();
    let task = &results["results"]["icongen"];
    assert_eq!(task["acc,none"], 0.6);
    // sqrt(0.6 * 0.4 * 10 / 9 / 10)
    assert!((task["acc_stderr,none"].as_f64().unwrap() - 0.163_299_316_185_545_2).abs() < 1e-12, "{task}");
    let samples = std::fs::read_to_string(&written[1]).unwrap();
    let lines: Vec<Value> = samples.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 10);
    let right: f64 = lines.iter().map(|line| line["acc"].as_f64().unwrap()).sum();
    assert_eq!((right, lines[3]["doc_id"].as_u64()), (6.0, Some(3)));
}

#[test]
fn an_evaluation_is_one_file_that_is_written_once() {
    let root = tempfile::tempdir().unwrap();
    let run = run(root.path());
    let out = root.path().join("eee");
    let written = Target::EveryEvalEver.write(&run, &out).unwrap();
    assert_eq!(Target::EveryEvalEver.write(&run, &out).unwrap(), written);
    let text: Value = serde_json::from_slice(&std::fs::read(&written[0]).unwrap()).unwrap();
    let result = &text["evaluation_results"][0];
    assert_eq!((&text["schema_version"], &result["score_details"]["score"]), (&"0.3.0".into(), &0.6.into()));
    assert_eq!(result["score_details"]["uncertainty"]["num_samples"], 10);
    assert!(text["model_info"]["additional_details"].as_object().unwrap().values().all(Value::is_string));
}

#[test]
fn targets_have_names() {
    for target in Target::ALL {
        assert_eq!(target.name().parse::<Target>().unwrap(), target);
    }
    assert!("tensorbord".parse::<Target>().unwrap_err().to_string().contains("tensorboard"));
}
