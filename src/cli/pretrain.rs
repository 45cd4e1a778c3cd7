//! `fedbench pretrain`: makes the weights that ship with the suite again.

use std::path::PathBuf;

use anyhow::Result;
use candle_core::Device;
use clap::{Args, Subcommand};
use data_scripts::generators::pretrain as lessons;
use machine::clock::Stopwatch;
use models::llava::Llava;
use models::nano;
use models::pretrain::{Lesson, Phase, Schedule, judge, pretrain, train_tokenizer};
use seed::Seed;

use super::encoder::NanoVilt;
use super::pretraining::{Progress, Scores, VALIDATION, card, lesson};
use super::smol::Smol;
use super::weights::Output;
use super::{note, say};
use crate::session::Session;

/// Make the weights that ship with the suite again.
#[derive(Subcommand)]
pub(crate) enum Pretrain {
    /// The small LLaVA-shaped backbone, on the generators' pretraining stream.
    Nano(Nano),
    /// The small encoder that answers by class, on the same stream.
    NanoVilt(NanoVilt),
    /// The connector between EfficientNet-Lite0 and SmolLM2-135M-Instruct, and a low-rank change of the latter, on captions and
    /// questions about pictures.
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

impl Pretrain {
    pub(crate) fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Pretrain::Nano(command) => command.run(),
            Pretrain::NanoVilt(command) => command.run(),
            Pretrain::Smol(command) => command.run(session),
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
