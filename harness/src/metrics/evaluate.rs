//! Judging adapters on test examples: option likelihood, or greedy generation and parsing.

use rayon::prelude::*;
use schema::Prediction;
use schema::card::{OptionScore, Scoring, Target};

use crate::Result;
use crate::adapter::{Adapt, Adapters};
use crate::backbone::{Branch, Sequence};
use crate::data::{Rendered, prompt};
use crate::metrics;
use crate::study::Study;

/// A test example, ready for batches.
#[derive(Debug, Clone)]
pub struct TestExample {
    /// Its id.
    pub id: String,
    /// Prompt, and every option as a branch.
    pub sequence: Sequence,
    /// The prompt's parts.
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
    let size = study.experiment().evaluation.batch_size;
    let ranked = by_length(study, ranked);
    let scores: Vec<Vec<Vec<f64>>> =
        ranked.par_chunks(size).map(|chunk| option_scores(study, adapt, chunk)).collect::<Result<_>>()?;
    for (&example, scores) in ranked.iter().zip(scores.into_iter().flatten()) {
        answered.push((example, ranked_prediction(&study.test()[example], scores, client)));
    }
    let generated = by_length(study, generated);
    let texts: Vec<Vec<String>> = generated.par_chunks(size).map(|chunk| generate(study, adapt, chunk)).collect::<Result<_>>()?;
    for (&example, text) in generated.iter().zip(texts.into_iter().flatten()) {
        answered
            .push((example, generated_prediction(&study.test()[example], text, client, &study.test_split().dataset.card.metric)));
    }
    answered.sort_by_key(|(example, _)| *example);
    Ok(answered.into_iter().map(|(_, prediction)| prediction).collect())
}

/// Like lengths together, so that little is padded.
fn by_length(study: &Study, mut examples: Vec<usize>) -> Vec<usize> {
    examples.sort_by_key(|&example| (study.test()[example].sequence.len(), example));
    examples
}

/// Log-likelihood of every option of every example, normalised as the card says.
fn option_scores(study: &Study, adapt: &dyn Adapt, examples: &[usize]) -> Result<Vec<Vec<f64>>> {
    let sequences: Vec<&Sequence> = examples.iter().map(|&example| &study.test()[example].sequence).collect();
    let batch = study.batch(&sequences)?;
    let rows = study.test_log_likelihoods(&batch, adapt)?.to_dtype(candle_core::DType::F64)?.to_vec1::<f64>()?;
    let mut scores: Vec<Vec<f64>> = sequences.iter().map(|sequence| vec![0.0; sequence.branches.len()]).collect();
    for (owner, row) in batch.owners.iter().zip(rows) {
        scores[owner.sequence][owner.branch] += row;
    }
    for (scores, example) in scores.iter_mut().zip(examples.iter().map(|&example| &study.test()[example])) {
        if example.option_score == OptionScore::Mean {
            for (score, branch) in scores.iter_mut().zip(&example.sequence.branches) {
                *score /= branch.tokens.len() as f64;
            }
        }
    }
    Ok(scores)
}

fn ranked_prediction(example: &TestExample, scores: Vec<f64>, client: Option<usize>) -> Prediction {
    let best = scores.iter().enumerate().fold(0, |best, (i, &score)| if score > scores[best] { i } else { best });
    Prediction {
        example: example.id.clone(),
        client: client.map(|id| id as u32),
        shard: example.shard.map(|id| id as u32),
        scoring: Scoring::OptionLikelihood,
        prediction: example.rendered.targets.get(best).cloned().unwrap_or_default(),
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
    for _ in 0..study.experiment().evaluation.max_new_tokens {
        let grown: Vec<Sequence> = open.iter().map(|&i| grown(&study.test()[examples[i]].sequence, &said[i])).collect();
        let batch = study.batch(&grown.iter().collect::<Vec<_>>())?;
        let next = study.test_logits(&batch, adapt)?.argmax(1)?.to_vec1::<u32>()?;
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
    let rendered = &example.rendered;
    let score = (!rendered.people.is_empty()).then(|| metrics::score(metric, &text, &rendered.people));
    let (parsed, correct) = if let Some(score) = score {
        (!text.trim().is_empty(), score >= 0.5)
    } else if rendered.targets.is_empty() {
        let said = prompt::normalize(&text);
        (!said.is_empty(), said == prompt::normalize(&rendered.gold_text))
    } else {
        let choice = prompt::parse_choice(&text, &rendered.targets, example.target);
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
        study.test().iter().filter(|e| !e.rendered.targets.is_empty()).map(|e| 1.0 / e.rendered.targets.len() as f64).sum();
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
