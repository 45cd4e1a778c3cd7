//! The report as [`Block`]s: which section says what, in which columns.

use std::collections::{BTreeMap, BTreeSet};

use schema::Family;
use schema::metrics::{Optional, Reported, Section, Unit};

use crate::blocks::{Block, Table};
use crate::format::{self, NOTHING};
use crate::headers::{headed, headed_for_all, of_guessing};
use crate::paired::Paired;
use crate::targets::{self, Effort};
use crate::{Group, Report, Stat, headers, kinds, provenance, tuning};

/// At most so many rows in a table of rounds; JSON has them all.
const MAX_ROUND_ROWS: usize = 21;

/// The whole report.
pub fn blocks(report: &Report) -> Vec<Block> {
    let mut blocks = vec![Block::Heading(1, "fedbench report".into())];
    let seeds: BTreeSet<u64> = report.runs.iter().map(|run| run.summary.seed).collect();
    // A run of several metrics is there once for each.
    let runs = report.runs.iter().map(|run| &run.dir).collect::<BTreeSet<_>>().len();
    let groups = report.groups.len();
    blocks.push(Block::Text(format!(
        "{runs} runs, {groups} configurations, seeds {}. ± is the standard deviation (n - 1) over n seeds; ↑ more is better, ↓ less.",
        join(seeds)
    )));
    blocks.push(Block::Heading(2, "Warnings".into()));
    blocks.push(match report.warnings.is_empty() {
        true => Block::Text("None.".into()),
        false => Block::List(report.warnings.iter().map(|warning| warning.message.clone()).collect()),
    });
    let sections: [fn(&Report) -> Vec<Block>; 12] =
        [accuracy, tuned, pictures, ranking, clients, kinds, storage, communication, reached, cost, comparisons, rounds];
    blocks.extend(sections.iter().flat_map(|section| section(report)));
    if !report.material.partitions.is_empty() {
        blocks.push(Block::Heading(2, "Partition".into()));
        blocks.push(Block::Text("Who trains on what, in the first run of each way to split; other seeds draw anew.".into()));
    }
    blocks.push(Block::Heading(2, "Provenance".into()));
    blocks.push(Block::List(provenance::lines(&report.runs)));
    blocks
}

