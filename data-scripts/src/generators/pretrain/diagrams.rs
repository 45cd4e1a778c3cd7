//! Pretraining scenes of lengths, levels, shares and places: what diagrams are made of, in other drawings than a benchmark's.

use seed::Stream;

use super::asker::{Asker, NUMBERS, article};
use super::phrases::{self, Phrases};
use super::scenes::{Scene, legible};
use crate::generators::canvas::{Point, Rgb, at_turn};
use crate::generators::layout::{Area, spot};
use crate::generators::look::{Colour, Page, Theme, colour_words, mix, shape_words, some_colours, some_shapes};

const CORNERS: [&str; 4] = ["top left", "top right", "bottom left", "bottom right"];
const DIRECTIONS: [&str; 4] = ["up", "right", "down", "left"];
const THIRDS: [[&str; 3]; 2] = [["left", "middle", "right"], ["top", "middle", "bottom"]];

fn page(s: &mut Stream) -> Page {
    Page::new(Theme::Plain, s)
}

fn names(colours: &[Colour]) -> Vec<&'static str> {
    colours.iter().map(|colour| colour.name()).collect()
}

/// Three shapes in a row or column: what is in the middle, what is beside what.
pub fn trio(s: &mut Stream) -> Scene {
    let (mut page, shapes, colours, upright) = (page(s), some_shapes(s, 3), some_colours(s, 3), s.chance(0.4));
    for i in 0..3 {
        let cell = if upright { Area::PAGE.cell(1, 3, 0, i) } else { Area::PAGE.cell(3, 1, i, 0) };
        let size = s.range(12.0, 18.0) as f32;
        let place = spot(s, cell, size);
        page.shape(s, shapes[i], colours[i], place.centre, place.size);
    }
    let words = [["left of", "right of"], ["above", "below"]][usize::from(upright)];
    let mut ask = Asker::new(s);
    for i in 0..3 {
        let place = THIRDS[usize::from(upright)][i];
        ask.shape(phrases::SHAPE_AT, place, shapes[i]);
        ask.colour(phrases::COLOUR_AT, place, colours[i]);
        ask.of("place", phrases::PLACE, &[shapes[i].name()], place, &THIRDS[usize::from(upright)]);
    }
    for i in 0..2 {
        ask.of("beside", phrases::BESIDE, &[words[0], shapes[i + 1].name()], shapes[i].name(), &shape_words());
        ask.of("beside", phrases::BESIDE, &[words[1], shapes[i].name()], shapes[i + 1].name(), &shape_words());
    }
    ask.there_is_colour(&colours);
    let [a, b, c] = [0, 1, 2].map(|i| format!("{} {}", colours[i].name(), shapes[i].name()));
    Scene { caption: format!("{a}, {b} and {c}"), qa: ask.qa, page }
}

/// One to four shapes in the corners: what is in which.
pub fn corners(s: &mut Stream) -> Scene {
    let (mut page, shapes, colours) = (page(s), some_shapes(s, 4), some_colours(s, 4));
    let filled = s.between(1, 4);
    let at = s.sample(4, filled);
    for (i, &corner) in at.iter().enumerate() {
        let size = s.range(13.0, 21.0) as f32;
        let place = spot(s, Area::PAGE.cell(2, 2, corner % 2, corner / 2), size);
        page.shape(s, shapes[i], colours[i], place.centre, place.size);
    }
    let mut ask = Asker::new(s);
    for (i, &corner) in at.iter().enumerate() {
        ask.of("corner", phrases::CORNER, &[shapes[i].name()], CORNERS[corner], &CORNERS);
        ask.of("corner", phrases::CORNER, &[&format!("{} one", colours[i].name())], CORNERS[corner], &CORNERS);
        ask.shape(phrases::SHAPE_AT, CORNERS[corner], shapes[i]);
        ask.colour(phrases::COLOUR_AT, CORNERS[corner], colours[i]);
    }
    ask.number("count", phrases::COUNT_ALL, &[], filled);
    ask.there_is_shape(&shapes[..filled]);
    let part = |i: usize| format!("{} {} at the {}", article(shapes[i].name()), shapes[i].name(), CORNERS[at[i]]);
    let caption = if filled == 1 { part(0) } else { format!("{} and {}", part(0), part(1)) };
    Scene { caption, qa: ask.qa, page }
}

