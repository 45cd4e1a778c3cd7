//! Is a score a number, of all the options that there are, by the adapters that were named?

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow_reader::scores_of;
use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use data::{Answer, Dataset};
use data_scripts::generators;
use federation::registry::Registry;
use federation::{InProcess, Unwatched};
use models::adapter::{Adapters, Untouched};
use models::{Backbone, Batch, Sequence, nn};
use schema::Prediction;
use schema::card::OptionScore;
use study::Study;
use tasks::Split;
use tasks::judgement::judge_global;
use tasks::largest_batch;

use crate::cli::Desk;
use crate::support::{Test, within};
use crate::tiny::{self, Drawn};

/// Option scores as a run folder keeps them.
mod arrow_reader {
    use std::collections::BTreeMap;
    use std::path::Path;

    use anyhow::{Context, Result};
    use arrow_array::{Array, Float64Array, ListArray, StringArray, UInt32Array};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    /// By client and example: what was answered, and every option's score to the bit.
    pub type Scores = BTreeMap<(Option<u32>, String), (String, Vec<u64>)>;

    pub fn scores_of(path: &Path) -> Result<Scores> {
        let file = std::fs::File::open(path)?;
        let mut found = Scores::new();
        for batch in ParquetRecordBatchReaderBuilder::try_new(file)?.build()? {
            let batch = batch?;
            let column = |name: &str| batch.column_by_name(name).with_context(|| format!("no column {name}"));
            let texts = |name: &str| -> Result<StringArray> {
                Ok(column(name)?.as_any().downcast_ref::<StringArray>().context("no text")?.clone())
            };
            let (examples, predictions) = (texts("example")?, texts("prediction")?);
            let clients = column("client")?.as_any().downcast_ref::<UInt32Array>().context("no client")?.clone();
            let scores = column("option_scores")?.as_any().downcast_ref::<ListArray>().context("no scores")?.clone();
            for row in 0..batch.num_rows() {
                let of_row = scores.value(row);
                let of_row = of_row.as_any().downcast_ref::<Float64Array>().context("no numbers")?;
                let bits = of_row.values().iter().map(|score| score.to_bits()).collect();
                let client = clients.is_valid(row).then(|| clients.value(row));
                found.insert((client, examples.value(row).into()), (predictions.value(row).into(), bits));
            }
        }
        Ok(found)
    }
}

/// A few rows of a generated dataset, text alone, changed.
fn rows(split: &str, change: impl Fn(usize, &mut data::Example)) -> Result<Dataset> {
    let folder = tempfile::tempdir()?;
    let card = generators::write(generators::find("scigen").context("no scigen")?, folder.path(), Some((12, 12)), 3)?;
    let mut dataset = Dataset::load(folder.path(), &card, split, None)?;
    for (i, example) in dataset.examples.iter_mut().enumerate() {
        example.images.clear();
        example.hint.clear();
        change(i, example);
    }
    Ok(dataset)
}

fn study_of(train: Dataset, test: Dataset, batch: usize) -> Result<Study> {
    let [train, test] = [train, test].map(|dataset| Split::new(dataset, tiny::backbone()).map(Arc::new));
    let mut experiment = tiny::experiment("fedavg-lora");
    experiment.data.dataset = "scigen".into();
    experiment.evaluation.batch_size = batch;
    tiny::study_over(&experiment, train?, test?)
}

/// A set of so many answers, which every test row chooses among.
fn closed_set(count: usize, examples: usize, batch: usize) -> Result<Study> {
    let values: Vec<String> = (0..count).map(|i| format!("value {i}")).collect();
    let mut test = rows("test", |i, example| {
        example.choices.clone_from(&values);
        example.answer = Answer::Choice(7 * i % count);
    })?;
    test.examples.truncate(examples);
    study_of(rows("train", |_, _| {})?, test, batch)
}

fn judged(study: &Study) -> Result<Vec<Prediction>> {
    Ok(judge_global(study.judge(), study.initial())?.1)
}