fn join(items: impl IntoIterator<Item = impl ToString>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

fn section(title: &str, text: &str, table: Table) -> Vec<Block> {
    vec![Block::Heading(2, title.into()), Block::Text(text.into()), Block::Table(table)]
}

/// Methods x datasets.
fn accuracy(report: &Report) -> Vec<Block> {
    let datasets: BTreeSet<&str> = report.groups.iter().map(|group| group.dataset.as_str()).collect();
    let mut methods: BTreeMap<(Family, String), BTreeMap<&str, usize>> = BTreeMap::new();
    for (index, group) in report.groups.iter().enumerate() {
        methods.entry((group.family, group.label())).or_default().insert(&group.dataset, index);
    }
    let cell = |group: Option<&usize>| {
        let Some(group) = group.map(|group| &report.groups[*group]) else { return NOTHING.into() };
        let (stat, most) = (group.stat(Reported::Accuracy), report.runs[group.runs[0]].summary.most());
        format!("{} ({})", format::percent_with_interval(stat, most), stat.n)
    };
    let place = |(row, groups): (usize, &BTreeMap<&str, usize>)| {
        let columns = datasets.iter().enumerate().filter_map(|(column, dataset)| Some((row, 1 + column, *groups.get(dataset)?)));
        columns.collect::<Vec<_>>()
    };
    let subjects = methods.values().enumerate().flat_map(place).collect();
    let row = |((_, label), groups): (&(Family, String), &BTreeMap<&str, usize>)| {
        std::iter::once(label.clone()).chain(datasets.iter().map(|dataset| cell(groups.get(dataset)))).collect()
    };
    let mut rows: Vec<Vec<String>> = methods.iter().map(row).collect();
    for (name, metric) in [("chance", Reported::ChanceAccuracy), ("majority", Reported::MajorityAccuracy)] {
        let baseline = datasets.iter().map(|dataset| of_guessing(report, dataset, |g| Some(g.stat(metric))));
        rows.push(std::iter::once(name.to_string()).chain(baseline).collect());
    }
    if report.groups.iter().any(|group| group.optional(Optional::LookupAccuracy).is_some()) {
        let lookup = datasets.iter().map(|dataset| of_guessing(report, dataset, |g| g.optional(Optional::LookupAccuracy)));
        rows.push(std::iter::once("lookup".to_string()).chain(lookup).collect());
    }
    let header = std::iter::once("method".into()).chain(datasets.iter().map(|dataset| headed(report, dataset))).collect();
    section(
        "Accuracy",
        "On the whole test split, mean ± sd [95% interval of the mean, Student's over seeds] (seeds); for methods whose clients end with \
         their own adapters, the mean over clients. Without looking: chance guesses among the options; majority always gives the most \
         frequent answer of the test rows; lookup gives the most frequent answer of the training rows with the same question text, or else \
         the option that is right most often. What does not lie above lookup needs no picture.",
        Table { text_columns: 1, header, rows, subjects },
    )
}

/// With which rates and how many numbers methods trained, and whether anybody tuned those.
fn tuned(report: &Report) -> Vec<Block> {
    let rate = |group: &Group| tuning::rate(&report.runs, group);
    if report.groups.iter().all(|group| rate(group).is_none()) {
        return Vec::new();
    }
    let of = |group: &Group| match (rate(group), tuning::of(&report.runs, group)) {
        (None, _) => NOTHING.into(),
        (Some(_), None) => "no".into(),
        (Some(_), Some(tuned)) => tuning::words(tuned),
    };
    let table = by_group(
        report,
        &[
            ("learning rate", &|g| rate(g).map_or(NOTHING.into(), |rate| rate.to_string())),
            ("trained (parameters)", &|g| format::exact(g.stat(Reported::TrainableParameters), format::count)),
            ("tuned", &of),
        ],
    );
    let text = "One rate for all, or one that nobody tuned, may suit one method and not another; so may one number of parameters. Tuned: the \
                rate, and other keys that are named, chosen by a search on the split that is named (`fedbench suite SUITE tune`).";
    section("Tuning", text, table)
}

/// How much of an accuracy needs pictures, where some run was judged without, too.
fn pictures(report: &Report) -> Vec<Block> {
    let seen = |group: &Group| match group.optional(Optional::PicturesWorth) {
        Some(_) => format::percent(group.stat(Reported::Accuracy)),
        None => NOTHING.into(),
    };
    let mut columns: Vec<Column> = vec![("with pictures (% ↑)", &seen)];
    let more = optional_columns(report, Section::Pictures);
    if more.is_empty() {
        return Vec::new();
    }
    columns.extend(more.iter().map(|(name, cell)| (*name, cell as &dyn Fn(&Group) -> String)));
    let interval = |group: &Group| {
        let interval = group.optional(Optional::PicturesWorth).and_then(|stat| stat.interval());
        interval.map_or(NOTHING.into(), |[low, high]| format!("{:+.1} to {:+.1}", 100.0 * low, 100.0 * high))
    };
    columns.push(("95% interval (points)", &interval));
    let text = "The same adapters on the same test rows, every picture replaced by the mean picture of the split; mean ± sd over seeds, \
                interval: Student's over seeds. –: not judged so (`evaluation.blind`), or clients end with their own adapters.";
    section("Without pictures", text, by_group(report, &columns))
}

/// How options were ranked, and otherwise, where runs say it.
fn ranking(report: &Report) -> Vec<Block> {
    let mut columns: Vec<Column> = vec![("as the card ranks (% ↑)", &|g| format::percent(g.stat(Reported::Accuracy)))];
    let more = optional_columns(report, Section::Ranking);
    if more.is_empty() {
        return Vec::new();
    }
    columns.extend(more.iter().map(|(name, cell)| (*name, cell as &dyn Fn(&Group) -> String)));
    let text = "The same answers with each option's log-likelihood divided by the bytes of its text (a card's `option_score = \"byte\"` ranks \
                so), and how often the shortest option is taken and how often it is right: where the former is much more, the ranking prefers \
                short texts. Mean ± sd over seeds.";
    section("Ranking of options", text, by_group(report, &columns))
}

/// A column's name, and its cell for a group.
type Column<'a> = (&'a str, &'a dyn Fn(&Group) -> String);

/// One row per group: dataset, method, setting (where any group has one), then the cells.
fn by_group(report: &Report, columns: &[Column]) -> Table {
    let settings = report.groups.iter().any(|group| !group.setting.is_empty());
    let row = |group: &Group| {
        let names = names(group, settings);
        names.into_iter().chain(columns.iter().map(|(_, cell)| cell(group))).collect()
    };
    let names = name_columns(settings);
    Table {
        text_columns: names.len(),
        header: names.into_iter().chain(columns.iter().map(|(name, _)| *name)).map(|name| headed_for_all(report, name)).collect(),
        rows: report.groups.iter().map(row).collect(),
        subjects: (0..report.groups.len()).map(|row| (row, 1, row)).collect(),
    }
}

fn name_columns(settings: bool) -> Vec<&'static str> {
    if settings { vec!["dataset", "method", "setting"] } else { vec!["dataset", "method"] }
}

