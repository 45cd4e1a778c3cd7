//! `fedbench pretrain smol`: aligns the parts of `smol`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use candle_core::Device;
use clap::Args;
use data::Rows;
use machine::clock::Stopwatch;
use models::adapter::{AdapterSpec, Adapters};
use models::pretrain::{Alignment, Course, Phase};
use models::smol::{self, Llm, Tower};
use models::{Backbone, parse_dtype};
use schema::experiment::EvaluationConfig;
use seed::Seed;
use tasks::judgement::judge_global;
use tasks::prepare::Asking;
use tasks::{Judge, Split};

use super::weights::{Output, made};
use super::{note, say};
use crate::lessons::Taughts;
use crate::locate::locate;
use crate::located::load;
use crate::progress::duration;
use crate::session::Session;

/// What joins `smol`'s parts. Its defaults are the recipe of what ships.
#[derive(Args)]
pub(crate) struct Smol {
    /// SmolLM2-135M-Instruct: a GGUF file, or a folder with config.json, tokenizer.json and safetensors. Without it,
    /// `FEDBENCH_SMOL` or the Hub's cache. (The tower: `FEDBENCH_TOWER` or the Hub's cache.)
    #[arg(long)]
    weights: Option<String>,
    /// How the frozen weights are held: `f32`, `bf16` or `f16`. What is learned is trained as f32.
    #[arg(long, default_value = "bf16")]
    dtype: String,
    /// Optimizer steps of the first phase, in which the connector alone learns to say words that go with a picture; 64 pictures each.
    #[arg(long, default_value_t = 300)]
    grounding_steps: usize,
    /// Optimizer steps of the second phase: captions and questions.
    #[arg(long, default_value_t = 320)]
    steps: usize,
    /// Ends behind this step, wherever the learning rate is then.
    #[arg(long)]
    stop: Option<usize>,
    /// Pictures in a step, each with a caption and some questions.
    #[arg(long, default_value_t = 8)]
    batch_size: usize,
    /// Highest learning rate of the connector.
    #[arg(long, default_value_t = 2e-3)]
    learning_rate: f64,
    /// The learning rate of the language model's low-rank change, as a share of the connector's; 0 leaves it as it is.
    #[arg(long, default_value_t = 0.5)]
    change: f64,
    /// Generated pictures, besides those of the datasets.
    #[arg(long, default_value_t = 500)]
    generated: usize,
    /// The seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Steps from one checkpoint to the next; the same command goes on from the last one.
    #[arg(long, default_value_t = 50)]
    every: usize,
    /// Where the folder goes.
    #[arg(long, default_value = "runs/smol")]
    out: PathBuf,
    /// No progress.
    #[arg(long)]
    quiet: bool,
}

/// What is learned so far, in the folder.
const CHECKPOINT: &str = "checkpoint.safetensors";
/// The loss of each step.
const LOG: &str = "log.csv";
/// Held-out splits that the result is judged on.
const JUDGED: [(&str, &str); 4] = [
    ("openclipart", "validation"),
    ("puzzlevqa", "validation"),
    ("scienceqa-img-resplit", "validation"),
    ("scienceqa-img-resplit", "test"),
];

impl Smol {
    pub(crate) fn run(self, session: &mut Session) -> Result<()> {
        let (clock, seed) = (Stopwatch::start(), Seed::new(self.seed));
        let output = Output::open(&self.out)?;
        let dtype = parse_dtype(Some(&self.dtype))?;
        let places = crate::held::asked_weights(smol::NAME, &smol::ASKING, self.weights.as_deref())?;
        let [(llm, _), (tower, _)] = places.as_slice() else { anyhow::bail!("`{}` has two parts", smol::NAME) };
        let open = || anyhow::Ok((Llm::open(llm)?, Tower::open(tower)?));
        // Before the hour that it takes.
        JUDGED.iter().try_for_each(|(dataset, _)| locate(dataset).map(drop))?;
        let lessons = Taughts::read(seed, self.generated, session.checksums())?;
        let (parts, course) = (open()?, self.course());
        let stated = Self::stated(&self.command(), &parts, &lessons);
        let mut told = |done: usize| self.tell(&format!("  {done} pictures have passed the tower"));
        let mut alignment = Alignment::new(parts, dtype, seed, course, &lessons, &mut told)?;
        self.tell(&format!(
            "{} steps of {} of {} pictures; {} trained numbers",
            self.steps,
            self.batch_size,
            alignment.pictures(),
            alignment.parameters()
        ));
        let before = self.train(&mut alignment, &output, &schema::sha256_hex(stated.as_bytes()), &clock)?;
        let learned = alignment.learned()?;
        let (llm, tower) = open()?;
        let model = Arc::new(smol::with_aligned(llm, tower, learned.clone(), dtype, &Device::Cpu)?);
        // What took an hour is kept before it is judged.
        let mut card = self.card(&stated, before + clock.seconds(), alignment.parameters());
        output.write(&[("aligned.safetensors", &learned), ("card.toml", card.as_bytes())])?;
        card.push_str("\n[accuracy]\n");
        for (dataset, split) in JUDGED {
            let [seeing, blind] = judged(model.clone(), dataset, split)?;
            let name = format!("{dataset} {split}");
            card.push_str(&format!("{name:?} = {seeing:.4}\n{:?} = {blind:.4}\n", format!("{name}, without pictures")));
            output.write(&[("card.toml", card.as_bytes())])?;
        }
        say(&format!("{card}\nwritten to {}; copy both files to harness/assets/smol to embed them", self.out.display()));
        Ok(())
    }

