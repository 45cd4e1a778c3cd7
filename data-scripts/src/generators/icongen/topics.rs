//! One function per IconGen topic: draw the answer, then a question about it, then a picture in which it is true.

use seed::Stream;

use super::drawings::{self, Repeat};
use crate::generators::item::{Item, numbers, say};
use crate::generators::layout::{Area, spot, spots};
use crate::generators::look::{Colour, Page, SHAPES, Shape, Theme, some_colours, some_shapes};

fn page(s: &mut Stream) -> Page {
    Page::new(Theme::Icon, s)
}

fn names(colours: &[Colour]) -> Vec<&'static str> {
    colours.iter().map(|colour| colour.name()).collect()
}

/// One to six of a shape, sometimes with a few of another.
pub fn counting(s: &mut Stream) -> Item {
    let (mut page, index, shapes, colours) = (page(s), s.below(6), some_shapes(s, 2), some_colours(s, 3));
    let strangers = if index < 5 && s.chance(0.5) { s.between(1, 2) } else { 0 };
    for (i, place) in spots(s, index + 1 + strangers, Area::PAGE).into_iter().enumerate() {
        let shape = shapes[usize::from(i <= index)];
        let colour = *s.pick(&colours);
        page.shape(s, shape, colour, place.centre, place.size.min(24.0));
    }
    let plural = shapes[1].plural();
    let question =
        say(s, &["Count the {}. How many do you get?", "How many {} can you find?", "Which number of {} is shown?"], &[&plural]);
    Item::among(question, &numbers(1, 6), index, page)
}

/// More or fewer, longer or shorter.
pub fn comparing(s: &mut Stream) -> Item {
    match s.below(3) {
        0 => more_or_fewer(s),
        1 => rows(s),
        _ => lengths(s),
    }
}

fn more_or_fewer(s: &mut Stream) -> Item {
    let (mut page, shapes, colours) = (page(s), some_shapes(s, 2), some_colours(s, 2));
    let (low, more) = (s.between(1, 3), s.chance(0.5));
    let high = low + s.between(1, 3);
    for (i, place) in spots(s, low + high, Area::PAGE).into_iter().enumerate() {
        let kind = usize::from(i < low);
        page.shape(s, shapes[kind], colours[kind], place.centre, place.size.min(20.0));
    }
    let word = if more { "more" } else { "fewer" };
    let question = say(s, &["Which shape are there {} of?", "Of which shape can you find {}?"], &[word]);
    Item::among(question, &[shapes[0].name(), shapes[1].name()], usize::from(!more), page)
}

fn rows(s: &mut Stream) -> Item {
    let (mut page, shape, colours) = (page(s), *s.pick(&SHAPES), some_colours(s, 2));
    let (index, more) = (s.below(2), s.chance(0.5));
    let low = s.between(1, 3);
    let counts = [low, low + s.between(1, 2)];
    let fuller = if more { index } else { 1 - index };
    for row in 0..2 {
        let count = counts[usize::from(row == fuller)];
        for column in s.sample(5, count) {
            let centre = Area::PAGE.cell(5, 2, column, row).centre();
            page.shape(s, shape, colours[row], centre, 11.0);
        }
    }
    page.canvas.line((3.0, 32.0), (61.0, 32.0), page.ink, 1.2);
    let question =
        say(s, &["Which row holds {} shapes?", "Which row has {} shapes in it?"], &[if more { "more" } else { "fewer" }]);
    Item::among(question, &["top", "bottom"], index, page)
}