fn names(group: &Group, settings: bool) -> Vec<String> {
    let mut names = vec![group.dataset.clone(), group.method.clone()];
    names.extend(settings.then(|| group.setting.clone()));
    names
}

fn clients(report: &Report) -> Vec<Block> {
    let mut columns: Vec<Column> = vec![
        ("clients", &|g| g.clients.to_string()),
        ("mean over clients (% ↑)", &|g| format::percent(g.stat(Reported::ClientAccuracyMean))),
        ("worst client (% ↑)", &|g| format::percent(g.stat(Reported::ClientAccuracyMin))),
        ("spread over clients (points ↓)", &|g| format::percent(g.stat(Reported::ClientAccuracyStd))),
    ];
    let more = optional_columns(report, Section::Clients);
    columns.extend(more.iter().map(|(name, cell)| (*name, cell as &dyn Fn(&Group) -> String)));
    let text = "Each client's accuracy on its own test shard; the spread is the sd over clients; ± sd over seeds. A method whose \
                clients mix shared and own adapters is judged with the mixture.";
    let mut blocks = section("Clients", text, by_group(report, &columns));
    blocks.extend(labelled_clients(report));
    blocks
}

/// Whether a number is missing because no file holds an infinite one.
fn is_infinite(report: &Report, group: &Group, of: Optional) -> bool {
    of == Optional::PrivacyEpsilon && group.runs.iter().all(|&run| report.runs[run].is_bare())
}

/// The columns of a section's table that not every run has, where some run has them.
fn optional_columns<'a>(report: &'a Report, section: Section) -> Vec<(&'static str, impl Fn(&Group) -> String + use<'a>)> {
    let column = |&number: &Optional| {
        let column = number.row().column.filter(|column| column.section == section)?;
        let known = |group: &Group| group.optional(number).is_some() || is_infinite(report, group, number);
        let cell = move |group: &Group| match (group.optional(number), number.row().unit) {
            (None, _) if is_infinite(report, group, number) => "∞".into(),
            (None, _) => NOTHING.into(),
            (Some(stat), Unit::Fraction) => format::percent(stat),
            (Some(stat), Unit::Flops) => format::exact(stat, format::operations),
            (Some(stat), _) => format::with_sd(stat, |value| format!("{value:.2}")),
        };
        report.groups.iter().any(known).then_some((column.header, cell))
    };
    Optional::ALL.iter().filter_map(column).collect()
}

/// A group's place in [`Report::groups`], and its cells.
type Row = (usize, Vec<String>);

/// One table per dataset whose clients have labels: methods x clients.
fn labelled_clients(report: &Report) -> Vec<Block> {
    let mut tables: BTreeMap<(&str, &[String]), Vec<Row>> = BTreeMap::new();
    for (index, group) in report.groups.iter().enumerate().filter(|(_, group)| !group.client_labels.is_empty()) {
        let cell = |client: u32| group.by_client.get(&client).map_or(NOTHING.into(), |stat| format::percent(*stat));
        let cells = (0..).take(group.client_labels.len()).map(cell);
        let row = std::iter::once(group.label()).chain(cells).collect();
        tables.entry((&group.dataset, &group.client_labels)).or_default().push((index, row));
    }
    let table = |((dataset, labels), rows): ((&str, &[String]), Vec<Row>)| {
        let unit = headers::unit(report, dataset);
        let labels = labels.iter().map(|label| format!("{label} ({unit} ↑)"));
        let header = std::iter::once("method".into()).chain(labels).collect();
        let title = format!("Each client of {dataset}");
        let subjects = rows.iter().enumerate().map(|(row, (index, _))| (row, 0, *index)).collect();
        let rows = rows.into_iter().map(|(_, cells)| cells).collect();
        [Block::Heading(3, title), Block::Table(Table { text_columns: 1, header, rows, subjects })]
    };
    tables.into_iter().flat_map(table).collect()
}

/// At most so many kinds of example in a table; CSV has them all.
const MAX_KINDS: usize = 24;

