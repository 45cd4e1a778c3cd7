//! Judging adapters on test examples: option likelihood, or greedy generation and parsing.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{DType, Tensor};
use rayon::prelude::*;
use schema::Prediction;
use schema::card::{OptionScore, Scoring, Target};

use crate::adapter::{Adapt, Adapters, Untouched};
use crate::backbone::batch::{BRANCH_TOKENS, MASK_NUMBERS, pieces};
use crate::backbone::{Branch, Sequence};
use crate::data::{Rendered, prompt};
use crate::metrics;
use crate::study::Study;
use crate::{Error, Result};

/// What an example is answered with, shared by all examples that have the same options.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// As texts (or letters); none for free text.
    pub texts: Vec<String>,
    /// As they continue the prompt.
    pub branches: Vec<Branch>,
}

/// A test example, ready for batches.
#[derive(Debug, Clone)]
pub struct TestExample {
    /// Its id.
    pub id: String,
    /// The prompt.
    pub sequence: Sequence,
    /// What may follow it.
    pub options: Arc<Options>,
    /// Tokens of both.
    pub tokens: usize,
    /// The prompt's parts, without the options.
    pub rendered: Rendered,
    /// What the model is to say.
    pub target: Target,
    /// How it is answered.
    pub scoring: Scoring,
    /// How an option's log-likelihood is normalised.
    pub option_score: OptionScore,
    /// The client whose test shard holds it.
    pub shard: Option<usize>,
}

/// Accuracies from one evaluation.
#[derive(Debug, Clone, Default)]
pub struct Judgement {
    /// On the whole test split; the mean over clients where they have their own adapters. None where that was left out.
    pub accuracy: Option<f64>,
    /// Each client on its own test shard; none for an empty one.
    pub clients: Vec<Option<f64>>,
    /// Share of generated answers that could not be parsed.
    pub unparsed_rate: f64,
}

impl Judgement {
    fn known(&self) -> Vec<f64> {
        self.clients.iter().flatten().copied().collect()
    }

    /// Mean over clients that have test examples.
    pub fn client_mean(&self) -> Option<f64> {
        let known = self.known();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    }

    /// How many clients that is the mean of; none where it is of none.
    pub fn clients_judged(&self) -> Option<usize> {
        Some(self.known().len()).filter(|judged| *judged > 0)
    }

    /// The worst client.
    pub fn client_min(&self) -> Option<f64> {
        self.known().into_iter().reduce(f64::min)
    }

    /// Standard deviation (n - 1) over clients; 0 for a single one.
    pub fn client_std(&self) -> f64 {
        let known = self.known();
        let Some(mean) = self.client_mean().filter(|_| known.len() > 1) else { return 0.0 };
        (known.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (known.len() - 1) as f64).sqrt()
    }
}

/// Judges one set of adapters on the whole test split.
pub fn judge_global(study: &Study, adapters: &Adapters) -> Result<(Judgement, Vec<Prediction>)> {
    check_finite(adapters, || "the global adapters".into())?;
    let all: Vec<usize> = (0..study.num_test()).collect();
    let predictions = predict(study, &study.adapter().attach(adapters)?, &all, None)?;
    let clients =
        (0..study.shards().len()).map(|client| accuracy(predictions.iter().filter(|p| p.shard == Some(client as u32)))).collect();
    let judgement = Judgement { accuracy: accuracy(&predictions), clients, unparsed_rate: unparsed_rate(&predictions) };
    Ok((judgement, predictions))
}

/// Judges each client's own adapters on its own test shard, and (if `everywhere`) on the whole test split.
pub fn judge_clients(study: &Study, personal: &[(usize, Adapters)], everywhere: bool) -> Result<(Judgement, Vec<Prediction>)> {
    let all: Vec<usize> = (0..study.num_test()).collect();
    let mut predictions = Vec::new();
    let mut judgement = Judgement { clients: vec![None; study.shards().len()], ..Judgement::default() };
    let mut on_all = Vec::new();
    for (client, adapters) in personal {
        check_finite(adapters, || format!("client {client}'s own adapters"))?;
        let examples = if everywhere { &all } else { &study.shards()[*client].test };
        let answered = predict(study, &study.adapter().attach(adapters)?, examples, Some(*client))?;
        judgement.clients[*client] = accuracy(answered.iter().filter(|p| p.shard == Some(*client as u32)));
        on_all.extend(accuracy(&answered));
        predictions.extend(answered);
    }
    judgement.accuracy = (everywhere && !on_all.is_empty()).then(|| on_all.iter().sum::<f64>() / on_all.len() as f64);
    judgement.unparsed_rate = unparsed_rate(&predictions);
    Ok((judgement, predictions))
}