/// Scores of a sequence's branches as one batch of one sequence, however many they are: what pieces are held against.
fn whole(backbone: &dyn Backbone, sequence: &Sequence) -> Result<Vec<f64>> {
    let batch = Batch::new(&[sequence], backbone.text().image_token(), backbone.dtype(), backbone.device())?;
    let none = Tensor::zeros((0, backbone.spec().image_tokens, backbone.spec().d_model), DType::F32, &Device::Cpu)?;
    let logits = backbone.decode(&backbone.embed(&batch, &none)?, &Untouched)?;
    let rows: Vec<f32> = nn::log_likelihood(&logits, &batch.targets)?.to_vec1()?;
    let mut scores = vec![0.0; sequence.branches.len()];
    batch.owners.iter().zip(rows).for_each(|(owner, row)| scores[owner.branch] += f64::from(row));
    Ok(scores)
}

/// A thousand options are scored in pieces: as in one piece, as one by one, and in whatever batches.
#[test]
fn options_beside_a_thousand_others_score_as_alone() -> Test {
    let study = closed_set(1000, 3, 1)?;
    let found = judged(&study)?;
    let (mask, _) = largest_batch(study.judge());
    assert!(mask < 8 * 2200 * 2200, "a mask of {mask} numbers: nothing was cut");
    let again = judged(&closed_set(1000, 3, 32)?)?;
    for (prediction, other) in found.iter().zip(&again) {
        assert_eq!(prediction.option_scores.len(), 1000);
        assert_eq!((&prediction.prediction, prediction.correct), (&other.prediction, other.correct));
        let worst = prediction.option_scores.iter().zip(&other.option_scores).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        within("scores in other batches", worst, 1e-4);
    }
    let text = tiny::backbone().text();
    let rendered = |prompt: &str| -> Result<Sequence> {
        let (prefix, _) = text.prefix(prompt, &[], 40)?;
        let branches = (0..1000).map(|i| Ok(models::Branch::answer(text.answer(&format!("value {i}"))?)));
        Ok(Sequence { prefix, images: vec![], branches: branches.collect::<Result<_>>()? })
    };
    let example = &rows("test", |_, _| {})?.examples[0];
    let template = study.card().prompts.get("default").context("no prompt")?;
    let sequence = rendered(&data::prompt::render(example, template).text)?;
    let one_piece = whole(tiny::backbone(), &sequence)?;
    let spread = |scores: &[f64], wanted: &[f64]| scores.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    within("scores in one piece", spread(&found[0].option_scores, &one_piece), 1e-4);
    let alone = [0, 1, 499, 500, 998, 999].map(|k| whole(tiny::backbone(), &sequence.with_piece(&sequence.branches, k..k + 1)));
    for (k, alone) in [0, 1, 499, 500, 998, 999].into_iter().zip(alone) {
        within(&format!("option {k} alone"), (alone?[0] - found[0].option_scores[k]).abs(), 1e-4);
    }
    Ok(())
}

/// What stands beside a branch does not change its score, beyond the order of its sums.
#[test]
fn what_stands_beside_a_branch_leaves_its_score() -> Test {
    let text = tiny::backbone().text();
    let branches = (0..40).map(|i| Ok(models::Branch::answer(text.answer(&format!("value {i}"))?)));
    let all = Sequence { prefix: text.prefix("which?", &[], 40)?.0, images: vec![], branches: branches.collect::<Result<_>>()? };
    let scores = whole(tiny::backbone(), &all)?;
    for piece in [0..1, 0..2, 3..8, 17..39, 39..40] {
        let found = whole(tiny::backbone(), &all.with_piece(&all.branches, piece.clone()))?;
        let worst = found.iter().zip(&scores[piece.clone()]).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        within(&format!("branches {piece:?}"), worst, 1e-4);
    }
    Ok(())
}