/// Two or three towers of up to five blocks.
pub fn towers(s: &mut Stream) -> Scene {
    let (mut page, count, blocks) = (page(s), s.between(2, 3), s.chance(0.6));
    let (colours, heights) = (some_colours(s, count), s.sample(5, count));
    let (floor, unit, step) = (58.0 + s.range(-3.0, 3.0) as f32, s.range(8.5, 10.5) as f32, 60.0 / count as f32);
    let width = step.min(24.0) * s.range(0.45, 0.8) as f32;
    let guides = !blocks || s.chance(0.3);
    for mark in (1..=5).filter(|_| guides) {
        let y = floor - mark as f32 * unit;
        page.canvas.line((1.0, y), (63.0, y), mix(page.paper, page.ink, 0.25), 0.7);
    }
    for i in 0..count {
        let x = 2.0 + step * (i as f32 + 0.5);
        draw_tower(&mut page, (x, floor), (width, unit), heights[i] + 1, colours[i], blocks);
        let top = floor - (heights[i] as f32 + 0.5) * unit;
        page.mark((x, top), &[colours[i].name(), NUMBERS[heights[i]]]);
    }
    page.canvas.line((1.0, floor), (63.0, floor), page.ink, 1.4);
    let by_height = order_by(&heights);
    let mut ask = Asker::new(s);
    for i in 0..count {
        ask.number("height", phrases::HEIGHT, &[colours[i].name()], heights[i] + 1);
    }
    extremes(&mut ask, phrases::HIGHEST, phrases::FLATTEST, &colours, &by_height);
    ask.number("count", phrases::COUNT_TOWERS, &[], count);
    ask.there_is_colour(&colours);
    let part = |i: usize| format!("{} {}", colours[i].name(), heights[i] + 1);
    let caption = format!("towers: {}", (0..count).map(part).collect::<Vec<_>>().join(", "));
    Scene { caption, qa: ask.qa, page }
}

fn draw_tower(page: &mut Page, (x, floor): Point, (width, unit): Point, height: usize, colour: Colour, blocks: bool) {
    let rgb = page.rgb(colour);
    let corner = |level: usize| (x - width / 2.0, floor - level as f32 * unit);
    page.canvas.rect(corner(height), width, unit * height as f32, rgb);
    for level in (1..=height).filter(|_| blocks) {
        page.canvas.frame(corner(level), width, unit, page.ink, 1.0);
    }
}

/// Indices from the smallest value to the largest.
fn order_by(values: &[usize]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by_key(|&i| values[i]);
    order
}

/// Which colour is the most and which the least of something; `order` goes from least to most.
fn extremes(ask: &mut Asker, most: Phrases, least: Phrases, colours: &[Colour], order: &[usize]) {
    let words = names(colours);
    ask.of("extreme", most, &[], words[order[order.len() - 1]], &words);
    ask.of("extreme", least, &[], words[order[0]], &words);
}

/// Two or three sticks of clearly different length, lying or standing.
pub fn sticks(s: &mut Stream) -> Scene {
    let (mut page, count, lying, width) = (page(s), s.between(2, 3), s.chance(0.7), s.range(3.0, 8.0) as f32);
    let (colours, order) = (some_colours(s, count), s.sample(count, count));
    let at = |along: f32, across: f32| if lying { (along, across) } else { (across, along) };
    let lengths = [14.0, 31.0, 50.0];
    for (place, &i) in order.iter().enumerate() {
        let length = lengths[i + usize::from(count == 2 && i == 1)] + s.range(-4.0, 4.0) as f32;
        let start = s.range(3.0, f64::from(61.0 - length)) as f32;
        let across = (place as f32 + 0.5) * 64.0 / count as f32;
        page.canvas.line(at(start, across), at(start + length, across), legible(page.rgb(colours[i]), &page), width);
        let size = if i == 0 {
            "short"
        } else if i == count - 1 {
            "long"
        } else {
            "line"
        };
        page.mark(at(start + length / 2.0, across), &[colours[i].name(), size]);
    }
    let mut ask = Asker::new(s);
    let by_length: Vec<usize> = (0..count).collect();
    extremes(&mut ask, phrases::LONGER, phrases::SHORTER, &colours, &by_length);
    for (i, word) in [(0, "short"), (count - 1, "long")] {
        ask.of("length", phrases::LENGTH, &[colours[i].name()], word, &["short", "long"]);
    }
    ask.number("count", phrases::COUNT_LINES, &[], count);
    ask.there_is_colour(&colours);
    let caption = format!("a short {} line and a long {} line", colours[0].name(), colours[count - 1].name());
    Scene { caption, qa: ask.qa, page }
}

