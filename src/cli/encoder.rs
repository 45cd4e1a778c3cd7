//! `fedbench pretrain nano-vilt`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use data_scripts::generators::pretrain as lessons;
use machine::clock::Stopwatch;
use models::pretrain::{EncoderCourse, Lesson, Phase, pretrain_encoder};
use models::vilt::nano;
use seed::Seed;

use super::pretraining::{Progress, VALIDATION, card, lesson};
use super::weights::Output;
use super::{note, say};

/// The small encoder. Its defaults are the recipe of the weights that ship.
#[derive(Args)]
pub(crate) struct NanoVilt {
    /// Optimizer steps.
    #[arg(long, default_value_t = 600)]
    steps: usize,
    /// Pictures in a step.
    #[arg(long, default_value_t = 16)]
    batch_size: usize,
    /// Questions about a picture in a step, at most.
    #[arg(long, default_value_t = 3)]
    questions: usize,
    /// Highest learning rate.
    #[arg(long, default_value_t = 2e-3)]
    learning_rate: f64,
    /// The seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the folder goes.
    #[arg(long, default_value = "runs/nano-vilt")]
    out: PathBuf,
    /// No progress.
    #[arg(long)]
    quiet: bool,
}

impl NanoVilt {
    pub(super) fn run(self) -> Result<()> {
        let (clock, seed, config) = (Stopwatch::start(), Seed::new(self.seed), nano::config()?);
        let output = Output::open(&self.out)?;
        let phase = Phase { steps: self.steps, batch_size: self.batch_size, learning_rate: self.learning_rate };
        let course = EncoderCourse { phase, questions: self.questions, weight_decay: 0.05, clip_norm: 1.0 };
        if !self.quiet {
            let parameters = config.spec(nano::NAME).parameters.total();
            note(&format!("{} steps of {} pictures; {parameters} parameters", self.steps, self.batch_size));
        }
        let lesson_at = |index: usize| lesson(lessons::sample(seed, index));
        let validation: Vec<Lesson> = (0..VALIDATION).map(|index| lesson(lessons::validation_sample(seed, index))).collect();
        let mut progress = Progress::new(self.quiet, &clock);
        let (weights, scores) =
            pretrain_encoder(&config, seed, course, &lesson_at, &validation, &mut |report| progress.show(report))?;
        let command = format!(
            "fedbench pretrain nano-vilt --steps {} --batch-size {} --questions {} --learning-rate {} --seed {}",
            self.steps, self.batch_size, self.questions, self.learning_rate, self.seed
        );
        let card = card(&[("name", nano::NAME), ("command", &command)], &scores, clock.seconds());
        let config_text = format!("{}\n", serde_json::to_string_pretty(&config)?);
        let made: [(&str, &[u8]); 3] =
            [("model.safetensors", &weights), ("config.json", config_text.as_bytes()), ("card.toml", card.as_bytes())];
        output.write(&made)?;
        say(&format!("{card}\nwritten to {}; copy the files to harness/assets/nano-vilt to embed them", self.out.display()));
        Ok(())
    }
}
