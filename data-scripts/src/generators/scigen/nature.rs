//! Natural science: one function per topic.

use seed::Stream;

use crate::generators::canvas::{Canvas, Point, Rgb, at_turn, polygon};
use crate::generators::item::{Item, say};
use crate::generators::layout::{Area, spot};
use crate::generators::look::{Page, Theme, mix, some_colours, some_shapes};

const SIDES: [&str; 2] = ["left", "right"];
const YES_NO: [&str; 2] = ["yes", "no"];

fn page(s: &mut Stream) -> Page {
    Page::new(Theme::Science, s)
}

/// Where one of two things goes: side by side, or one above the other.
fn half_page(upright: bool, i: usize) -> Area {
    if upright { Area::PAGE.cell(1, 2, 0, i) } else { Area::PAGE.cell(2, 1, i, 0) }
}

/// The words for the two halves.
fn halves(upright: bool) -> [&'static str; 2] {
    if upright { ["top", "bottom"] } else { SIDES }
}

/// A colour for the next thing that is drawn.
fn tint(page: &Page, s: &mut Stream) -> Rgb {
    page.rgb(some_colours(s, 1)[0])
}

/// Two jars of particles in different states.
pub fn states(s: &mut Stream) -> Item {
    const FACTS: [&str; 3] = [
        "The particles of a solid keep their places.",
        "The particles of a liquid stay close but move.",
        "The particles of a gas fly apart.",
    ];
    let (mut page, index, kinds) = (page(s), s.below(2), s.sample(3, 2));
    let (rgb, radius, top) = (tint(&page, s), s.range(1.9, 2.4) as f32, s.range(7.0, 13.0) as f32);
    for i in 0..2 {
        let area = Area { corner: (3.0 + 31.0 * i as f32, top), width: 27.0, height: 44.0 };
        page.canvas.frame(area.corner, area.width, area.height, page.ink, 1.8);
        for centre in particles(s, kinds[usize::from(i != index)], area, radius) {
            page.canvas.disc(centre, radius, rgb);
            page.canvas.ring(centre, radius, mix(rgb, page.ink, 0.5), 0.7);
        }
    }
    let word = ["solid", "liquid", "gas"][kinds[0]];
    let question = say(s, &["On what side is the jar of {}?", "At which side of the page is the {}?"], &[word]);
    let item = Item::among(question, &SIDES, index, page);
    if s.chance(0.4) { item.with_hint(format!("Each dot is a particle. {}", FACTS[kinds[0]])) } else { item }
}

fn particles(s: &mut Stream, state: usize, area: Area, radius: f32) -> Vec<Point> {
    if state == 2 {
        let cells = s.sample(16, 7);
        return cells.into_iter().map(|cell| spot(s, area.cell(4, 4, cell % 4, cell / 4), radius * 2.0).centre).collect();
    }
    let step = radius * 2.0 + 0.6;
    let columns = ((area.width - 4.0) / step) as usize;
    let rows = s.between(3, 4);
    let place = |i: usize| {
        let (x, y) = ((i % columns) as f32 * step + step / 2.0 + 2.0, (i / columns) as f32 * step + step / 2.0 + 1.0);
        (area.corner.0 + x, area.corner.1 + area.height - y)
    };
    let all = (0..columns * rows).map(place);
    if state == 0 {
        return all.collect();
    }
    let (width, x0) = (area.width, area.corner.0);
    let mut liquid: Vec<Point> = Vec::new();
    for (x, y) in all {
        let moved = (x + s.range(-2.6, 2.6) as f32, y + s.range(-4.0, 1.0) as f32);
        if s.chance(0.82) {
            liquid.push((moved.0.clamp(x0 + radius + 1.0, x0 + width - radius - 1.0), moved.1));
        }
    }
    liquid
}