/// One table per dataset and tag: methods x kinds of example.
fn kinds(report: &Report) -> Vec<Block> {
    let tables: Vec<Block> = kinds::tags(report).into_iter().flat_map(|of_tag| kinds_table(report, &of_tag)).collect();
    if tables.is_empty() {
        return Vec::new();
    }
    let text = format!(
        "Accuracy on the test examples of a kind, after the last round, mean ± sd over seeds; n is how many examples are of that kind, \
         where runs say. At most {MAX_KINDS}, the most frequent; breakdowns.csv has them all."
    );
    [Block::Heading(2, "Accuracy by kind of example".into()), Block::Text(text)].into_iter().chain(tables).collect()
}

fn kinds_table(report: &Report, of_tag: &kinds::Tag) -> [Block; 2] {
    let mut shown: Vec<&kinds::Kind> = of_tag.kinds.iter().collect();
    shown.sort_by_key(|kind| std::cmp::Reverse(kind.examples));
    shown.truncate(MAX_KINDS);
    let n = |kind: &kinds::Kind| kind.examples.map_or(String::new(), |n| format!(", n = {n}"));
    let unit = headers::unit(report, of_tag.dataset);
    let names = shown.iter().map(|kind| format!("{} ({unit} ↑{})", kind.value, n(kind)));
    let row = |&group: &usize| {
        let cell = |kind: &&kinds::Kind| kind.by_group.get(&group).map_or(NOTHING.into(), |stat| format::percent(*stat));
        std::iter::once(report.groups[group].label()).chain(shown.iter().map(cell)).collect()
    };
    let title = format!("{} by {}", of_tag.dataset, of_tag.tag);
    let table = Table {
        text_columns: 1,
        header: std::iter::once("method".into()).chain(names).collect(),
        rows: of_tag.groups.iter().map(row).collect(),
        subjects: of_tag.groups.iter().enumerate().map(|(row, group)| (row, 0, *group)).collect(),
    };
    [Block::Heading(3, title), Block::Table(table)]
}

fn storage(report: &Report) -> Vec<Block> {
    let count = |stat: Stat| format::exact(stat, format::count);
    let table = by_group(
        report,
        &[
            ("paper (parameters ↓)", &|g| count(g.stat(Reported::ClientParametersPaper))),
            ("paper (% of model ↓)", &|g| format::share(g.stat(Reported::ClientSharePaper))),
            ("deployed (parameters ↓)", &|g| count(g.stat(Reported::ClientParametersDeployed))),
            ("deployed (% of model ↓)", &|g| format::share(g.stat(Reported::ClientShareDeployed))),
            ("trainable (parameters)", &|g| count(g.stat(Reported::TrainableParameters))),
            ("whole model (parameters)", &|g| count(g.stat(Reported::ModelParameters))),
        ],
    );
    let text =
        "What a client stores. Ledger \"paper\": as FedNano's table counts; ledger \"deployed\": all that a client must hold.";
    section("Storage", text, table)
}

fn communication(report: &Report) -> Vec<Block> {
    let bytes = |stat: Stat| format::exact(stat, format::bytes);
    let count = |stat: Stat| format::exact(stat, format::count);
    let table = by_group(
        report,
        &[
            ("paper: upload per client and round (parameters ↓)", &count_of(&count, Reported::UploadedParametersPerRound)),
            ("adapters up (↓)", &count_of(&bytes, Reported::UplinkBytes)),
            ("adapters down (↓)", &count_of(&bytes, Reported::DownlinkBytes)),
            ("activations up (↓)", &count_of(&bytes, Reported::ActivationUplinkBytes)),
            ("activations down (↓)", &count_of(&bytes, Reported::ActivationDownlinkBytes)),
            ("total (↓)", &count_of(&bytes, Reported::TotalBytes)),
        ],
    );
    let text = "Ledger \"paper\": parameters of one upload. Ledger \"deployed\": bytes (binary units) of all clients and rounds; \
                activations hold hidden states, labels and gradients of split training, or raw data sent once (centralized).";
    section("Communication", text, table)
}

fn count_of<'a>(format: &'a dyn Fn(Stat) -> String, metric: Reported) -> impl Fn(&Group) -> String + 'a {
    move |group| format(group.stat(metric))
}