/// A disc or a bar shared by two to four colours.
pub fn shares(s: &mut Stream) -> Scene {
    let (mut page, count, round) = (page(s), s.between(2, 4), s.chance(0.6));
    let colours = some_colours(s, count);
    let mut sizes: Vec<f32> = (0..count).map(|_| s.range(0.9, 1.1) as f32).collect();
    (sizes[0], sizes[count - 1]) = (s.range(0.35, 0.5) as f32, s.range(1.9, 3.0) as f32);
    let (order, total): (Vec<usize>, f32) = (s.sample(count, count), sizes.iter().sum());
    let (mut from, start) = (0.0, s.uniform() as f32);
    let (radius, thick, lying) = (s.range(20.0, 28.0) as f32, s.range(16.0, 40.0) as f32, s.chance(0.5));
    for &i in &order {
        let to = from + sizes[i] / total;
        let rgb = page.rgb(colours[i]);
        let centre = if round {
            page.canvas.sector((32.0, 32.0), radius, start + from, start + to, rgb);
            at_turn((32.0, 32.0), radius * 0.6, start + (from + to) / 2.0)
        } else {
            draw_strip(&mut page, (from, to), thick, lying, rgb)
        };
        page.mark(centre, &[colours[i].name(), "part"]);
        from = to;
    }
    if round {
        page.canvas.ring((32.0, 32.0), radius, page.ink, 1.2);
    }
    let mut ask = Asker::new(s);
    let by_size: Vec<usize> = (0..count).collect();
    extremes(&mut ask, phrases::LARGEST_PART, phrases::SMALLEST_PART, &colours, &by_size);
    ask.number("count", phrases::COUNT_COLOURS, &[], count);
    ask.number("count", phrases::COUNT_PARTS, &[], count);
    ask.there_is_colour(&colours);
    ask.there_is_colour(&colours);
    let caption = format!("{count} parts, most of it {}", colours[count - 1].name());
    Scene { caption, qa: ask.qa, page }
}

/// A part of a bar; its centre.
fn draw_strip(page: &mut Page, (from, to): (f32, f32), thick: f32, lying: bool, rgb: Rgb) -> Point {
    let (start, length, across) = (4.0 + 56.0 * from, 56.0 * (to - from), 32.0 - thick / 2.0);
    if lying {
        page.canvas.rect((start, across), length, thick, rgb);
        (start + length / 2.0, 32.0)
    } else {
        page.canvas.rect((across, start), thick, length, rgb);
        (32.0, start + length / 2.0)
    }
}

/// Two to six boxes in a row or two, some of them filled.
pub fn boxes(s: &mut Stream) -> Scene {
    let (mut page, all, colour) = (page(s), s.between(2, 6), some_colours(s, 1)[0]);
    let (filled, touching) = (s.between(1, all), s.chance(0.5));
    let rows = if all > 3 && s.chance(0.4) { 2 } else { 1 };
    let columns = all.div_ceil(rows);
    let full = if s.chance(0.5) { (0..filled).collect() } else { s.sample(all, filled) };
    let (step, y0) = ((60.0 / columns as f32).min(22.0), s.range(-8.0, 8.0) as f32);
    let side = if touching { step } else { step * 0.78 };
    let left = 32.0 - step * columns as f32 / 2.0;
    for i in 0..all {
        let centre =
            (left + step * ((i % columns) as f32 + 0.5), 32.0 + y0 + step * ((i / columns) as f32 - (rows - 1) as f32 / 2.0));
        let corner = (centre.0 - side / 2.0, centre.1 - side / 2.0);
        let is_full = full.contains(&i);
        if is_full {
            page.canvas.rect(corner, side, side, page.rgb(colour));
        }
        page.canvas.frame(corner, side, side, page.ink, 1.2);
        page.mark(centre, if is_full { &["full", "box"] } else { &["box"] });
    }
    let mut ask = Asker::new(s);
    ask.number("count", phrases::COUNT_BOXES, &[], all);
    ask.number("count", phrases::COUNT_FILLED, &[], filled);
    ask.number("count", phrases::COUNT_BOXES, &[], all);
    ask.number("count", phrases::COUNT_FILLED, &[], filled);
    ask.colour(phrases::COLOUR_OF_FILLED, "", colour);
    ask.is_it("color check", phrases::IS_COLOUR, colour.name(), colour_words());
    if filled == all || ask.s.chance(0.4) {
        ask.check("all", phrases::ALL_FILLED, &[], filled == all);
    }
    Scene { caption: format!("{all} boxes, {filled} of them filled {}", colour.name()), qa: ask.qa, page }
}

