//! The kinds of pretraining scene: each draws a picture and asks everything that can be asked about it.

use seed::Stream;

use super::asker::{Asker, QuestionAnswer, article};
use super::phrases::{self, Phrases};
use crate::generators::canvas::{Point, at_turn};
use crate::generators::layout::{Area, Spot, spot, spots};
use crate::generators::look::{Colour, Page, SHAPES, Shape, Theme, colour_words, mix, shape_words, some_colours, some_shapes};

const SIDES: &[&str] = &["left", "right", "top", "bottom"];
const DIRECTIONS: &[&str] = &["up", "down", "left", "right"];
const SYMBOLS: &[&str] = &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "A", "B", "C", "D", "E", "F"];

/// A drawn scene and all questions about it.
pub struct Scene {
    /// What was drawn, and the marks of what stands where.
    pub page: Page,
    /// What it shows, in at most twenty words.
    pub caption: String,
    /// All questions about it; a sample keeps some of them.
    pub qa: Vec<QuestionAnswer>,
}

/// One object, mostly big: what is it, what colour, where.
pub fn single(s: &mut Stream) -> Scene {
    let mut page = Page::new(Theme::Plain, s);
    let (shape, colour, big) = (*s.pick(&SHAPES), some_colours(s, 1)[0], s.chance(0.7));
    let side = s.below(4);
    let place = if big { big_spot(s) } else { side_spot(s, side) };
    page.shape(s, shape, colour, place.centre, place.size);
    let (shape_word, colour_word) = (shape.name(), colour.name());
    let size = if big { "big" } else { "small" };
    let mut ask = Asker::new(s);
    ask.colour(phrases::COLOUR_OF, shape_word, colour);
    ask.shape(phrases::SHAPE, "", shape);
    ask.shape(phrases::SHAPE_OF_COLOUR, colour_word, shape);
    ask.is_it("color check", phrases::IS_COLOUR, colour_word, colour_words());
    ask.is_it("shape check", phrases::IS_SHAPE, shape_word, &shape_words());
    ask.of("size", phrases::SIZE, &[shape_word], size, &["big", "small"]);
    let caption = if big {
        format!("{} {size} {colour_word} {shape_word}", article(size))
    } else {
        ask.of("place", phrases::PLACE, &[shape_word], SIDES[side], SIDES);
        format!("a {size} {colour_word} {shape_word} at the {}", SIDES[side])
    };
    Scene { qa: ask.qa, page, caption }
}

fn big_spot(s: &mut Stream) -> Spot {
    let size = s.range(28.0, 52.0) as f32;
    spot(s, Area::PAGE, size)
}

fn side_spot(s: &mut Stream, side: usize) -> Spot {
    let middle = s.range(20.0, 44.0) as f32;
    let (near, far) = (s.range(10.0, 14.0) as f32, s.range(50.0, 54.0) as f32);
    let centre = [(near, middle), (far, middle), (middle, near), (middle, far)][side];
    Spot { centre, size: s.range(11.0, 18.0) as f32 }
}

/// Two objects side by side or one above the other: which is where, which is bigger, what do they share.
pub fn pair(s: &mut Stream) -> Scene {
    let mut page = Page::new(Theme::Plain, s);
    let (shapes, colours) = pair_kinds(s);
    let (upright, bigger) = (s.chance(0.5), s.below(3));
    for i in 0..2 {
        let cell = if upright { Area::PAGE.cell(1, 2, 0, i) } else { Area::PAGE.cell(2, 1, i, 0) };
        let size = if bigger == 2 {
            s.range(18.0, 25.0)
        } else if bigger == i {
            s.range(24.0, 28.0)
        } else {
            s.range(11.0, 14.0)
        };
        let place = spot(s, cell, size as f32);
        page.shape(s, shapes[i], colours[i], place.centre, place.size);
    }
    let names = pair_names(shapes, colours);
    let mut ask = Asker::new(s);
    pair_relations(&mut ask, &names, upright);
    pair_parts(&mut ask, shapes, colours, upright);
    ask.check("same", phrases::SAME_COLOUR, &[], colours[0] == colours[1]);
    ask.check("same", phrases::SAME_SHAPE, &[], shapes[0] == shapes[1]);
    if bigger < 2 {
        let (templates, index) = if ask.s.chance(0.5) { (phrases::BIGGER, bigger) } else { (phrases::SMALLER, 1 - bigger) };
        pair_sizes(&mut ask, templates, index, shapes, colours);
    }
    let relation = if upright { "above" } else { "left of" };
    let long = |i: usize| format!("{} {} {}", article(colours[i].name()), colours[i].name(), shapes[i].name());
    Scene { caption: format!("{} {relation} {}", long(0), long(1)), qa: ask.qa, page }
}

