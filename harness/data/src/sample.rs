//! Which rows of a split are taken where not all are.

use std::collections::BTreeMap;

use seed::Seed;

use crate::Dataset;

/// Which rows of a split are taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rows {
    /// At most so many; all without it.
    pub most: Option<usize>,
    /// Whether these are drawn from all, or are the first that can be used.
    pub sampled: bool,
}

impl Rows {
    /// The first so many, or all.
    pub fn first(most: Option<usize>) -> Self {
        Self { most, sampled: false }
    }

    /// As many as have to be read.
    pub fn read(self) -> Option<usize> {
        if self.sampled { None } else { self.most }
    }

    /// Those that are taken of what was read.
    pub fn of(self, dataset: Dataset) -> Dataset {
        match self.most {
            Some(most) if self.sampled && most < dataset.examples.len() => sampled(dataset, most),
            _ => dataset,
        }
    }
}

/// So many examples in their order, the same in every run, and their pictures.
fn sampled(mut dataset: Dataset, most: usize) -> Dataset {
    let mut kept = Seed::new(0).stream("test-rows").sample(dataset.examples.len(), most);
    kept.sort_unstable();
    let mut place: BTreeMap<usize, usize> = BTreeMap::new();
    let mut examples = Vec::with_capacity(kept.len());
    for example in kept {
        let mut example = dataset.examples[example].clone();
        for image in &mut example.images {
            let next = place.len();
            *image = *place.entry(*image).or_insert(next);
        }
        examples.push(example);
    }
    let mut wanted: Vec<(usize, usize)> = place.into_iter().map(|(old, new)| (new, old)).collect();
    wanted.sort_unstable();
    dataset.images = wanted.iter().map(|(_, old)| dataset.images[*old].clone()).collect();
    dataset.origins = wanted.iter().map(|(_, old)| dataset.origins[*old].clone()).collect();
    dataset.examples = examples;
    dataset
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::{Answer, Example, Origin};

    /// As many pictures as examples, every second of which has its neighbour's.
    fn dataset(examples: usize) -> Dataset {
        let card: schema::Card = toml::from_str(include_str!("../../../data-scripts/cards/scienceqa.toml")).expect("a card");
        let card = Arc::new(card);
        let example = |i: usize| Example {
            id: i.to_string(),
            row: i,
            raw_bytes: 0,
            question: String::new(),
            hint: String::new(),
            choices: Vec::new(),
            answer: Answer::Choice(0),
            images: vec![i / 2 * 2],
            card: card.clone(),
            tags: Default::default(),
        };
        Dataset {
            card: card.clone(),
            split: "test".into(),
            examples: (0..examples).map(example).collect(),
            images: (0..examples).map(|i| Arc::from([i as u8].as_slice())).collect(),
            origins: (0..examples).map(|i| Origin { file: Arc::from(Path::new("x")), place: i.to_string() }).collect(),
            skipped: Vec::new(),
            repeated: 0,
            deduplicated: Vec::new(),
            files: Vec::new(),
        }
    }

    #[test]
    fn a_sample_is_of_all_rows_and_keeps_their_pictures() {
        let rows = Rows { most: Some(40), sampled: true };
        let found = rows.of(dataset(200));
        let ids: Vec<usize> = found.examples.iter().map(|example| example.id.parse().expect("a number")).collect();
        assert_eq!(ids.len(), 40);
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]) && ids[39] > 150, "{ids:?}");
        let pictures: BTreeSet<usize> = ids.iter().map(|id| id / 2 * 2).collect();
        assert_eq!((found.images.len(), found.origins.len()), (pictures.len(), pictures.len()));
        for (id, example) in ids.iter().zip(&found.examples) {
            let picture = example.images[0];
            assert_eq!(
                (found.images[picture][0], found.origins[picture].place.clone()),
                ((id / 2 * 2) as u8, (id / 2 * 2).to_string())
            );
        }
        let again = rows.of(dataset(200));
        assert!(again.examples.iter().zip(&found.examples).all(|(a, b)| a.id == b.id));
        assert_eq!(Rows { most: Some(200), sampled: true }.of(dataset(200)).examples.len(), 200);
        assert_eq!((rows.read(), Rows::first(Some(3)).read()), (None, Some(3)));
    }
}
