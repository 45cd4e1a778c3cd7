//! What makes numbers doubtful by the data alone, in words: it may be meant. What cannot be meant is refused where it is prepared.

use data::{Dataset, Example};
use models::text::TextCodec;

use crate::judge::Judge;
use crate::reach::Reach;
use crate::split::Split;

/// What is to be said of what a judge asks, and of the split that is trained on, where there is one.
pub fn doubts(judge: &Judge, train: Option<&Split>) -> Vec<String> {
    let parts = judge.parts();
    let few = parts.iter().filter_map(|part| Some((part.metric, Reach::of(part.metric, &part.examples)?)));
    let reach = few.filter(|(_, reach)| reach.few > 0).map(|(metric, reach)| {
        format!(
            "at most {:.1}% can be reached: {} of {} test rows have answers of fewer than {} people, which `{}` needs",
            100.0 * reach.most,
            reach.few,
            reach.rows,
            reach.needed,
            metric.row.name
        )
    });
    let dedup = deduplicated(&judge.split.dataset);
    // One split may be both.
    let other = train.filter(|train| !std::ptr::eq(*train, &*judge.split));
    let datasets = other.into_iter().chain([&*judge.split]).map(|split| &split.dataset);
    let text = judge.backbone.text();
    let of_splits = datasets.flat_map(|dataset| repeated(dataset).into_iter().chain(spelled(dataset, text)));
    reach.chain(dedup).chain(of_splits).collect()
}

/// Rows that are not judged because they were trained on.
fn deduplicated(dataset: &Dataset) -> Option<String> {
    let (left_out, split) = (dataset.deduplicated.len(), &dataset.split);
    let all = dataset.examples.len() + left_out;
    (left_out > 0)
        .then(|| format!("{left_out} of {all} rows of split `{split}` stand in training, too, and are not judged (`data.dedup`)"))
}

fn repeated(dataset: &Dataset) -> Option<String> {
    let Dataset { repeated, split, .. } = dataset;
    (*repeated > 0).then(|| format!("{repeated} rows of split `{split}` are in two of its files: the same texts and pictures"))
}

/// Rows whose texts hold a special token's spelling.
fn spelled(dataset: &Dataset, text: &TextCodec) -> Option<String> {
    let special = |example: &Example| {
        let texts = [&example.hint, &example.question].into_iter().chain(&example.choices);
        texts.into_iter().find_map(|written| text.special_in(written))
    };
    let found: Vec<&str> = dataset.examples.iter().filter_map(special).collect();
    found.first().map(|first| {
        format!(
            "{} rows of split `{}` hold text such as `{first}`, which is a special token of this backbone: it is asked in other letters, \
             never as that token",
            found.len(),
            dataset.split
        )
    })
}
