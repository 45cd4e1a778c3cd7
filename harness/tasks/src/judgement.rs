//! Accuracies over the test split and over clients, from answers.

use models::adapter::Adapters;
use schema::Prediction;
use schema::card::Scoring;

use crate::judge::Judge;
use crate::predict::{predict, predict_watched};
use crate::{Error, Result};

/// Accuracies from one evaluation.
#[derive(Debug, Clone, Default)]
pub struct Judgement {
    /// On the whole test split; the mean over clients where they have their own adapters. None where that was left out.
    pub accuracy: Option<f64>,
    /// Each client on its own test shard; none for an empty one.
    pub clients: Vec<Option<f64>>,
    /// Share of generated answers that could not be parsed.
    pub unparsed_rate: f64,
    /// Whether clients are judged by several metrics, of which there is no mean.
    pub is_mixed: bool,
}

impl Judgement {
    fn known(&self) -> Vec<f64> {
        self.clients.iter().flatten().copied().collect()
    }

    /// From what clients answered with adapters of their own, on their own test shards or (if `everywhere`) on the whole test split.
    pub fn of_clients(judge: &Judge, answered: &[(usize, Vec<Prediction>)], everywhere: bool) -> Self {
        let mut judgement = Self { clients: vec![None; judge.shards.len()], is_mixed: judge.is_mixed, ..Self::default() };
        let mut on_all = Vec::new();
        for (client, answers) in answered {
            judgement.clients[*client] = accuracy(judge, answers.iter().filter(|p| p.shard == Some(*client as u32)));
            on_all.extend(accuracy(judge, answers));
        }
        judgement.accuracy = (everywhere && !on_all.is_empty()).then(|| on_all.iter().sum::<f64>() / on_all.len() as f64);
        judgement.unparsed_rate = unparsed_rate(answered.iter().flat_map(|(_, answers)| answers));
        judgement
    }

    /// Mean over clients that have test examples.
    pub fn client_mean(&self) -> Option<f64> {
        let known = self.known();
        (!known.is_empty() && !self.is_mixed).then(|| known.iter().sum::<f64>() / known.len() as f64)
    }

    /// How many clients that is the mean of; none where it is of none.
    pub fn clients_judged(&self) -> Option<usize> {
        Some(self.known().len()).filter(|judged| *judged > 0)
    }

    /// The worst client.
    pub fn client_min(&self) -> Option<f64> {
        self.known().into_iter().reduce(f64::min).filter(|_| !self.is_mixed)
    }

    /// Standard deviation (n - 1) over clients; 0 for a single one.
    pub fn client_std(&self) -> f64 {
        let known = self.known();
        let Some(mean) = self.client_mean().filter(|_| known.len() > 1) else { return 0.0 };
        (known.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (known.len() - 1) as f64).sqrt()
    }
}

/// Judges one set of adapters on the whole test split.
pub fn judge_global(judge: &Judge, adapters: &Adapters) -> Result<(Judgement, Vec<Prediction>)> {
    check_finite(adapters, || "the global adapters".into())?;
    let all: Vec<usize> = (0..judge.examples.len()).collect();
    let predictions = predict(judge, &judge.adapter.attach(adapters)?, &all, None)?;
    Ok((of_all(judge, &predictions), predictions))
}

/// The same, and says of how many examples it is done with as it goes.
pub fn judge_watched(judge: &Judge, adapters: &Adapters, done: &mut dyn FnMut(usize)) -> Result<(Judgement, Vec<Prediction>)> {
    check_finite(adapters, || "the global adapters".into())?;
    let all: Vec<usize> = (0..judge.examples.len()).collect();
    let predictions = predict_watched(judge, &judge.adapter.attach(adapters)?, &all, done)?;
    Ok((of_all(judge, &predictions), predictions))
}

/// From one answer to each example.
fn of_all(judge: &Judge, predictions: &[Prediction]) -> Judgement {
    let of_shard = |client: usize| predictions.iter().filter(move |p| p.shard == Some(client as u32));
    let clients = (0..judge.shards.len()).map(|client| accuracy(judge, of_shard(client))).collect();
    let (accuracy, unparsed_rate) = (accuracy(judge, predictions), unparsed_rate(predictions));
    Judgement { accuracy, clients, unparsed_rate, is_mixed: judge.is_mixed }
}

/// A client's answers with adapters of its own, on its own test shard or (if `everywhere`) on the whole test split.
pub fn answers_of(judge: &Judge, client: usize, adapters: &Adapters, everywhere: bool) -> Result<Vec<Prediction>> {
    check_finite(adapters, || format!("client {client}'s own adapters"))?;
    predict(judge, &judge.adapter.attach(adapters)?, &judge.asked(client, everywhere), Some(client))
}

/// Adapters that hold a number that is not finite would answer like nobody, and still be right at times.
pub fn check_finite(adapters: &Adapters, whose: impl FnOnce() -> String) -> Result<()> {
    match adapters.not_finite()? {
        Some(tensor) => Err(Error::AdaptersNotFinite { whose: whose(), tensor: tensor.into() }),
        None => Ok(()),
    }
}

/// By the card's metric, whatever that is.
fn accuracy<'p>(judge: &Judge, predictions: impl IntoIterator<Item = &'p Prediction>) -> Option<f64> {
    judge.accuracy(&predictions.into_iter().collect::<Vec<_>>())
}

fn unparsed_rate<'p>(predictions: impl IntoIterator<Item = &'p Prediction>) -> f64 {
    let generated = predictions.into_iter().filter(|p| p.scoring == Scoring::Generation);
    let (n, unparsed) = generated.fold((0usize, 0usize), |(n, unparsed), p| (n + 1, unparsed + usize::from(!p.parsed)));
    if n == 0 { 0.0 } else { unparsed as f64 / n as f64 }
}
