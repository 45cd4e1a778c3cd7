//! Both phases over a model's weights: lessons in parts, gradients in their order.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use rayon::prelude::*;

use super::dialogue::Dialogues;
use super::grounding::Names;
use super::lesson::{Lesson, pixels};
use super::muon::Muon;
use super::schedule::{Phase, Schedule, StepReport};
use crate::llava::Llava;
use crate::{Backbone, Error, Result};

/// A model in training.
pub(super) struct Trainer<'a> {
    pub(super) model: &'a Llava,
    pub(super) vars: &'a BTreeMap<String, Var>,
    pub(super) schedule: Schedule,
    /// Lessons whose gradients one thread computes at a time; fixed, so that the sums do not depend on the thread count.
    pub(super) part: usize,
    pub(super) lesson: &'a (dyn Fn(usize) -> Lesson + Sync),
}

/// The loss that is reported, and the gradients of the one that is trained.
pub(super) type Judged = (f64, GradStore);

impl Trainer<'_> {
    pub(super) fn both_phases(&self, report: &mut dyn FnMut(StepReport)) -> Result<()> {
        let Schedule { grounding, dialogue, .. } = self.schedule;
        let seen = grounding.steps * grounding.batch_size;
        self.run("grounding", grounding, 0, &|lessons| self.grounding(lessons), report)?;
        self.run("dialogue", dialogue, seen, &|lessons| self.dialogue(lessons), report)
    }

    /// One phase over the lessons from `first` on.
    fn run(
        &self,
        name: &'static str,
        phase: Phase,
        first: usize,
        judge: &dyn Fn(&[Lesson]) -> Result<Judged>,
        report: &mut dyn FnMut(StepReport),
    ) -> Result<()> {
        let parameters = ParamsAdamW { beta2: 0.98, weight_decay: self.schedule.weight_decay, ..ParamsAdamW::default() };
        let others = self.vars.iter().filter(|(name, var)| !Muon::serves(name, var)).map(|(_, var)| var.clone());
        let (mut adamw, mut muon) =
            (AdamW::new(others.collect(), parameters)?, Muon::new(self.vars, self.schedule.weight_decay)?);
        for step in 0..phase.steps {
            let first = first + step * phase.batch_size;
            let lessons: Vec<Lesson> = (first..first + phase.batch_size).into_par_iter().map(self.lesson).collect();
            let (loss, mut gradients) = judge(&lessons)?;
            clip(self.vars, &mut gradients, self.schedule.clip_norm)?;
            let rate = phase.rate(step);
            muon.step(&gradients, rate)?;
            adamw.set_learning_rate(rate);
            adamw.step(&gradients)?;
            report(StepReport { phase: name, step: step + 1, steps: phase.steps, loss });
        }
        Ok(())
    }

    fn grounding(&self, lessons: &[Lesson]) -> Result<Judged> {
        let names = lessons.par_chunks(self.part).map(|part| Names::new(self.model, part)).collect::<Result<Vec<_>>>()?;
        let counts = total(&names);
        self.over_parts(lessons, |i, features| {
            let loss = names[i].loss(self.model, features, counts)?;
            Ok((f64::from(loss.to_scalar::<f32>()?), loss.backward()?))
        })
    }

    fn dialogue(&self, lessons: &[Lesson]) -> Result<Judged> {
        let parts = || lessons.par_chunks(self.part);
        let names = parts().map(|part| Names::new(self.model, part)).collect::<Result<Vec<_>>>()?;
        let dialogues = parts().map(|part| Dialogues::new(self.model, part)).collect::<Result<Vec<_>>>()?;
        let counts = total(&names);
        let tokens = dialogues.iter().map(Dialogues::tokens).sum::<usize>() as f64;
        self.over_parts(lessons, |i, features| {
            let spoken = (dialogues[i].loss(self.model, features)? / tokens)?;
            let named = (names[i].loss(self.model, features, counts)? * self.schedule.grounding_weight)?;
            Ok((f64::from(spoken.to_scalar::<f32>()?), (spoken + named)?.backward()?))
        })
    }

    /// Sums of what `judge` says of each part, from the part's index and image tokens; in the parts' order.
    fn over_parts(&self, lessons: &[Lesson], judge: impl Fn(usize, &Tensor) -> Result<Judged> + Sync) -> Result<Judged> {
        let parts: Vec<Judged> = lessons
            .par_chunks(self.part)
            .enumerate()
            .map(|(i, part)| judge(i, &self.model.encode(&pixels(self.model, part)?)?))
            .collect::<Result<_>>()?;
        sum_of_parts(self.vars, parts)
    }
}

/// Losses and gradients of the parts of a step, in their order.
pub(super) fn sum_of_parts(vars: &BTreeMap<String, Var>, parts: Vec<Judged>) -> Result<Judged> {
    let mut parts = parts.into_iter();
    let mut sum = parts.next().ok_or_else(|| Error::Usage("a pretraining step needs at least one lesson".into()))?;
    for (loss, gradients) in parts {
        sum.0 += loss;
        add(vars, &mut sum.1, gradients)?;
    }
    Ok(sum)
}

fn total(names: &[Names]) -> [usize; 2] {
    names.iter().map(Names::counts).fold([0, 0], |sum, counts| [sum[0] + counts[0], sum[1] + counts[1]])
}

/// Adds gradients to a sum of gradients.
fn add(vars: &BTreeMap<String, Var>, sum: &mut GradStore, mut part: GradStore) -> Result<()> {
    for var in vars.values() {
        if let Some(gradient) = part.remove(var) {
            let both = match sum.remove(var) {
                Some(sum) => (sum + gradient)?,
                None => gradient,
            };
            sum.insert(var, both);
        }
    }
    Ok(())
}

/// Scales gradients so that their joint norm is at most `limit`.
pub(super) fn clip(vars: &BTreeMap<String, Var>, gradients: &mut GradStore, limit: f64) -> Result<()> {
    let mut square = 0.0;
    for var in vars.values() {
        if let Some(gradient) = gradients.get(var) {
            square += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
        }
    }
    let norm = square.sqrt();
    if norm > limit {
        for var in vars.values() {
            if let Some(gradient) = gradients.remove(var) {
                gradients.insert(var, (gradient * (limit / norm))?);
            }
        }
    }
    Ok(())
}
