//! What makes numbers doubtful by the data alone: said where it may be meant, refused where it cannot be.

use data::{Dataset, Example};
use models::text::TextCodec;
use schema::Card;
use tasks::prepare::template;
use tasks::reach::Reach;
use tasks::{Judge, Split};

use crate::check::card_and_parts;
use crate::{Error, Result};

/// Refuses a prompt variant that holds a mark of the backbone's own: as text of a card it would be asked letter by letter.
pub(crate) fn check_templates(card: &Card, prompt: &str, text: &TextCodec) -> Result<()> {
    for card in card_and_parts(card) {
        let asked = template(card, prompt)?;
        for (key, written) in [("template", &asked.template), ("option", &asked.option)] {
            if let Some(special) = text.special_in(written) {
                return Err(Error::Usage(format!(
                    "card of dataset `{}`: prompt `{prompt}`: `{key}` holds `{special}`, a special token of this backbone; pictures, turns \
                     and ends are put by its chat format: leave it out",
                    card.name
                )));
            }
        }
    }
    Ok(())
}

/// Refuses a metric by which every answer to every row would be worth nothing.
pub(crate) fn check_reach(judge: &Judge) -> Result<()> {
    match Reach::of(judge) {
        Some(reach) if reach.most == 0.0 => Err(Error::Usage(format!(
            "metric `{}` gives 0 to any answer here: it leaves one person out and counts the others, and each of the {} test rows has one \
             person's answer; `metric = \"direct-answer\"` counts it as a third, and a text column with `answer = \"text\"` and `metric = \
             \"accuracy\"` as right",
            judge.split.dataset.card.metric, reach.rows
        ))),
        _ => Ok(()),
    }
}

/// What is to be said of a study's data.
pub(crate) fn of_data(judge: &Judge, train: &Split, text: &TextCodec) -> Vec<String> {
    let reach = Reach::of(judge).filter(|reach| reach.few > 0).map(|reach| {
        format!(
            "at most {:.1}% can be reached: {} of {} test rows have answers of fewer than {} people, which `{}` needs",
            100.0 * reach.most,
            reach.few,
            reach.rows,
            reach.needed,
            judge.split.dataset.card.metric
        )
    });
    // One split may be both.
    let other = Some(train).filter(|train| !std::ptr::eq(*train, &*judge.split));
    let datasets = other.into_iter().chain([&*judge.split]).map(|split| &split.dataset);
    let of_splits = datasets.flat_map(|dataset| repeated(dataset).into_iter().chain(spelled(dataset, text)));
    reach.into_iter().chain(of_splits).collect()
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