/// Two bar magnets, seen where their poles face each other.
pub fn magnets(s: &mut Stream) -> Item {
    let (mut page, index, upright, gap) = (page(s), s.below(2), s.chance(0.3), s.range(4.0, 9.0) as f32);
    let (rgb, iron) = (some_colours(s, 2).into_iter().map(|colour| page.rgb(colour)).collect::<Vec<_>>(), [150, 152, 158]);
    let first = s.below(2);
    let (side, thick) = (s.range(16.0, 20.0) as f32, s.range(20.0, 26.0) as f32);
    let middle = 32.0 + s.range(-5.0, 5.0) as f32;
    for (i, pole) in [first, if index == 0 { 1 - first } else { first }].into_iter().enumerate() {
        let (near, far) = if i == 0 { (32.0 - gap / 2.0 - side, 1.0) } else { (32.0 + gap / 2.0, 32.0 + gap / 2.0 + side) };
        let place = |along: f32| if upright { (middle - thick / 2.0, along) } else { (along, middle - thick / 2.0) };
        let extent = |length: f32| if upright { (thick, length) } else { (length, thick) };
        let (width, height) = extent(if i == 0 { near - far } else { 63.0 - far });
        page.canvas.rect(place(far), width, height, iron);
        page.canvas.frame(place(far), width, height, page.ink, 1.0);
        draw_pole(&mut page, ['N', 'S'][pole], place(near), extent(side), rgb[pole]);
    }
    let question = say(s, &["Will these magnets pull each other closer?", "Two magnets lie like this. Do they attract?"], &[]);
    let item = Item::among(question, &YES_NO, index, page);
    if s.chance(0.5) {
        item.with_hint("The poles of a magnet are marked N and S. Unlike poles attract, like poles repel.")
    } else {
        item
    }
}

/// A pole; its letter is light on a dark one and dark on a light one.
fn draw_pole(page: &mut Page, pole: char, corner: Point, (width, height): Point, rgb: Rgb) {
    page.canvas.rect(corner, width, height, rgb);
    page.canvas.frame(corner, width, height, page.ink, 1.0);
    let light = rgb.iter().map(|&channel| u32::from(channel)).sum::<u32>() > 390;
    let letter = if light { [20, 20, 30] } else { [255, 255, 255] };
    let (font, middle) = (page.font, (corner.0 + width / 2.0, corner.1 + height / 2.0));
    font.write(&mut page.canvas, &pole.to_string(), middle, 12.0, letter);
}

/// A battery, a switch and a bulb.
pub fn circuits(s: &mut Stream) -> Item {
    let (mut page, index) = (page(s), s.below(2));
    let (left, top) = (10.0 + s.range(-3.0, 4.0) as f32, 16.0 + s.range(-3.0, 4.0) as f32);
    let (width, height, wire, ink) = (44.0 + s.range(-4.0, 4.0) as f32, 34.0, s.range(1.4, 2.4) as f32, page.ink);
    let bulb_colour = tint(&page, s);
    page.canvas.frame((left, top), width, height, ink, wire);
    let flip = s.chance(0.5);
    let (switch_y, battery_y) = if flip { (top + height, top) } else { (top, top + height) };
    let middle = left + width / 2.0;
    draw_battery(&mut page, (middle, battery_y));
    page.canvas.rect((middle - 8.0, switch_y - 3.0), 16.0, 6.0, page.paper);
    let lever = if index == 0 { (middle + 8.0, switch_y) } else { (middle + 5.0, switch_y - 10.0) };
    page.canvas.line((middle - 8.0, switch_y), lever, ink, wire + 0.6);
    page.canvas.disc((middle - 8.0, switch_y), 2.0, ink);
    page.canvas.disc((middle + 8.0, switch_y), 2.0, ink);
    let bulb = (if s.chance(0.5) { left } else { left + width }, top + height / 2.0);
    page.canvas.disc(bulb, 6.0, bulb_colour);
    page.canvas.ring(bulb, 6.0, ink, 1.3);
    let question = say(s, &["Will the lamp in this circuit shine?", "Can current reach the lamp?"], &[]);
    let item = Item::among(question, &YES_NO, index, page);
    if s.chance(0.6) { item.with_hint("A lamp shines only if the path from the battery is not broken.") } else { item }
}

fn draw_battery(page: &mut Page, (x, y): Point) {
    page.canvas.rect((x - 3.0, y - 4.0), 6.0, 8.0, page.paper);
    page.canvas.line((x - 3.0, y - 7.0), (x - 3.0, y + 7.0), page.ink, 1.4);
    page.canvas.line((x + 3.0, y - 4.0), (x + 3.0, y + 4.0), page.ink, 2.6);
}

/// Two thermometers side by side, or three told apart by colour.
pub fn temperature(s: &mut Stream) -> Item {
    if s.chance(0.5) { two_samples(s) } else { three_samples(s) }
}

