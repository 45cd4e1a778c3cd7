//! The two parquet files of a run, read column by column and condensed while reading: no string outlives its batch.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::path::Path;

use arrow_array::{Array, BooleanArray, Float64Array, ListArray, RecordBatch, StringArray, UInt32Array};
use schema::Prediction;
use schema::metrics::{Metric, Unit};

use crate::error::ReportError;
use crate::follows::Follows;
use crate::guesses::{Guesses, Trivial};
use crate::rows::{Rows, bad, column};

/// What a run's predictions say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Predictions {
    /// Rows answered by option likelihood.
    pub option_likelihood: u64,
    /// Rows answered by generation.
    pub generation: u64,
    /// Rows answered by the largest class logit.
    pub by_class: u64,
    /// Rows whose generated text could not be parsed.
    pub unparsed: u64,
    /// Global-scope rows beyond the first of an example.
    pub repeated: u64,
    /// Whether clients answered with adapters of their own.
    pub own: bool,
    /// What the run's summary should say.
    pub judged: Judged,
    /// What answering without looking reaches; nothing where that was not asked for.
    pub trivial: Trivial,
    /// The hash of each example's id and what its answer was worth, from 0 to the most of the metric (of a number of the whole corpus,
    /// whether it was right); the mean over clients where they answered with
    /// adapters of their own. Sorted, each example once: two runs pair by one merge.
    pub scores: Vec<(u64, f64)>,
    /// The same of every further score, by its name; none of a task with one.
    pub further: BTreeMap<String, Vec<(u64, f64)>>,
}

/// The accuracies that predictions give, as a run's summary states them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Judged {
    /// The mean of what answers were worth; where clients answered with adapters of their own, the mean over clients. None of no
    /// answers.
    pub accuracy: Option<f64>,
    /// The same of each client on its own test shard.
    pub clients: BTreeMap<u32, f64>,
    /// The mean over all clients' own test rows, each row once: a client counts as often as it has rows.
    pub over_rows: Option<f64>,
    /// Of clients with adapters of their own: the mean over them, and over the other clients, on the other one's test shard.
    pub others: Option<f64>,
    /// The share of generated answers that could not be parsed.
    pub unparsed_rate: Option<f64>,
    /// How many rows each answerer has: the global adapters, or a client's own.
    pub answers: BTreeMap<Option<u32>, u64>,
}

/// Sums and counts of what answers were worth.
#[derive(Default)]
struct Tally {
    by_answerer: BTreeMap<Option<u32>, (f64, u64)>,
    by_shard: BTreeMap<u32, (f64, u64)>,
    by_other: BTreeMap<(u32, u32), (f64, u64)>,
    generated: (u64, u64),
}

impl Tally {
    fn take(&mut self, client: Option<u32>, shard: Option<u32>, worth: f64) {
        let mut sums = vec![self.by_answerer.entry(client).or_default()];
        let own = shard.filter(|shard| client.is_none_or(|client| client == *shard));
        sums.extend(own.map(|shard| self.by_shard.entry(shard).or_default()));
        let other = client.zip(shard).filter(|(client, shard)| client != shard);
        sums.extend(other.map(|pair| self.by_other.entry(pair).or_default()));
        for (sum, count) in sums {
            (*sum, *count) = (*sum + worth, *count + 1);
        }
    }

    fn judged(self) -> Judged {
        let mean = |(sum, count): (f64, u64)| sum / count as f64;
        let answers = self.by_answerer.iter().map(|(client, (_, count))| (*client, *count)).collect();
        let global = self.by_answerer.get(&None).copied().map(mean);
        let own: Vec<f64> = self.by_answerer.into_values().map(mean).collect();
        let others: Vec<f64> = self.by_other.into_values().map(mean).collect();
        let (unparsed, generated) = self.generated;
        let (sum, rows) = self.by_shard.values().fold((0.0, 0), |(sum, rows), of_one| (sum + of_one.0, rows + of_one.1));
        Judged {
            answers,
            others: (!others.is_empty()).then(|| others.iter().sum::<f64>() / others.len() as f64),
            over_rows: (rows > 0).then(|| sum / rows as f64),
            accuracy: global.or_else(|| (!own.is_empty()).then(|| own.iter().sum::<f64>() / own.len() as f64)),
            clients: self.by_shard.into_iter().map(|(shard, sum)| (shard, mean(sum))).collect(),
            unparsed_rate: Some(if generated == 0 { 0.0 } else { unparsed as f64 / generated as f64 }),
        }
    }
}