/// Without the end token a score is that of the option's own tokens, and a mean is over these.
#[test]
fn an_option_counts_with_or_without_its_end() -> Test {
    let card = |option_end: bool, option_score: OptionScore| -> Result<Vec<Prediction>> {
        let test = rows("test", |_, example| {
            example.card = Arc::new(schema::Card { option_end, option_score, ..(*example.card).clone() });
        })?;
        judged(&study_of(rows("train", |_, _| {})?, test, 8)?)
    };
    let (with, without) = (card(true, OptionScore::Sum)?, card(false, OptionScore::Sum)?);
    let means = card(false, OptionScore::Mean)?;
    let text = tiny::backbone().text();
    for ((with, without), mean) in with.iter().zip(&without).zip(&means) {
        for (k, (a, b)) in with.option_scores.iter().zip(&without.option_scores).enumerate() {
            assert!(a < b, "option {k} of {}: {a} with its end, {b} without", with.example);
            let ratio = b / mean.option_scores[k];
            assert!(
                (ratio - ratio.round()).abs() < 1e-9 && ratio > 0.5,
                "{b} over {} is no count of tokens",
                mean.option_scores[k]
            );
        }
        let first = text.answer(&without.prediction)?.len() - 1;
        let best = without
            .option_scores
            .iter()
            .position(|score| *score == without.option_scores.iter().copied().fold(f64::MIN, f64::max));
        let best = best.context("no best option")?;
        assert!((without.option_scores[best] / mean.option_scores[best] - first as f64).abs() < 1e-9);
    }
    let whole = toml::to_string(&*rows("test", |_, _| {})?.card)?;
    assert!(!whole.contains("option_end"), "a card without the key keeps its bytes");
    Ok(())
}

/// The tiny model's weights, one tensor of which is changed.
struct Changed {
    name: &'static str,
    factor: f64,
}