    fn course(&self) -> Course {
        Course {
            phase: Phase { steps: self.steps, batch_size: self.batch_size, learning_rate: self.learning_rate },
            change_rate: self.change,
            weight_decay: 0.01,
            clip_norm: 1.0,
        }
    }

    fn tell(&self, line: &str) {
        if !self.quiet {
            note(line);
        }
    }

    /// All steps that are left, and the seconds of those that were taken before this command. Log and checkpoint are written together.
    fn train(&self, alignment: &mut Alignment, output: &Output, recipe: &str, clock: &Stopwatch) -> Result<f64> {
        let mut log = String::from("step,loss,seconds\n");
        let mut before = 0.0;
        if let (Ok(bytes), Ok(kept)) = (std::fs::read(self.out.join(CHECKPOINT)), std::fs::read_to_string(self.out.join(LOG))) {
            alignment.resume(&bytes, recipe)?;
            before = kept.lines().last().and_then(|line| line.rsplit(',').next()?.parse().ok()).unwrap_or_default();
            log = kept;
            self.tell(&format!("goes on behind step {}", alignment.steps()));
        } else {
            let phase = Phase { steps: self.grounding_steps, batch_size: 64, learning_rate: self.learning_rate };
            alignment.ground(phase, &mut |step, loss| {
                if step.is_multiple_of(20) {
                    self.tell(&format!("  grounding {step:>5}/{}  loss {loss:.4}", self.grounding_steps));
                }
            })?;
        }
        let (first, began) = (alignment.steps(), clock.seconds());
        let mut recent = Vec::new();
        let last = self.steps.min(self.stop.unwrap_or(usize::MAX));
        while alignment.steps() < last {
            let loss = alignment.step()?;
            let (step, seconds) = (alignment.steps(), before + clock.seconds());
            writeln!(log, "{step},{loss:.5},{seconds:.1}")?;
            recent.push(loss);
            if step.is_multiple_of(10) || step == last {
                let left = (clock.seconds() - began) / (step - first) as f64 * (last - step) as f64;
                let mean = recent.iter().sum::<f64>() / recent.len() as f64;
                self.tell(&format!("  step {step:>5}/{}  loss {mean:.4}  about {} left", self.steps, duration(left)));
                recent.clear();
            }
            if step.is_multiple_of(self.every.max(1)) || step == last {
                output.write(&[(CHECKPOINT, &alignment.checkpoint(recipe)?), (LOG, log.as_bytes())])?;
            }
        }
        Ok(before)
    }

    /// The schedule that a checkpoint is of.
    fn command(&self) -> String {
        format!(
            "fedbench pretrain smol --dtype {} --grounding-steps {} --steps {} --batch-size {} --learning-rate {} --change {} \
             --generated {} --seed {}",
            self.dtype,
            self.grounding_steps,
            self.steps,
            self.batch_size,
            self.learning_rate,
            self.change,
            self.generated,
            self.seed
        )
    }

    /// What the result depends on: command, parts, data.
    fn stated(command: &str, (llm, tower): &(Llm, Tower), lessons: &Taughts) -> String {
        let mut text = format!(
            "name = {:?}\ncommand = {command:?}\nlanguage_model_sha256 = {:?}\ntower_sha256 = {:?}\n",
            smol::NAME,
            llm.sha256(),
            tower.sha256()
        );
        text.push_str("data = [\n");
        lessons.files.iter().for_each(|file| text.push_str(&format!("    {:?},\n", format!("{} {}", file.sha256, file.path))));
        text + "]\n"
    }

    /// How the weights came to be.
    fn card(&self, stated: &str, seconds: f64, parameters: usize) -> String {
        let mut card = stated.to_owned();
        if let Some(stop) = self.stop {
            card = card.replace(&self.command(), &format!("{} --stop {stop}", self.command()));
        }
        made(seconds).iter().for_each(|line| card.push_str(&format!("{line}\n")));
        card + &format!("trained_numbers = {parameters}\n")
    }
}

/// The share of a split's rows that a model answers rightly, asked as their card asks them, with their pictures and without.
fn judged(model: Arc<dyn Backbone>, dataset: &str, split: &str) -> Result<[f64; 2]> {
    let located = locate(dataset)?;
    let rows = load(std::slice::from_ref(&located), split, Rows::default())?;
    let split = Arc::new(Split::new(rows, &*model)?);
    let asking = Asking { backbone: &*model, prompt: "default", max_prompt_tokens: 512, virtual_tokens: 0 };
    let all = vec![(0..split.dataset.examples.len()).collect()];
    let judge = Judge::new(model.clone(), &asking, AdapterSpec::none(), split, all, &EvaluationConfig::default())?;
    judge.see()?;
    let accuracy =
        |judge: &Judge| -> Result<f64> { judge_global(judge, &Adapters::default())?.0.accuracy.context("nothing was judged") };
    Ok([accuracy(&judge)?, accuracy(&judge.blind()?)?])
}