/// Reads `predictions.parquet`, whose scores are at most so much; if asked, the options' scores, too, which must say what `correct` says.
/// With a `part`, of that dataset's examples alone.
pub fn predictions(rows: &Rows, with_scores: bool, most: f64, part: Option<&str>) -> Result<Predictions, ReportError> {
    let path = rows.path();
    let mut read = Predictions::default();
    let (mut answers, mut tally, mut guesses) = (Answers::default(), Tally::default(), Guesses::default());
    let names = ["example", "client", "shard", "scoring", "correct", "parsed", "score", "option_scores", "gold_option", "gold"];
    let further: Vec<&str> =
        rows.schema().fields().iter().map(|field| field.name().as_str()).filter(|name| is_further(name)).collect();
    let mut of_further = BTreeMap::<&str, Answers>::new();
    let names: Vec<&str> = if with_scores { &names[..] } else { &names[..7] }.iter().chain(&further).copied().collect();
    for batch in rows.batches_of(&names, part)? {
        let batch = batch?;
        further.iter().try_for_each(|name| take_further(path, &batch, name, of_further.entry(name).or_default()))?;
        if with_scores {
            check_ranks(path, &batch)?;
            count_guesses(path, &batch, &mut guesses)?;
        }
        count_predictions(path, &batch, most, &mut read, (&mut answers, &mut tally))?;
    }
    tally.generated = (read.unparsed, read.generation);
    read.judged = tally.judged();
    read.trivial = guesses.trivial();
    let Answers { mut global, own } = answers;
    let rows = global.len();
    global.sort_by_key(|answer| answer.0);
    global.dedup_by_key(|answer| answer.0);
    read.repeated = (rows - global.len()) as u64;
    read.own = global.is_empty() && !own.is_empty();
    read.scores = if read.own { means(own) } else { global };
    let named = |(name, answers): (&str, Answers)| (name[Prediction::FURTHER.len()..].to_owned(), answers.of_each());
    read.further = of_further.into_iter().map(named).filter(|(_, scores)| !scores.is_empty()).collect();
    Ok(read)
}

fn is_further(column: &str) -> bool {
    column.starts_with(Prediction::FURTHER)
}

/// A further score of the rows that have it.
fn take_further(path: &Path, batch: &RecordBatch, name: &str, answers: &mut Answers) -> Result<(), ReportError> {
    if batch.column_by_name(name).is_none() {
        return Ok(());
    }
    let (example, client): (&StringArray, &UInt32Array) = (column(path, batch, "example")?, column(path, batch, "client")?);
    let score: &Float64Array = column(path, batch, name)?;
    for row in (0..batch.num_rows()).filter(|&row| score.is_valid(row)) {
        if !score.value(row).is_finite() {
            return Err(bad(path, &format!("row {row}: `{}` is no number: judge the run again", guard::text::line(name, 80))));
        }
        let of_whom = if client.is_null(row) { &mut answers.global } else { &mut answers.own };
        of_whom.push((hash(example.value(row)), score.value(row)));
    }
    Ok(())
}

/// What each answer was worth, by the hash of the example's id: of global adapters, and of clients' own.
#[derive(Default)]
struct Answers {
    global: Vec<(u64, f64)>,
    own: Vec<(u64, f64)>,
}

impl Answers {
    /// Each example's, sorted; the mean over clients where they answered with adapters of their own.
    fn of_each(self) -> Vec<(u64, f64)> {
        means(if self.global.is_empty() { self.own } else { self.global })
    }
}