fn lengths(s: &mut Stream) -> Item {
    let (mut page, colours) = (page(s), some_colours(s, 3));
    let longest = s.chance(0.5);
    let width = s.range(4.0, 7.0) as f32;
    let order = s.sample(3, 3);
    for (place, &i) in order.iter().enumerate() {
        let length = [50.0, 34.0, 18.0][if longest { i } else { 2 - i }] + s.range(-4.0, 4.0) as f32;
        let (x, y) = (4.0 + s.range(0.0, f64::from(54.0 - length)) as f32, 14.0 + place as f32 * 18.0);
        page.canvas.line((x, y), (x + length, y), page.rgb(colours[i]), width);
    }
    let question = say(
        s,
        &["Which line is the {}?", "Find the {} line. Which color is it?"],
        &[if longest { "longest" } else { "shortest" }],
    );
    Item::among(question, &names(&colours), 0, page)
}

/// Beside, above, in which corner.
pub fn spatial(s: &mut Stream) -> Item {
    match s.below(3) {
        0 => neighbours(s),
        1 => relation(s),
        _ => corners(s),
    }
}

fn neighbours(s: &mut Stream) -> Item {
    let (mut page, shapes, colours) = (page(s), some_shapes(s, 3), some_colours(s, 3));
    for i in 0..3 {
        let place = spot(s, Area::PAGE.cell(3, 1, i, 0), 17.0);
        let y = 32.0 + s.range(-7.0, 7.0) as f32;
        page.shape(s, shapes[i], colours[i], (place.centre.0, y), place.size);
    }
    let right = s.chance(0.5);
    let asked = if right { s.below(2) } else { s.between(1, 2) };
    let answer = if right { asked + 1 } else { asked - 1 };
    let rest: Vec<&str> =
        [answer].into_iter().chain((0..3).filter(|&i| i != answer && i != asked)).map(|i| shapes[i].name()).collect();
    let side = if right { "right" } else { "left" };
    let question = say(
        s,
        &["Which shape comes directly {} of the {}?", "Just to the {} of the {} is which shape?"],
        &[side, shapes[asked].name()],
    );
    Item::among(question, &rest, 0, page)
}

fn relation(s: &mut Stream) -> Item {
    let (mut page, shapes, colours, index) = (page(s), some_shapes(s, 2), some_colours(s, 2), s.below(4));
    let upright = index < 2;
    for i in 0..2 {
        let at = if index % 2 == 0 { i } else { 1 - i };
        let cell = if upright { Area::PAGE.cell(1, 2, 0, at) } else { Area::PAGE.cell(2, 1, at, 0) };
        let size = s.range(14.0, 25.0) as f32;
        let place = spot(s, cell, size);
        let centre = if upright {
            (32.0 + (place.centre.0 - 32.0) * 0.3, place.centre.1)
        } else {
            (place.centre.0, 32.0 + (place.centre.1 - 32.0) * 0.3)
        };
        page.shape(s, shapes[i], colours[i], centre, place.size);
    }
    let question =
        say(s, &["Compared with the {1}, where does the {0} sit?", "Which word tells where the {0} is from the {1}?"], &[]);
    let question = question.replace("{0}", shapes[0].name()).replace("{1}", shapes[1].name());
    Item::among(question, &["above", "below", "left", "right"], index, page)
}

fn corners(s: &mut Stream) -> Item {
    let (mut page, shapes, colours, index) = (page(s), some_shapes(s, 4), some_colours(s, 4), s.below(4));
    let filled = s.between(1, 4);
    let mut rest: Vec<usize> = (0..4).filter(|&corner| corner != index).collect();
    s.shuffle(&mut rest);
    for (i, corner) in [index].into_iter().chain(rest).take(filled).enumerate() {
        let place = spot(s, Area::PAGE.cell(2, 2, corner % 2, corner / 2), 20.0);
        page.shape(s, shapes[i], colours[i], place.centre, place.size);
    }
    let question = say(s, &["In which corner is the {}?", "Which corner has the {} in it?"], &[shapes[0].name()]);
    Item::among(question, &["top left", "top right", "bottom left", "bottom right"], index, page)
}

