//! Where is it? Pictures as IconGen's, with the box of one of their shapes for the answer.

use seed::{Seed, Stream};

use super::canvas::Canvas;
use super::item::say;
use super::layout::{Area, spots};
use super::look::{Page, Theme, some_colours, some_shapes};

/// A row, its columns as `lmms-lab/RefCOCO` has them, as far as they mean anything here.
#[derive(Debug, Clone, PartialEq)]
pub struct BoxRow {
    /// `box-<split>-<index>`: unique within the dataset.
    pub question_id: String,
    /// What is to be found.
    pub question: String,
    /// Left, top, right and bottom of what is drawn of it, as shares of the picture.
    pub corners: [f64; 4],
    /// The picture, as PNG.
    pub image: Vec<u8>,
    /// Its shape.
    pub shape: &'static str,
    /// Its colour.
    pub colour: &'static str,
    /// How many shapes are in the picture.
    pub objects: usize,
}

impl BoxRow {
    /// The box as models are to say it.
    pub fn answer(&self) -> String {
        format!("[{}]", self.corners.map(|number| format!("{number:.2}")).join(", "))
    }
}

/// The `index`-th row of a split, which depends on the seed, the split and the index alone.
pub fn row(seed: Seed, split: &str, index: usize) -> BoxRow {
    let mut s = seed.index(&format!("icongen-boxes/{split}"), index);
    let objects = s.between(1, 4);
    let (mut page, shapes, colours) =
        (Page::new(Theme::Icon, &mut s), some_shapes(&mut s, objects), some_colours(&mut s, objects));
    let (places, asked) = (spots(&mut s, objects, Area::PAGE), s.below(objects));
    let mut corners = [0.0; 4];
    for (object, place) in places.into_iter().enumerate() {
        let before = page.canvas.clone();
        page.shape(&mut s, shapes[object], colours[object], place.centre, place.size);
        if object == asked {
            corners = changed(&before, &page.canvas);
        }
    }
    let (shape, colour) = (shapes[asked].name(), colours[asked].name());
    BoxRow {
        question_id: format!("box-{split}-{index}"),
        question: question(&mut s, colour, shape),
        corners,
        image: page.canvas.png(),
        shape,
        colour,
        objects,
    }
}

fn question(s: &mut Stream, colour: &str, shape: &str) -> String {
    let templates = ["In which box is the {} {}?", "Draw a box around the {} {}.", "Which box holds the {} {}?"];
    say(s, &templates, &[colour, shape])
}

/// The box around all pixels that two pictures do not share, as shares of their sides; nothing of equal ones.
fn changed(before: &Canvas, after: &Canvas) -> [f64; 4] {
    let (before, after, side) = (before.rgb(), after.rgb(), super::canvas::SIDE as usize);
    let (mut low, mut high) = ([side; 2], [0; 2]);
    for (pixel, (old, new)) in before.chunks_exact(3).zip(after.chunks_exact(3)).enumerate() {
        if old != new {
            let at = [pixel % side, pixel / side];
            low = [low[0].min(at[0]), low[1].min(at[1])];
            high = [high[0].max(at[0] + 1), high[1].max(at[1] + 1)];
        }
    }
    [low[0], low[1], high[0], high[1]].map(|place| place as f64 / side as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disc of radius 8 around (20, 30) covers pixels 12 to 27 and 22 to 37.
    #[test]
    fn a_box_is_around_what_was_drawn() {
        let before = Canvas::new([255; 3]);
        let mut after = before.clone();
        after.disc((20.0, 30.0), 8.0, [0; 3]);
        assert_eq!(changed(&before, &after), [12.0, 22.0, 28.0, 38.0].map(|place| place / 64.0));
    }

    #[test]
    fn boxes_have_an_area_and_lie_within_their_picture() {
        let rows: Vec<BoxRow> = (0..500).map(|index| row(Seed::new(0), "train", index)).collect();
        for found in &rows {
            let [left, top, right, bottom] = found.corners;
            assert!(0.0 <= left && left + 0.05 < right && right <= 1.0, "{found:?}");
            assert!(0.0 <= top && top + 0.05 < bottom && bottom <= 1.0, "{found:?}");
            assert!((1..=4).contains(&found.objects) && found.question.contains(found.shape), "{found:?}");
        }
        let most = rows.iter().map(|found| rows.iter().filter(|other| other.answer() == found.answer()).count()).max();
        assert!(most.is_some_and(|most| most < 10), "no box is much more frequent than others: {most:?}");
    }
}