fn count_predictions(
    path: &Path,
    batch: &RecordBatch,
    most: f64,
    read: &mut Predictions,
    (answers, tally): (&mut Answers, &mut Tally),
) -> Result<(), ReportError> {
    let example: &StringArray = column(path, batch, "example")?;
    let [client, shard]: [&UInt32Array; 2] = [column(path, batch, "client")?, column(path, batch, "shard")?];
    let scoring: &StringArray = column(path, batch, "scoring")?;
    let correct: &BooleanArray = column(path, batch, "correct")?;
    let parsed: &BooleanArray = column(path, batch, "parsed")?;
    let score: Option<&Float64Array> = batch.column_by_name("score").map(|_| column(path, batch, "score")).transpose()?;
    for row in 0..batch.num_rows() {
        match scoring.value(row) {
            "option-likelihood" => read.option_likelihood += 1,
            "generation" => read.generation += 1,
            // An answer of no class of the row's options is a wrong one, not one that cannot be read.
            "class" => read.by_class += 1,
            other => return Err(bad(path, &format!("scoring `{other}`: expected `option-likelihood`, `generation` or `class`"))),
        }
        read.unparsed += u64::from(!parsed.value(row) && scoring.value(row) != "class");
        let graded = score.filter(|score| score.is_valid(row)).map(|score| score.value(row));
        if let Some(score) = graded.filter(|score| !score.is_finite()) {
            return Err(bad(path, &format!("row {row}: the score {score} is no number: judge the run again")));
        }
        let worth = graded.unwrap_or(f64::from(u8::from(correct.value(row))));
        if !is_within(worth, most) {
            return Err(bad(path, &format!("row {row}: the score {worth} is not in [0, {most}]")));
        }
        let of = |ids: &UInt32Array| ids.is_valid(row).then(|| ids.value(row));
        tally.take(of(client), of(shard), worth);
        let of_whom = if client.is_null(row) { &mut answers.global } else { &mut answers.own };
        of_whom.push((hash(example.value(row)), worth));
    }
    Ok(())
}

/// Of options whose scores are known the likeliest was chosen, the first of equals, and it was right or not.
fn check_ranks(path: &Path, batch: &RecordBatch) -> Result<(), ReportError> {
    if batch.column_by_name("gold_option").is_none() {
        return Ok(());
    }
    let gold: &UInt32Array = column(path, batch, "gold_option")?;
    let scores: &ListArray = column(path, batch, "option_scores")?;
    let correct: &BooleanArray = column(path, batch, "correct")?;
    let scoring: &StringArray = column(path, batch, "scoring")?;
    for row in (0..batch.num_rows()).filter(|&row| scoring.value(row) == "option-likelihood") {
        let options = scores.value(row);
        let options = options.as_any().downcast_ref::<Float64Array>().map(Float64Array::values);
        let options = options.ok_or_else(|| bad(path, &format!("row {row}: `option_scores` are no numbers")))?;
        let example = || batch.column_by_name("example").and_then(|ids| ids.as_any().downcast_ref::<StringArray>());
        let name = || guard::text::line(example().map_or("", |ids| ids.value(row)), 80);
        if options.is_empty() || options.iter().any(|score| !score.is_finite()) {
            return Err(bad(path, &format!("example `{}`: expected a finite score for each option", name())));
        }
        if !gold.is_valid(row) {
            continue;
        }
        let (right, count) = (gold.value(row) as usize, options.len());
        if right >= count {
            return Err(bad(path, &format!("example `{}`: gold_option = {right} of {count} options, from 0", name())));
        }
        let best = (1..count).fold(0, |best, option| if options[option] > options[best] { option } else { best });
        if correct.value(row) != (best == right) {
            let said = correct.value(row);
            return Err(bad(path, &format!("example `{}`: correct = {said}, its option_scores say {}", name(), best == right)));
        }
    }
    Ok(())
}