/// Adapters that hold a number that is not finite would answer like nobody, and still be right at times.
pub fn check_finite(adapters: &Adapters, whose: impl FnOnce() -> String) -> Result<()> {
    match adapters.not_finite()? {
        Some(tensor) => Err(Error::AdaptersNotFinite { whose: whose(), tensor: tensor.into() }),
        None => Ok(()),
    }
}

fn accuracy<'p>(predictions: impl IntoIterator<Item = &'p Prediction>) -> Option<f64> {
    let (mut sum, mut n) = (0.0, 0usize);
    for prediction in predictions {
        sum += prediction.value();
        n += 1;
    }
    (n > 0).then(|| sum / n as f64)
}

fn unparsed_rate(predictions: &[Prediction]) -> f64 {
    let generated = predictions.iter().filter(|p| p.scoring == Scoring::Generation);
    let (n, unparsed) = generated.fold((0usize, 0usize), |(n, unparsed), p| (n + 1, unparsed + usize::from(!p.parsed)));
    if n == 0 { 0.0 } else { unparsed as f64 / n as f64 }
}

/// Answers test examples, in the order asked for.
pub fn predict(study: &Study, adapt: &dyn Adapt, examples: &[usize], client: Option<usize>) -> Result<Vec<Prediction>> {
    let (ranked, generated): (Vec<usize>, Vec<usize>) =
        examples.iter().partition(|&&example| study.test()[example].scoring == Scoring::OptionLikelihood);
    let mut answered: Vec<(usize, Prediction)> = Vec::with_capacity(examples.len());
    let ranked = by_length(study, ranked);
    for (&example, scores) in ranked.iter().zip(option_scores(study, adapt, &ranked)?) {
        answered.push((example, ranked_prediction(&study.test()[example], scores, client)));
    }
    let generated = by_length(study, generated);
    let lots = lots(study, &generated, |_| vec![Range { start: 0, end: 0 }]);
    let lots: Vec<Vec<usize>> = lots.iter().map(|lot| lot.iter().map(|part| generated[part.at]).collect()).collect();
    let texts: Vec<Vec<String>> = lots.par_iter().map(|lot| generate(study, adapt, lot)).collect::<Result<_>>()?;
    for (&example, text) in generated.iter().zip(texts.into_iter().flatten()) {
        answered
            .push((example, generated_prediction(&study.test()[example], text, client, &study.test_split().dataset.card.metric)));
    }
    answered.sort_by_key(|(example, _)| *example);
    Ok(answered.into_iter().map(|(_, prediction)| prediction).collect())
}

/// Like lengths together, so that little is padded.
fn by_length(study: &Study, mut examples: Vec<usize>) -> Vec<usize> {
    examples.sort_by_key(|&example| (study.test()[example].tokens, example));
    examples
}

/// Some options of one example.
struct Part {
    /// The example, by its place among those asked for.
    at: usize,
    options: Range<usize>,
}

/// What goes through the model together: `evaluation.batch_size` examples in order, or fewer where their mask would pass
/// [`MASK_NUMBERS`]; an example's parts are `cut`'s.
fn lots(study: &Study, examples: &[usize], cut: impl Fn(&TestExample) -> Vec<Range<usize>>) -> Vec<Vec<Part>> {
    let size = study.experiment().evaluation.batch_size;
    let mut lots: Vec<Vec<Part>> = Vec::new();
    for (chunk, first) in examples.chunks(size).zip((0..).step_by(size)) {
        let (mut lot, mut width) = (Vec::new(), 0);
        for (i, &example) in chunk.iter().enumerate() {
            let example = &study.test()[example];
            for options in cut(example) {
                let wide = width.max(example.width(study, &options));
                if !lot.is_empty() && (lot.len() + 1).saturating_mul(wide * wide) > MASK_NUMBERS {
                    lots.push(std::mem::take(&mut lot));
                    width = 0;
                }
                width = width.max(example.width(study, &options));
                lot.push(Part { at: first + i, options });
            }
        }
        lots.push(lot);
    }
    lots
}

/// Numbers of the largest mask that judging the test split makes, and tokens of that batch.
pub fn largest_batch(study: &Study) -> (usize, usize) {
    let order = by_length(study, (0..study.num_test()).collect());
    let cut = |example: &TestExample| match example.scoring {
        Scoring::OptionLikelihood => pieces(&example.options.branches, BRANCH_TOKENS),
        Scoring::Generation => vec![Range { start: 0, end: 0 }],
    };
    let size = |lot: &Vec<Part>| {
        let wide = lot.iter().map(|part| study.test()[order[part.at]].width(study, &part.options)).max().unwrap_or(0);
        (lot.len() * wide * wide, lot.len() * wide)
    };
    lots(study, &order, cut).iter().map(size).max().unwrap_or_default()
}

