//! What a config may not ask for, whatever the data's rows: every count has a limit and every number a range. Beyond them arithmetic
//! would wrap, memory would not do, or a number would come out that means nothing.

use federation::Placement;
use federation::registry::MethodRow;
use models::adapter::AdapterSpec;
use models::batch::SEQUENCE_TOKENS;
use schema::experiment::{AdapterConfig, Checkpoint, EvaluationConfig, MOST_SEED, TestRows};
use schema::limits::{
    BATCH, CLIENTS, EPOCHS, EXAMPLES, LARGEST, LEAST, LEAST_NOISE, NEW_TOKENS, POOLED_STEPS, ROUNDS, SMALLEST, STEPS,
};
use schema::{Card, Experiment};
use tasks::prepare::template;

use crate::{Error, Result};

/// Nothing, or what does something.
fn none_or_some(x: f64) -> bool {
    x == 0.0 || (SMALLEST..=LARGEST).contains(&x)
}

/// A key that is a number and the range it must lie in, in numbers and in words.
type Number = (&'static str, f64, fn(f64) -> bool, &'static str);

/// A key that is a count and the least and the most that it may be.
type Count = (&'static str, usize, usize, usize);

/// Refuses counts and numbers that make no sense, and a prompt variant that the card does not have.
pub fn check(experiment: &Experiment, card: &Card) -> Result<()> {
    counts(experiment)?;
    numbers(experiment)?;
    tuned(experiment)?;
    if experiment.data.test_rows == TestRows::Sample && experiment.data.test_limit.is_none() {
        return Err(wrong("data.test_rows", &"\"sample\"", "a `data.test_limit`, too: without one all rows are taken"));
    }
    Terms::of(experiment).check(card)
}

/// A decoder elsewhere serves clients who train adapters in front of it, and nobody else.
pub fn check_decoder(experiment: &Experiment, row: &MethodRow, adapter: &AdapterSpec) -> Result<()> {
    let Some(decoder) = &experiment.federation.decoder else { return Ok(()) };
    if experiment.backbone.checkpoint != Checkpoint::None {
        return Err(Error::Usage(
            "backbone.checkpoint: with federation.decoder the decoder's process keeps what its blocks need, and takes no such key; leave \
             one of them out"
                .into(),
        ));
    }
    let why = match row.placement(adapter.is_split()) {
        Placement::Split => return Ok(()),
        Placement::Server => "has no clients that train by themselves".into(),
        Placement::Client => {
            let inside = adapter.sites.iter().find(|site| !site.before_decoder).map_or("a trained head", |site| &site.group);
            format!("trains adapters inside the decoder (`{inside}`), which its clients hold")
        }
    };
    let decoder = guard::text::line(decoder, 200);
    Err(Error::Usage(format!(
        "federation.decoder = \"{decoder}\": method `{}` {why}; leave the key out, or take adapters in front of the decoder (`image`, \
         `text`, `prompt`, `connector`)",
        row.name
    )))
}

/// What a backbone is asked and judged by: all of a config that judging depends on, besides what it reads.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The card's prompt variant.
    pub prompt: &'a str,
    /// At most so many examples.
    pub limit: Option<usize>,
    /// A longer prompt loses its beginning; tokens.
    pub max_prompt_tokens: usize,
    /// What is judged.
    pub adapter: &'a AdapterConfig,
    /// Examples in a batch, and tokens of a generated answer.
    pub evaluation: &'a EvaluationConfig,
}

impl<'a> Terms<'a> {
    /// An experiment's.
    pub fn of(experiment: &'a Experiment) -> Self {
        let (data, adapter, evaluation) = (&experiment.data, &experiment.adapter, &experiment.evaluation);
        let (limit, max_prompt_tokens) = (data.test_limit, data.max_prompt_tokens);
        Self { prompt: &data.prompt, limit, max_prompt_tokens, adapter, evaluation }
    }

    /// Refuses counts and numbers that make no sense, and a prompt variant that the card does not have.
    pub fn check(&self, card: &Card) -> Result<()> {
        within(&[
            ("evaluation.batch_size", self.evaluation.batch_size, 1, BATCH),
            ("evaluation.max_new_tokens", self.evaluation.max_new_tokens, 1, NEW_TOKENS),
            ("data.test_limit", self.limit.unwrap_or(1), 1, EXAMPLES),
            ("data.max_prompt_tokens", self.max_prompt_tokens, 1, SEQUENCE_TOKENS),
        ])?;
        let alpha = self.adapter.alpha.unwrap_or(1.0);
        if !(LEAST..=LARGEST).contains(&alpha) {
            return Err(wrong("adapter.alpha", &alpha, "a number from 1e-6 to 1000000"));
        }
        card.each().try_for_each(|card| Ok(template(card, self.prompt).map(|_| ())?))
    }
}