/// Which one does not belong.
pub fn sorting(s: &mut Stream) -> Item {
    let (mut page, shapes, colours, by_shape) = (page(s), some_shapes(s, 4), some_colours(s, 4), s.chance(0.5));
    let count = s.between(4, 6);
    for (i, place) in spots(s, count, Area::PAGE).into_iter().enumerate() {
        let (odd, tint) = (usize::from(i > 0), *s.pick(&colours));
        let (shape, colour) = if by_shape { (shapes[odd], tint) } else { (*s.pick(&shapes), colours[odd]) };
        page.shape(s, shape, colour, place.centre, place.size.min(22.0));
    }
    let templates: &[&str] = if by_shape {
        &["Which shape appears only once?", "One shape does not belong. Which one?"]
    } else {
        &["Which color appears only once?", "One color does not belong. Which one?"]
    };
    let words = if by_shape { shapes.iter().map(|shape| shape.name()).collect() } else { names(&colours) };
    Item::among(say(s, templates, &[]), &words, 0, page)
}

/// Naming shapes and counting their sides.
pub fn geometry(s: &mut Stream) -> Item {
    if s.chance(0.3) { sides(s) } else { shape_name(s) }
}

fn shape_name(s: &mut Stream) -> Item {
    let index = s.below(SHAPES.len());
    let page = one_shape(s, SHAPES[index], 0.06);
    let question = say(s, &["What do we call this figure?", "Which name fits this figure?"], &[]);
    Item::among(question, &SHAPES.map(Shape::name), index, page)
}

/// How many sides or corners.
pub fn sides(s: &mut Stream) -> Item {
    let index = s.below(4);
    let four = [Shape::Square, Shape::Rectangle, Shape::Trapezoid, Shape::Diamond];
    let shape = [Shape::Triangle, *s.pick(&four), Shape::Pentagon, Shape::Hexagon][index];
    let page = one_shape(s, shape, 0.08);
    let question = say(s, &["How many sides does this figure have?", "Count the corners of this figure. How many?"], &[]);
    Item::among(question, &numbers(3, 6), index, page)
}

fn one_shape(s: &mut Stream, shape: Shape, turn: f64) -> Page {
    let (mut page, size, colour) = (page(s), s.range(30.0, 50.0) as f32, some_colours(s, 1)[0]);
    let (place, turn) = (spot(s, Area::PAGE, size), s.range(-turn, turn) as f32);
    if s.chance(0.3) {
        page.canvas.stroke(shape.path(place.centre, place.size, turn), page.rgb(colour), 2.4);
    } else {
        page.shape_turned(shape, page.rgb(colour), place.centre, place.size, turn);
    }
    page
}

/// What comes next.
pub fn pattern(s: &mut Stream) -> Item {
    let (mut page, repeat) = (page(s), Repeat::draw(s));
    repeat.render(&mut page, s);
    let words: Vec<&str> = (0..repeat.kinds.len()).map(|kind| repeat.word(kind)).collect();
    let what = if repeat.by_shape { "shape" } else { "color" };
    let question = say(s, &["Which {} comes next in the pattern?", "The pattern goes on. Which {} fits the gap?"], &[what]);
    Item::among(question, &words, repeat.next(), page)
}

/// The hours at which the hand points straight up, right, down and left.
const QUARTERS: [usize; 4] = [12, 3, 6, 9];

/// Reading a clock that has an hour hand only.
pub fn time(s: &mut Stream) -> Item {
    let (mut page, index) = (page(s), s.below(4));
    drawings::clock(&mut page, s, QUARTERS[index]);
    let question = say(s, &["What time does the clock show?", "Read the clock. Which hour is it?"], &[]);
    Item::among(question, &QUARTERS.map(|hour| hour.to_string()), index, page)
}