/// Shapes and colours of two things that differ in at least one of them.
fn pair_kinds(s: &mut Stream) -> ([Shape; 2], [Colour; 2]) {
    let (shapes, colours) = (some_shapes(s, 2), some_colours(s, 2));
    let (same_shape, same_colour) = match s.below(20) {
        0..9 => (true, false),
        9..18 => (false, true),
        _ => (false, false),
    };
    let second_shape = if same_shape { shapes[0] } else { shapes[1] };
    let second_colour = if same_colour { colours[0] } else { colours[1] };
    ([shapes[0], second_shape], [colours[0], second_colour])
}

/// What tells the two apart: "the star", or "the red one".
fn pair_names(shapes: [Shape; 2], colours: [Colour; 2]) -> [String; 2] {
    if shapes[0] == shapes[1] {
        return colours.map(|colour| format!("{} one", colour.name()));
    }
    shapes.map(|shape| shape.name().to_owned())
}

fn pair_relations(ask: &mut Asker, names: &[String; 2], upright: bool) {
    let swap = ask.s.below(2);
    let (one, other) = (names[swap].as_str(), names[1 - swap].as_str());
    let words = if upright { ["above", "below"] } else { ["left", "right"] };
    let truth = words[swap];
    ask.of("relation", phrases::RELATION, &[one, other], truth, &words);
    for claim in words {
        let phrase = match claim {
            "left" => "left of",
            "right" => "right of",
            other => other,
        };
        ask.check("relation check", phrases::RELATION_CHECK, &[one, phrase, other], claim == truth);
    }
}

fn pair_parts(ask: &mut Asker, shapes: [Shape; 2], colours: [Colour; 2], upright: bool) {
    let which = ask.s.below(2);
    let side = if upright { ["top", "bottom"][which] } else { ["left", "right"][which] };
    ask.colour(phrases::COLOUR_AT, side, colours[which]);
    ask.shape(phrases::SHAPE_AT, side, shapes[which]);
    if shapes[0] != shapes[1] {
        ask.colour(phrases::COLOUR_OF, shapes[which].name(), colours[which]);
    }
    if colours[0] != colours[1] {
        ask.shape(phrases::SHAPE_OF_COLOUR, colours[which].name(), shapes[which]);
    }
}

fn pair_sizes(ask: &mut Asker, templates: Phrases, index: usize, shapes: [Shape; 2], colours: [Colour; 2]) {
    if shapes[0] == shapes[1] {
        let words = colours.map(Colour::name);
        ask.of("compare size", templates, &[], words[index], &words);
    } else {
        let words = shapes.map(Shape::name);
        ask.of("compare size", templates, &[], words[index], &words);
    }
}

/// One to six alike: how many.
pub fn group(s: &mut Stream) -> Scene {
    let mut page = Page::new(Theme::Plain, s);
    let (shape, colour, count) = (*s.pick(&SHAPES), some_colours(s, 1)[0], s.between(1, 6));
    for place in spots(s, count, Area::PAGE) {
        page.shape(s, shape, colour, place.centre, place.size.min(26.0));
    }
    let plural = shape.plural();
    let mut ask = Asker::new(s);
    ask.number("count", phrases::COUNT_OF, &[&plural], count);
    ask.number("count", phrases::COUNT_ALL, &[], count);
    ask.claim_count(&plural, count);
    ask.colour(phrases::COLOUR_OF_ALL, "", colour);
    ask.shape(phrases::SHAPE_OF_ALL, "", shape);
    let caption =
        if count == 1 { format!("1 {} {}", colour.name(), shape.name()) } else { format!("{count} {} {plural}", colour.name()) };
    Scene { caption, qa: ask.qa, page }
}