fn two_samples(s: &mut Stream) -> Item {
    let (mut page, index, hotter) = (page(s), s.below(2), s.chance(0.5));
    let (levels, rgb) = ([s.range(0.7, 2.0) as f32, s.range(3.2, 4.6) as f32], [204 + s.below(40) as u8, 40, 46]);
    for i in 0..2 {
        let high = (i == index) == hotter;
        draw_tube(&mut page, 17.0 + 30.0 * i as f32, levels[usize::from(high)], rgb);
    }
    let question = if s.chance(0.5) {
        say(s, &["Which side has the {} sample?"], &[if hotter { "warmer" } else { "colder" }])
    } else {
        say(s, &["Heat makes it rise. At which side is it {}?"], &[if hotter { "higher" } else { "lower" }])
    };
    Item::among(question, &SIDES, index, page)
}

fn three_samples(s: &mut Stream) -> Item {
    let (mut page, colours, places, hotter) = (page(s), some_colours(s, 3), s.sample(3, 3), s.chance(0.5));
    for i in 0..3 {
        let step = if hotter { 2 - i } else { i };
        let (level, rgb) = (0.7 + 1.7 * step as f32 + s.range(-0.3, 0.3) as f32, page.rgb(colours[i]));
        draw_tube(&mut page, 12.0 + 20.0 * places[i] as f32, level, rgb);
    }
    let question = if s.chance(0.5) {
        say(s, &["What color is the {} sample?"], &[if hotter { "warmest" } else { "coldest" }])
    } else {
        say(s, &["Heat makes it rise. What color is the {} one?"], &[if hotter { "highest" } else { "lowest" }])
    };
    let values: Vec<&str> = colours.iter().map(|colour| colour.name()).collect();
    Item::among(question, &values, 0, page)
}

/// A wide thermometer with a liquid of some colour.
fn draw_tube(page: &mut Page, x: f32, level: f32, rgb: Rgb) {
    let (top, floor, width, white) = (6.0, 58.0, 13.0, mix(page.paper, [255, 255, 255], 0.8));
    let surface = floor - 4.0 - level * 9.4;
    page.canvas.rect((x - width / 2.0, top), width, floor - top, white);
    page.canvas.rect((x - width / 2.0, surface), width, floor - surface, rgb);
    page.canvas.frame((x - width / 2.0, top), width, floor - top, page.ink, 1.6);
    for mark in 1..=4 {
        let y = floor - 4.0 - mark as f32 * 9.4;
        page.canvas.line((x, y), (x + width / 2.0, y), page.ink, 0.8);
    }
}

/// Two arrows push a box; the longer one wins.
pub fn forces(s: &mut Stream) -> Item {
    let (mut page, index, colours) = (page(s), s.below(4), some_colours(s, 2));
    let (turn, half) = (index as f32 / 4.0, s.range(6.0, 8.0) as f32);
    let centre = at_turn((32.0, 32.0), s.range(-8.0, 8.0) as f32, turn + 0.25);
    let (short, long) = (s.range(8.0, 10.0) as f32, s.range(17.0, 21.0) as f32);
    let corner = (centre.0 - half, centre.1 - half);
    page.canvas.rect(corner, half * 2.0, half * 2.0, page.rgb(colours[0]));
    page.canvas.frame(corner, half * 2.0, half * 2.0, page.ink, 1.2);
    let rgb = mix(page.rgb(colours[1]), page.ink, 0.4);
    // The long arrow lies behind the box and pushes it ahead.
    for (turn, length) in [(turn + 0.5, long), (turn, short)] {
        page.canvas.arrow(at_turn(centre, half + 1.0 + length, turn), at_turn(centre, half + 1.0, turn), rgb, 2.4);
    }
    let question =
        say(s, &["Two forces push the box. Where does it go?", "The stronger force wins. Where does the long arrow point?"], &[]);
    let item = Item::among(question, &["up", "right", "down", "left"], index, page);
    if s.chance(0.6) { item.with_hint("Arrows are forces. A longer arrow is a stronger force.") } else { item }
}

