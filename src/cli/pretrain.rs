//! `fedbench pretrain`: makes the embedded backbone's weights again.

use std::path::PathBuf;

use anyhow::{Context, Result};
use candle_core::Device;
use clap::{Args, Subcommand};
use data_scripts::generated::pretrain as lessons;
use harness::accounting::clock::{Stopwatch, now_utc};
use harness::backbone::llava::Llava;
use harness::backbone::nano;
use harness::backbone::pretrain::{Lesson, Mark, Phase, Question, Schedule, StepReport, judge, pretrain, train_tokenizer};
use seed::Seed;

use super::say;
use crate::progress::duration;

/// Make the embedded backbone's weights again.
#[derive(Subcommand)]
pub(crate) enum Pretrain {
    /// The small LLaVA-shaped backbone, on the generators' pretraining stream.
    Nano(Nano),
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
        }
    }
}

impl Nano {
    fn run(self) -> Result<()> {
        let (clock, seed, config) = (Stopwatch::start(), Seed::new(self.seed), nano::config()?);
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
            eprintln!(
                "{} steps of {} pictures to name things, then {} steps of {} pictures to answer questions; {} parameters",
                self.grounding_steps,
                self.grounding_batch_size,
                self.steps,
                self.batch_size,
                config.parameters().total()
            );
        }
        let tokenizer = train_tokenizer(&config, lessons::corpus(seed, CORPUS))?;
        let lesson_at = |index: usize| lesson(lessons::sample(seed, index));
        let mut began = 0.0;
        let trained = pretrain(&config, &tokenizer, seed, schedule, &lesson_at, &mut |report| {
            if report.step == 1 {
                began = clock.seconds();
            }
            if !self.quiet && (report.step % 100 == 0 || report.step == report.steps) {
                let left = (clock.seconds() - began) / report.step as f64 * (report.steps - report.step) as f64;
                let StepReport { phase, step, steps, loss } = report;
                eprintln!("  {phase} {step:>5}/{steps}  loss {loss:.4}  about {} left in this phase", duration(left));
            }
        })?;
        let model = Llava::from_bytes(nano::NAME, &config, &trained.safetensors, &trained.tokenizer, &Device::Cpu)?;
        let validation: Vec<Lesson> = (0..VALIDATION).map(|index| lesson(lessons::validation_sample(seed, index))).collect();
        let scores = judge(&model, &validation)?;
        let card = self.card(&scores, clock.seconds());
        std::fs::create_dir_all(&self.out).with_context(|| format!("cannot create {}", self.out.display()))?;
        let config_text = format!("{}\n", serde_json::to_string_pretty(&config)?);
        let files: [(&str, &[u8]); 4] = [
            ("model.safetensors", &trained.safetensors),
            ("tokenizer.json", &trained.tokenizer),
            ("config.json", config_text.as_bytes()),
            ("card.toml", card.as_bytes()),
        ];
        for (name, bytes) in files {
            let path = self.out.join(name);
            std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        }
        say(&format!("{card}\nwritten to {}; copy the files to harness/assets/nano to embed them", self.out.display()));
        Ok(())
    }

    /// How the weights came to be.
    fn card(&self, scores: &std::collections::BTreeMap<&'static str, (usize, usize)>, seconds: f64) -> String {
        let (right, asked) = scores.values().fold((0, 0), |sum, score| (sum.0 + score.0, sum.1 + score.1));
        let share = |(right, asked): (usize, usize)| right as f64 / asked.max(1) as f64;
        let mut lines = vec![
            "name = \"nano\"".to_owned(),
            format!(
                "command = \"fedbench pretrain nano --grounding-steps {} --grounding-batch-size {} --steps {} --batch-size {} \
                 --learning-rate {} --seed {}\"",
                self.grounding_steps, self.grounding_batch_size, self.steps, self.batch_size, self.learning_rate, self.seed
            ),
            format!("commit = \"{}\"", env!("FEDBENCH_COMMIT")),
            format!("dirty = {}", env!("FEDBENCH_DIRTY")),
            format!("finished = \"{}\"", now_utc()),
            format!("minutes = {:.1}", seconds / 60.0),
            format!("threads = {}", rayon::current_num_threads()),
            format!("validation_accuracy = {:.4}", share((right, asked))),
            format!("validation_questions = {asked}"),
            String::new(),
            "[validation_accuracy_by_topic]".to_owned(),
        ];
        lines.extend(scores.iter().map(|(topic, score)| format!("{topic:?} = {:.4}", share(*score))));
        lines.push(String::new());
        lines.join("\n")
    }
}

fn lesson(sample: lessons::PretrainSample) -> Lesson {
    let question =
        |qa: lessons::QuestionAnswer| Question { question: qa.question, answer: qa.answer, choices: qa.choices, topic: qa.topic };
    let mark = |mark: lessons::Mark| Mark { x: mark.centre.0, y: mark.centre.1, words: mark.words };
    Lesson {
        rgb: sample.rgb,
        marks: sample.marks.into_iter().map(mark).collect(),
        caption: sample.caption,
        text: sample.text,
        questions: sample.qa.into_iter().map(question).collect(),
    }
}