impl SimpleBackend for Changed {
    fn get(&self, shape: Shape, name: &str, init: Init, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        let tensor = Drawn.get(shape, name, init, dtype, device)?;
        if name.ends_with(self.name) { tensor * self.factor } else { Ok(tensor) }
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        Drawn.get_unchecked(name, dtype, device)
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

/// A study on a model with a changed tensor; the rows are ranked, or answered freely.
fn on_changed(name: &'static str, factor: f64, free: bool) -> Result<(Study, Box<dyn federation::Method>)> {
    let backend = Box::new(Changed { name, factor });
    let weights = VarBuilder::from_backend(backend, DType::F32, Device::Cpu);
    let backbone: Arc<dyn Backbone> = Arc::new(tiny::llava(&tiny::config(), DType::F32, Some(weights))?);
    let change = |_: usize, example: &mut data::Example| {
        if free {
            example.answer = Answer::Text("three".into());
            example.choices.clear();
        }
    };
    let [train, test] = [rows("train", change)?, rows("test", change)?].map(|rows| Split::new(rows, &*backbone).map(Arc::new));
    let mut experiment = tiny::experiment("fedavg-lora");
    experiment.data.dataset = "scigen".into();
    let row = Registry::new(baselines::METHODS).find("fedavg-lora")?;
    let method = (row.build)(&BTreeMap::new())?;
    Ok((Study::new(experiment, &row, backbone, train?, test?)?, method))
}

fn message<T, E: std::fmt::Display>(result: Result<T, E>) -> String {
    match result {
        Ok(_) => panic!("numbers that are not finite were taken"),
        Err(error) => error.to_string(),
    }
}

/// Weights that are not finite, wherever they are: an error that names an example and blames the backbone, for options and free text.
#[test]
fn scores_that_are_not_finite_rank_nothing() -> Test {
    for name in ["model.norm.weight", "layers.0.self_attn.k_proj.weight", "layers.1.mlp.up_proj.weight", "embed_tokens.weight"] {
        for (factor, free) in [(f64::NAN, false), (f64::NAN, true), (f64::INFINITY, false)] {
            let (study, mut method) = on_changed(name, factor, free)?;
            let said = message(judge_global(study.judge(), study.initial()));
            assert!(said.contains("example `") && said.contains("the backbone gives it without adapters too"), "{name}: {said}");
            assert!(said.contains(if free { "token 1 of its answer" } else { "option 1 (`" }), "{name}: {said}");
            // Nor is the learning rate to blame.
            let said = message(study.run(&mut *method, &mut InProcess::new(study.host()?), &Unwatched));
            assert!(said.contains("before the first step") && said.contains("example `"), "{name}: {said}");
            assert!(!said.contains("lower"), "{name}: {said}");
        }
    }
    Ok(())
}

/// Adapters that are not finite are named; finite ones that lead to what is not are blamed.
#[test]
fn adapters_are_blamed_for_what_they_do() -> Test {
    let study = closed_set(4, 3, 8)?;
    let spoilt = |value: f64| -> Result<Adapters> { Ok(study.initial().map(|tensor| (tensor.zeros_like()? + 1.0)? * value)?) };
    let said = message(judge_global(study.judge(), &spoilt(f64::NAN)?));
    assert!(said.contains("the global adapters: adapter tensor `layers.0.q_proj.lora_A`"), "{said}");
    let said = message(judge_global(study.judge(), &spoilt(1e30)?));
    assert!(said.contains("example `") && said.contains("the adapters are to blame"), "{said}");
    Ok(())
}

/// What would take memory without end is refused by its row's id and the limit.
#[test]
fn lengths_have_limits() -> Test {
    let long = "word ".repeat(20_000);
    let refused = |option: bool| -> Result<String> {
        let test = rows("test", |i, example| {
            if i == 2 && option {
                example.choices[1].clone_from(&long);
            } else if i == 2 {
                example.question.clone_from(&long);
            }
        })?;
        let id = test.examples[2].id.clone();
        let train = Split::new(rows("train", |_, _| {})?, tiny::backbone())?;
        let mut experiment = tiny::experiment("fedavg-lora");
        experiment.data.dataset = "scigen".into();
        experiment.data.max_prompt_tokens = 16_384;
        let study = tiny::study_over(&experiment, Arc::new(train), Arc::new(Split::new(test, tiny::backbone())?));
        let said = study.err().context("a text of 20,000 words was taken")?.to_string();
        assert!(said.contains(&format!("example `{id}`")), "{said}");
        Ok(said)
    };
    assert!(refused(true)?.contains("at most 2048 are scored"));
    assert!(refused(false)?.contains("at most 16384 are computed"));
    Ok(())
}

const FEW: &str = "[data]\ndataset = \"icongen\"\ntrain_limit = 8\ntest_limit = 6\n[partition]\nclients = 2\n[federation]\nrounds = 1\n\
                   local_steps = 2\n[optimizer]\nlearning_rate = 0.01\n";

/// The only folder in `out`.
fn run_in(out: &Path) -> Result<std::path::PathBuf> {
    let mut folders = std::fs::read_dir(out)?.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir());
    folders.next().context("no run folder")
}

fn run(desk: &Desk, name: &str, method: &str) -> Result<std::path::PathBuf> {
    desk.write("x.toml", &format!("{FEW}{method}"));
    desk.expect(&["run", "x.toml", "--out", name, "--quiet"], 0, &[]);
    run_in(&desk.path().join(name))
}

/// A client's own adapters, judged from their file, answer as they did in the run; whose are meant has to be said.
#[test]
fn saved_adapters_answer_as_in_their_run() -> Test {
    let desk = Desk::new();
    let eval = ["eval", "--backbone", "nano", "--dataset", "icongen", "--limit", "6", "--out", "judged", "--adapters"];
    for method in ["local", "fedsa-lora", "ditto", "feddat", "feddpa-f"] {
        let folder = run(&desk, method, &format!("[method]\nname = \"{method}\"\n"))?;
        let file = folder.join("adapters.safetensors").display().to_string();
        let with = |more: &[&str], code: i32, texts: &[&str]| {
            std::fs::remove_dir_all(desk.path().join("judged")).ok();
            desk.expect(&[&eval[..], &[&file], more].concat(), code, texts)
        };
        with(&[], 2, &["2 clients' own adapters (0, 1)", "--client N"]);
        with(&["--client", "2"], 2, &["nothing of client 2"]);
        match method {
            "local" => with(&["--client", "shared"], 2, &["holds nothing shared"]),
            "fedsa-lora" => with(&["--client", "shared"], 2, &["`layers.0.q_proj.lora_B` is missing"]),
            _ => with(&["--client", "shared"], 0, &["accuracy"]),
        };
        for client in [0, 1] {
            with(&["--client", &client.to_string()], 0, &["accuracy"]);
            let of_run = scores_of(&folder.join("predictions.parquet"))?;
            let judged = scores_of(&desk.path().join("judged/predictions.parquet"))?;
            assert_eq!(judged.len(), 6);
            for ((_, example), answer) in &judged {
                assert_eq!(Some(answer), of_run.get(&(Some(client), example.clone())), "{method}, client {client}, {example}");
            }
        }
    }
    Ok(())
}

/// Shared adapters answer as in their run, tokens in front of the prompt included; what is missing from a file is named.
#[test]
fn adapters_are_judged_whole_or_not_at_all() -> Test {
    let desk = Desk::new();
    let eval =
        ["eval", "--backbone", "nano", "--dataset", "icongen", "--limit", "6", "--out", "judged", "--no-verify", "--adapters"];
    for (name, method) in [
        ("lora", "[method]\nname = \"fedavg-lora\"\n"),
        ("prompt", "[adapter]\nkind = \"prompt\"\n[method]\nname = \"fedprox\"\n"),
    ] {
        let folder = run(&desk, name, method)?;
        let file = folder.join("adapters.safetensors");
        desk.expect(&[&eval[..], &[&file.display().to_string()]].concat(), 0, &["accuracy"]);
        let judged = scores_of(&desk.path().join("judged/predictions.parquet"))?;
        assert_eq!(judged, scores_of(&folder.join("predictions.parquet"))?, "{name}");
        std::fs::remove_dir_all(desk.path().join("judged"))?;
        let whole = Adapters::read(&file, &Device::Cpu)?;
        let last = whole.iter().last().context("no tensor")?.0.clone();
        // A prompt is one tensor: without it nothing is left.
        let lost = if name == "lora" { format!("`{last}` is missing") } else { "holds no adapters".into() };
        std::fs::write(&file, whole.filter(|tensor| tensor != last).to_bytes()?)?;
        desk.expect(&[&eval[..], &[&file.display().to_string()]].concat(), 2, &[&lost]);
        std::fs::write(&file, whole.map(|tensor| tensor * f64::NAN)?.to_bytes()?)?;
        desk.expect(&[&eval[..], &[&file.display().to_string()]].concat(), 1, &["not finite"]);
    }
    let folder = run(&desk, "none", "[method]\nname = \"zero-shot\"\n")?;
    desk.expect(&[&eval[..], &[&folder.join("adapters.safetensors").display().to_string()]].concat(), 2, &["holds no adapters"]);
    Ok(())
}

/// A forecast of very many rounds does not walk them; of too many, it is refused.
#[test]
fn many_rounds_are_forecast_at_once() -> Test {
    let desk = Desk::new();
    desk.write("x.toml", &format!("{FEW}[method]\nname = \"fedavg-nano\"\n"));
    let validate = |rounds: &str, code: i32, text: &str| {
        let set = ["--set", rounds, "--set", "federation.cohort=0.5", "--set", "partition.clients=4"];
        desk.expect(&[&["validate", "x.toml"][..], &set].concat(), code, &[text]);
    };
    validate("federation.rounds=1000000", 0, "1000000 rounds, 4000000 optimizer steps");
    validate("federation.rounds=1000000000", 2, "federation.rounds = 1000000000: expected 1 to 1000000");
    validate("federation.local_steps=4611686018427387904", 2, "expected 1 to 1000000");
    validate("optimizer.beta1=2.0", 2, "optimizer.beta1 = 2: expected a decay in [0, 1)");
    Ok(())
}
