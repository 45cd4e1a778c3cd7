//! The pretraining stream of the tiny backbone: an endless supply of scenes, each with a caption and several questions.
//!
//! It teaches the perception that the benchmarks need (colour, shape, number up to six, place, size, length, level, share, digits,
//! direction, a few everyday things and surfaces) in other looks, other phrasings and another mix of topics. Patterns, odd ones
//! out, sums, clock times, estimates, magnets, circuits, food chains, plants, shadows, map grids and legends, prices, and whatever
//! needs two pictures or none are left out: those are for tuning. Each thing is asked in several ways, and one sample of four
//! brings a sentence of plain English beside: a decoder that has only ever read sixty sentences does not understand a sixty-first.
//! A claim is put twice, once true and once not, so that nothing but the picture tells yes from no.
//!
//! ```
//! use data_scripts::generators::pretrain;
//! let sample = pretrain::sample(seed::Seed::new(0), 12);
//! assert_eq!(sample.rgb.len(), 64 * 64 * 3);
//! assert!(sample.qa.len() >= 4);
//! ```

mod asker;
mod diagrams;
mod phrases;
mod scenes;
mod things;

use seed::{Seed, Stream};

use super::canvas::png;
use super::english;
pub use super::look::Mark;
pub use asker::QuestionAnswer;
use scenes::Scene;

/// One scene, and what is asked of it.
#[derive(Debug, Clone, PartialEq)]
pub struct PretrainSample {
    /// The picture, 64x64, row by row, three bytes a pixel.
    pub rgb: Vec<u8>,
    /// What it shows, in at most twenty words.
    pub caption: String,
    /// What stands where: the lesson of grounding, before any question.
    pub marks: Vec<Mark>,
    /// A sentence that has nothing to do with it, beside one sample of four.
    pub text: Option<String>,
    /// Five to eight questions about it.
    pub qa: Vec<QuestionAnswer>,
}

impl PretrainSample {
    /// The picture as a PNG file.
    pub fn png(&self) -> Vec<u8> {
        png(&self.rgb)
    }
}

/// How often a kind of scene comes, as a weight, and what draws it.
type SceneKind = (usize, fn(&mut Stream) -> Scene);

/// The kinds of scene there are.
const SCENES: &[SceneKind] = &[
    (14, scenes::single),
    (14, scenes::pair),
    (9, scenes::group),
    (9, scenes::two_groups),
    (8, scenes::mixed),
    (11, scenes::symbol),
    (7, scenes::pointer),
    (7, diagrams::trio),
    (6, diagrams::corners),
    (8, diagrams::towers),
    (4, diagrams::sticks),
    (6, diagrams::shares),
    (6, diagrams::boxes),
    (7, diagrams::jars),
    (6, diagrams::arrows),
    (7, things::things),
    (5, things::surfaces),
];

/// At most so many questions are asked about a scene.
const QUESTIONS: usize = 8;

/// The `index`-th pretraining sample.
pub fn sample(seed: Seed, index: usize) -> PretrainSample {
    draw(seed.index("pretrain", index))
}

/// The `index`-th validation sample: the same distribution, never the same stream.
pub fn validation_sample(seed: Seed, index: usize) -> PretrainSample {
    draw(seed.index("pretrain-validation", index))
}

/// `n` texts for training a tokenizer: captions, questions and answers of pretraining, and a fifth of other sentences.
pub fn corpus(seed: Seed, n: usize) -> impl Iterator<Item = String> {
    (0..).flat_map(move |index| texts(seed, index)).take(n)
}

fn texts(seed: Seed, index: usize) -> Vec<String> {
    let sample = draw(seed.index("pretrain-corpus", index));
    let mut english = seed.index("pretrain-english", index);
    let mut texts = vec![sample.caption];
    texts.extend(sample.qa.into_iter().map(|qa| format!("{} {}", qa.question, qa.answer)));
    texts.push(english::sentence(&mut english));
    texts
}

fn draw(mut s: Stream) -> PretrainSample {
    let mut at = s.below(SCENES.iter().map(|(share, _)| share).sum());
    let make = SCENES.iter().find(|(share, _)| {
        let here = at < *share;
        at = at.saturating_sub(*share);
        here
    });
    let (_, make) = make.expect("the draw lies below the sum of the shares");
    let scene = make(&mut s);
    let keep = QUESTIONS.min(scene.qa.len());
    let chosen = s.sample(scene.qa.len(), keep);
    let text = s.chance(0.25).then(|| english::sentence(&mut s));
    let qa = chosen.into_iter().map(|i| scene.qa[i].clone()).collect();
    PretrainSample { rgb: scene.page.canvas.rgb(), caption: scene.caption, marks: scene.page.marks, text, qa }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_same_index_is_the_same_sample_in_any_order() {
        let seed = Seed::new(5);
        let forwards: Vec<_> = (0..40).map(|i| sample(seed, i)).collect();
        let mut backwards: Vec<_> = (0..40).rev().map(|i| sample(seed, i)).collect();
        backwards.reverse();
        assert!(forwards == backwards);
        assert!(sample(seed, 0) != validation_sample(seed, 0));
    }

    #[test]
    fn samples_are_short_and_consistent() {
        for i in 0..3000 {
            let sample = sample(Seed::new(1), i);
            assert!(sample.caption.split(' ').count() <= 20, "{}", sample.caption);
            assert!((5..=8).contains(&sample.qa.len()), "{sample:?}");
            for qa in &sample.qa {
                let mut distinct = qa.choices.clone();
                distinct.sort();
                distinct.dedup();
                assert!(distinct.len() == qa.choices.len() && qa.choices.len() >= 2, "{qa:?}");
                assert!(qa.choices.contains(&qa.answer), "{qa:?}");
                assert!(qa.question.split(' ').count() <= 24 && !qa.question.contains('{'), "{qa:?}");
            }
        }
    }

    #[test]
    fn no_yes_no_question_gives_itself_away() {
        let mut yes: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for qa in (0..6000).flat_map(|i| sample(Seed::new(2), i).qa) {
            if qa.answer == "yes" || qa.answer == "no" {
                let count = yes.entry(qa.topic).or_default();
                count.0 += usize::from(qa.answer == "yes");
                count.1 += 1;
            }
        }
        for (topic, (yes, all)) in yes {
            let share = yes as f64 / all as f64;
            assert!((0.4..0.6).contains(&share), "{topic}: {yes} of {all} are yes");
        }
    }

    #[allow(clippy::disallowed_methods, reason = "a test of speed; this crate may not use the harness' clock")]
    #[test]
    fn a_sample_is_fast() {
        let start = std::time::Instant::now();
        let total: usize = (0..2000).map(|i| sample(Seed::new(3), i).qa.len()).sum();
        let micros = start.elapsed().as_micros() / 2000;
        eprintln!("{micros} microseconds a sample, {total} questions");
        assert!(micros < 1500, "{micros} microseconds a sample");
    }
}
