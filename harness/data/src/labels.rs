//! The labels of a closed set that its card does not list: those of one of its splits.

use std::collections::BTreeSet;
use std::path::Path;

use schema::Card;

use super::card::check;
use super::error::{DataError, brief};
use super::parquet_file::open;
use super::{choices, columns, files};

/// The card, whose parts must fit together, with the labels of the split that it names, in the order of the alphabet; as it is where it lists them itself.
pub(super) fn listed(dir: &Path, card: &Card) -> Result<Card, DataError> {
    check(card)?;
    let Some(split) = &card.choices.labels_of else { return Ok(card.clone()) };
    let wrong = |message: String| DataError::Card { dataset: card.name.clone(), message };
    let mut found = BTreeSet::new();
    let paths = files::find(dir, card, split)?;
    files::check_sha256(&paths, files::split(card, split)?, split)?;
    let fold = files::split(card, split)?.fold.as_ref();
    let mut row = 0;
    for path in &paths {
        let reader = open(path)?;
        let roots = columns::project_label(path, card, reader.schema())?;
        for batch in reader.batches(roots)? {
            let batch = batch?;
            for index in 0..batch.num_rows() {
                let label = columns::label(&batch, card, index).filter(|_| fold.is_none_or(|fold| fold.holds(row)));
                found.extend(label.filter(|label| !label.is_empty()));
                row += 1;
            }
            if found.len() > choices::MAX_CHOICES {
                let (column, most) = (brief(&card.columns.answer), choices::MAX_CHOICES);
                return Err(wrong(format!(
                    "column `{column}` of split `{split}` holds over {most} different texts, which are no labels"
                )));
            }
        }
    }
    if found.len() < 2 {
        let labels = found.iter().map(|label| format!("`{}`", brief(label))).collect::<String>();
        let column = brief(&card.columns.answer);
        return Err(wrong(format!(
            "column `{column}` of split `{split}` holds {} labels{}{labels}; at least two are needed",
            found.len(),
            if labels.is_empty() { "" } else { ": " }
        )));
    }
    let mut card = card.clone();
    (card.choices.values, card.choices.labels_of) = (found.into_iter().collect(), None);
    check(&card)?;
    Ok(card)
}