/// Two groups on two sides: how many of each, and of which there are more.
pub fn two_groups(s: &mut Stream) -> Scene {
    let mut page = Page::new(Theme::Plain, s);
    let (shapes, colours, upright) = (some_shapes(s, 2), some_colours(s, 2), s.chance(0.5));
    let counts = if s.chance(0.25) {
        [2, 2]
    } else {
        *s.pick(&[[1, 2], [2, 1], [1, 3], [3, 1], [2, 3], [3, 2], [4, 1], [1, 4], [4, 2], [2, 4]])
    };
    for i in 0..2 {
        let area = if upright { Area::PAGE.cell(1, 2, 0, i) } else { Area::PAGE.cell(2, 1, i, 0) };
        for place in spots(s, counts[i], area) {
            page.shape(s, shapes[i], colours[i], place.centre, place.size.clamp(10.0, 20.0));
        }
    }
    let plurals = [shapes[0].plural(), shapes[1].plural()];
    let mut ask = Asker::new(s);
    for i in 0..2 {
        ask.number("count", phrases::COUNT_OF, &[&plurals[i]], counts[i]);
        ask.number("count", phrases::COUNT_OF_COLOUR, &[colours[i].name()], counts[i]);
        ask.colour(phrases::COLOUR_OF_MANY, &plurals[i], colours[i]);
    }
    ask.number("count", phrases::COUNT_ALL, &[], counts[0] + counts[1]);
    if counts[0] == counts[1] {
        ask.check("same number", phrases::SAME_NUMBER, &[&plurals[0], &plurals[1]], true);
    } else {
        let more = usize::from(counts[1] > counts[0]);
        let words = [colours[0].name(), colours[1].name()];
        ask.of("compare", phrases::MORE_COLOUR, &[], words[more], &words);
        ask.of("compare", phrases::FEWER_COLOUR, &[], words[1 - more], &words);
        let words = [shapes[0].name(), shapes[1].name()];
        ask.of("compare", phrases::MORE_SHAPE, &[], words[more], &words);
        ask.of("compare", phrases::FEWER_SHAPE, &[], words[1 - more], &words);
        if ask.s.chance(0.5) {
            ask.check("same number", phrases::SAME_NUMBER, &[&plurals[0], &plurals[1]], false);
        }
    }
    let part =
        |i: usize| format!("{} {} {}", counts[i], colours[i].name(), if counts[i] == 1 { shapes[i].name() } else { &plurals[i] });
    let caption = format!("{} and {}", part(0), part(1));
    Scene { caption, qa: ask.qa, page }
}

/// Three to six of two shapes and two colours, or three sizes: what is there and how many of it.
pub fn mixed(s: &mut Stream) -> Scene {
    let mut page = Page::new(Theme::Plain, s);
    let (shapes, colours, count) = (some_shapes(s, 2), some_colours(s, 3), s.between(3, 6));
    let kinds: Vec<(Shape, Colour)> = (0..count).map(|_| (*s.pick(&shapes), *s.pick(&colours[..2]))).collect();
    for (place, &(shape, colour)) in spots(s, count, Area::PAGE).into_iter().zip(&kinds) {
        page.shape(s, shape, colour, place.centre, place.size);
    }
    let (shape, colour) = *s.pick(&kinds);
    let (kinds_of_shape, kinds_of_colour): (Vec<Shape>, Vec<Colour>) = kinds.iter().copied().unzip();
    let mut ask = Asker::new(s);
    for wanted in shapes {
        let alike = kinds_of_shape.iter().filter(|&&shape| shape == wanted).count();
        if alike > 0 {
            ask.number("count", phrases::COUNT_OF, &[&wanted.plural()], alike);
        }
    }
    let tinted = kinds_of_colour.iter().filter(|&&other| other == colour).count();
    ask.number("count", phrases::COUNT_OF_COLOUR, &[colour.name()], tinted);
    ask.number("count", phrases::COUNT_ALL, &[], count);
    ask.there_is_colour(&kinds_of_colour);
    ask.there_is_shape(&kinds_of_shape);
    let alike = kinds_of_shape.iter().filter(|&&other| other == shape).count();
    let rest = if count - alike == 0 { String::new() } else { " and others".to_owned() };
    let noun = if alike == 1 { shape.name().to_owned() } else { shape.plural() };
    Scene { caption: format!("{alike} {noun}{rest}, {count} shapes in all"), qa: ask.qa, page }
}

/// One or two digits or letters.
pub fn symbol(s: &mut Stream) -> Scene {
    let mut page = Page::new(Theme::Plain, s);
    let colours = some_colours(s, 2);
    let two = s.chance(0.4);
    let kind = if s.chance(0.7) { &SYMBOLS[..10] } else { &SYMBOLS[10..] };
    let indices = s.sample(kind.len(), 2);
    let twice = two && s.chance(0.4);
    let symbols = [kind[indices[0]], kind[indices[usize::from(!twice)]]];
    let height = if two { s.range(20.0, 32.0) } else { s.range(18.0, 46.0) } as f32;
    for i in 0..if two { 2 } else { 1 } {
        let cell = if two { Area::PAGE.cell(2, 1, i, 0) } else { Area::PAGE };
        let (place, font) = (spot(s, cell, height), page.font);
        let rgb = legible(page.rgb(colours[i]), &page);
        font.write(&mut page.canvas, symbols[i], place.centre, height, rgb);
        page.mark(place.centre, &[symbols[i], colours[i].name()]);
    }
    let word = if kind.len() == 10 { "number" } else { "letter" };
    let mut ask = Asker::new(s);
    if two {
        symbol_pair(&mut ask, symbols, &colours, word, kind);
    } else {
        ask.of("symbol", phrases::SYMBOL, &[word], symbols[0], kind);
        ask.of("symbol", phrases::SYMBOL, &[word], symbols[0], kind);
        ask.colour(phrases::COLOUR_OF, word, colours[0]);
        ask.is_it("symbol check", phrases::SYMBOL_CHECK, symbols[0], kind);
        ask.of("symbol kind", phrases::SYMBOL_KIND, &[], word, &["number", "letter"]);
        ask.is_it("color check", phrases::IS_COLOUR, colours[0].name(), colour_words());
    }
    let caption = if two {
        format!("the {word}s {} and {}", symbols[0], symbols[1])
    } else {
        format!("the {word} {} in {}", symbols[0], colours[0].name())
    };
    Scene { caption, qa: ask.qa, page }
}

