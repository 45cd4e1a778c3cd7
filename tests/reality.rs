//! What happens to federations outside of papers: clients that break, drop out, are slow, send few bits, keep secrets, or hold other
//! datasets than their neighbours.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use baselines::METHODS;
use candle_core::Tensor;
use data::Dataset;
use federation::aggregate::Mean;
use federation::{self, Client, InProcess, Method, Outcome, Round, Scope, Sets, Unwatched, Update};
use models::adapter::{AdapterSpec, Adapters};
use schema::experiment::{Budget, PartitionScheme, Wire};
use schema::metrics::Metric;
use tasks::Split;

use crate::support::{Test, within};
use crate::tiny::{self, difference, difference_in_effect, experiment, run, study, uploading};

/// How a client's update may be broken.
#[derive(Clone, Copy)]
enum Harm {
    NotFinite,
    WrongRank,
    UnknownName,
}

/// Some clients' updates are broken: they are left out and recorded; if that leaves none, the run says so.
struct Poisoned(&'static [usize], Harm, Mean);

impl Method for Poisoned {
    fn train(&self, client: &mut Client, received: &Sets) -> federation::Result<Update> {
        let adapters = received.get("adapters")?;
        let harmed = match (self.0.contains(&client.id()), self.1) {
            (false, _) => adapters.scale(2.0)?,
            (true, Harm::NotFinite) => adapters.scale(f64::NAN)?,
            (true, Harm::WrongRank) => adapters.map(|x| Tensor::cat(&[x, x], 0))?,
            (true, Harm::UnknownName) => adapters.iter().map(|(name, x)| (format!("my.{name}"), x.clone())).collect(),
        };
        Ok(client.update(Default::default()).with("adapters", harmed))
    }

    fn receive(&mut self, update: Update, _global: &Adapters, _round: Round) -> federation::Result<()> {
        assert!(!self.0.contains(&update.client), "the broken update of client {} arrived", update.client);
        self.2.add(update.set("adapters")?, 1.0)
    }

    fn aggregate(&mut self, _global: &Adapters, _round: Round) -> federation::Result<Adapters> {
        self.2.take()
    }
}

/// See [`Poisoned`]; with every encoding, few bits included, whose rounding must not make a number of what is none.
#[test]
fn broken_updates_are_left_out() -> Test {
    for (harm, uplink, said) in [
        (Harm::NotFinite, Wire::F32, "not finite"),
        (Harm::NotFinite, Wire::Int4, "not finite"),
        (Harm::WrongRank, Wire::F32, "name or shape"),
        (Harm::WrongRank, Wire::Int8, "name or shape"),
        (Harm::UnknownName, Wire::F32, "my.image.down"),
    ] {
        let mut experiment = experiment("fedavg-nano");
        experiment.federation.uplink = uplink;
        let (_, study) = study(&experiment)?;
        let outcome = tiny::run_with(&study, || Poisoned(&[1], harm, Mean::default()))?;
        let left_out: Vec<_> = outcome
            .measured
            .records
            .iter()
            .filter(|record| record.metric == Metric::LeftOut)
            .map(|r| (r.round, r.client))
            .collect();
        assert_eq!(left_out, [(1, Some(1)), (2, Some(1))], "{said}");
        let bound = if uplink == Wire::F32 { 1e-6 } else { 0.5 };
        within("the others' update", difference(&outcome.global, &study.initial().scale(4.0)?)?, bound);
        let nobody = tiny::run_with(&study, || Poisoned(&[0, 1, 2], harm, Mean::default()));
        let error = nobody.err().context("nothing was left to average")?.to_string();
        assert!(error.contains("every update was left out") && error.contains(said), "{error}");
    }
    Ok(())
}

/// Clients that drop out receive and never answer; the same ones for every method of a seed.
#[test]
fn dropped_clients_do_not_answer() -> Test {
    let dropped = |method: &str| -> Result<Vec<(u32, Option<u32>)>> {
        let mut experiment = experiment(method);
        experiment.partition.clients = 4;
        experiment.federation.dropout = 0.5;
        let (_, study, outcome) = run(&experiment)?;
        let count = |metric: Metric| outcome.measured.records.iter().filter(|record| record.metric == metric).count();
        assert_eq!((count(Metric::DroppedOut), count(Metric::TrainLoss)), (4, 4), "{method}");
        let payload = study.initial().to_bytes()?.len() as u64;
        assert_eq!(
            (outcome.measured.adapters.uplink, outcome.measured.adapters.downlink),
            (4 * payload, 8 * payload),
            "{method}"
        );
        Ok(outcome.measured.records.iter().filter(|r| r.metric == Metric::DroppedOut).map(|r| (r.round, r.client)).collect())
    };
    assert_eq!(dropped("fedavg-lora")?, dropped("fedprox")?);
    Ok(())
}

/// Slow clients take their share of the steps, at least one; the others take all of theirs, on the batches they would have had.
#[test]
fn stragglers_take_fewer_steps() -> Test {
    for row in METHODS.iter().filter(|row| row.scope == Scope::Shard) {
        let mut experiment = experiment(row.name);
        experiment.partition.clients = 4;
        experiment.federation.local_steps = Some(6);
        experiment.federation.stragglers = 0.5;
        experiment.federation.straggler_steps = 1.0 / 3.0;
        let (_, _, outcome) = run(&experiment)?;
        for round in 1..=2 {
            let steps =
                outcome.measured.records.iter().filter(|record| record.round == round && record.metric == Metric::OptimizerSteps);
            let mut steps: Vec<f64> = steps.map(|record| record.value).collect();
            steps.sort_by(f64::total_cmp);
            assert_eq!(steps, [2.0, 2.0, 6.0, 6.0], "{}, round {round}", row.name);
        }
    }
    Ok(())
}

/// Fewer bits a number make a smaller uplink, leave the downlink as it is, and move what is learnt only a little; for every method.
#[test]
fn fewer_bits_make_a_smaller_uplink() -> Test {
    for row in uploading() {
        let with = |uplink: Wire| -> Result<(AdapterSpec, Outcome)> {
            let mut experiment = experiment(row.name);
            experiment.adapter.rank = Some(8);
            experiment.federation.uplink = uplink;
            let (_, study, outcome) = run(&experiment)?;
            Ok((study.adapter().clone(), outcome))
        };
        let (spec, exact) = with(Wire::F32)?;
        let zero = exact.global.zeros_like()?;
        let size = difference_in_effect(&spec, &exact.global, &zero)?;
        let mut bytes = exact.measured.adapters.uplink;
        for (uplink, share) in [(Wire::F16, 1e-2), (Wire::Int8, 0.1), (Wire::Int4, 1.0)] {
            let (_, rough) = with(uplink)?;
            assert!(rough.measured.adapters.uplink < bytes, "{}: {uplink:?}", row.name);
            bytes = rough.measured.adapters.uplink;
            // What follows the first round depends on it: a federated Fisher merge or a pruned rank may tip over.
            let first = ["fednano", "fednano-ef", "hetlora", "fedyogi", "fedadam", "fedadagrad"].contains(&row.name);
            let off = if first { 0.0 } else { difference_in_effect(&spec, &rough.global, &exact.global)? };
            assert!(off <= share * size, "{}: {uplink:?} moved what is learnt by {off} of {size}", row.name);
            if row.name != "flora" && row.name != "fedex-lora" {
                assert_eq!(rough.measured.adapters.downlink, exact.measured.adapters.downlink, "{}: {uplink:?}", row.name);
            }
        }
    }
    Ok(())
}

/// With the budget in work, a method whose step costs c plain steps takes one c-th of them.
#[test]
fn the_budget_may_be_work() -> Test {
    for row in METHODS.iter().filter(|row| row.scope == Scope::Shard) {
        let steps = |budget: Budget| -> Result<usize> {
            let mut experiment = experiment(row.name);
            experiment.federation.local_steps = Some(10);
            experiment.federation.budget = budget;
            Ok(study(&experiment)?.1.schedule().steps()[0])
        };
        assert_eq!((steps(Budget::Steps)?, steps(Budget::Flops)?), (10, (10.0 / row.compute).round() as usize), "{}", row.name);
    }
    Ok(())
}

/// Clients of a federation over several datasets: one each, every dataset sampled and judged by its own card.
#[test]
fn clients_may_hold_a_dataset_each() -> Test {
    let [train, test] = [0, 1].map(|split| -> Result<Split> {
        let parts = tiny::DATASETS.map(|name| tiny::split(name, split).dataset.clone());
        Ok(Split::new(Dataset::join(parts.to_vec())?, tiny::backbone())?)
    });
    let mut experiment = experiment("fedavg-nano");
    experiment.data.train_limit = Some(20);
    experiment.partition.scheme = PartitionScheme::Natural;
    experiment.partition.key = Some("dataset".into());
    let study = tiny::study_over(&experiment, train?.into(), test?.into())?;
    assert_eq!(study.partition().shards.len(), 2);
    for shard in &study.partition().shards {
        let datasets =
            |ids: &[String]| ids.iter().map(|id| id.split('/').next().unwrap_or("").to_owned()).collect::<BTreeSet<_>>();
        assert_eq!((datasets(&shard.train).len(), shard.train.len()), (1, 20));
        assert_eq!(datasets(&shard.train), datasets(&shard.test));
    }
    let mut method = tiny::method("fedavg-nano")?;
    let outcome = study.run(&mut *method, &mut InProcess::new(study.host()?), &Unwatched)?;
    assert!(outcome.judgement.clients.iter().all(Option::is_some) && outcome.predictions.len() == study.judge().examples.len());
    Ok(())
}