/// Three living things in a row or column, joined by arrows.
pub fn food_chain(s: &mut Stream) -> Item {
    let (mut page, shapes, colours, upright) = (page(s), some_shapes(s, 5), some_colours(s, 3), s.chance(0.4));
    let size = s.range(12.5, 15.0) as f32;
    let place = |i: usize| {
        let along = 10.0 + 22.0 * i as f32;
        if upright { (32.0, along) } else { (along, 32.0) }
    };
    for i in 0..3 {
        page.shape(s, shapes[i], colours[i], place(i), size);
    }
    for i in 0..2 {
        let ((x0, y0), (x1, y1)) = (place(i), place(i + 1));
        let at = |share: f32| (x0 + (x1 - x0) * share, y0 + (y1 - y0) * share);
        page.canvas.arrow(at(0.36), at(0.64), page.ink, 1.6);
    }
    let (eats, asked) = (s.chance(0.5), s.below(2));
    let (known, answer) = if eats { (asked, asked + 1) } else { (asked + 1, asked) };
    let template = if eats {
        ["Which animal eats the {}?", "Which shape eats the {}?"]
    } else {
        ["Which shape is food for the {}?", "What does the {} eat?"]
    };
    let values: Vec<&str> =
        [answer].into_iter().chain((0..5).filter(|&i| i != answer && i != known)).map(|i| shapes[i].name()).collect();
    let question = say(s, &template, &[shapes[known].name()]);
    let hint = "Each shape stands for an animal. The arrows of this food chain lead from what is eaten to what eats it.";
    Item::among(question, &values, 0, page).with_hint(hint)
}

/// A plant with a coloured dot on each part.
pub fn plants(s: &mut Stream) -> Item {
    let (mut page, index, colours) = (page(s), s.below(3), some_colours(s, 5));
    let (x, soil, top) = (32.0 + s.range(-10.0, 10.0) as f32, 46.0 + s.range(-2.0, 2.0) as f32, 12.0 + s.range(-1.5, 2.0) as f32);
    let side = if s.chance(0.5) { 1.0 } else { -1.0 };
    let petals = page.rgb(colours[4]);
    draw_plant(&mut page, s, (x, soil, top), side, petals);
    let places = [(x, soil + 9.5), (x, (soil + top) / 2.0), (x, top)];
    for (&place, &colour) in places.iter().zip(&colours) {
        page.canvas.disc(place, 6.4, [255, 255, 255]);
        page.canvas.disc(place, 5.6, page.rgb(colour));
        page.canvas.ring(place, 6.0, [30, 30, 40], 0.8);
    }
    let part = ["roots", "stem", "flower"][index];
    let question = say(s, &["What color is the dot on the {}?", "Look at the plant. The {} has what color of dot?"], &[part]);
    let values: Vec<&str> = colours[..4].iter().map(|colour| colour.name()).collect();
    Item::among(question, &values, index, page)
}

/// Soil, roots, a stem with a leaf on each side (the lower one on `side`), and a flower.
fn draw_plant(page: &mut Page, s: &mut Stream, (x, soil, top): (f32, f32, f32), side: f32, petals: Rgb) {
    let (green, earth, middle) = ([70, 150 + s.below(30) as u8, 70], [124, 88, 56], (soil + top) / 2.0);
    page.canvas.rect((0.0, soil), 64.0, 64.0 - soil, mix(page.paper, earth, 0.55));
    page.canvas.line((x, soil), (x, top), green, 2.6);
    for (dx, dy) in [(-9.0, 13.0), (0.0, 16.0), (9.0, 12.0)] {
        page.canvas.line((x, soil), (x + dx, soil + dy), [236, 220, 180], 1.6);
    }
    draw_leaf(&mut page.canvas, (x, middle + 9.0), side, green);
    draw_leaf(&mut page.canvas, (x, middle + 1.0), -side, green);
    for i in 0..6 {
        page.canvas.disc(at_turn((x, top), 5.8, i as f32 / 6.0), 3.4, petals);
    }
}

fn draw_leaf(canvas: &mut Canvas, (x, y): Point, side: f32, rgb: Rgb) {
    let leaf = [(x, y), (x + side * 5.0, y - 6.5), (x + side * 12.0, y - 6.0), (x + side * 9.0, y - 1.0)];
    canvas.fill(polygon(&leaf), rgb);
}

/// Two weather symbols: sun, cloud, rain or snow.
pub fn weather(s: &mut Stream) -> Item {
    let (mut page, index, kinds, upright) = (page(s), s.below(2), s.sample(4, 2), s.chance(0.5));
    for i in 0..2 {
        let scale = s.range(0.66, 0.78) as f32;
        let centre = spot(s, half_page(upright, i), scale * 36.0).centre;
        draw_weather(&mut page, kinds[usize::from(i != index)], centre, scale);
    }
    let question = if s.chance(0.5) {
        say(s, &["On what side is it {}?"], &[["sunny", "cloudy but dry", "rainy", "snowy"][kinds[0]]])
    } else {
        let word = ["sun", "dry cloud", "rain", "snow"][kinds[0]];
        say(s, &["Two towns have this weather. Where do you see the {}?"], &[word])
    };
    Item::among(question, &halves(upright), index, page)
}

