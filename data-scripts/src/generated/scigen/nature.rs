//! Natural science: one function per topic.

use seed::Stream;

use crate::generated::canvas::{Canvas, Point, Rgb, at_turn, polygon};
use crate::generated::icongen::drawings::thermometer;
use crate::generated::item::{Item, say};
use crate::generated::layout::{Area, spot};
use crate::generated::look::{Page, Theme, mix, some_colours};

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
    let question = say(s, &["On which side is the {}?", "Which jar holds particles of a {}?"], &[word]);
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

/// Two bar magnets facing each other.
pub fn magnets(s: &mut Stream) -> Item {
    let (mut page, index, upright, gap) = (page(s), s.below(2), s.chance(0.3), s.range(3.0, 7.0) as f32);
    let (north, south) = if s.chance(0.5) { ([206, 60, 60], [70, 110, 200]) } else { (tint(&page, s), [150, 152, 158]) };
    let facing = s.chance(0.5);
    let first = if facing { "NS" } else { "SN" };
    let second = if (index == 0) == facing { "NS" } else { "SN" };
    let (length, thick) = ((60.0 - gap) / 2.0, s.range(13.0, 17.0) as f32);
    for (i, poles) in [first, second].into_iter().enumerate() {
        for (half, pole) in poles.chars().enumerate() {
            let along = 2.0 + i as f32 * (length + gap) + half as f32 * length / 2.0;
            let across = 32.0 - thick / 2.0;
            let (corner, width, height) =
                if upright { ((across, along), thick, length / 2.0) } else { ((along, across), length / 2.0, thick) };
            draw_pole(&mut page, pole, corner, (width, height), if pole == 'N' { north } else { south });
        }
    }
    let question = say(s, &["Will these magnets pull each other closer?", "Two magnets lie like this. Do they attract?"], &[]);
    let item = Item::among(question, &YES_NO, index, page);
    if s.chance(0.5) {
        item.with_hint("The poles of a magnet are marked N and S. Unlike poles attract, like poles repel.")
    } else {
        item
    }
}

/// One half of a magnet; its letter is light on a dark half and dark on a light one.
fn draw_pole(page: &mut Page, pole: char, corner: Point, (width, height): Point, rgb: Rgb) {
    page.canvas.rect(corner, width, height, rgb);
    page.canvas.frame(corner, width, height, page.ink, 1.0);
    let light = rgb.iter().map(|&channel| u32::from(channel)).sum::<u32>() > 390;
    let letter = if light { [20, 20, 30] } else { [255, 255, 255] };
    let (font, middle) = (page.font, (corner.0 + width / 2.0, corner.1 + height / 2.0));
    font.write(&mut page.canvas, &pole.to_string(), middle, 8.5, letter);
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
    let levels = [s.range(0.4, 2.2) as f32, s.range(3.0, 4.8) as f32];
    for i in 0..2 {
        let high = (i == index) == hotter;
        thermometer(&mut page, s, 17.0 + 30.0 * i as f32, levels[usize::from(high)], false);
    }
    let templates = ["On which side is the {} sample?", "Two samples are measured. Which one is {}?"];
    let question = say(s, &templates, &[if hotter { "warmer" } else { "colder" }]);
    Item::among(question, &SIDES, index, page)
}

fn three_samples(s: &mut Stream) -> Item {
    let (mut page, colours, places, hotter) = (page(s), some_colours(s, 3), s.sample(3, 3), s.chance(0.5));
    for i in 0..3 {
        let step = if hotter { 2 - i } else { i };
        let (level, rgb) = (0.7 + 1.7 * step as f32 + s.range(-0.3, 0.3) as f32, page.rgb(colours[i]));
        draw_tube(&mut page, 12.0 + 20.0 * places[i] as f32, level, rgb);
    }
    let templates = ["Which color is the {} sample?", "Three samples are measured. Which color has the {} one?"];
    let question = say(s, &templates, &[if hotter { "warmest" } else { "coldest" }]);
    let values: Vec<&str> = colours.iter().map(|colour| colour.name()).collect();
    Item::among(question, &values, 0, page)
}