/// One table per dataset and backbone: methods x targets.
fn reached(report: &Report) -> Vec<Block> {
    let fields = targets::efforts(report);
    if fields.is_empty() {
        return Vec::new();
    }
    let text = "The first judged round whose accuracy on the whole test split reaches the target, and the bytes of all clients until \
                its end, up and down. Medians over seeds; a seed that does not get there counts as later than any that does, so – \
                means that half of them or more do not. ≤: rounds before were not judged.";
    let mut blocks = vec![Block::Heading(2, "Reaching an accuracy".into()), Block::Text(text.into())];
    if report.targets.is_empty() {
        let rule = "The target is halfway from zero-shot (or chance) to the best centralized method (or the best there is); \
                    the option --target of fedbench report takes others.";
        blocks.push(Block::Text(rule.into()));
    }
    let show_backbone = fields.keys().map(|(_, backbone)| backbone).collect::<BTreeSet<_>>().len() > 1;
    for ((dataset, backbone), efforts) in &fields {
        let title = if show_backbone { format!("{dataset} · {backbone}") } else { dataset.to_string() };
        blocks.extend([Block::Heading(3, title), Block::Table(efforts_table(report, efforts))]);
    }
    blocks
}

fn efforts_table(report: &Report, efforts: &[Effort]) -> Table {
    let header = ["method", "target (%)", "rounds (↓)", "adapters, bytes (↓)", "all bytes (↓)", "not reached (seeds)"];
    let row = |effort: &Effort| {
        let cell = |value: Option<f64>, format: fn(f64) -> String| {
            let bound = |value: f64| if effort.is_bound && value > 0.0 { "≤ " } else { "" };
            value.map_or(NOTHING.into(), |value| format!("{}{}", bound(value), format(value)))
        };
        vec![
            report.groups[effort.group].label(),
            format!("{:.1}", 100.0 * effort.target_accuracy),
            cell(effort.rounds, |rounds| rounds.to_string()),
            cell(effort.adapter_bytes, format::bytes),
            cell(effort.total_bytes, format::bytes),
            format!("{} of {}", effort.seeds - effort.seeds_reached, effort.seeds),
        ]
    };
    Table {
        text_columns: 1,
        header: header.map(String::from).to_vec(),
        rows: efforts.iter().map(row).collect(),
        subjects: efforts.iter().enumerate().map(|(row, effort)| (row, 0, effort.group)).collect(),
    }
}

fn cost(report: &Report) -> Vec<Block> {
    let seconds = |g: &Group| format::with_sd(g.stat(Reported::WallSeconds), |value| format!("{value:.1}"));
    let memory = |g: &Group| match g.stat(Reported::PeakMemoryBytes) {
        stat if stat.mean == 0.0 => NOTHING.into(),
        stat => format::with_sd(stat, format::bytes),
    };
    let mut columns: Vec<Column> = vec![
        ("optimizer steps", &|g| format::exact(g.stat(Reported::OptimizerSteps), |steps| format!("{steps:.0}"))),
        ("wall time (s ↓)", &seconds),
        ("training (examples/s ↑)", &|g| format::rate(g.stat(Reported::TrainExamplesPerSecond))),
        ("peak memory (↓)", &memory),
    ];
    let more = optional_columns(report, Section::Cost);
    columns.extend(more.iter().map(|(name, cell)| (*name, cell as &dyn Fn(&Group) -> String)));
    let text = "Time and memory are of the simulation on this machine; wall time includes evaluation, and peak memory is the whole \
                process's so far. Operations are counted from shapes, over all clients and rounds, evaluation not included.";
    section("Cost", text, by_group(report, &columns))
}

fn comparisons(report: &Report) -> Vec<Block> {
    if report.comparisons.is_empty() {
        return Vec::new();
    }
    let settings = report.groups.iter().any(|group| !group.setting.is_empty());
    let confounded = report.comparisons.iter().any(|comparison| !comparison.also_differs.is_empty());
    let names = name_columns(settings);
    let mut header: Vec<String> = names.iter().chain(&["reference"]).map(|name| name.to_string()).collect();
    header.extend(confounded.then(|| "also differs in".into()));
    let text_columns = header.len();
    header.extend(COMPARED.map(String::from));
    let row = |comparison: &crate::Comparison| {
        let mut row = self::names(&report.groups[comparison.group], settings);
        row.push(report.groups[comparison.reference].label());
        row.extend(confounded.then(|| join(&comparison.also_differs)));
        row.extend(compared(&comparison.paired));
        row
    };
    let rows = report.comparisons.iter().map(row).collect();
    let text = format!(
        "Accuracy minus the reference's over the same seeds, mean ± sd of the differences; below, over the same seeds and examples. Interval: \
         95%, of a bootstrap over examples and seeds. p: two-sided, of a t-test with both as sources of chance, corrected for the number of \
         comparisons (Holm). Verdict: a difference only where the interval holds no zero and the corrected p lies below 0.05. {DETECTABLE} \
         b: method right and reference wrong, c: the converse, with global adapters, summed over seeds; the exact McNemar test of the two, \
         corrected likewise, takes seeds for independent, which they are not: they share their examples."
    );
    let subjects = report.comparisons.iter().enumerate().map(|(row, comparison)| (row, 1, comparison.group)).collect();
    section("Paired comparison", &text, Table { text_columns, header, rows, subjects })
}