fn symbol_pair(ask: &mut Asker, symbols: [&str; 2], colours: &[Colour], word: &str, kind: &[&str]) {
    for (i, side) in ["left", "right"].into_iter().enumerate() {
        ask.of("symbol", phrases::SYMBOL_AT, &[word, side], symbols[i], kind);
        ask.colour(phrases::COLOUR_AT, side, colours[i]);
    }
    ask.of("symbol kind", phrases::SYMBOL_KINDS, &[], &format!("{word}s"), &["numbers", "letters"]);
    if symbols[0] == symbols[1] {
        return ask.check("same", phrases::SAME_SYMBOL, &[word], true);
    }
    if ask.s.chance(0.67) {
        ask.check("same", phrases::SAME_SYMBOL, &[word], false);
    }
    for (i, side) in ["left", "right"].into_iter().enumerate() {
        ask.colour(phrases::COLOUR_OF, symbols[i], colours[i]);
        ask.of("place", phrases::PLACE, &[symbols[i]], side, &["left", "right"]);
    }
    if word == "number" {
        let more = usize::from(symbols[1] > symbols[0]);
        ask.of("compare", phrases::BIGGER_NUMBER, &[], symbols[more], &symbols);
    }
}

/// Lines as thin as letters need contrast: a colour near the paper's brightness is drawn darker or lighter.
pub fn legible(rgb: [u8; 3], page: &Page) -> [u8; 3] {
    let light = |c: [u8; 3]| c.iter().map(|&channel| i32::from(channel)).sum::<i32>() / 3;
    if (light(rgb) - light(page.paper)).abs() < 45 { mix(rgb, page.ink, 0.22) } else { rgb }
}

/// An arrow, or a dial with one hand: which way does it point.
pub fn pointer(s: &mut Stream) -> Scene {
    let mut page = Page::new(Theme::Plain, s);
    let (colour, way, dial) = (some_colours(s, 1)[0], s.below(4), s.chance(0.5));
    let turn = [0.0, 0.5, 0.75, 0.25][way] + s.range(-0.02, 0.02) as f32;
    let radius = s.range(13.0, 26.0) as f32;
    let centre = spot(s, Area::PAGE, radius * 2.0).centre;
    let word = if dial { "hand" } else { "arrow" };
    draw_pointer(&mut page, dial, centre, radius, turn, colour);
    page.mark(centre, &[word, DIRECTIONS[way], colour.name()]);
    let mut ask = Asker::new(s);
    ask.of("pointer", phrases::POINTER, &[word], DIRECTIONS[way], DIRECTIONS);
    ask.is_it("pointer check", phrases::POINTER_CHECK, DIRECTIONS[way], DIRECTIONS);
    ask.colour(phrases::COLOUR_OF, word, colour);
    ask.is_it("color check", phrases::IS_COLOUR, colour.name(), colour_words());
    ask.of("pointer kind", phrases::POINTER_KIND, &[], if dial { "clock" } else { "arrow" }, &["clock", "arrow"]);
    let caption = if dial {
        format!("a clock with a {} hand that points {}", colour.name(), DIRECTIONS[way])
    } else {
        format!("{} {} arrow that points {}", article(colour.name()), colour.name(), DIRECTIONS[way])
    };
    Scene { caption, qa: ask.qa, page }
}

fn draw_pointer(page: &mut Page, dial: bool, centre: Point, radius: f32, turn: f32, colour: Colour) {
    let rgb = legible(page.rgb(colour), page);
    if dial {
        page.canvas.ring(centre, radius, page.ink, 1.6);
        for i in 0..12 {
            let turn = i as f32 / 12.0;
            page.canvas.line(at_turn(centre, radius * 0.86, turn), at_turn(centre, radius * 0.96, turn), page.ink, 1.0);
        }
        page.canvas.line(centre, at_turn(centre, radius * 0.66, turn), rgb, radius * 0.13);
    } else {
        page.canvas.arrow(at_turn(centre, radius, turn + 0.5), at_turn(centre, radius, turn), rgb, radius * 0.22);
    }
}
