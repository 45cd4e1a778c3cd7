//! `fedbench pretrain`: makes the weights that ship with the suite again.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use candle_core::{DType, Device};
use clap::{Args, Subcommand};
use data_scripts::generators::pretrain as lessons;
use guard::files::{self, Growing};
use guard::lock::Lock;
use machine::clock::{Stopwatch, now_utc};
use models::llava::Llava;
use models::pretrain::{Lesson, Mark, Phase, Question, Schedule, StepReport, align, judge, pretrain, train_tokenizer};
use models::{nano, parse_dtype, smol};
use seed::Seed;

use super::{note, say};
use crate::progress::duration;

/// Make the weights that ship with the suite again.
#[derive(Subcommand)]
pub(crate) enum Pretrain {
    /// The small LLaVA-shaped backbone, on the generators' pretraining stream.
    Nano(Nano),
    /// The connector between that backbone's tower and SmolLM2-135M-Instruct, both frozen, on the same stream.
    Smol(Smol),
}

/// The small backbone. Its defaults are the recipe of the weights that ship.
#[derive(Args)]
pub(crate) struct Nano {
    /// Optimizer steps of the first phase: naming what stands where.
    #[arg(long, default_value_t = 2500)]
    grounding_steps: usize,
    /// Pictures in a step of the first phase.
    #[arg(long, default_value_t = 32)]
    grounding_batch_size: usize,
    /// Optimizer steps of the second phase: captions and questions.
    #[arg(long, default_value_t = 7500)]
    steps: usize,
    /// Pictures in a step of the second phase, each with a caption and five to eight questions.
    #[arg(long, default_value_t = 16)]
    batch_size: usize,
    /// Highest learning rate.
    #[arg(long, default_value_t = 5e-3)]
    learning_rate: f64,
    /// The seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the folder goes.
    #[arg(long, default_value = "runs/nano")]
    out: PathBuf,
    /// No progress.
    #[arg(long)]
    quiet: bool,
}

/// Texts that the tokenizer is trained on.
const CORPUS: usize = 60_000;
/// Validation pictures.
const VALIDATION: usize = 300;

impl Pretrain {
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Pretrain::Nano(command) => command.run(),
            Pretrain::Smol(command) => command.run(),
        }
    }
}

impl Nano {
    fn run(self) -> Result<()> {
        let (clock, seed, config) = (Stopwatch::start(), Seed::new(self.seed), nano::config()?);
        let output = Output::open(&self.out)?;
        let schedule = Schedule {
            grounding: Phase {
                steps: self.grounding_steps,
                batch_size: self.grounding_batch_size,
                learning_rate: self.learning_rate,
            },
            dialogue: Phase { steps: self.steps, batch_size: self.batch_size, learning_rate: self.learning_rate },
            grounding_weight: 0.3,
            weight_decay: 0.05,
            clip_norm: 1.0,
        };
        if !self.quiet {
            note(&format!(
                "{} steps of {} pictures to name things, then {} steps of {} pictures to answer questions; {} parameters",
                self.grounding_steps,
                self.grounding_batch_size,
                self.steps,
                self.batch_size,
                config.parameters().total()
            ));
        }
        let tokenizer = train_tokenizer(&config, lessons::corpus(seed, CORPUS))?;
        let lesson_at = |index: usize| lesson(lessons::sample(seed, index));
        let mut progress = Progress::new(self.quiet, &clock);
        let trained = pretrain(&config, &tokenizer, seed, schedule, &lesson_at, &mut |report| progress.show(report))?;
        let model = Llava::from_bytes(nano::NAME, &config, &trained.safetensors, &trained.tokenizer, &Device::Cpu)?;
        let validation: Vec<Lesson> = (0..VALIDATION).map(|index| lesson(lessons::validation_sample(seed, index))).collect();
        let scores = judge(&model, &validation)?;
        let card = self.card(&scores, clock.seconds());
        let config_text = format!("{}\n", serde_json::to_string_pretty(&config)?);
        let made: [(&str, &[u8]); 4] = [
            ("model.safetensors", &trained.safetensors),
            ("tokenizer.json", &trained.tokenizer),
            ("config.json", config_text.as_bytes()),
            ("card.toml", card.as_bytes()),
        ];
        output.write(&made)?;
        say(&format!("{card}\nwritten to {}; copy the files to harness/assets/nano to embed them", self.out.display()));
        Ok(())
    }