fn wrong(key: &str, value: &dyn std::fmt::Display, right: &str) -> Error {
    Error::Usage(format!("{key} = {value}: expected {right}"))
}

fn counts(experiment: &Experiment) -> Result<()> {
    let (federation, data, evaluation) = (&experiment.federation, &experiment.data, &experiment.evaluation);
    if federation.rounds == 0 {
        return Err(wrong("federation.rounds", &0, "at least 1 (method `zero-shot` trains nothing)"));
    }
    if experiment.seed > MOST_SEED {
        return Err(wrong("seed", &experiment.seed, &format!("at most {MOST_SEED}, the largest integer of TOML")));
    }
    let epochs = if federation.local_steps.is_some() { 0 } else { 1 };
    within(&[
        ("federation.rounds", federation.rounds, 1, ROUNDS),
        ("federation.local_epochs", federation.local_epochs, epochs, EPOCHS),
        ("federation.local_steps", federation.local_steps.unwrap_or(1), 1, STEPS),
        ("federation.batch_size", federation.batch_size, 1, BATCH),
        ("evaluation.every", evaluation.every, 0, ROUNDS),
        ("partition.clients", experiment.partition.clients, 1, CLIENTS),
        ("partition.min_examples", experiment.partition.min_examples, 0, EXAMPLES),
        ("partition.classes_per_client", experiment.partition.classes_per_client, 0, EXAMPLES),
        ("data.train_limit", data.train_limit.unwrap_or(1), 1, EXAMPLES),
    ])
}

fn within(counts: &[Count]) -> Result<()> {
    match counts.iter().find(|(_, value, least, most)| value < least || value > most) {
        Some((key, value, least, most)) => Err(wrong(key, value, &format!("{least} to {most}"))),
        None => Ok(()),
    }
}

fn numbers(experiment: &Experiment) -> Result<()> {
    let (federation, optimizer) = (&experiment.federation, &experiment.optimizer);
    let some: [Number; 11] = [
        ("federation.cohort", federation.cohort, |x| x > 0.0 && x <= 1.0, "a share of the clients in (0, 1]"),
        ("federation.dropout", federation.dropout, |x| (0.0..1.0).contains(&x), "a share of the cohort in [0, 1)"),
        ("federation.stragglers", federation.stragglers, |x| (0.0..=1.0).contains(&x), "a share of the cohort in [0, 1]"),
        (
            "federation.straggler_steps",
            federation.straggler_steps,
            |x| x > 0.0 && x <= 1.0,
            "a share of a client's steps in (0, 1]",
        ),
        ("optimizer.learning_rate", optimizer.learning_rate, none_or_some, "0, or a number from 1e-30 to 1000000"),
        ("optimizer.beta1", optimizer.beta1, |x| (0.0..1.0).contains(&x), "a decay in [0, 1)"),
        ("optimizer.beta2", optimizer.beta2, |x| (0.0..1.0).contains(&x), "a decay in [0, 1)"),
        ("optimizer.epsilon", optimizer.epsilon, |x| (SMALLEST..=1.0).contains(&x), "a number from 1e-30 to 1"),
        ("optimizer.weight_decay", optimizer.weight_decay, none_or_some, "0, or a number from 1e-30 to 1000000"),
        ("optimizer.warmup", optimizer.warmup, |x| (0.0..1.0).contains(&x), "a share of all steps in [0, 1)"),
        ("partition.alpha", experiment.partition.alpha, |x| (LEAST..=LARGEST).contains(&x), "a number from 1e-6 to 1000000"),
    ];
    let clip = optimizer.clip.map(|clip| -> Number {
        (
            "optimizer.clip",
            clip,
            |x| (LEAST..=LARGEST).contains(&x),
            "a length from 1e-6 to 1000000; leave it out to clip nothing",
        )
    });
    let of_privacy = experiment.privacy.as_ref().map(|privacy| -> [Number; 3] {
        [
            ("privacy.clip", privacy.clip, |x| (LEAST..=LARGEST).contains(&x), "a length from 1e-6 to 1000000"),
            (
                "privacy.noise_multiplier",
                privacy.noise_multiplier,
                |x| x == 0.0 || (LEAST_NOISE..=LARGEST).contains(&x),
                "0 (no privacy: epsilon is infinite), or a number from 0.000001 to 1000000",
            ),
            ("privacy.delta", privacy.delta, |x| (SMALLEST..1.0).contains(&x), "a probability in (0, 1), at least 1e-30"),
        ]
    });
    // A comparison with NaN is false, so that none gets through.
    match some.into_iter().chain(clip).chain(of_privacy.into_iter().flatten()).find(|(_, value, fits, _)| !fits(*value)) {
        Some((key, value, _, right)) => Err(wrong(key, &value, right)),
        None => Ok(()),
    }
}

