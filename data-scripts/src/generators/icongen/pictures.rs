//! IconGen questions whose options are pictures.

use seed::Stream;

use super::drawings::Repeat;
use crate::generators::canvas::at_turn;
use crate::generators::item::say;
use crate::generators::layout::{Area, spot, spots};
use crate::generators::look::{Colour, Page, Shape, Theme, some_colours, some_shapes};

/// A question answered by one of two pictures.
pub struct PictureChoice {
    pub question: String,
    /// What is asked about.
    pub page: Page,
    pub right: Page,
    pub wrong: Page,
}

fn page(s: &mut Stream) -> Page {
    Page::new(Theme::Icon, s)
}

/// As many things of another kind.
pub fn same_number(s: &mut Stream) -> PictureChoice {
    let (shapes, count) = (some_shapes(s, 3), s.between(1, 6));
    let other = if count > 2 && s.chance(0.5) { count - s.between(1, 2) } else { count + s.between(1, 2) };
    let mut draw = |shape: Shape, count: usize| {
        let (mut page, colour) = (page(s), some_colours(s, 1)[0]);
        for place in spots(s, count, Area::PAGE) {
            page.shape(s, shape, colour, place.centre, place.size.min(22.0));
        }
        page
    };
    let (page, right, wrong) = (draw(shapes[0], count), draw(shapes[1], count), draw(shapes[2], other));
    PictureChoice {
        question: say(s, &["Which picture has just as many shapes?", "Which picture shows the same number?"], &[]),
        page,
        right,
        wrong,
    }
}

/// The same shape in another colour and size.
pub fn same_shape(s: &mut Stream) -> PictureChoice {
    let (shapes, colours) = (some_shapes(s, 2), some_colours(s, 3));
    let (page, right, wrong) = (one(s, shapes[0], colours[0]), one(s, shapes[0], colours[1]), one(s, shapes[1], colours[2]));
    PictureChoice {
        question: say(s, &["Which picture has this shape too?", "Which picture matches the shape?"], &[]),
        page,
        right,
        wrong,
    }
}

/// The same colour in another shape.
pub fn same_colour(s: &mut Stream) -> PictureChoice {
    let (shapes, colours) = (some_shapes(s, 3), some_colours(s, 2));
    let (page, right, wrong) = (one(s, shapes[0], colours[0]), one(s, shapes[1], colours[0]), one(s, shapes[2], colours[1]));
    PictureChoice {
        question: say(s, &["Which picture has this color too?", "Which picture matches the color?"], &[]),
        page,
        right,
        wrong,
    }
}

fn one(s: &mut Stream, shape: Shape, colour: Colour) -> Page {
    let (mut page, size) = (page(s), s.range(22.0, 46.0) as f32);
    let place = spot(s, Area::PAGE, size);
    page.shape(s, shape, colour, place.centre, place.size);
    page
}

/// An arrow that points the same way.
pub fn same_direction(s: &mut Stream) -> PictureChoice {
    let ways = s.sample(4, 2);
    let mut draw = |way: usize| {
        let (mut page, colour, radius) = (page(s), some_colours(s, 1)[0], s.range(14.0, 25.0) as f32);
        let centre = spot(s, Area::PAGE, radius * 2.0).centre;
        let turn = way as f32 / 4.0;
        page.canvas.arrow(at_turn(centre, radius, turn + 0.5), at_turn(centre, radius, turn), page.rgb(colour), radius * 0.2);
        page
    };
    let (page, right, wrong) = (draw(ways[0]), draw(ways[0]), draw(ways[1]));
    PictureChoice {
        question: say(s, &["Which arrow points the same way?", "Which picture has an arrow in this direction?"], &[]),
        page,
        right,
        wrong,
    }
}

/// What belongs in the gap of a pattern.
pub fn next_in_pattern(s: &mut Stream) -> PictureChoice {
    let (mut page, repeat) = (page(s), Repeat::draw(s));
    repeat.render(&mut page, s);
    let next = repeat.next();
    let other = (next + s.between(1, repeat.kinds.len() - 1)) % repeat.kinds.len();
    let [(right_shape, right_colour), (wrong_shape, wrong_colour)] = [repeat.kinds[next], repeat.kinds[other]];
    let (right, wrong) = (one(s, right_shape, right_colour), one(s, wrong_shape, wrong_colour));
    PictureChoice {
        question: say(s, &["Which picture comes next in the pattern?", "Which picture fits the gap?"], &[]),
        page,
        right,
        wrong,
    }
}