fn draw_weather(page: &mut Page, kind: usize, (x, y): Point, scale: f32) {
    if kind == 0 {
        return draw_sun(&mut page.canvas, (x, y), 9.5 * scale);
    }
    let cloud = (x, y - if kind == 1 { 0.0 } else { 5.0 * scale });
    draw_cloud(&mut page.canvas, cloud, scale, [164; 3]);
    for i in 0..if kind == 1 { 0 } else { 3 } {
        let at = (x + (i as f32 - 1.0) * 11.0 * scale, y + 10.0 * scale);
        if kind == 2 {
            page.canvas.line(at, (at.0 - 3.0 * scale, at.1 + 7.0 * scale), [60, 110, 210], 2.2);
        } else {
            draw_flake(&mut page.canvas, (at.0, at.1 + 3.0 * scale), 4.6 * scale, page.ink);
        }
    }
}

fn draw_sun(canvas: &mut Canvas, centre: Point, radius: f32) {
    for i in 0..8 {
        let turn = i as f32 / 8.0;
        canvas.line(at_turn(centre, radius * 1.3, turn), at_turn(centre, radius * 1.75, turn), [240, 170, 30], 2.2);
    }
    canvas.disc(centre, radius, [248, 196, 50]);
}

fn draw_cloud(canvas: &mut Canvas, (x, y): Point, scale: f32, rgb: Rgb) {
    for (dx, dy, radius) in [(-11.0, 3.0, 7.0), (-2.0, -3.0, 9.5), (9.0, 1.0, 8.0)] {
        canvas.disc((x + dx * scale, y + dy * scale), radius * scale, rgb);
    }
    canvas.rect((x - 12.0 * scale, y + scale), 22.0 * scale, 9.0 * scale, rgb);
}

fn draw_flake(canvas: &mut Canvas, centre: Point, radius: f32, rgb: Rgb) {
    for i in 0..3 {
        let turn = i as f32 / 6.0;
        canvas.line(at_turn(centre, radius, turn), at_turn(centre, radius, turn + 0.5), rgb, 1.1);
    }
}

/// A crescent, half or gibbous moon, lit from one side and dark on the other.
pub fn moon(s: &mut Stream) -> Item {
    let (mut page, index) = (page(s), s.below(2));
    let sky = [14 + s.below(20) as u8, 16 + s.below(20) as u8, 40 + s.below(30) as u8];
    page.canvas.rect((0.0, 0.0), 64.0, 64.0, sky);
    for _ in 0..s.between(3, 9) {
        page.canvas.disc((s.range(0.0, 64.0) as f32, s.range(0.0, 64.0) as f32), 0.8, [200, 200, 210]);
    }
    let (centre, radius) = ((32.0 + s.range(-5.0, 5.0) as f32, 32.0 + s.range(-5.0, 5.0) as f32), s.range(17.0, 25.0) as f32);
    let (light, shade) = ([238, 232, 205], mix(sky, [255, 255, 255], 0.16));
    page.canvas.disc(centre, radius, shade);
    let lit = [s.range(0.18, 0.32), 0.5, s.range(0.62, 0.76)][s.below(3)] as f32;
    page.canvas.fill(polygon(&lit_part(centre, radius, lit, [-1.0, 1.0][index])), light);
    if s.chance(0.5) {
        let question = say(s, &["On what side is the light of the moon?", "At which side is the moon lit?"], &[]);
        Item::among(question, &SIDES, index, page)
    } else {
        let question = say(s, &["On what side is the shade of the moon?", "At which side is the moon dark?"], &[]);
        Item::among(question, &SIDES, 1 - index, page)
    }
}

/// The lit part of a ball: from the bright limb to the terminator, which is half an ellipse.
fn lit_part(centre: Point, radius: f32, lit: f32, side: f32) -> Vec<Point> {
    let limb = (0..=24).map(|i| at_turn((0.0, 0.0), radius, i as f32 / 48.0));
    let edge = (0..=24).rev().map(|i| {
        let (x, y) = at_turn((0.0, 0.0), radius, i as f32 / 48.0);
        (x * (1.0 - 2.0 * lit), y)
    });
    limb.chain(edge).map(|(x, y)| (centre.0 + side * x, centre.1 + y)).collect()
}