/// An experiment that says which values were searched for has these.
fn tuned(experiment: &Experiment) -> Result<()> {
    let Some(tuned) = &experiment.tuned else { return Ok(()) };
    let values = serde_json::to_value(experiment).unwrap_or_default();
    let number = |value: &serde_json::Value| value.as_f64();
    for (key, chosen) in &tuned.chosen {
        let has = values.pointer(&format!("/{}", key.replace('.', "/")));
        let same = has.is_some_and(|has| has == chosen || number(has).is_some() && number(has) == number(chosen));
        if !same {
            let (key, has) =
                (guard::text::line(key, 80), has.map_or("nothing".into(), |has| guard::text::line(&has.to_string(), 80)));
            return Err(Error::Usage(format!(
                "tuned.chosen: {key} = {chosen} is what the search chose, and the experiment has {has}: expected the same, or no \
                 `tuned`"
            )));
        }
    }
    Ok(())
}

/// Steps over which the learning rate only rises: it would never have its height.
pub(crate) fn check_warm(experiment: &Experiment, of_clients: &[usize], pooled: bool) -> Result<()> {
    let rounds = experiment.federation.rounds;
    let fewest =
        if pooled { of_clients.iter().sum() } else { of_clients.iter().copied().filter(|steps| *steps > 0).min().unwrap_or(0) };
    let (warmup, steps) = (experiment.optimizer.warmup, fewest.saturating_mul(rounds));
    match steps > 0 && experiment.optimizer.never_warm(steps) {
        true => Err(Error::Usage(format!(
            "optimizer.warmup = {warmup}: the learning rate would rise over all {steps} steps that a client takes in the run; expected \
             a smaller share, or more steps"
        ))),
        false => Ok(()),
    }
}

