//! Saying where in a picture something is.

use data::Corners;
use schema::metrics::{Row, Score};

use crate::task::{Aggregate, Answering, Given, Gold, Loss, Measure, Reading, Target, TaskRow};

/// A generated text is read as a box: the first bracket that holds four numbers, left, top, right and bottom as shares of the picture. A
/// text without one, or whose corners are in the wrong order, is no answer, and is worth nothing.
pub const GROUNDING: TaskRow = TaskRow {
    name: "grounding",
    sentence: "A picture and what is to be found in it; the model generates a box, which is compared with the right one by their overlap.",
    source: "RefCOCO (Yu et al., arXiv 1608.00272): right from an intersection over union of a half on",
    target: Target::Box,
    loss: Loss::AnswerTokens,
    answering: Answering::Text,
    read: |text, _| if corners(text).is_some() { Reading::Text } else { Reading::Nothing },
    scores: &[
        measure(Score::BoxAccuracy, |given, gold| if overlap(given, gold) >= 0.5 { 1.0 } else { 0.0 }),
        measure(Score::MeanIou, overlap),
    ],
};

const fn measure(score: Score, of: fn(&Given, &Gold) -> f64) -> Measure {
    let row: &'static Row = score.row().expect("a score is in the table");
    // Graded, since one box may be right of several rows that have others.
    Measure { row, is_graded: true, of, aggregate: Aggregate::Mean, reach: None }
}

fn overlap(given: &Given, gold: &Gold) -> f64 {
    let both = corners(given.text).zip(gold.corners);
    both.map_or(0.0, |(given, gold)| iou(given.0, gold.0))
}

/// The box that a text says; none of one without area.
fn corners(text: &str) -> Option<Corners> {
    let inside = text.split(['[', '(']).skip(1).filter_map(|behind| behind.split([']', ')']).next());
    let read = |inside: &str| -> Option<[f64; 4]> {
        let numbers: Option<Vec<f64>> = inside.split(',').map(|part| part.trim().parse().ok()).collect();
        numbers?.try_into().ok()
    };
    let [left, top, right, bottom] = inside.into_iter().find_map(read)?;
    let is_box = [left, top, right, bottom].iter().all(|number| number.is_finite()) && left < right && top < bottom;
    is_box.then_some(Corners([left, top, right, bottom]))
}

/// The area that two boxes share, over the area of both together.
fn iou(a: [f64; 4], b: [f64; 4]) -> f64 {
    let side = |low: usize| (a[low + 2].min(b[low + 2]) - a[low].max(b[low])).max(0.0);
    let area = |corners: [f64; 4]| (corners[2] - corners[0]) * (corners[3] - corners[1]);
    let shared = side(0) * side(1);
    let whole = area(a) + area(b) - shared;
    if whole > 0.0 && whole.is_finite() { shared / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_by_hand() {
        let half = [0.0, 0.0, 0.5, 1.0];
        for (other, expect) in [
            (half, 1.0),
            ([0.0, 0.0, 1.0, 1.0], 0.5),
            ([0.25, 0.0, 0.75, 1.0], 1.0 / 3.0),
            ([0.5, 0.0, 1.0, 1.0], 0.0),
            ([0.25, 0.5, 0.5, 1.0], 0.25),
        ] {
            assert!((iou(half, other) - expect).abs() < 1e-15, "{other:?}");
            assert!((iou(other, half) - expect).abs() < 1e-15, "{other:?}");
        }
    }

    #[test]
    fn texts_that_are_boxes() {
        let expect = Some(Corners([0.1, 0.2, 0.5, 0.75]));
        for text in ["[0.1, 0.2, 0.5, 0.75]", "It is at (0.10,0.20,.5,0.75).", "[here] [0.1, 0.2, 0.5, 0.75] [0, 0, 1, 1]"] {
            assert_eq!(corners(text), expect, "{text}");
        }
        for text in [
            "",
            "left",
            "0.1, 0.2, 0.5, 0.75",
            "[0.5, 0.2, 0.1, 0.75]",
            "[0.1, 0.2, 0.1, 0.75]",
            "[NaN, 0, 1, 1]",
            "[0, 0, inf, 1]",
        ] {
            assert_eq!(corners(text), None, "{text}");
        }
        assert_eq!(corners("[1, 2, 3]"), None);
    }
}