/// Into how many parts it is cut, and how many of them are shaded.
pub fn fraction(s: &mut Stream) -> Item {
    let (mut page, ask_parts) = (page(s), s.chance(0.5));
    let drawn = s.between(1, 3);
    let (shaded, all) = if ask_parts { (s.between(1, drawn), drawn + 1) } else { (drawn, s.between(drawn + 1, 4)) };
    drawings::parts(&mut page, s, shaded, all);
    if ask_parts {
        let question =
            say(s, &["Into how many equal parts is the figure cut?", "What is the bottom number of this fraction?"], &[]);
        return Item::among(question, &numbers(2, 4), all - 2, page);
    }
    let question = say(s, &["How many parts of the figure are shaded?", "What is the top number of this fraction?"], &[]);
    Item::among(question, &numbers(1, 3), shaded - 1, page)
}

/// Reading a bar chart.
pub fn chart(s: &mut Stream) -> Item {
    if s.chance(0.5) { bar_value(s) } else { tallest_bar(s) }
}

fn tallest_bar(s: &mut Stream) -> Item {
    let (mut page, colours, index, tallest) = (page(s), some_colours(s, 4), s.below(3), s.chance(0.5));
    let (edge, rest) = if tallest { (s.between(3, 5), 0) } else { (s.between(1, 3), 1) };
    let draw = |s: &mut Stream| if rest == 0 { s.between(1, edge - 1) } else { s.between(edge + 1, 5) };
    let bars: Vec<(Colour, usize)> = (0..3).map(|i| (colours[i], if i == index { edge } else { draw(s) })).collect();
    drawings::bars(&mut page, s, &bars);
    let question = say(
        s,
        &["Which bar is the {} in the chart?", "Look at the chart. Which bar is the {}?"],
        &[if tallest { "tallest" } else { "lowest" }],
    );
    Item::among(question, &names(&colours[..3]), index, page)
}

/// The value of one bar.
pub fn bar_value(s: &mut Stream) -> Item {
    let (mut page, colours, index) = (page(s), some_colours(s, 3), s.below(5));
    let asked = s.below(3);
    let bars: Vec<(Colour, usize)> = (0..3).map(|i| (colours[i], if i == asked { index + 1 } else { s.between(1, 5) })).collect();
    drawings::bars(&mut page, s, &bars);
    let question =
        say(s, &["What value does the {} bar reach?", "How high is the {} bar in the chart?"], &[colours[asked].name()]);
    Item::among(question, &numbers(1, 5), index, page)
}

/// Strips of cubes and thermometers.
pub fn measurement(s: &mut Stream) -> Item {
    if s.chance(0.5) { cubes(s) } else { thermometer(s) }
}

/// How long the strip is.
pub fn cubes(s: &mut Stream) -> Item {
    let (mut page, index) = (page(s), s.below(5));
    drawings::cubes(&mut page, s, index + 1);
    let question = say(s, &["How many cubes long is the strip?", "Measure the strip. How many cubes is it?"], &[]);
    Item::among(question, &numbers(1, 5), index, page)
}

fn thermometer(s: &mut Stream) -> Item {
    let (mut page, index, x) = (page(s), s.below(5), s.range(14.0, 36.0) as f32);
    drawings::thermometer(&mut page, s, x, index as f32 + 1.0);
    let question =
        say(s, &["Up to which mark is the thermometer filled?", "Read the thermometer. Which mark does it reach?"], &[]);
    Item::among(question, &numbers(1, 5), index, page)
}

/// Where the spinner stops.
pub fn probability(s: &mut Stream) -> Item {
    if s.chance(0.6) { likeliest(s) } else { possibility(s) }
}

fn likeliest(s: &mut Stream) -> Item {
    let (mut page, colours, most) = (page(s), some_colours(s, 3), s.chance(0.5));
    let share = |i: usize| if i == 0 { if most { 3.0 } else { 0.4 } } else { 1.0 };
    let mut slices: Vec<(Colour, f32)> = (0..3).map(|i| (colours[i], share(i))).collect();
    s.shuffle(&mut slices);
    drawings::spinner(&mut page, s, &slices);
    let question = say(
        s,
        &["On which color is the spinner {} likely to stop?", "Which color is the {} likely for this spinner?"],
        &[if most { "most" } else { "least" }],
    );
    Item::among(question, &names(&colours), 0, page)
}

