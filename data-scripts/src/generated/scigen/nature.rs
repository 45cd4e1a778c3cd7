//! Natural science: one function per topic.

use seed::Stream;

use crate::generated::canvas::{Canvas, Point, Rgb, at_turn, polygon};
use crate::generated::icongen::drawings::thermometer;
use crate::generated::item::{Item, say};
use crate::generated::layout::{Area, spot};
use crate::generated::look::{Page, Theme, mix, some_colours};

fn page(s: &mut Stream) -> Page {
    Page::new(Theme::Science, s)
}

/// A colour for the next thing that is drawn.
fn tint(page: &Page, s: &mut Stream) -> Rgb {
    page.rgb(some_colours(s, 1)[0])
}

/// Particles in a jar.
pub fn states(s: &mut Stream) -> Item {
    let (mut page, index) = (page(s), s.below(3));
    let (rgb, radius) = (tint(&page, s), s.range(2.6, 3.6) as f32);
    let area = Area { corner: (12.0, 10.0), width: 40.0, height: 46.0 };
    page.canvas.frame(area.corner, area.width, area.height, page.ink, 2.0);
    for centre in particles(s, index, area, radius) {
        page.canvas.disc(centre, radius, rgb);
        page.canvas.ring(centre, radius, mix(rgb, page.ink, 0.5), 0.7);
    }
    let question = say(s, &["Which state of matter does the model show?", "The jar holds particles of what?"], &[]);
    let item = Item::among(question, &["a solid", "a liquid", "a gas"], index, page);
    if s.chance(0.4) { item.with_hint("Each dot in the jar is a particle.") } else { item }
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
    let question = say(s, &["What will these magnets do to each other?", "Two magnets lie like this. What will they do?"], &[]);
    let item = Item::among(question, &["attract", "repel"], index, page);
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
    let (mut page, index, lit_question) = (page(s), s.below(2), s.chance(0.5));
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
    if lit_question {
        let question = say(s, &["Will the lamp in this circuit shine?", "Can current reach the lamp?"], &[]);
        return Item::among(question, &["yes", "no"], index, page)
            .with_hint("A lamp shines only if the path from the battery is not broken.");
    }
    let question = say(s, &["Which word describes the switch?", "In what state is this circuit?"], &[]);
    Item::among(question, &["closed", "open"], index, page)
}

fn draw_battery(page: &mut Page, (x, y): Point) {
    page.canvas.rect((x - 3.0, y - 4.0), 6.0, 8.0, page.paper);
    page.canvas.line((x - 3.0, y - 7.0), (x - 3.0, y + 7.0), page.ink, 1.4);
    page.canvas.line((x + 3.0, y - 4.0), (x + 3.0, y + 4.0), page.ink, 2.6);
}

/// Two thermometers, or one and what it feels like.
pub fn temperature(s: &mut Stream) -> Item {
    if s.chance(0.5) {
        let (mut page, index, hotter) = (page(s), s.below(2), s.chance(0.5));
        let levels = [s.range(0.4, 2.2) as f32, s.range(3.0, 4.8) as f32];
        for i in 0..2 {
            let high = (i == index) == hotter;
            thermometer(&mut page, s, 17.0 + 30.0 * i as f32, levels[usize::from(high)], false);
        }
        let question = say(
            s,
            &["Which sample is {}?", "Two samples are measured. Which one is {}?"],
            &[if hotter { "warmer" } else { "colder" }],
        );
        return Item::among(question, &["the left sample", "the right sample"], index, page);
    }
    let (mut page, index) = (page(s), s.below(3));
    let level = [0.4, 2.4, 4.4][index] + s.range(-0.2, 0.5) as f32;
    let x = s.range(14.0, 36.0) as f32;
    thermometer(&mut page, s, x, level, true);
    let question = say(s, &["Which word describes the air outside?", "How does the air feel?"], &[]);
    let item = Item::among(question, &["cold", "mild", "hot"], index, page);
    item.with_hint("The thermometer hangs outside. Below 15 it is cold, above 35 it is hot, and mild between.")
}