/// What guessing would be worth, by the first answerer's rows: there is one to each example.
fn count_guesses(path: &Path, batch: &RecordBatch, guesses: &mut Guesses) -> Result<(), ReportError> {
    let client: &UInt32Array = column(path, batch, "client")?;
    let gold: &StringArray = column(path, batch, "gold")?;
    let scores: &ListArray = column(path, batch, "option_scores")?;
    let option: Option<&UInt32Array> =
        batch.column_by_name("gold_option").map(|_| column(path, batch, "gold_option")).transpose()?;
    let soft = batch.column_by_name("score");
    for row in 0..batch.num_rows() {
        let of = |ids: &UInt32Array| ids.is_valid(row).then(|| ids.value(row));
        guesses.take(
            of(client),
            scores.value_length(row) as usize,
            option.and_then(of),
            hash(gold.value(row)),
            soft.is_some_and(|score| score.is_valid(row)),
        );
    }
    Ok(())
}

/// Each example's mean, summed in the order of the file.
fn means(mut answers: Vec<(u64, f64)>) -> Vec<(u64, f64)> {
    answers.sort_by_key(|answer| answer.0);
    let mean = |of_one: &[(u64, f64)]| (of_one[0].0, of_one.iter().map(|answer| answer.1).sum::<f64>() / of_one.len() as f64);
    answers.chunk_by(|a, b| a.0 == b.0).map(mean).collect()
}

/// The log-loss of each example that was answered by option likelihood, in nats: minus the logarithm of the right option's share in a
/// softmax over all options' scores; the mean over clients where they answered with adapters of their own. By the hash of the
/// example's id, sorted. None of a run that does not say which option is the right one.
pub fn losses(rows: &Rows, part: Option<&str>) -> Result<Option<Vec<(u64, f64)>>, ReportError> {
    let path = rows.path();
    let mut answers = Answers::default();
    for batch in rows.batches_of(&["example", "client", "option_scores", "gold_option"], part)? {
        let batch = batch?;
        if batch.column_by_name("gold_option").is_none() {
            return Ok(None);
        }
        let example: &StringArray = column(path, &batch, "example")?;
        let [client, gold]: [&UInt32Array; 2] = [column(path, &batch, "client")?, column(path, &batch, "gold_option")?];
        let scores: &ListArray = column(path, &batch, "option_scores")?;
        for row in (0..batch.num_rows()).filter(|&row| gold.is_valid(row)) {
            let options = scores.value(row);
            let options = options.as_any().downcast_ref::<Float64Array>().map(Float64Array::values);
            let loss = options.and_then(|options| log_loss(options, gold.value(row) as usize));
            let loss = loss.ok_or_else(|| bad(path, &format!("row {row}: no score of the right option")))?;
            let of_whom = if client.is_null(row) { &mut answers.global } else { &mut answers.own };
            of_whom.push((hash(example.value(row)), loss));
        }
    }
    Ok(Some(answers.of_each()))
}

/// Minus the logarithm of the softmax at one place; none beyond the end, or where a number is not finite.
fn log_loss(scores: &[f64], place: usize) -> Option<f64> {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = scores.iter().map(|score| (score - largest).exp()).sum();
    scores.get(place).map(|score| sum.ln() + largest - score).filter(|loss| loss.is_finite())
}

/// One answer, as a page shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// The answer.
    pub prediction: String,
    /// The right one.
    pub gold: String,
    /// Whether it was right.
    pub correct: bool,
    /// What it was worth, by a metric that knows more than that.
    pub score: Option<f64>,
}

/// Every example's answer with its words: the global one, or for methods without, that of the client whose shard holds it.
pub fn given(rows: &Rows, part: Option<&str>) -> Result<BTreeMap<String, Given>, ReportError> {
    let path = rows.path();
    let mut read: BTreeMap<String, Given> = BTreeMap::new();
    for batch in rows.batches_of(&["example", "client", "shard", "prediction", "gold", "correct", "score"], part)? {
        let batch = batch?;
        let example: &StringArray = column(path, &batch, "example")?;
        let [client, shard]: [&UInt32Array; 2] = [column(path, &batch, "client")?, column(path, &batch, "shard")?];
        let [prediction, gold]: [&StringArray; 2] = [column(path, &batch, "prediction")?, column(path, &batch, "gold")?];
        let correct: &BooleanArray = column(path, &batch, "correct")?;
        let score: Option<&Float64Array> = batch.column_by_name("score").map(|_| column(path, &batch, "score")).transpose()?;
        for row in 0..batch.num_rows() {
            let given = || Given {
                prediction: prediction.value(row).into(),
                gold: gold.value(row).into(),
                correct: correct.value(row),
                score: score.filter(|score| score.is_valid(row)).map(|score| score.value(row)),
            };
            if client.is_null(row) {
                read.insert(example.value(row).into(), given());
            } else if !shard.is_null(row) && shard.value(row) == client.value(row) {
                read.entry(example.value(row).into()).or_insert_with(given);
            }
        }
    }
    Ok(read)
}

