//! Names beside points, where there is room for them: near, over nothing else, with a leader line where they stand off.

use super::font;
use super::scene::{Anchor, Ink, Point, SMALL, Scene};

/// A point and its name.
#[derive(Debug)]
pub struct Label {
    /// The middle of its mark.
    pub at: Point,
    /// What would be written beside it.
    pub text: String,
}

/// Left, top, right, bottom.
type Box = [f64; 4];

/// Places names in an order, where they cross none of the lines, or at least no point and no other name; one that finds no place
/// is left out (pointing at its mark still says it).
pub fn place(scene: &mut Scene, labels: &[Label], order: impl Iterator<Item = usize>, lines: &[[Point; 2]], frame: Box) {
    let mut taken: Vec<Box> = labels.iter().map(|label| around(label.at, 5.0)).collect();
    let lines: Vec<Box> = lines.iter().map(between).collect();
    for label in order.map(|i| &labels[i]) {
        let width = font::width(&label.text, SMALL);
        let free = |spot: &Spot| inside(&spot.area, &frame) && !taken.iter().any(|other| overlap(&spot.area, other));
        let clear = |spot: &Spot| free(spot) && !lines.iter().any(|line| overlap(&spot.area, line));
        if let Some(spot) = spots(label.at, width).find(clear).or_else(|| spots(label.at, width).find(free)) {
            draw(scene, label, &spot);
            taken.push(spot.area);
        }
    }
}

struct Spot {
    area: Box,
    text: Point,
    leader: bool,
}

/// Where a name may stand, best first: right, left, above, below, then the same further off.
fn spots((x, y): Point, width: f64) -> impl Iterator<Item = Spot> {
    let near = [(8.0, 3.5), (-8.0 - width, 3.5), (-width / 2.0, -9.0), (-width / 2.0, 16.0)];
    let far = [14.0, 24.0, 36.0, 50.0, 66.0].into_iter().flat_map(move |r| {
        [
            (r, -r / 2.0),
            (r, r / 2.0 + 7.0),
            (-r - width, -r / 2.0),
            (-r - width, r / 2.0 + 7.0),
            (-width / 2.0, -r),
            (-width / 2.0, r + 7.0),
        ]
    });
    let spot = move |(dx, dy): Point, leader| {
        let text = (x + dx, y + dy);
        Spot { area: [text.0 - 2.0, text.1 - 9.0, text.0 + width + 2.0, text.1 + 3.0], text, leader }
    };
    near.into_iter().map(move |offset| spot(offset, false)).chain(far.map(move |offset| spot(offset, true)))
}

fn draw(scene: &mut Scene, label: &Label, spot: &Spot) {
    if spot.leader {
        let [left, top, right, bottom] = spot.area;
        let near = (label.at.0.clamp(left + 2.0, right - 2.0), label.at.1.clamp(top + 1.0, bottom));
        scene.rule(label.at, near, Ink::Muted);
    }
    scene.text(spot.text, label.text.clone(), SMALL, Ink::Text, Anchor::Start);
}

fn around((x, y): Point, r: f64) -> Box {
    [x - r, y - r, x + r, y + r]
}

/// A level or upright line as a box.
fn between([(x1, y1), (x2, y2)]: &[Point; 2]) -> Box {
    [x1.min(*x2) - 0.5, y1.min(*y2) - 0.5, x1.max(*x2) + 0.5, y1.max(*y2) + 0.5]
}

fn inside(a: &Box, frame: &Box) -> bool {
    a[0] >= frame[0] && a[1] >= frame[1] && a[2] <= frame[2] && a[3] <= frame[3]
}

fn overlap(a: &Box, b: &Box) -> bool {
    a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]
}

#[cfg(test)]
mod tests {
    use super::super::scene::Form;
    use super::*;

    #[test]
    fn names_never_overlap() {
        let labels: Vec<Label> =
            (0..8).map(|i| Label { at: (100.0 + f64::from(i) * 3.0, 100.0), text: format!("method {i}") }).collect();
        let mut scene = Scene::new(400.0, 200.0);
        place(&mut scene, &labels, 0..8, &[], [0.0, 0.0, 400.0, 200.0]);
        let placed = scene.shapes.iter().filter_map(|shape| match &shape.form {
            Form::Text { at, text, .. } => Some([at.0, at.1 - 9.0, at.0 + font::width(text, SMALL), at.1 + 3.0]),
            _ => None,
        });
        let placed: Vec<Box> = placed.collect();
        assert!(placed.len() >= 6, "{} of 8 have a place", placed.len());
        for (i, a) in placed.iter().enumerate() {
            assert!(placed[..i].iter().all(|b| !overlap(a, b)));
        }
    }
}