/// Two arrows push a box.
pub fn forces(s: &mut Stream) -> Item {
    let (mut page, index) = (page(s), s.below(3));
    let (y, half, colour) = (s.range(26.0, 40.0) as f32, s.range(6.0, 8.0) as f32, some_colours(s, 2));
    let short = s.range(8.0, 10.0) as f32;
    let long = s.range(17.0, 21.0) as f32;
    // The force from the right pushes left, and the other way round.
    let (from_left, from_right) = [(short, long), (long, short), (long, long)][index];
    let rgb = page.rgb(colour[1]);
    page.canvas.rect((32.0 - half, y - half), half * 2.0, half * 2.0, page.rgb(colour[0]));
    page.canvas.frame((32.0 - half, y - half), half * 2.0, half * 2.0, page.ink, 1.2);
    page.canvas.arrow((31.0 - half - from_left, y), (31.0 - half, y), rgb, 2.4);
    page.canvas.arrow((33.0 + half + from_right, y), (33.0 + half, y), rgb, 2.4);
    page.canvas.line((3.0, y + half + 1.0), (61.0, y + half + 1.0), page.ink, 1.4);
    let question = say(s, &["Which way will the box move?", "Two forces push the box. Where does it go?"], &[]);
    let item = Item::among(question, &["to the left", "to the right", "it stays"], index, page);
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

/// A plant with one part circled.
pub fn plants(s: &mut Stream) -> Item {
    let (mut page, index) = (page(s), s.below(4));
    let (x, soil, top) = (32.0 + s.range(-8.0, 8.0) as f32, 46.0 + s.range(-2.0, 2.0) as f32, 13.0 + s.range(-2.0, 2.0) as f32);
    let (green, petals, earth) = ([70, 150 + s.below(30) as u8, 70], tint(&page, s), [124, 88, 56]);
    page.canvas.rect((0.0, soil), 64.0, 64.0 - soil, mix(page.paper, earth, 0.55));
    page.canvas.line((x, soil), (x, top), green, 2.6);
    for (dx, dy) in [(-8.0, 13.0), (0.0, 15.0), (8.0, 12.0)] {
        page.canvas.line((x, soil), (x + dx, soil + dy), [236, 220, 180], 1.6);
    }
    let middle = (soil + top) / 2.0;
    let side = if s.chance(0.5) { 1.0 } else { -1.0 };
    draw_leaf(&mut page.canvas, (x, middle + 9.0), side, green);
    draw_leaf(&mut page.canvas, (x, middle + 1.0), -side, green);
    for i in 0..6 {
        page.canvas.disc(at_turn((x, top), 4.6, i as f32 / 6.0), 3.2, petals);
    }
    page.canvas.disc((x, top), 2.8, [245, 214, 90]);
    let marked: Point = [(x, soil + 8.0), (x, soil - 3.5), (x + side * 8.0, middle + 5.5), (x, top)][index];
    // A leaf is shown from its own side: from the other one the arrow would end at the stem.
    let left = if index == 2 { side < 0.0 } else { marked.0 > 32.0 };
    let way = if left { -1.0 } else { 1.0 };
    let near = [8.5, 3.0, 5.0, 8.5][index];
    let (from, tip) = ((marked.0 + way * 24.0, marked.1), (marked.0 + way * near, marked.1));
    page.canvas.arrow(from, tip, [200, 20, 30], 2.4);
    let question = say(s, &["To which part of the plant does the arrow point?", "Which plant part is marked by the arrow?"], &[]);
    Item::among(question, &["the roots", "the stem", "a leaf", "the flower"], index, page)
}

fn draw_leaf(canvas: &mut Canvas, (x, y): Point, side: f32, rgb: Rgb) {
    let leaf = [(x, y), (x + side * 5.0, y - 6.5), (x + side * 12.0, y - 6.0), (x + side * 9.0, y - 1.0)];
    canvas.fill(polygon(&leaf), rgb);
}

/// Sun, cloud, rain or snow.
pub fn weather(s: &mut Stream) -> Item {
    let (mut page, index) = (page(s), s.below(4));
    let centre = (32.0 + s.range(-8.0, 8.0) as f32, 26.0 + s.range(-5.0, 5.0) as f32);
    if index == 0 {
        draw_sun(&mut page.canvas, (centre.0, centre.1 + 5.0), s.range(9.0, 13.0) as f32);
    } else {
        draw_cloud(&mut page.canvas, centre, [150 + s.below(40) as u8; 3]);
    }
    for i in 0..if index >= 2 { 6 } else { 0 } {
        let at = (centre.0 - 13.0 + (i % 3) as f32 * 12.0, centre.1 + 16.0 + (i / 3) as f32 * 12.0);
        if index == 2 {
            page.canvas.line(at, (at.0 - 3.0, at.1 + 7.0), [60, 110, 210], 2.2);
        } else {
            draw_flake(&mut page.canvas, at, page.ink);
        }
    }
    let question = say(s, &["Which weather does the symbol stand for?", "What is the weather like today?"], &[]);
    Item::among(question, &["sunny", "cloudy", "rainy", "snowy"], index, page)
}

fn draw_sun(canvas: &mut Canvas, centre: Point, radius: f32) {
    for i in 0..8 {
        let turn = i as f32 / 8.0;
        canvas.line(at_turn(centre, radius * 1.3, turn), at_turn(centre, radius * 1.75, turn), [240, 170, 30], 2.2);
    }
    canvas.disc(centre, radius, [248, 196, 50]);
}

fn draw_cloud(canvas: &mut Canvas, (x, y): Point, rgb: Rgb) {
    for (dx, dy, radius) in [(-11.0, 3.0, 7.0), (-2.0, -3.0, 9.5), (9.0, 1.0, 8.0)] {
        canvas.disc((x + dx, y + dy), radius, rgb);
    }
    canvas.rect((x - 12.0, y + 1.0), 22.0, 9.0, rgb);
}

fn draw_flake(canvas: &mut Canvas, centre: Point, rgb: Rgb) {
    for i in 0..3 {
        let turn = i as f32 / 6.0;
        canvas.line(at_turn(centre, 3.6, turn), at_turn(centre, 3.6, turn + 0.5), rgb, 1.1);
    }
}

/// The lit part of the moon.
pub fn moon(s: &mut Stream) -> Item {
    let (mut page, index) = (page(s), s.below(5));
    let sky = [14 + s.below(20) as u8, 16 + s.below(20) as u8, 40 + s.below(30) as u8];
    page.canvas.rect((0.0, 0.0), 64.0, 64.0, sky);
    for _ in 0..s.between(3, 9) {
        page.canvas.disc((s.range(0.0, 64.0) as f32, s.range(0.0, 64.0) as f32), 0.8, [200, 200, 210]);
    }
    let (centre, radius) = ((32.0 + s.range(-5.0, 5.0) as f32, 32.0 + s.range(-5.0, 5.0) as f32), s.range(17.0, 25.0) as f32);
    let (light, shade) = ([238, 232, 205], mix(sky, [255, 255, 255], 0.16));
    page.canvas.disc(centre, radius, shade);
    let lit = [0.0, s.range(0.15, 0.3), 0.5, s.range(0.7, 0.85), 1.0][index] as f32;
    let mirrored = s.chance(0.5);
    page.canvas.fill(polygon(&lit_part(centre, radius, lit, if mirrored { -1.0 } else { 1.0 })), light);
    let question = say(s, &["Which phase of the moon is this?", "How is this phase of the moon called?"], &[]);
    Item::among(question, &["new moon", "crescent", "half moon", "gibbous", "full moon"], index, page)
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
    let item = Item::among(question, &["the left side", "the right side"], index, page);
    if s.chance(0.5) {
        item.with_hint(if lamp { "Only the lamp gives light." } else { "The sun is the only light." })
    } else {
        item
    }
}

/// A block of wood, brick, metal or wool.
pub fn materials(s: &mut Stream) -> Item {
    let (mut page, index) = (page(s), s.below(5));
    let (width, height) = (s.range(34.0, 54.0) as f32, s.range(30.0, 50.0) as f32);
    let corner = (32.0 - width / 2.0, 32.0 - height / 2.0);
    let base = [[186, 130, 78], [176, 82, 62], [170, 176, 186], [214, 190, 210], [186, 222, 236]][index];
    let base = mix(base, tint(&page, s), 0.12);
    page.canvas.rect(corner, width, height, base);
    let dark = mix(base, [40, 30, 30], 0.38);
    let light = mix(base, [255, 255, 255], 0.7);
    texture(&mut page.canvas, s, index, corner, (width, height), (dark, light));
    page.canvas.frame(corner, width, height, page.ink, 1.6);
    let question = say(s, &["Which material is the block made of?", "What is this block made from?"], &[]);
    Item::among(question, &["wood", "brick", "metal", "wool", "glass"], index, page)
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