/// Steps that could not be listed: of a client in a round, or of all where they are pooled.
pub(crate) fn check_steps(of_clients: &[usize], pooled: bool) -> Result<()> {
    let message = |whose: String, steps: usize, most: usize| {
        Error::Usage(format!(
            "{whose} would take {steps} optimizer steps in a round; at most {most} are: lower `federation.local_epochs` or \
             `federation.local_steps`, or raise `federation.batch_size`"
        ))
    };
    if let Some((client, &steps)) = of_clients.iter().enumerate().find(|(_, steps)| **steps > STEPS) {
        return Err(message(format!("client {client}"), steps, STEPS));
    }
    let all = of_clients.iter().sum();
    if pooled && all > POOLED_STEPS {
        return Err(message("the pooled shards".into(), all, POOLED_STEPS));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A card that ships with the suite.
    fn card() -> Card {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data-scripts/cards/scienceqa.toml");
        schema::toml_file::read(path.as_ref()).expect("a card")
    }

    fn refuses(key: &str, value: &str) -> bool {
        let mut table = schema::toml_file::parse_table("x", "[data]\ndataset = \"x\"\n[method]\nname = \"m\"\n").expect("TOML");
        if key.starts_with("privacy") {
            for rest in ["privacy.mode=local", "privacy.clip=1.0", "privacy.noise_multiplier=1.0"] {
                schema::toml_file::set(&mut table, rest).expect(rest);
            }
        }
        schema::toml_file::set(&mut table, &format!("{key}={value}")).expect(key);
        let error = match schema::toml_file::from_table::<Experiment>("x", table) {
            Ok(experiment) => check(&experiment, &card()).err().map(|error| error.to_string()),
            Err(error) => error.to_string().strip_prefix("x: ").map(str::to_owned),
        };
        if let Some(error) = &error {
            assert!(error.starts_with(&format!("{key} = ")) && error.contains("expected"), "{error}");
        }
        error.is_some()
    }

    const COUNTS: [&str; 12] = [
        "federation.rounds",
        "federation.local_epochs",
        "federation.local_steps",
        "federation.batch_size",
        "evaluation.batch_size",
        "evaluation.every",
        "evaluation.max_new_tokens",
        "partition.clients",
        "partition.min_examples",
        "data.train_limit",
        "data.test_limit",
        "data.max_prompt_tokens",
    ];

    #[test]
    fn counts_near_the_end_of_integers_are_refused() {
        for key in COUNTS {
            for value in ["4611686018427387904", "9223372036854775807", "1000000001"] {
                assert!(refuses(key, value), "{key} = {value}");
            }
            assert!(!refuses(key, "2"), "{key} = 2");
        }
    }

    /// Every number of an experiment: no NaN, no infinity, nothing huge or below zero; and what is usual stays allowed.
    #[test]
    fn numbers_that_mean_nothing_are_refused() {
        let keys = [
            ("federation.cohort", "0.5"),
            ("federation.dropout", "0.5"),
            ("federation.stragglers", "0.5"),
            ("federation.straggler_steps", "0.5"),
            ("optimizer.learning_rate", "0.001"),
            ("optimizer.beta1", "0.9"),
            ("optimizer.beta2", "0.999"),
            ("optimizer.epsilon", "1e-8"),
            ("optimizer.weight_decay", "0.01"),
            ("optimizer.warmup", "0.1"),
            ("optimizer.clip", "1.0"),
            ("partition.alpha", "0.1"),
            ("adapter.alpha", "16.0"),
            ("privacy.clip", "1.0"),
            ("privacy.noise_multiplier", "0.0"),
            ("privacy.delta", "1e-5"),
        ];
        for (key, usual) in keys {
            for value in ["nan", "-nan", "inf", "-inf", "-1.0", "1e300"] {
                assert!(refuses(key, value), "{key} = {value}");
            }
            assert!(!refuses(key, usual), "{key} = {usual}");
        }
        for (key, value) in [
            ("optimizer.beta1", "1.0"),
            ("optimizer.beta2", "2.0"),
            ("optimizer.epsilon", "0.0"),
            ("optimizer.epsilon", "1e-50"),
            ("adapter.alpha", "0.0"),
            ("privacy.noise_multiplier", "1e-320"),
            ("privacy.noise_multiplier", "9e-7"),
            ("adapter.alpha", "1e-320"),
            ("partition.alpha", "1e-320"),
            ("privacy.clip", "1e-320"),
            ("privacy.delta", "1e-320"),
            ("optimizer.learning_rate", "1e-320"),
            ("optimizer.weight_decay", "1e-320"),
            ("data.max_prompt_tokens", "0"),
            ("optimizer.warmup", "1.0"),
            ("optimizer.clip", "0.0"),
        ] {
            assert!(refuses(key, value), "{key} = {value}");
        }
    }

    #[test]
    fn values_that_no_search_chose_are_refused() {
        let of = |rate: &str, mu: &str| {
            let text = format!(
                "[data]\ndataset = \"x\"\n[method]\nname = \"m\"\nmu = {mu}\n[optimizer]\nlearning_rate = {rate}\n[tuned]\nsplit = \
                 \"validation\"\nseeds = [7]\nscore = \"accuracy\"\nvalue = 0.5\nsettings = 1\nruns = 1\nclient_steps = 1\nprotocol \
                 = \"p\"\nchosen = {{ \"optimizer.learning_rate\" = 0.003, \"method.mu\" = 1.0 }}\n"
            );
            let table = schema::toml_file::parse_table("x", &text).expect("TOML");
            tuned(&schema::toml_file::from_table("x", table).expect("an experiment"))
        };
        assert!(of("0.003", "1").is_ok());
        let why = |rate, mu| of(rate, mu).expect_err("refused").to_string();
        assert!(why("0.004", "1.0").contains("optimizer.learning_rate = 0.003"), "{}", why("0.004", "1.0"));
        assert!(why("0.003", "2.0").contains("method.mu = 1.0"), "{}", why("0.003", "2.0"));
    }

    #[test]
    fn a_sample_of_all_rows_is_refused() {
        assert!(refuses("data.test_rows", "sample"));
        assert!(!refuses("data.test_rows", "first"));
    }

    #[test]
    fn a_rate_that_only_rises_is_refused() {
        let table = schema::toml_file::parse_table(
            "x",
            "[data]\ndataset = \"x\"\n[method]\nname = \"m\"\n[federation]\nrounds = 2\n[optimizer]\nwarmup = 0.8\n",
        );
        let experiment: Experiment = schema::toml_file::from_table("x", table.expect("TOML")).expect("an experiment");
        let refused = |steps: &[usize], pooled| check_warm(&experiment, steps, pooled).is_err();
        assert!(refused(&[9, 2], false) && !refused(&[9, 3], false) && !refused(&[9, 2], true) && !refused(&[0, 9], false));
    }

    #[test]
    fn steps_that_cannot_be_listed_are_refused() {
        let error = |steps: &[usize], pooled| check_steps(steps, pooled).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error(&[3, STEPS + 1], false).starts_with("client 1 would take 1000001"));
        assert!(error(&[STEPS; 11], true).starts_with("the pooled shards would take 11000000"));
        assert_eq!(error(&[STEPS; 11], false), "");
    }
}