    /// How the weights came to be.
    fn card(&self, scores: &Scores, seconds: f64) -> String {
        let command = format!(
            "fedbench pretrain nano --grounding-steps {} --grounding-batch-size {} --steps {} --batch-size {} --learning-rate {} \
             --seed {}",
            self.grounding_steps, self.grounding_batch_size, self.steps, self.batch_size, self.learning_rate, self.seed
        );
        card(&[("name", nano::NAME), ("command", &command)], scores, seconds)
    }
}

/// The connector of `smol`. Its defaults are the recipe of the one that ships.
#[derive(Args)]
pub(crate) struct Smol {
    /// SmolLM2-135M-Instruct: a GGUF file, or a folder with config.json, tokenizer.json and safetensors. Without it,
    /// `FEDBENCH_SMOL` or the Hub's cache.
    #[arg(long)]
    weights: Option<String>,
    /// How the frozen weights are held: `f32`, `bf16` or `f16`. The connector is trained as f32.
    #[arg(long, default_value = "bf16")]
    dtype: String,
    /// Optimizer steps of the first phase: naming what stands where.
    #[arg(long, default_value_t = 1000)]
    grounding_steps: usize,
    /// Pictures in a step of the first phase.
    #[arg(long, default_value_t = 16)]
    grounding_batch_size: usize,
    /// Optimizer steps of the second phase: captions and questions.
    #[arg(long, default_value_t = 1000)]
    steps: usize,
    /// Pictures in a step of the second phase, each with a caption and three questions.
    #[arg(long, default_value_t = 8)]
    batch_size: usize,
    /// Highest learning rate.
    #[arg(long, default_value_t = 3e-3)]
    learning_rate: f64,
    /// The seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Validation pictures.
    #[arg(long, default_value_t = 100)]
    validation: usize,
    /// Where the folder goes.
    #[arg(long, default_value = "runs/smol")]
    out: PathBuf,
    /// No progress.
    #[arg(long)]
    quiet: bool,
}

/// What stands for a caption's question.
const DESCRIBE: &str = "Describe the picture.";

impl Smol {
    fn run(self) -> Result<()> {
        let (clock, seed) = (Stopwatch::start(), Seed::new(self.seed));
        let output = Output::open(&self.out)?;
        let dtype = parse_dtype(Some(&self.dtype))?;
        let path = crate::held::asked_weights(smol::NAME, &smol::ASKING, self.weights.as_deref())?.0;
        let llm = smol::Llm::open(&path)?;
        let llm_sha256 = llm.sha256().to_owned();
        let mut progress = Progress::new(self.quiet, &clock);
        let lesson_at = |index: usize| asked(lesson(lessons::sample(seed, index)));
        let connector = align(llm, dtype, seed, self.schedule(), &lesson_at, &mut |report| progress.show(report))?;
        let model = smol::with_connector(smol::Llm::open(&path)?, connector.clone(), DType::F32, &Device::Cpu)?;
        let validation: Vec<Lesson> = (0..self.validation).map(|index| lesson(lessons::validation_sample(seed, index))).collect();
        let scores = judge(&model, &validation)?;
        let card = card(
            &[("name", smol::NAME), ("command", &self.command()), ("language_model_sha256", &llm_sha256)],
            &scores,
            clock.seconds(),
        );
        output.write(&[("connector.safetensors", &connector), ("card.toml", card.as_bytes())])?;
        say(&format!("{card}\nwritten to {}; copy the files to harness/assets/smol to embed them", self.out.display()));
        Ok(())
    }

    fn schedule(&self) -> Schedule {
        let learning_rate = self.learning_rate;
        Schedule {
            grounding: Phase { steps: self.grounding_steps, batch_size: self.grounding_batch_size, learning_rate },
            dialogue: Phase { steps: self.steps, batch_size: self.batch_size, learning_rate },
            grounding_weight: 0.3,
            weight_decay: 0.01,
            clip_norm: 1.0,
        }
    }

    fn command(&self) -> String {
        format!(
            "fedbench pretrain smol --dtype {} --grounding-steps {} --grounding-batch-size {} --steps {} --batch-size {} \
             --learning-rate {} --seed {} --validation {}",
            self.dtype,
            self.grounding_steps,
            self.grounding_batch_size,
            self.steps,
            self.batch_size,
            self.learning_rate,
            self.seed,
            self.validation
        )
    }
}

/// Questions of a picture, besides its caption: more of them cost what another picture does, and teach less.
const QUESTIONS: usize = 3;

