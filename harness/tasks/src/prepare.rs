//! Examples as token sequences: to train on, and to be asked.

use std::collections::BTreeSet;
use std::sync::Arc;

use data::{Example, prompt};
use machine::memory::available_bytes;
use models::{Backbone, Sequence, Spec};
use schema::Card;
use schema::card::{Scoring, Target};
use schema::experiment::Checkpoint;

use crate::captioning;
use crate::classes::Right;
use crate::example::{Options, TestExample};
use crate::lengths::check_lengths;
use crate::options::{check_told_apart, options_of};
use crate::split::Split;
use crate::table::measure;
use crate::task::{self, Loss};
use crate::{Error, Result};

/// A training example, ready for batches.
#[derive(Debug, Clone)]
pub struct TrainExample {
    /// Its id.
    pub id: String,
    /// Prompt and gold answer.
    pub sequence: Sequence,
    /// What each class is worth to several people, where a backbone answers by class.
    pub soft: Option<Vec<f32>>,
    /// What sending the raw row costs.
    pub raw_bytes: u64,
}

/// How a backbone is asked.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// Who is asked.
    pub backbone: &'a dyn Backbone,
    /// The card's prompt variant.
    pub prompt: &'a str,
    /// A longer prompt loses its beginning; tokens.
    pub max_prompt_tokens: usize,
    /// Embeddings in front of every sequence ([`models::adapter::AdapterSpec::virtual_tokens`]).
    pub virtual_tokens: usize,
}

impl Asking<'_> {
    /// Refuses a prompt variant that a card does not have, or that holds a mark of the backbone's own: as text of a card it would be asked
    /// letter by letter.
    pub fn check(&self, card: &Card) -> Result<()> {
        for card in card.each() {
            let asked = template(card, self.prompt)?;
            if self.backbone.spec().encoder.is_some() && asked.target == Target::Letter {
                return Err(Error::Usage(format!(
                    "card of dataset `{}`: prompt `{}` asks for a letter, and backbone `{}` answers by class, with the answers' texts: take \
                     one whose `target` is \"text\"",
                    card.name,
                    self.prompt,
                    self.backbone.spec().name
                )));
            }
            for (key, written) in [("template", &asked.template), ("option", &asked.option)] {
                if let Some(special) = self.backbone.text().special_in(written) {
                    return Err(Error::Usage(format!(
                        "card of dataset `{}`: prompt `{}`: `{key}` holds `{special}`, a special token of this backbone; pictures, turns and \
                         ends are put by its chat format: leave it out",
                        card.name, self.prompt
                    )));
                }
            }
        }
        Ok(())
    }

    /// Some of a split's examples with their gold answers, or their right classes where a backbone answers by class, and how many prompts
    /// lost their beginning.
    pub fn to_train(&self, split: &Split, examples: &[Example], classes: Option<&[Right]>) -> Result<(Vec<TrainExample>, usize)> {
        let (mut train, mut prompts_cut) = (Vec::with_capacity(examples.len()), 0);
        for (place, example) in examples.iter().enumerate() {
            let rendered = prompt::render(example, template(&example.card, self.prompt)?);
            let (text, right) = (self.backbone.text(), classes.and_then(|classes| classes.get(place)));
            let (sequence, cut) = match (split.tasks.of(&example.card)?.loss, right) {
                (_, Some(right)) => text.classed(&rendered, &split.pictures(example), self.max_prompt_tokens, right.class as u32),
                (Loss::AnswerTokens, None) => text.training(&rendered, &split.pictures(example), self.max_prompt_tokens),
            }
            .map_err(|error| Error::of_example(&example.id, error))?;
            prompts_cut += usize::from(cut);
            let sequence = sequence.behind_virtual_tokens(self.virtual_tokens);
            check_lengths(&example.id, &sequence, &sequence.branches)?;
            let soft = right.and_then(|right| right.soft.clone());
            train.push(TrainExample { id: example.id.clone(), sequence, soft, raw_bytes: example.raw_bytes });
        }
        Ok((train, prompts_cut))
    }

    /// All of a split's examples with what they may be answered, and how many prompts lost their beginning. `owners` says whose test
    /// shard holds each.
    pub fn to_judge(&self, split: &Split, owners: &[Option<usize>]) -> Result<(Vec<TestExample>, usize)> {
        let (mut test, mut prompts_cut) = (Vec::with_capacity(owners.len()), 0);
        let mut options = Arc::<Options>::default();
        let mut told_apart = options.clone();
        for (example, &shard) in split.dataset.examples.iter().zip(owners) {
            let template = template(&example.card, self.prompt)?;
            let mut rendered = prompt::render(example, template);
            let texts = std::mem::take(&mut rendered.targets);
            let task = split.tasks.of(&example.card)?;
            let by_class = self.backbone.spec().encoder.is_some();
            let scoring = if by_class { Scoring::Class } else { task.answering.of(&example.card, !texts.is_empty()) };
            let text = self.backbone.text();
            let asked = text.scoring(&rendered, &split.pictures(example), self.max_prompt_tokens);
            let (sequence, cut) = asked.map_err(|error| Error::of_example(&example.id, error))?;
            prompts_cut += usize::from(cut);
            let sequence = sequence.behind_virtual_tokens(self.virtual_tokens);
            options = match by_class {
                true if options.texts == texts => options,
                true => Arc::new(Options { texts, branches: Vec::new() }),
                false => options_of(texts, example, text, options)?,
            };
            if scoring == Scoring::OptionLikelihood && !Arc::ptr_eq(&options, &told_apart) {
                check_told_apart(&example.id, &options)?;
                told_apart = options.clone();
            }
            check_lengths(&example.id, &sequence, &options.branches)?;
            let inputs = options.branches.iter().map(|branch| branch.tokens.len().saturating_sub(1)).sum::<usize>();
            test.push(TestExample {
                id: example.id.clone(),
                tokens: sequence.len() + inputs,
                sequence,
                options: options.clone(),
                rendered,
                task,
                metric: measure(task, &example.card)?,
                corpus: None,
                target: template.target,
                scoring,
                option_score: example.card.option_score,
                shard,
            });
        }
        weigh_references(split, &mut test)?;
        Ok((test, prompts_cut))
    }
}