/// One jar with a scale, or two jars side by side: how high is the water.
pub fn jars(s: &mut Stream) -> Scene {
    let (mut page, two, marks) = (page(s), s.chance(0.5), s.between(4, 5));
    let (colours, levels) = (some_colours(s, 2), s.sample(marks, 2));
    let count = 1 + usize::from(two);
    let (top, height, width) = (s.range(4.0, 9.0) as f32, s.range(44.0, 52.0) as f32, s.range(13.0, 26.0) as f32);
    for i in 0..count {
        let x = if two { 17.0 + 30.0 * i as f32 } else { s.range(18.0, 42.0) as f32 };
        draw_jar(&mut page, (x, top), (width, height), marks, levels[i] + 1, colours[i]);
        let surface = top + height * (1.0 - (levels[i] as f32 + 0.5) / marks as f32);
        page.mark((x, surface), &[colours[i].name(), NUMBERS[levels[i]]]);
    }
    let mut ask = Asker::new(s);
    for i in 0..count {
        ask.number("level", phrases::LEVEL, &[colours[i].name()], levels[i] + 1);
        ask.number("level", phrases::LEVEL, &[colours[i].name()], levels[i] + 1);
    }
    if two {
        let words = names(&colours);
        let fuller = usize::from(levels[1] > levels[0]);
        ask.of("extreme", phrases::FULLER, &[], words[fuller], &words);
        ask.of("extreme", phrases::EMPTIER, &[], words[1 - fuller], &words);
        ask.of("side", phrases::FULLER_SIDE, &[], ["left", "right"][fuller], &["left", "right"]);
        ask.of("side", phrases::EMPTIER_SIDE, &[], ["left", "right"][1 - fuller], &["left", "right"]);
    } else {
        let full = levels[0] + 1 == marks;
        if full || ask.s.chance(0.28) {
            ask.check("all", phrases::FULL_TO_THE_TOP, &[], full);
        }
        ask.is_it("color check", phrases::IS_COLOUR, colours[0].name(), colour_words());
        ask.colour(phrases::COLOUR_OF, "water", colours[0]);
    }
    let part = |i: usize| format!("{} water up to {}", colours[i].name(), levels[i] + 1);
    let caption = if two { format!("{} and {}", part(0), part(1)) } else { part(0) };
    Scene { caption, qa: ask.qa, page }
}

fn draw_jar(page: &mut Page, (x, top): Point, (width, height): Point, marks: usize, level: usize, colour: Colour) {
    let (left, unit) = (x - width / 2.0, height / marks as f32);
    let surface = top + height - unit * level as f32;
    page.canvas.rect((left, surface), width, top + height - surface, page.rgb(colour));
    page.canvas.frame((left, top), width, height, page.ink, 1.6);
    for mark in 1..marks {
        let y = top + height - unit * mark as f32;
        page.canvas.line((left, y), (left + width * 0.3, y), page.ink, 1.0);
    }
}

/// A long arrow and a short one of different colours: where does which point.
pub fn arrows(s: &mut Stream) -> Scene {
    let (mut page, colours, ways, upright) = (page(s), some_colours(s, 2), [s.below(4), s.below(4)], s.chance(0.5));
    let long = s.below(2);
    for i in 0..2 {
        let length = if i == long { s.range(25.0, 28.0) } else { s.range(9.0, 13.0) } as f32;
        let cell = if upright { Area::PAGE.cell(1, 2, 0, i) } else { Area::PAGE.cell(2, 1, i, 0) };
        let (centre, turn) = (spot(s, cell, length).centre, ways[i] as f32 / 4.0);
        let (rgb, width) = (legible(page.rgb(colours[i]), &page), s.range(2.2, 3.4) as f32);
        page.canvas.arrow(at_turn(centre, length / 2.0, turn + 0.5), at_turn(centre, length / 2.0, turn), rgb, width);
        page.mark(centre, &["arrow", DIRECTIONS[ways[i]], colours[i].name()]);
    }
    let words = names(&colours);
    let mut ask = Asker::new(s);
    for (i, size) in [(long, "long"), (1 - long, "short")] {
        let coloured = format!("{} arrow", colours[i].name());
        ask.of("pointer", phrases::POINTER, &[&coloured], DIRECTIONS[ways[i]], &DIRECTIONS);
        ask.of("pointer", phrases::POINTER, &[&format!("{size} arrow")], DIRECTIONS[ways[i]], &DIRECTIONS);
        ask.of("extreme", phrases::COLOUR_OF, &[&format!("{size} arrow")], words[i], &words);
    }
    if ways[0] == ways[1] || ask.s.chance(0.33) {
        ask.check("same", phrases::SAME_DIRECTION, &[], ways[0] == ways[1]);
    }
    ask.there_is_colour(&colours);
    let part = |i: usize| format!("{} {} arrow {}", article(words[i]), words[i], DIRECTIONS[ways[i]]);
    Scene { caption: format!("{} and {}", part(0), part(1)), qa: ask.qa, page }
}
