//! Social science: maps and prices.

use seed::Stream;

use crate::generators::canvas::{Point, at_turn, polygon};
use crate::generators::item::{Item, numbers, say};
use crate::generators::layout::{Area, spot};
use crate::generators::look::{Page, Theme, mix, some_colours, some_shapes};

fn page(s: &mut Stream) -> Page {
    Page::new(Theme::Science, s)
}

/// Which way on the map from one city to another.
pub fn directions(s: &mut Stream) -> Item {
    let (mut page, index, colours) = (page(s), s.below(4), some_colours(s, 2));
    let land = mix(page.paper, [120, 180, 110], 0.35);
    let coast: Vec<Point> = (0..12).map(|i| at_turn((34.0, 34.0), s.range(24.0, 30.0) as f32, i as f32 / 12.0)).collect();
    page.canvas.fill(polygon(&coast), land);
    page.canvas.arrow((8.0, 26.0), (8.0, 12.0), page.ink, 1.6);
    page.text("N", (8.0, 6.5), 7.0);
    let middle = (36.0 + s.range(-4.0, 4.0) as f32, 34.0 + s.range(-4.0, 4.0) as f32);
    let reach = s.range(11.0, 16.0) as f32;
    let lean = s.range(-0.04, 0.04) as f32;
    let turn = index as f32 / 4.0 + lean;
    for (i, turn) in [turn, turn + 0.5].into_iter().enumerate() {
        let at = at_turn(middle, reach, turn);
        page.canvas.disc(at, 7.0, page.rgb(colours[i]));
        page.canvas.ring(at, 7.0, page.ink, 1.0);
    }
    let templates = [
        "A map shows two cities. Where is the {} one, seen from the {} one?",
        "On this map, where is the {} city, seen from the {} city?",
    ];
    let question = say(s, &templates, &[colours[0].name(), colours[1].name()]);
    Item::among(question, &["above", "right", "below", "left"], index, page)
}

/// In which field of the grid, or in which corner of the map.
pub fn grid(s: &mut Stream) -> Item {
    const FIELDS: [&str; 4] = ["A1", "B1", "A2", "B2"];
    const CORNERS: [&str; 4] = ["top left", "top right", "bottom left", "bottom right"];
    let (mut page, index, colours, shapes) = (page(s), s.below(4), some_colours(s, 2), some_shapes(s, 2));
    let area = Area { corner: (11.0, 11.0), width: 51.0, height: 51.0 };
    for i in 0..2 {
        let at = 23.75 + i as f32 * 25.5;
        page.text(["A", "B"][i], (at, 5.5), 7.0);
        page.text(["1", "2"][i], (5.5, at), 7.0);
        for j in 0..2 {
            let cell = area.cell(2, 2, i, j);
            page.canvas.frame(cell.corner, cell.width, cell.height, page.ink, 1.0);
        }
    }
    let other = (index + s.between(1, 3)) % 4;
    for (i, cell) in [index, other].into_iter().enumerate() {
        let place = spot(s, area.cell(2, 2, cell % 2, cell / 2), 17.0);
        page.shape(s, shapes[i], colours[i], place.centre, place.size);
    }
    let (templates, values) = if s.chance(0.5) {
        (["Which field of the map is the {} in?", "The {} is in what field of the map?"], FIELDS)
    } else {
        (["Read the map. Which corner is the {} in?", "Read the map. The {} is in what corner?"], CORNERS)
    };
    let question = say(s, &templates, &[shapes[0].name()]);
    Item::among(question, &values, index, page)
}

/// How many regions have the colour that means something.
pub fn legend(s: &mut Stream) -> Item {
    const MEANINGS: [&str; 4] = ["forest", "water", "desert", "farms"];
    let (mut page, index, colours, meaning) = (page(s), s.below(5), some_colours(s, 2), *s.pick(&MEANINGS));
    let area = Area { corner: (5.0, 5.0), width: 54.0, height: 54.0 };
    let marked = s.sample(9, index + 1);
    for cell in 0..9 {
        let place = area.cell(3, 3, cell % 3, cell / 3);
        let colour = if marked.contains(&cell) { colours[0] } else { colours[1] };
        page.canvas.rect(place.corner, place.width, place.height, page.rgb(colour));
        page.canvas.frame(place.corner, place.width, place.height, page.ink, 1.4);
    }
    let hint = format!("On this map, {} regions are {meaning}.", colours[0].name());
    let question = say(s, &["How many regions of the map are {}?", "Count the {} regions."], &[meaning]);
    Item::among(question, &numbers(1, 5), index, page).with_hint(hint)
}

/// Which ticket costs the most or the least.
pub fn prices(s: &mut Stream) -> Item {
    let (mut page, count, more) = (page(s), s.between(2, 3), s.chance(0.5));
    let colours = some_colours(s, count + 2);
    let mut costs = s.sample(9, count);
    costs.sort_unstable();
    if more {
        costs.reverse();
    }
    let places = s.sample(count, count);
    for i in 0..count {
        let cell = Area::PAGE.cell(count, 1, places[i], 0);
        let (x, y) = cell.centre();
        let half = cell.width * 0.4;
        page.canvas.rect((x - half, 6.0), half * 2.0, 22.0, page.rgb(colours[i]));
        page.canvas.frame((x - half, 6.0), half * 2.0, 22.0, page.ink, 1.2);
        page.canvas.line((x, 28.0), (x, 34.0), page.ink, 1.0);
        page.canvas.frame((x - half, 34.0), half * 2.0, 23.0, page.ink, 1.0);
        page.text(&(costs[i] + 1).to_string(), (x, y + 13.5), half * 1.75);
    }
    let word = if more { "the most" } else { "the least" };
    let question = say(s, &["What color is the ticket that costs {}?", "Which color has the ticket for {}?"], &[word]);
    let values: Vec<&str> = colours.iter().map(|colour| colour.name()).collect();
    Item::among(question, &values, 0, page)
}