/// Gives the examples of each dataset whose task has references what all of these say together.
fn weigh_references(split: &Split, test: &mut [TestExample]) -> Result<()> {
    let has_references = |example: &TestExample| example.task.target == task::Target::Texts;
    let datasets: Vec<&str> = split.dataset.examples.iter().map(|example| &*example.card.name).collect();
    let named: BTreeSet<&str> =
        datasets.iter().zip(&*test).filter(|(_, example)| has_references(example)).map(|(name, _)| *name).collect();
    for name in named {
        let of_it = datasets.iter().zip(&*test).filter(|(dataset, _)| **dataset == name);
        let golds = of_it.map(|(_, example)| (&*example.id, example.gold()));
        let corpus = captioning::corpus(golds).map_err(|what| Error::Usage(format!("dataset `{name}`: {what}")))?;
        let corpus = Arc::new(corpus);
        for (example, dataset) in test.iter_mut().zip(&datasets) {
            example.corpus = (*dataset == name).then(|| corpus.clone()).or(example.corpus.take());
        }
    }
    Ok(())
}

/// The card's prompt variant of this name.
pub fn template<'c>(card: &'c Card, name: &str) -> Result<&'c schema::card::Prompt> {
    card.prompts.get(name).ok_or_else(|| {
        Error::unknown(&format!("prompt of dataset `{}`", card.name), name, card.prompts.keys().map(String::as_str))
    })
}

/// A batch of the longest examples must fit into memory: its masks, and what a backward pass keeps of every block.
pub fn check_memory(train: &[TrainExample], batch_size: usize, backbone: &dyn Backbone, checkpoint: Checkpoint) -> Result<()> {
    let (Some(free), true) = (available_bytes(), backbone.device().is_cpu()) else { return Ok(()) };
    let Some(longest) = longest(train) else { return Ok(()) };
    let bytes = step_bytes(train, batch_size, backbone.spec(), checkpoint);
    if bytes <= free {
        return Ok(());
    }
    let hint = if checkpoint == Checkpoint::Block { "" } else { ", or set `backbone.checkpoint = \"block\"`" };
    Err(Error::Usage(format!(
        "federation.batch_size = {}: a batch of the longest examples (`{}` has {} tokens) takes about {} MiB, and {} MiB are free; \
         lower it, or `data.max_prompt_tokens`{hint}",
        batch_size.min(train.len()),
        guard::text::line(&longest.id, 80),
        longest.sequence.len(),
        bytes >> 20,
        free >> 20
    )))
}