fn possibility(s: &mut Stream) -> Item {
    let (mut page, colours, possible) = (page(s), some_colours(s, 3), s.chance(0.5));
    let asked = if possible { *s.pick(&colours[..2]) } else { colours[2] };
    let share = s.range(0.5, 2.0) as f32;
    drawings::spinner(&mut page, s, &[(colours[0], 1.0), (colours[1], share)]);
    let question = say(s, &["Can the spinner stop on {}?", "Is it possible that the spinner lands on {}?"], &[asked.name()]);
    Item::among(question, &["yes", "no"], usize::from(!possible), page)
}

/// Sums of dots and of digits.
pub fn algebra(s: &mut Stream) -> Item {
    if s.chance(0.7) { domino(s) } else { equation(s) }
}

fn domino(s: &mut Stream) -> Item {
    let (mut page, index, colour) = (page(s), s.below(5), some_colours(s, 1)[0]);
    let first = s.between((index + 2).saturating_sub(3).max(1), (index + 1).min(3));
    page.canvas.frame((3.0, 14.0), 58.0, 36.0, page.ink, 1.8);
    page.canvas.line((32.0, 14.0), (32.0, 50.0), page.ink, 1.8);
    for (half, count) in [first, index + 2 - first].into_iter().enumerate() {
        let area = Area { corner: (4.0 + 29.0 * half as f32, 16.0), width: 27.0, height: 32.0 };
        for place in spots(s, count, area) {
            page.canvas.disc(place.centre, 5.0, page.rgb(colour));
        }
    }
    let question =
        say(s, &["How many dots does the tile have altogether?", "Add both halves of the tile. What is the sum?"], &[]);
    Item::among(question, &numbers(2, 6), index, page)
}

fn equation(s: &mut Stream) -> Item {
    let (mut page, index, missing) = (page(s), s.below(7), s.chance(0.5));
    let answer = index + 2;
    let known = if missing { s.between(1, 9 - answer.min(8)) } else { s.between(1, answer - 1) };
    let text = if missing { format!("{known}+?={}", known + answer) } else { format!("{known}+{}=?", answer - known) };
    let y = s.range(22.0, 42.0) as f32;
    let height = (60.0 / page.font.advance(1.0) / text.len() as f32).min(17.0);
    page.text(&text, (32.0, y), height);
    let question = say(s, &["Which number is missing in the sum?", "Which number must replace the question mark?"], &[]);
    Item::among(question, &numbers(2, 8), index, page)
}

/// About how many, about how full.
pub fn estimation(s: &mut Stream) -> Item {
    if s.chance(0.5) { many_dots(s) } else { fullness(s) }
}

fn many_dots(s: &mut Stream) -> Item {
    let (mut page, index, colours) = (page(s), s.below(3), some_colours(s, 2));
    let tens = [1, 3, 6][index];
    let count = tens * 10 + s.below(5) - 2;
    for cell in s.sample(81, count) {
        let centre = spot(s, Area::PAGE.cell(9, 9, cell % 9, cell / 9), 5.0).centre;
        let colour = *s.pick(&colours);
        page.canvas.disc(centre, 2.4, page.rgb(colour));
    }
    let question = say(s, &["About how many tens of dots do you see?", "Estimate the dots. How many tens are there?"], &[]);
    Item::among(question, &["1", "3", "6"], index, page)
}

fn fullness(s: &mut Stream) -> Item {
    let (mut page, index) = (page(s), s.below(4));
    let share = (index + 1) as f32 / 4.0 + s.range(-0.03, 0.0) as f32;
    drawings::glass(&mut page, s, share);
    let question = say(s, &["About how many quarters of the glass are full?", "Estimate how many quarters are filled."], &[]);
    Item::among(question, &numbers(1, 4), index, page)
}