impl TestExample {
    /// Tokens of a sequence with some of the options, about: none are those of a generated answer.
    pub(crate) fn width(&self, study: &Study, options: &Range<usize>) -> usize {
        let answer = match options.is_empty() {
            true => study.experiment().evaluation.max_new_tokens,
            false => self.options.branches[options.clone()].iter().map(|branch| branch.tokens.len()).sum(),
        };
        self.sequence.len() + answer
    }
}

/// Log-likelihood of every option of every example, normalised as the card says; all of them finite.
fn option_scores(study: &Study, adapt: &dyn Adapt, examples: &[usize]) -> Result<Vec<Vec<f64>>> {
    let lots = lots(study, examples, |example| pieces(&example.options.branches, BRANCH_TOKENS));
    let of_lots: Vec<Vec<f64>> = lots.par_iter().map(|lot| part_scores(study, adapt, examples, lot)).collect::<Result<_>>()?;
    let mut scores: Vec<Vec<f64>> = vec![Vec::new(); examples.len()];
    let parts = lots.iter().flatten().flat_map(|part| part.options.clone().map(|_| part.at));
    for (at, score) in parts.zip(of_lots.into_iter().flatten()) {
        scores[at].push(score);
    }
    for (scores, example) in scores.iter_mut().zip(examples.iter().map(|&example| &study.test()[example])) {
        check_scores(study, example, scores)?;
        if example.option_score == OptionScore::Mean {
            for (score, branch) in scores.iter_mut().zip(&example.options.branches) {
                *score /= branch.tokens.len() as f64;
            }
        }
    }
    Ok(scores)
}

/// The summed log-likelihoods of some parts' options, one after the other.
fn part_scores(study: &Study, adapt: &dyn Adapt, examples: &[usize], parts: &[Part]) -> Result<Vec<f64>> {
    let sequence = |part: &Part| {
        let example = &study.test()[examples[part.at]];
        example.sequence.with_piece(&example.options.branches, part.options.clone())
    };
    let sequences: Vec<Sequence> = parts.iter().map(sequence).collect();
    let batch = study.batch(&sequences.iter().collect::<Vec<_>>())?;
    let rows = study.test_log_likelihoods(&batch, adapt)?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
    let mut scores: Vec<Vec<f64>> = parts.iter().map(|part| vec![0.0; part.options.len()]).collect();
    for (owner, row) in batch.owners.iter().zip(rows) {
        scores[owner.sequence][owner.branch] += row;
    }
    Ok(scores.concat())
}

/// A score that is not finite is larger than none and smaller than none: it would be the first option's victory.
fn check_scores(study: &Study, example: &TestExample, scores: &[f64]) -> Result<()> {
    let Some((option, &value)) = scores.iter().enumerate().find(|(_, score)| !score.is_finite()) else { return Ok(()) };
    let alone = example.sequence.with_piece(&example.options.branches, option..option + 1);
    let rows = study.test_log_likelihoods(&study.batch(&[&alone])?, &Untouched)?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
    let text = example.options.texts.get(option).map(String::as_str).unwrap_or_default();
    Err(Error::Score {
        example: example.id.clone(),
        what: format!("option {} (`{}`)", option + 1, guard::text::line(text, 80)),
        value,
        by_adapters: rows.iter().all(|row| row.is_finite()),
    })
}

/// The likeliest token of every row `[rows, vocabulary]`; the rows are those of these examples, which have said so many tokens.
fn likeliest(study: &Study, logits: &Tensor, batch: &[&Sequence], examples: &[&TestExample], said: usize) -> Result<Vec<u32>> {
    let numbers = logits.to_dtype(DType::F32)?.to_vec2::<f32>()?;
    for ((row, sequence), example) in numbers.iter().zip(batch).zip(examples) {
        let Some(&value) = row.iter().find(|logit| !logit.is_finite()) else { continue };
        let alone = study.test_logits(&study.batch(&[sequence])?, &Untouched)?.to_dtype(DType::F32)?.flatten_all()?;
        return Err(Error::Score {
            example: example.id.clone(),
            what: format!("token {} of its answer", said + 1),
            value: f64::from(value),
            by_adapters: alone.to_vec1::<f32>()?.iter().all(|logit| logit.is_finite()),
        });
    }
    Ok(logits.argmax(1)?.to_vec1::<u32>()?)
}

