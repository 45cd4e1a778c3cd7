//! Pretraining scenes of everyday things and of surfaces, drawn with a few strokes.

use seed::Stream;

use super::asker::{Asker, article};
use super::phrases;
use super::scenes::Scene;
use crate::generators::canvas::{Canvas, Point, Rgb, at_turn, polygon};
use crate::generators::layout::{Area, spot};
use crate::generators::look::{Page, Theme, mix, some_colours};

/// A thing: its word, and what draws it around a centre within a size.
type Thing = (&'static str, fn(&mut Page, &mut Stream, Point, f32));

const THINGS: [Thing; 8] = [
    ("sun", sun),
    ("cloud", cloud),
    ("rain", rain),
    ("tree", tree),
    ("flower", flower),
    ("house", house),
    ("moon", moon),
    ("fish", fish),
];
const WORDS: [&str; 8] = ["sun", "cloud", "rain", "tree", "flower", "house", "moon", "fish"];
const SURFACES: [&str; 5] = ["plain", "striped", "dotted", "checked", "crossed"];

/// The words for two halves of a page.
fn halves(upright: bool) -> [&'static str; 2] {
    if upright { ["top", "bottom"] } else { ["left", "right"] }
}

fn half(upright: bool, i: usize) -> Area {
    if upright { Area::PAGE.cell(1, 2, 0, i) } else { Area::PAGE.cell(2, 1, i, 0) }
}

/// One or two things: what they are and on which side.
pub fn things(s: &mut Stream) -> Scene {
    let (mut page, upright, kinds) = (Page::new(Theme::Plain, s), s.chance(0.4), s.sample(THINGS.len(), 2));
    for i in 0..2 {
        let size = s.range(19.0, 27.0) as f32;
        let centre = spot(s, half(upright, i), size).centre;
        THINGS[kinds[i]].1(&mut page, s, centre, size);
        page.mark(centre, &[WORDS[kinds[i]]]);
    }
    let (sides, words) = (halves(upright), kinds.iter().map(|&kind| WORDS[kind]).collect::<Vec<_>>());
    let absent: Vec<&str> = WORDS.into_iter().filter(|word| !words.contains(word)).collect();
    let mut ask = Asker::new(s);
    for i in 0..2 {
        ask.of("thing", phrases::THING_AT, &[sides[i]], words[i], &WORDS);
        ask.of("side", phrases::PLACE, &[words[i]], sides[i], &sides);
        ask.check("there is", phrases::ANY_SHAPE, &[words[i]], true);
        let other = *ask.s.pick(&absent);
        ask.check("there is", phrases::ANY_SHAPE, &[other], false);
    }
    let relation = if upright { "above" } else { "left of" };
    let caption = format!("{} {} {relation} {} {}", article(words[0]), words[0], article(words[1]), words[1]);
    Scene { caption, qa: ask.qa, page }
}

fn sun(page: &mut Page, s: &mut Stream, centre: Point, size: f32) {
    let (rgb, rays) = ([248, 180 + s.below(40) as u8, 30], s.between(6, 10));
    for i in 0..rays {
        let turn = i as f32 / rays as f32;
        page.canvas.line(at_turn(centre, size * 0.32, turn), at_turn(centre, size * 0.48, turn), rgb, 1.8);
    }
    page.canvas.disc(centre, size * 0.26, rgb);
}

fn cloud(page: &mut Page, s: &mut Stream, (x, y): Point, size: f32) {
    let gray = 130 + s.below(60) as u8;
    for (dx, dy, radius) in [(-0.24, 0.06, 0.2), (0.0, -0.1, 0.24), (0.24, 0.05, 0.2), (0.0, 0.1, 0.2)] {
        page.canvas.disc((x + dx * size, y + dy * size), radius * size, [gray; 3]);
    }
}

fn rain(page: &mut Page, s: &mut Stream, (x, y): Point, size: f32) {
    let blue = [50, 100, 200 + s.below(40) as u8];
    cloud(page, s, (x, y - size * 0.15), size * 0.9);
    for i in 0..4 {
        let at = (x + (i as f32 - 1.5) * size * 0.2, y + size * 0.22);
        page.canvas.line(at, (at.0 - size * 0.08, at.1 + size * 0.22), blue, 1.6);
    }
}

fn tree(page: &mut Page, s: &mut Stream, (x, y): Point, size: f32) {
    page.canvas.rect((x - size * 0.07, y), size * 0.14, size * 0.48, [120, 80, 45]);
    let green = [40, 120 + s.below(40) as u8, 50];
    if s.chance(0.5) {
        page.canvas.disc((x, y - size * 0.14), size * 0.34, green);
    } else {
        let corners = [(x, y - size * 0.5), (x + size * 0.34, y + size * 0.18), (x - size * 0.34, y + size * 0.18)];
        page.canvas.fill(polygon(&corners), green);
    }
}

fn flower(page: &mut Page, s: &mut Stream, (x, y): Point, size: f32) {
    let (rgb, petals, head) = (page.rgb(some_colours(s, 1)[0]), s.between(5, 7), (x, y - size * 0.2));
    page.canvas.line(head, (x, y + size * 0.48), [60, 140, 60], 1.8);
    leaf(&mut page.canvas, (x, y + size * 0.3), size * 0.3, [60, 140, 60]);
    for i in 0..petals {
        page.canvas.disc(at_turn(head, size * 0.18, i as f32 / petals as f32), size * 0.12, rgb);
    }
    page.canvas.disc(head, size * 0.1, [250, 210, 60]);
}

fn leaf(canvas: &mut Canvas, (x, y): Point, size: f32, rgb: Rgb) {
    canvas.fill(polygon(&[(x, y), (x + size * 0.5, y - size * 0.5), (x + size, y - size * 0.3)]), rgb);
}

fn house(page: &mut Page, s: &mut Stream, (x, y): Point, size: f32) {
    let (wall, roof) = (page.rgb(some_colours(s, 1)[0]), [150, 60, 50]);
    page.canvas.rect((x - size * 0.34, y - size * 0.05), size * 0.68, size * 0.5, wall);
    page.canvas
        .fill(polygon(&[(x - size * 0.44, y - size * 0.05), (x, y - size * 0.48), (x + size * 0.44, y - size * 0.05)]), roof);
    page.canvas.rect((x - size * 0.08, y + size * 0.15), size * 0.16, size * 0.3, mix(wall, [0, 0, 0], 0.6));
}

fn moon(page: &mut Page, s: &mut Stream, (x, y): Point, size: f32) {
    let side = if s.chance(0.5) { 1.0 } else { -1.0 };
    page.canvas.disc((x, y), size * 0.4, [60, 64, 100]);
    let limb = (0..=16).map(|i| at_turn((0.0, 0.0), size * 0.4, i as f32 / 32.0));
    let edge = (0..=16).rev().map(|i| at_turn((0.0, 0.0), size * 0.4, i as f32 / 32.0)).map(|(x, y)| (x * 0.35, y));
    let lit: Vec<Point> = limb.chain(edge).map(|(dx, dy)| (x + side * dx, y + dy)).collect();
    page.canvas.fill(polygon(&lit), [240, 232, 190]);
}

fn fish(page: &mut Page, s: &mut Stream, (x, y): Point, size: f32) {
    let (rgb, side) = (page.rgb(some_colours(s, 1)[0]), if s.chance(0.5) { 1.0 } else { -1.0 });
    let body: Vec<Point> = (0..20)
        .map(|i| at_turn((0.0, 0.0), 1.0, i as f32 / 20.0))
        .map(|(dx, dy)| (x + dx * size * 0.34, y + dy * size * 0.2))
        .collect();
    page.canvas.fill(polygon(&body), rgb);
    page.canvas.fill(
        polygon(&[
            (x - side * size * 0.26, y),
            (x - side * size * 0.48, y - size * 0.18),
            (x - side * size * 0.48, y + size * 0.18),
        ]),
        rgb,
    );
    page.canvas.disc((x + side * size * 0.2, y - size * 0.05), size * 0.035, [250, 250, 250]);
}

/// Two patches with different surfaces.
pub fn surfaces(s: &mut Stream) -> Scene {
    let (mut page, upright, kinds, colours) =
        (Page::new(Theme::Plain, s), s.chance(0.4), s.sample(SURFACES.len(), 2), some_colours(s, 2));
    for i in 0..2 {
        let (width, height) = (s.range(21.0, 27.0) as f32, s.range(21.0, 27.0) as f32);
        let centre = spot(s, half(upright, i), 27.0).centre;
        let corner = (centre.0 - width / 2.0, centre.1 - height / 2.0);
        let rgb = page.rgb(colours[i]);
        draw_surface(&mut page, s, kinds[i], corner, (width, height), rgb);
        page.mark(centre, &[SURFACES[kinds[i]], colours[i].name()]);
    }
    let (sides, words) = (halves(upright), kinds.iter().map(|&kind| SURFACES[kind]).collect::<Vec<_>>());
    let mut ask = Asker::new(s);
    for i in 0..2 {
        ask.of("surface", phrases::SURFACE_AT, &[sides[i]], words[i], &SURFACES);
        ask.of("side", phrases::PLACE, &[&format!("{} patch", words[i])], sides[i], &sides);
        ask.of("side", phrases::PLACE, &[&format!("{} patch", colours[i].name())], sides[i], &sides);
        ask.colour(phrases::COLOUR_OF, &format!("{} patch", words[i]), colours[i]);
        ask.of("surface", phrases::SURFACE_OF, &[colours[i].name()], words[i], &SURFACES);
    }
    let part = |i: usize| format!("{} {} {} patch", article(words[i]), words[i], colours[i].name());
    Scene { caption: format!("{} and {}", part(0), part(1)), qa: ask.qa, page }
}

fn draw_surface(page: &mut Page, s: &mut Stream, kind: usize, (x, y): Point, (width, height): Point, rgb: Rgb) {
    let (other, lines) = (mix(rgb, if s.chance(0.5) { [255, 255, 255] } else { [20, 20, 20] }, 0.6), s.between(3, 5));
    page.canvas.rect((x, y), width, height, rgb);
    let (dx, dy) = (width / lines as f32, height / lines as f32);
    let lying = s.chance(0.5);
    for i in 0..lines {
        let at = i as f32 + 0.5;
        match kind {
            1 if lying => page.canvas.line((x + 1.0, y + at * dy), (x + width - 1.0, y + at * dy), other, 1.8),
            1 => page.canvas.line((x + at * dx, y + 1.0), (x + at * dx, y + height - 1.0), other, 1.8),
            2 => (0..lines).for_each(|j| page.canvas.disc((x + at * dx, y + (j as f32 + 0.5) * dy), 1.5, other)),
            3 => (0..lines)
                .filter(|j| (i + j) % 2 == 0)
                .for_each(|j| page.canvas.rect((x + i as f32 * dx, y + j as f32 * dy), dx, dy, other)),
            4 => {
                page.canvas.line((x + 1.0, y + at * dy), (x + width - 1.0, y + at * dy), other, 1.1);
                page.canvas.line((x + at * dx, y + 1.0), (x + at * dx, y + height - 1.0), other, 1.1);
            }
            _ => {}
        }
    }
    page.canvas.frame((x, y), width, height, page.ink, 1.2);
}