/// A tree, the sun or a lamp, and where the shadow falls or the light comes from.
pub fn shadows(s: &mut Stream) -> Item {
    let (mut page, index) = (page(s), s.below(2));
    let (x, ground) = (32.0 + s.range(-5.0, 5.0) as f32, 52.0);
    page.canvas.rect((0.0, ground), 64.0, 12.0, [150, 180, 120]);
    let lamp = s.chance(0.4);
    let sun = (if index == 1 { 10.0 } else { 54.0 }, s.range(12.0, 22.0) as f32);
    if lamp {
        page.canvas.line((sun.0, sun.1), (sun.0, ground), page.ink, 2.0);
        page.canvas.disc(sun, 6.0, [250, 220, 90]);
        page.canvas.ring(sun, 6.0, page.ink, 1.2);
    } else {
        draw_sun(&mut page.canvas, sun, 5.5);
    }
    page.canvas.rect((x - 2.0, 30.0), 4.0, ground - 30.0, [120, 84, 52]);
    page.canvas.disc((x, 26.0), s.range(8.0, 11.0) as f32, [70, 140, 80]);
    let item = if s.chance(0.6) {
        let question = say(s, &["On what side is the shadow of the tree?", "The tree has a shadow. At which side is it?"], &[]);
        Item::among(question, &SIDES, index, page)
    } else {
        let question = say(s, &["On what side of the tree is it bright?", "The light shines on the tree. From which side?"], &[]);
        Item::among(question, &SIDES, 1 - index, page)
    };
    if s.chance(0.5) {
        item.with_hint(if lamp { "Only the lamp gives light." } else { "The sun is the only light." })
    } else {
        item
    }
}

/// Two blocks of wood, wool or glass.
pub fn materials(s: &mut Stream) -> Item {
    let (mut page, index, kinds, upright) = (page(s), s.below(2), s.sample(3, 2), s.chance(0.4));
    for i in 0..2 {
        let (across, along) = (s.range(23.0, 27.0) as f32, s.range(24.0, 36.0) as f32);
        let size = if upright { (along, across) } else { (across, along) };
        draw_block(&mut page, s, kinds[usize::from(i != index)], half_page(upright, i).centre(), size);
    }
    let word = ["wood", "wool", "glass"][kinds[0]];
    let question = say(s, &["On what side is the block of {}?", "Where do you find the {} block?"], &[word]);
    Item::among(question, &halves(upright), index, page)
}

fn draw_block(page: &mut Page, s: &mut Stream, kind: usize, centre: Point, (width, height): Point) {
    let corner = (centre.0 - width / 2.0, centre.1 - height / 2.0);
    let base = mix([[196, 140, 84], [214, 190, 210], [186, 222, 236]][kind], tint(page, s), 0.2);
    page.canvas.rect(corner, width, height, base);
    match kind {
        0 => grain(&mut page.canvas, s, corner, (width, height), mix(base, [40, 25, 10], 0.6)),
        1 => knit(&mut page.canvas, corner, (width, height), mix(base, [40, 20, 60], 0.6)),
        _ => panes(&mut page.canvas, corner, (width, height), mix(base, [20, 40, 60], 0.5)),
    }
    page.canvas.frame(corner, width, height, page.ink, 1.6);
}

/// Lines along the wood.
fn grain(canvas: &mut Canvas, s: &mut Stream, (x, y): Point, (width, height): Point, rgb: Rgb) {
    let lines = (height / 5.5) as usize;
    for line in 0..lines {
        let at = y + (line as f32 + 0.5) * height / lines as f32;
        canvas.line((x + 1.0, at + s.range(-0.8, 0.8) as f32), (x + width - 1.0, at + s.range(-0.8, 0.8) as f32), rgb, 1.5);
    }
}

/// Rows of stitches.
fn knit(canvas: &mut Canvas, (x, y): Point, (width, height): Point, rgb: Rgb) {
    let (columns, rows) = ((width / 5.5) as usize, (height / 5.5) as usize);
    for stitch in 0..columns * rows {
        let across = x + ((stitch % columns) as f32 + 0.5) * width / columns as f32;
        canvas.disc((across, y + ((stitch / columns) as f32 + 0.5) * height / rows as f32), 1.5, rgb);
    }
}

/// Window bars both ways.
fn panes(canvas: &mut Canvas, (x, y): Point, (width, height): Point, rgb: Rgb) {
    for i in 1..4 {
        let share = i as f32 / 4.0;
        canvas.line((x, y + height * share), (x + width, y + height * share), rgb, 1.1);
        canvas.line((x + width * share, y), (x + width * share, y + height), rgb, 1.1);
    }
}