/// The columns of a comparison.
pub(crate) const COMPARED: [&str; 10] = [
    "difference (points)",
    "seeds",
    "95% interval (points)",
    "p (Holm)",
    "verdict",
    "detectable (points)",
    "pairs",
    "b",
    "c",
    "McNemar p (Holm)",
];

/// What that column says.
pub(crate) const DETECTABLE: &str = "Detectable: the true difference that such a comparison finds four times of five, by its own scatter \
                                     over examples and seeds and at the level that the correction leaves it; a smaller one may be there \
                                     and not be seen. One seed says nothing of others: no interval, p or verdict.";

pub(crate) fn compared(paired: &Paired) -> Vec<String> {
    let or_nothing = |text: Option<String>| text.unwrap_or(NOTHING.into());
    let seeds = paired.difference.map_or(0, |difference| difference.n);
    let mut cells = vec![
        or_nothing(paired.difference.map(format::points)),
        if seeds < 3 { format!("{seeds} (fewer than 3)") } else { seeds.to_string() },
        or_nothing(paired.interval.map(|interval| format!("{:+.1} to {:+.1}", 100.0 * interval.low, 100.0 * interval.high))),
        or_nothing(paired.p_holm.map(format::p_value)),
        or_nothing(paired.difference.map(|_| paired.verdict.words().into())),
        or_nothing(paired.detectable.map(|least| format!("{:.1}", 100.0 * least))),
    ];
    cells.extend(match paired.mcnemar {
        Some(m) => [m.pairs.to_string(), m.b.to_string(), m.c.to_string(), or_nothing(m.p_holm.map(format::p_value))],
        None => [NOTHING; 4].map(String::from),
    });
    cells
}

/// One table per dataset: rounds x methods.
fn rounds(report: &Report) -> Vec<Block> {
    let datasets: BTreeSet<&str> = report.groups.iter().map(|group| group.dataset.as_str()).collect();
    let mut blocks = Vec::new();
    for dataset in datasets {
        let measured = |group: &&Group| group.dataset == dataset && !group.accuracy_by_round.is_empty();
        let groups: Vec<&Group> = report.groups.iter().filter(measured).collect();
        if let Some(table) = rounds_table(&groups) {
            let unit = groups
                .iter()
                .map(|group| group.unit)
                .find(|unit| *unit != "%")
                .map_or(String::new(), |unit| format!(" ({unit})"));
            blocks.push(Block::Heading(3, format!("{dataset}{unit}")));
            blocks.push(Block::Table(table));
        }
    }
    if !blocks.is_empty() {
        let text = format!("Mean over seeds, %; round 0 is before the first; at most {MAX_ROUND_ROWS} rounds, evenly spaced.");
        blocks.splice(0..0, [Block::Heading(2, "Accuracy by round".into()), Block::Text(text)]);
    }
    blocks
}

fn rounds_table(groups: &[&Group]) -> Option<Table> {
    let rounds: BTreeSet<u32> = groups.iter().flat_map(|group| group.accuracy_by_round.keys().copied()).collect();
    let rounds: Vec<u32> = rounds.into_iter().collect();
    let last = rounds.len().checked_sub(1)?;
    let shown = rounds.len().min(MAX_ROUND_ROWS);
    let spaced: Vec<u32> = (0..shown).map(|i| rounds[if shown > 1 { i * last / (shown - 1) } else { last }]).collect();
    let cell = |group: &Group, round| {
        let stat = group.accuracy_by_round.get(&round);
        stat.map_or(NOTHING.into(), |stat| format!("{:.1}", 100.0 * stat.mean))
    };
    let row = |&round: &u32| std::iter::once(round.to_string()).chain(groups.iter().map(|g| cell(g, round))).collect();
    let header = std::iter::once("round".into()).chain(groups.iter().map(|group| group.label())).collect();
    Some(Table { text_columns: 0, header, rows: spaced.iter().map(row).collect(), ..Table::default() })
}