/// A lesson for a model that is asked for everything: the caption answers a request, and sentences about nothing are left out.
fn asked(lesson: Lesson) -> Lesson {
    let Lesson { caption, mut questions, .. } = lesson;
    questions.truncate(QUESTIONS);
    questions.extend(caption.map(|answer| Question { question: DESCRIBE.into(), answer, choices: Vec::new(), topic: "caption" }));
    Lesson { caption: None, text: None, questions, ..lesson }
}

/// (right, asked) by topic.
type Scores = BTreeMap<&'static str, (usize, usize)>;

/// Tells now and then how far a training is.
struct Progress<'a> {
    quiet: bool,
    clock: &'a Stopwatch,
    /// When the phase began, seconds.
    began: f64,
}

impl<'a> Progress<'a> {
    fn new(quiet: bool, clock: &'a Stopwatch) -> Self {
        Self { quiet, clock, began: clock.seconds() }
    }

    fn show(&mut self, report: StepReport) {
        let StepReport { phase, step, steps, loss } = report;
        if step == 1 {
            self.began = self.clock.seconds();
        }
        let every = (steps / 50).clamp(1, 100);
        if !self.quiet && (step.is_multiple_of(every) || step == steps) {
            let since = self.clock.seconds() - self.began;
            let left = since / (step - 1).max(1) as f64 * (steps - step) as f64;
            note(&format!("  {phase} {step:>5}/{steps}  loss {loss:.4}  about {} left in this phase", duration(left)));
        }
    }
}

/// How weights came to be: what is `stated` of them, then commit, time and scores.
fn card(stated: &[(&str, &str)], scores: &Scores, seconds: f64) -> String {
    let (right, asked) = scores.values().fold((0, 0), |sum, score| (sum.0 + score.0, sum.1 + score.1));
    let share = |(right, asked): (usize, usize)| right as f64 / asked.max(1) as f64;
    let mut lines: Vec<String> = stated.iter().map(|(key, value)| format!("{key} = {value:?}")).collect();
    lines.extend([
        format!("commit = \"{}\"", env!("FEDBENCH_COMMIT")),
        format!("dirty = {}", env!("FEDBENCH_DIRTY")),
        format!("finished = \"{}\"", now_utc()),
        format!("minutes = {:.1}", seconds / 60.0),
        format!("threads = {}", rayon::current_num_threads()),
        format!("validation_accuracy = {:.4}", share((right, asked))),
        format!("validation_questions = {asked}"),
        String::new(),
        "[validation_accuracy_by_topic]".to_owned(),
    ]);
    lines.extend(scores.iter().map(|(topic, score)| format!("{topic:?} = {:.4}", share(*score))));
    lines.push(String::new());
    lines.join("\n")
}

/// Where weights go: tried before the hour that they take, and this process's alone until they are there.
struct Output<'a> {
    folder: &'a Path,
    _lock: Lock,
}

impl<'a> Output<'a> {
    fn open(folder: &'a Path) -> Result<Self> {
        let locked = files::try_folder(folder).and_then(|()| Lock::of_folder(folder));
        match locked.with_context(|| format!("cannot write to {}: give an --out that can be written to", folder.display()))? {
            Some(lock) => Ok(Self { folder, _lock: lock }),
            None => {
                bail!("{}: another process is making weights there; wait for it, or give another --out", folder.display())
            }
        }
    }

    /// Writes all files aside, and gives them their names when all are there.
    fn write(&self, all: &[(&str, &[u8])]) -> Result<()> {
        let one = |(name, bytes): &(&str, &[u8])| -> Result<Growing> {
            let path = self.folder.join(name);
            let written = Growing::create(&path).and_then(|(growing, mut file)| file.write_all(bytes).map(|()| growing));
            written.with_context(|| format!("cannot write {}", path.display()))
        };
        for growing in all.iter().map(one).collect::<Result<Vec<_>>>()? {
            let path = growing.path().to_owned();
            growing.finish().with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

fn lesson(sample: lessons::PretrainSample) -> Lesson {
    let question =
        |qa: lessons::QuestionAnswer| Question { question: qa.question, answer: qa.answer, choices: qa.choices, topic: qa.topic };
    let mark = |mark: lessons::Mark| Mark { x: mark.centre.0, y: mark.centre.1, words: mark.words };
    Lesson {
        rgb: sample.rgb,
        marks: sample.marks.into_iter().map(mark).collect(),
        caption: Some(sample.caption),
        text: sample.text,
        questions: sample.qa.into_iter().map(question).collect(),
    }
}