/// A thermometer with a liquid of some colour.
fn draw_tube(page: &mut Page, x: f32, level: f32, rgb: Rgb) {
    let (floor, bulb, white) = (50.0, 53.0, mix(page.paper, [255, 255, 255], 0.8));
    page.canvas.line((x, floor), (x, 7.0), page.ink, 9.0);
    page.canvas.line((x, floor), (x, 7.0), white, 7.0);
    page.canvas.line((x, floor), (x, floor - level * 8.6), rgb, 5.4);
    page.canvas.disc((x, bulb), 8.2, page.ink);
    page.canvas.disc((x, bulb), 7.2, rgb);
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
    let question = say(s, &["Which way will the box move?", "Two forces push the box. Where does it go?"], &[]);
    let item = Item::among(question, &["up", "right", "down", "left"], index, page);
    if s.chance(0.6) { item.with_hint("Arrows are forces. A longer arrow is a stronger force.") } else { item }
}

/// Letters joined by arrows.
pub fn food_chain(s: &mut Stream) -> Item {
    let (mut page, colours, order) = (page(s), some_colours(s, 4), s.sample(4, 4));
    let corners = [(15.0, 15.0), (49.0, 15.0), (49.0, 49.0), (15.0, 49.0)];
    let (start, back) = (s.below(4), s.chance(0.5));
    let place = |i: usize| corners[if back { start + 8 - i } else { start + i } % 4];
    let letter = |i: usize| ["A", "B", "C", "D"][order[i]];
    for (i, &colour) in colours.iter().enumerate() {
        let (x, y) = place(i);
        let rgb = mix(page.rgb(colour), [255, 255, 255], 0.6);
        page.canvas.rect((x - 9.0, y - 9.0), 18.0, 18.0, rgb);
        page.canvas.frame((x - 9.0, y - 9.0), 18.0, 18.0, page.ink, 1.0);
        let font = page.font;
        font.write(&mut page.canvas, letter(i), (x, y), 11.0, [25, 25, 35]);
    }
    for i in 0..3 {
        let (from, to) = (place(i), place(i + 1));
        let at = |share: f32| (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share);
        page.canvas.arrow(at(0.3), at(0.71), page.ink, 2.0);
    }
    let (eats, asked) = (s.chance(0.5), s.below(3));
    let (known, answer) = if eats { (asked, asked + 1) } else { (asked + 1, asked) };
    let template = if eats {
        ["Which animal eats {}?", "By which one is {} eaten?"]
    } else {
        ["Which one is the food of {}?", "What does {} eat?"]
    };
    let values: Vec<&str> = [answer].into_iter().chain((0..4).filter(|&i| i != answer && i != known)).map(letter).collect();
    let question = say(s, &template, &[letter(known)]);
    Item::among(question, &values, 0, page).with_hint("The arrows of this food chain lead from what is eaten to what eats it.")
}

/// A plant with a coloured dot on each part.
pub fn plants(s: &mut Stream) -> Item {
    let (mut page, index, colours) = (page(s), s.below(4), some_colours(s, 5));
    let (x, soil, top) = (32.0 + s.range(-10.0, 10.0) as f32, 46.0 + s.range(-2.0, 2.0) as f32, 12.0 + s.range(-1.5, 2.0) as f32);
    let side = if s.chance(0.5) { 1.0 } else { -1.0 };
    let petals = page.rgb(colours[4]);
    draw_plant(&mut page, s, (x, soil, top), side, petals);
    let places = [(x, soil + 10.0), (x, soil - 3.5), (x + side * 10.5, (soil + top) / 2.0 + 4.0), (x, top)];
    for (&place, &colour) in places.iter().zip(&colours) {
        page.canvas.disc(place, 4.7, [255, 255, 255]);
        page.canvas.disc(place, 3.9, page.rgb(colour));
        page.canvas.ring(place, 4.4, [30, 30, 40], 0.8);
    }
    let part = ["roots", "stem", "leaf", "flower"][index];
    let question = say(s, &["Which color marks the {} of the plant?", "Of what color is the dot on the {}?"], &[part]);
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
    let word = ["sunny", "cloudy but dry", "rainy", "snowy"][kinds[0]];
    let templates = ["On which side is it {}?", "The symbols show the weather of two towns. Where is it {}?"];
    Item::among(say(s, &templates, &[word]), &halves(upright), index, page)
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

/// A crescent, half or gibbous moon, lit from one side.
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
    let question = say(s, &["Which side of the moon is lit?", "From which side does the sun light the moon?"], &[]);
    Item::among(question, &SIDES, index, page)
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

/// A tree, the sun, and where the shadow falls.
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
    let question =
        say(s, &["On which side of the tree does its shadow fall?", "The shadow of the tree lies on which side?"], &[]);
    let item = Item::among(question, &SIDES, index, page);
    if s.chance(0.5) {
        item.with_hint(if lamp { "Only the lamp gives light." } else { "The sun is the only light." })
    } else {
        item
    }
}