/// A mean of shares may be off by a rounding.
fn is_within(value: f64, most: f64) -> bool {
    (0.0..=most + 1e-9).contains(&value)
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// What `records.parquet` says, condensed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recorded {
    /// Accuracy of the whole federation: round, accuracy.
    pub by_round: Vec<(u32, f64)>,
    /// Each client's last accuracy on its own test shard.
    pub by_client: BTreeMap<u32, f64>,
    /// Bytes of all clients, up and down together, by round: of adapters, and of activations.
    pub bytes_by_round: BTreeMap<u32, [f64; 2]>,
    /// Accuracy on the examples of a kind, `tag=value`.
    pub by_kind: BTreeMap<String, f64>,
    /// How many examples are of a kind, where the run says so.
    pub examples_of_kind: BTreeMap<String, f64>,
    /// Values among all of these that are not finite.
    pub not_finite: usize,
    /// What a summary's numbers follow from.
    pub follows: Follows,
}

/// Reads the rows of `records.parquet` that a report shows; what is of the card's metric is at most so much.
pub fn recorded(rows: &Rows, most: f64) -> Result<Recorded, ReportError> {
    let path = rows.path();
    let mut read = Recorded::default();
    for batch in rows.batches(&["round", "client", "metric", "value"])? {
        let batch = batch?;
        let round: &UInt32Array = column(path, &batch, "round")?;
        let client: &UInt32Array = column(path, &batch, "client")?;
        let metric: &StringArray = column(path, &batch, "metric")?;
        let value: &Float64Array = column(path, &batch, "value")?;
        for row in 0..batch.num_rows() {
            let client = client.is_valid(row).then(|| client.value(row));
            let (metric, value) = (Metric::parse(metric.value(row)), value.value(row));
            let most = if metric.is_of_card() { most } else { 1.0 };
            if is_unit(&metric, Unit::Fraction) && !is_within(value, most) {
                let name = guard::text::line(&metric.name(), 80);
                return Err(bad(path, &format!("{name} = {value}: expected a number in [0, {most}]")));
            }
            read.take(round.value(row), client, metric, value);
        }
    }
    Ok(read)
}

impl Recorded {
    fn take(&mut self, round: u32, client: Option<u32>, metric: Metric, value: f64) {
        let is_shown = is_unit(&metric, Unit::Bytes) || is_unit(&metric, Unit::Examples);
        self.not_finite += usize::from(is_shown && !value.is_finite());
        self.follows.take(&metric, (round, client, value));
        match (metric, client) {
            (Metric::Accuracy, None) => self.by_round.push((round, value)),
            (Metric::ClientAccuracy, Some(client)) => drop(self.by_client.insert(client, value)),
            (Metric::UplinkBytes | Metric::DownlinkBytes, Some(_)) => self.bytes_by_round.entry(round).or_default()[0] += value,
            (Metric::ActivationUplinkBytes | Metric::ActivationDownlinkBytes, Some(_)) => {
                self.bytes_by_round.entry(round).or_default()[1] += value;
            }
            (Metric::AccuracyOf(kind), None) => drop(self.by_kind.insert(kind, value)),
            (Metric::ExamplesOf(kind), None) => drop(self.examples_of_kind.insert(kind, value)),
            _ => {}
        }
    }
}

fn is_unit(metric: &Metric, unit: Unit) -> bool {
    metric.row().is_some_and(|row| row.unit == unit)
}