fn ranked_prediction(example: &TestExample, scores: Vec<f64>, client: Option<usize>) -> Prediction {
    let best = scores.iter().enumerate().fold(0, |best, (i, &score)| if score > scores[best] { i } else { best });
    Prediction {
        example: example.id.clone(),
        client: client.map(|id| id as u32),
        shard: example.shard.map(|id| id as u32),
        scoring: Scoring::OptionLikelihood,
        prediction: example.options.texts.get(best).cloned().unwrap_or_default(),
        gold: example.rendered.gold_text.clone(),
        correct: example.rendered.gold == Some(best),
        parsed: true,
        option_scores: scores,
        gold_option: example.rendered.gold.map(|option| option as u32),
        score: None,
    }
}

/// Greedy decoding, all examples of the batch at once, until each says its end token or the limit is reached.
fn generate(study: &Study, adapt: &dyn Adapt, examples: &[usize]) -> Result<Vec<String>> {
    let text = study.backbone().text();
    let mut said: Vec<Vec<u32>> = vec![Vec::new(); examples.len()];
    let mut open: Vec<usize> = (0..examples.len()).collect();
    for step in 0..study.experiment().evaluation.max_new_tokens {
        let asked: Vec<&TestExample> = open.iter().map(|&i| &study.test()[examples[i]]).collect();
        let grown: Vec<Sequence> = open.iter().zip(&asked).map(|(&i, example)| grown(&example.sequence, &said[i])).collect();
        let grown: Vec<&Sequence> = grown.iter().collect();
        let logits = study.test_logits(&study.batch(&grown)?, adapt)?;
        let next = likeliest(study, &logits, &grown, &asked, step)?;
        for (&i, token) in open.iter().zip(next) {
            said[i].push(token);
        }
        open.retain(|&i| said[i].last() != Some(&text.end_token()));
        if open.is_empty() {
            break;
        }
    }
    said.iter().map(|ids| Ok(text.decode(ids)?.trim().to_owned())).collect()
}

/// The prompt and what has been said so far, with one row read: where the next token is decided.
fn grown(sequence: &Sequence, said: &[u32]) -> Sequence {
    let mut tokens = said.to_vec();
    tokens.push(0);
    let branch = Branch { read_from: said.len(), tokens };
    Sequence { prefix: sequence.prefix.clone(), images: sequence.images.clone(), branches: vec![branch] }
}

fn generated_prediction(example: &TestExample, text: String, client: Option<usize>, metric: &str) -> Prediction {
    let (rendered, options) = (&example.rendered, &example.options.texts);
    let score = (!rendered.people.is_empty()).then(|| metrics::score(metric, &text, &rendered.people));
    let (parsed, correct) = if let Some(score) = score {
        (!text.trim().is_empty(), score >= 0.5)
    } else if options.is_empty() {
        let said = prompt::normalize(&text);
        (!said.is_empty(), said == prompt::normalize(&rendered.gold_text))
    } else {
        let choice = prompt::parse_choice(&text, options, example.target);
        (choice.is_some(), choice.is_some() && choice == rendered.gold)
    };
    Prediction {
        example: example.id.clone(),
        client: client.map(|id| id as u32),
        shard: example.shard.map(|id| id as u32),
        scoring: Scoring::Generation,
        prediction: text,
        gold: rendered.gold_text.clone(),
        correct,
        parsed,
        option_scores: Vec::new(),
        gold_option: None,
        score,
    }
}

/// Expected accuracy of a uniform guess, and accuracy of always giving the test split's most frequent option position or answer.
pub fn trivial_accuracies(study: &Study) -> (f64, f64) {
    let n = study.num_test().max(1) as f64;
    let chance: f64 =
        study.test().iter().filter(|e| !e.options.texts.is_empty()).map(|e| 1.0 / e.options.texts.len() as f64).sum();
    let share = |key: &dyn Fn(&TestExample) -> Option<String>| {
        let mut counts = std::collections::BTreeMap::<String, usize>::new();
        for key in study.test().iter().filter_map(key) {
            *counts.entry(key).or_default() += 1;
        }
        counts.into_values().max().unwrap_or(0) as f64 / n
    };
    let position = share(&|e| e.rendered.gold.map(|gold| gold.to_string()));
    let answer = match study.test().iter().any(|e| !e.rendered.people.is_empty()) {
        true => most_frequent_score(study),
        false => share(&|e| Some(e.rendered.gold_text.clone())),
    };
    // The empty sum is -0.
    (chance / n + 0.0, position.max(answer))
}

/// The mean score of always giving the test split's most frequent answer, where several people's answers judge.
fn most_frequent_score(study: &Study) -> f64 {
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for example in study.test() {
        *counts.entry(&example.rendered.gold_text).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count).map_or("", |(answer, _)| answer);
    let metric = &study.test_split().dataset.card.metric;
    let scores = study.test().iter().map(|example| metrics::score(metric, most, &example.rendered.people));
    scores.sum::<f64>() / study.num_test().max(1) as f64
}