/// Two blocks of wood, brick, metal, wool or glass.
pub fn materials(s: &mut Stream) -> Item {
    let (mut page, index, kinds, upright) = (page(s), s.below(2), s.sample(5, 2), s.chance(0.4));
    for i in 0..2 {
        let (across, along) = (s.range(23.0, 27.0) as f32, s.range(28.0, 52.0) as f32);
        let size = if upright { (along, across) } else { (across, along) };
        draw_block(&mut page, s, kinds[usize::from(i != index)], half_page(upright, i).centre(), size);
    }
    let word = ["wood", "brick", "metal", "wool", "glass"][kinds[0]];
    let question = say(s, &["Which block is made of {}?", "On which side is the block of {}?"], &[word]);
    Item::among(question, &halves(upright), index, page)
}

fn draw_block(page: &mut Page, s: &mut Stream, kind: usize, centre: Point, (width, height): Point) {
    let corner = (centre.0 - width / 2.0, centre.1 - height / 2.0);
    let base = [[186, 130, 78], [176, 82, 62], [170, 176, 186], [214, 190, 210], [186, 222, 236]][kind];
    let base = mix(base, tint(page, s), 0.12);
    page.canvas.rect(corner, width, height, base);
    let (dark, light) = (mix(base, [40, 30, 30], 0.38), mix(base, [255, 255, 255], 0.7));
    texture(&mut page.canvas, s, kind, corner, (width, height), (dark, light));
    page.canvas.frame(corner, width, height, page.ink, 1.6);
}

fn texture(canvas: &mut Canvas, s: &mut Stream, kind: usize, (x, y): Point, (width, height): Point, (dark, light): (Rgb, Rgb)) {
    let rows = (height / 6.0) as usize;
    for row in 0..rows {
        let at = y + (row as f32 + 0.7) * height / rows as f32;
        match kind {
            0 => canvas.line((x + 1.0, at), (x + width - 1.0, at + s.range(-2.0, 2.0) as f32), dark, s.range(0.8, 1.8) as f32),
            1 => {
                canvas.line((x, at), (x + width, at), light, 1.3);
                for joint in 0..4 {
                    let along = x + (joint as f32 + if row % 2 == 0 { 0.3 } else { 0.8 }) * width / 4.0;
                    canvas.line((along, at), (along, (at - height / rows as f32).max(y)), light, 1.3);
                }
            }
            3 => {
                for loop_at in 0..(width / 5.0) as usize {
                    canvas.ring((x + 2.8 + loop_at as f32 * 5.0, at - 1.0), 1.9, dark, 0.9);
                }
            }
            _ => {}
        }
    }
    match kind {
        2 => canvas.fill(
            polygon(&[
                (x + 3.0, y + height * 0.6),
                (x + width * 0.6, y + 2.0),
                (x + width * 0.9, y + 2.0),
                (x + 3.0, y + height * 0.95),
            ]),
            light,
        ),
        4 => {
            for share in [0.25, 0.45] {
                canvas.line((x + width * share - 5.0, y + height * 0.5), (x + width * share + 7.0, y + height * 0.2), light, 2.0);
            }
            canvas.line((x + width / 2.0, y), (x + width / 2.0, y + height), dark, 1.6);
            canvas.line((x, y + height / 2.0), (x + width, y + height / 2.0), dark, 1.6);
        }
        _ => {}
    }
}
