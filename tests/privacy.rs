//! Differential privacy: lengths are cut, noise has the deviation it is said to have, and epsilons are SciPy's.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use baselines::METHODS;
use candle_core::{Device, Tensor};
use federation::privacy::{arrives, epsilon, leaves};
use federation::{Sets, Update};
use models::adapter::Adapters;
use schema::experiment::{PrivacyConfig, PrivacyMode};
use schema::metrics::Metric;
use seed::Seed;
use serde::Deserialize;

use crate::support::{Test, length, within};
use crate::tiny::{difference, experiment, run};

fn config(mode: PrivacyMode, clip: f64, noise_multiplier: f64) -> PrivacyConfig {
    PrivacyConfig { mode, clip, noise_multiplier, delta: 1e-5 }
}

#[derive(Deserialize)]
struct Row {
    mode: PrivacyMode,
    noise_multiplier: f64,
    rounds: usize,
    delta: f64,
    epsilon: f64,
}

#[test]
fn epsilons_are_scipys() -> Test {
    let rows: Vec<Row> = serde_json::from_str(include_str!("fixtures/privacy.json"))?;
    for row in &rows {
        let config = PrivacyConfig { delta: row.delta, ..config(row.mode, 1.0, row.noise_multiplier) };
        let found = epsilon(&config, row.rounds);
        within(&format!("epsilon {:.3}", row.epsilon), (found / row.epsilon - 1.0).abs(), 1e-9);
    }
    assert_eq!(epsilon(&config(PrivacyMode::Local, 1.0, 0.0), 1), f64::INFINITY);
    assert_eq!(epsilon(&config(PrivacyMode::Local, 1.0, 1.0), 0), 0.0);
    Ok(())
}

fn set(value: f64, n: usize) -> Result<Adapters> {
    Ok([("x".to_owned(), Tensor::full(value as f32, n, &Device::Cpu)?)].into_iter().collect())
}

/// An update of two sets, 3 and 4 away from what was received, so 5 in all.
fn two_sets() -> Result<(Update, Sets)> {
    let received = Sets::default().with("adapters", set(10.0, 1)?);
    Ok((Update::default().with("adapters", set(13.0, 1)?).with("fisher", set(4.0, 1)?), received))
}

#[test]
fn what_is_learnt_is_cut_to_length() -> Test {
    for (clip, cut) in [(2.5, true), (5.0, false), (7.0, false)] {
        let (update, received) = two_sets()?;
        let (update, clipped) =
            leaves(&config(PrivacyMode::Local, clip, 0.0), update, &received, &mut Seed::new(1).stream("noise"))?;
        let found = [update.set("adapters")?.flat()?[0] - 10.0, update.set("fisher")?.flat()?[0]];
        assert_eq!((clipped, update.num_examples), (cut, 1));
        within("length", (length(&found) - clip.min(5.0)).abs(), 1e-5);
        within("direction", (found[0] / found[1] - 0.75).abs(), 1e-5);
    }
    Ok(())
}

/// A set that came down under the same name is nothing that a statistic, or a change, is a difference to: SCAFFOLD's `control` goes down
/// as it is and comes back as a change.
#[test]
fn only_adapters_are_differences() -> Test {
    let received = Sets::default().with("adapters", set(10.0, 1)?).with("control", set(100.0, 1)?);
    let update = Update::default().with("adapters", set(13.0, 1)?).with("control", set(4.0, 1)?);
    let (cut, clipped) = leaves(&config(PrivacyMode::Local, 2.5, 0.0), update, &received, &mut Seed::new(1).stream("noise"))?;
    assert!(clipped);
    within("control", (cut.set("control")?.flat()?[0] - 2.0).abs(), 1e-5);
    within("adapters", (cut.set("adapters")?.flat()?[0] - 11.5).abs(), 1e-5);
    Ok(())
}

/// The deviation of many numbers that carry nothing but noise.
fn deviation(numbers: &[f64]) -> f64 {
    length(numbers) / (numbers.len() as f64).sqrt()
}

#[test]
fn noise_is_as_loud_as_it_is_said_to_be() -> Test {
    const N: usize = 40_000;
    let nothing = || -> Result<Update> { Ok(Update::default().with("adapters", set(0.0, N)?)) };
    let (mut noise, received) = (Seed::new(1).stream("noise"), Sets::default());
    let local = config(PrivacyMode::Local, 0.5, 3.0);
    let (update, _) = leaves(&local, nothing()?, &received, &mut noise)?;
    within("local noise, z C = 1.5", (deviation(&update.set("adapters")?.flat()?) / 1.5 - 1.0).abs(), 0.02);

    let central = config(PrivacyMode::Central, 0.5, 3.0);
    let mut sum = vec![0.0; N];
    for _ in 0..7 {
        let (update, _) = leaves(&central, nothing()?, &received, &mut noise)?;
        assert!(update.set("adapters")?.flat()?.iter().all(|&x| x == 0.0), "a trusted server adds the noise, not the client");
        let arrived = arrives(&central, update, 7, &mut noise)?;
        sum.iter_mut().zip(arrived.set("adapters")?.flat()?).for_each(|(sum, x)| *sum += x);
    }
    within("noise of a sum, z C = 1.5", (deviation(&sum) / 1.5 - 1.0).abs(), 0.02);
    Ok(())
}

/// With nothing cut and no noise, privacy is FedAvg over equal weights; with noise it costs every method its epsilon, and no byte.
#[test]
fn every_method_keeps_secrets() -> Test {
    let mut plain = experiment("fedavg-lora");
    plain.method.options = BTreeMap::from([("weights".into(), "uniform".into())]);
    let mut silent = experiment("fedavg-lora");
    silent.privacy = Some(config(PrivacyMode::Central, 1e6, 0.0));
    within("privacy without noise", difference(&run(&silent)?.2.global, &run(&plain)?.2.global)?, 1e-4);

    for row in METHODS {
        for mode in [PrivacyMode::Local, PrivacyMode::Central] {
            let mut experiment = experiment(row.name);
            let privacy = config(mode, 0.1, 1.0);
            experiment.privacy = Some(privacy.clone());
            if row.check(&experiment).is_err() {
                let pooled = row.scope == federation::Scope::Pooled;
                assert!(pooled || (mode == PrivacyMode::Central && !row.mean_only), "{}, {mode:?}", row.name);
                continue;
            }
            let (_, _, secret) = run(&experiment)?;
            assert!(secret.global.is_finite()?, "{}", row.name);
            let spent = secret.recorded(Metric::PrivacyEpsilon).last().context("no epsilon")?;
            // Who sends nothing spends nothing.
            let sent =
                |record: &&schema::Record| record.metric == Metric::UplinkBytes && record.client == Some(0) && record.value > 0.0;
            let rounds = secret.measured.records.iter().filter(sent).count();
            assert_eq!(spent > 0.0, rounds > 0, "{}", row.name);
            assert_eq!(spent, epsilon(&privacy, rounds), "{}", row.name);
            experiment.privacy = None;
            let open = run(&experiment)?.2;
            if !["hetlora", "flora", "fedex-lora"].contains(&row.name) {
                assert_eq!(secret.measured.adapters.uplink, open.measured.adapters.uplink, "{}", row.name);
            }
            assert!(open.recorded(Metric::PrivacyEpsilon).next().is_none());
        }
    }
    Ok(())
}
