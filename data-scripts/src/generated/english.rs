//! Sentences that look like English and say nothing, so that a tokenizer also meets words that no pretraining picture needs.

use seed::Stream;

const NOUNS: &[&str] = &[
    "water",
    "ice",
    "air",
    "plant",
    "leaf",
    "root",
    "tree",
    "animal",
    "bird",
    "fish",
    "number",
    "word",
    "letter",
    "line",
    "part",
    "group",
    "picture",
    "map",
    "city",
    "river",
    "table",
    "chart",
    "bar",
    "clock",
    "hour",
    "day",
    "night",
    "moon",
    "sun",
    "earth",
    "light",
    "heat",
    "force",
    "box",
    "ball",
    "wheel",
    "spinner",
    "magnet",
    "metal",
    "wood",
    "glass",
    "battery",
    "switch",
    "bulb",
    "answer",
    "question",
    "option",
    "teacher",
    "student",
    "school",
    "book",
    "page",
    "house",
    "door",
    "price",
    "apple",
    "bag",
    "weight",
    "length",
    "ruler",
    "pattern",
    "fraction",
    "row",
    "column",
    "direction",
    "north",
    "south",
    "east",
    "west",
    "weather",
    "rain",
    "snow",
    "cloud",
    "temperature",
    "sample",
    "particle",
    "solid",
    "liquid",
    "gas",
    "food",
    "organism",
    "arrow",
    "place",
];
const ADJECTIVES: &[&str] = &[
    "long",
    "short",
    "tall",
    "small",
    "large",
    "heavy",
    "light",
    "warm",
    "cold",
    "open",
    "closed",
    "full",
    "empty",
    "new",
    "old",
    "equal",
    "likely",
    "unlikely",
    "certain",
    "strong",
    "weak",
    "first",
    "last",
    "next",
    "same",
    "different",
    "marked",
    "shaded",
];
const VERBS: &[&str] = &[
    "shows",
    "has",
    "holds",
    "eats",
    "moves",
    "pushes",
    "pulls",
    "turns",
    "marks",
    "follows",
    "costs",
    "measures",
    "points to",
    "comes before",
    "comes after",
    "attracts",
    "repels",
    "covers",
    "lights",
    "names",
    "describes",
    "matches",
    "needs",
    "makes",
];
const PLACES: &[&str] =
    &["in", "on", "under", "near", "between", "behind", "above", "below", "to the left of", "to the right of"];

/// One sentence.
pub fn sentence(s: &mut Stream) -> String {
    if s.chance(0.6) {
        return statement(s);
    }
    let (a, b, adjective, verb) = (noun(s), noun(s), *s.pick(ADJECTIVES), *s.pick(VERBS));
    match s.below(3) {
        0 => format!("Which {a} {verb} the most {adjective} {b}?"),
        1 => format!("What will happen when the {a} is {adjective}? It {verb} the {b}."),
        _ => format!("Look at the {a}. How {adjective} is it? Choose the best {b}."),
    }
}

/// One sentence that states something.
pub fn statement(s: &mut Stream) -> String {
    let (a, b, c) = (noun(s), noun(s), noun(s));
    let (adjective, verb, place) = (*s.pick(ADJECTIVES), *s.pick(VERBS), *s.pick(PLACES));
    let number = s.between(0, 60);
    match s.below(6) {
        0 => format!("The {adjective} {a} {verb} the {b} {place} the {c}."),
        1 => format!("If the {a} is {adjective}, then the {b} {verb} the {c}."),
        2 => format!("There are {number} of them {place} the {adjective} {a}."),
        3 => format!("A {a} {verb} the {b}, but not the {adjective} {c}."),
        4 => format!("The {a} {verb} {place} the {b}."),
        _ => format!("Each {a} with a {b} is {adjective}; about {number} were seen {place} the {c}."),
    }
}

/// A thing one can name in the singular.
pub fn noun(s: &mut Stream) -> &'static str {
    s.pick::<&str>(NOUNS)
}