fn longest(train: &[TrainExample]) -> Option<&TrainExample> {
    train.iter().max_by_key(|example| example.sequence.len())
}

/// Bytes that a step on the longest examples takes, about: its masks, and what is kept for the backward pass; of a batch that is computed
/// again block by block, what enters the blocks, and one block.
pub fn step_bytes(train: &[TrainExample], batch_size: usize, spec: &Spec, checkpoint: Checkpoint) -> u64 {
    let tokens = longest(train).map_or(0, |example| example.sequence.len() as u64);
    let (d, layers, block) = (spec.d_model as u64, spec.layers as u64, kept_numbers(spec));
    let of_token = match checkpoint {
        Checkpoint::None => block * layers,
        Checkpoint::Block => d * layers + block,
    };
    let rows = (batch_size.min(train.len()) as u64).saturating_mul(tokens);
    rows.saturating_mul(tokens + of_token).saturating_mul(4)
}

/// Numbers that the backward pass reads again of a token in a block: what enters the block, queries, keys, values, what was attended to,
/// what enters the MLP, and its two halves.
fn kept_numbers(spec: &Spec) -> u64 {
    let width = |name: &str| spec.sites.iter().find(|site| site.name == format!("layers.0.{name}")).map(|site| site.d_out as u64);
    // An encoder has its activation where others have a gate.
    let gate = if spec.encoder.is_some() { "up_proj" } else { "gate_proj" };
    let widths: Option<Vec<u64>> = ["q_proj", "k_proj", "v_proj", gate, "up_proj"].into_iter().map(width).collect();
    let d = spec.d_model as u64;
    // A decoder that does not name them: about as many as of Llama's kind.
    widths.map_or(8 * d, |widths| 2 * d + widths[0] + widths.iter().sum::<u64>())
}

#[cfg(test)]
mod tests {
    use models::{ComponentParameters, SiteSpec};

    use super::*;

    /// SmolLM2-135M's shape, two sequences of 2,048 tokens: 5,760 numbers a token and block, or the block's input and one block.
    #[test]
    fn what_a_step_keeps_is_counted() {
        let site = |name: &str, d_out: usize| SiteSpec {
            name: format!("layers.0.{name}"),
            group: name.into(),
            d_in: 576,
            d_out,
            before_decoder: false,
        };
        let sites = [("q_proj", 576), ("k_proj", 192), ("v_proj", 192), ("gate_proj", 1536), ("up_proj", 1536)];
        let spec = Spec {
            name: "M".into(),
            parameters: ComponentParameters { vision: 0, connector: 0, embedding: 0, decoder: 0 },
            d_model: 576,
            layers: 30,
            vocabulary: 1,
            image_tokens: 1,
            image_flops: 0.0,
            bytes_per_number: 4,
            sites: sites.into_iter().map(|(name, width)| site(name, width)).collect(),
            head: Vec::new(),
            encoder: None,
        };
        let sequence = Sequence { prefix: vec![0; 2048], images: vec![], branches: vec![] };
        let train = vec![TrainExample { id: "a".into(), sequence, soft: None, raw_bytes: 0 }; 2];
        let bytes = |size, checkpoint| step_bytes(&train, size, &spec, checkpoint);
        assert_eq!(bytes(2, Checkpoint::None), 4 * 4096 * (2048 + 5760 * 30));
        assert_eq!(bytes(9, Checkpoint::Block), 4 * 4096 * (2048 + 576 * 30 + 5760), "no more rows than there are");
        assert_eq!(step_bytes(&[], 4, &spec, Checkpoint::None), 0);
    }
}
