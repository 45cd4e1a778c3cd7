//! How pretraining asks. Many ways for each thing to ask, so that a decoder learns to read rather than to recognise a sentence;
//! none is a sentence of a benchmark (a test compares them).

use seed::Stream;

/// Ways to ask one thing; `{}` are filled in order.
pub type Phrases = &'static [&'static str];

pub const COLOUR_OF: Phrases = &[
    "What color is the {}?",
    "What is the color of the {}?",
    "The {} has what color?",
    "Which color does the {} have?",
    "Name the color of the {}.",
    "Say which color the {} is.",
    "In which color is the {} drawn?",
    "Give the color of the {}.",
    "The {} is painted in what color?",
];
pub const COLOUR_AT: Phrases = &[
    "What color is the {} one?",
    "What color is at the {}?",
    "Which color do you see at the {}?",
    "Name the color at the {}.",
    "The {} one has which color?",
    "Look at the {}: which color is there?",
];
pub const COLOUR_OF_ALL: Phrases = &[
    "What color are they?",
    "What is the color of the shapes?",
    "Which color do all of them have?",
    "Name the color of these.",
    "In which color are they drawn?",
    "All the shapes share which color?",
];
pub const COLOUR_OF_MANY: Phrases = &[
    "What color are the {}?",
    "Which color do the {} have?",
    "Name the color of the {}.",
    "In which color are the {} drawn?",
    "The {} are of what color?",
];
pub const SHAPE: Phrases = &[
    "What shape is this?",
    "What shape do you see?",
    "Which shape is drawn here?",
    "Name the shape.",
    "Name this figure.",
    "What figure can you see?",
    "Say what is shown.",
    "What is in the picture?",
    "What do you call this shape?",
];
pub const SHAPE_OF_COLOUR: Phrases = &[
    "What shape is {}?",
    "What is the {} shape?",
    "Which shape is drawn in {}?",
    "Name the {} figure.",
    "Which of the shapes is {}?",
    "What is the {} thing?",
    "The {} one has which shape?",
];
pub const SHAPE_AT: Phrases = &[
    "What shape is the {} one?",
    "What shape is at the {}?",
    "Which figure do you find at the {}?",
    "Name the shape at the {}.",
    "Look at the {}: what is there?",
    "The {} one is which shape?",
];
pub const SHAPE_OF_ALL: Phrases = &[
    "What shape are they?",
    "What kind of shape is shown?",
    "Which shape do they all have?",
    "Name the figures.",
    "All of them have which form?",
];
pub const IS_COLOUR: Phrases = &[
    "Is the shape {}?",
    "Is the color {}?",
    "Is it {}?",
    "Would you call it {}?",
    "Do you see something {}?",
    "Is {} the color of it?",
    "True or not: it is {}?",
];
pub const IS_SHAPE: Phrases = &[
    "Is it a {}?",
    "Is this shape a {}?",
    "Do you see a {}?",
    "Would you call this a {}?",
    "Is the figure a {}?",
    "Could this be a {}?",
];
pub const SIZE: Phrases = &[
    "Is the {} big or small?",
    "Which size does the {} have?",
    "How big is the {}?",
    "What size is the {}?",
    "Say if the {} is big or small.",
];
pub const PLACE: Phrases = &[
    "On what side is the {}?",
    "At what side of the picture is the {}?",
    "Where is the {}?",
    "Where do you see the {}?",
    "At which edge is the {}?",
    "Say where the {} is.",
];
pub const RELATION: Phrases = &[
    "Where is the {}, seen from the {}?",
    "The {} is where, next to the {}?",
    "Where does the {} stand, seen from the {}?",
    "Say where the {} is from the {}.",
    "In which direction is the {} from the {}?",
];
pub const RELATION_CHECK: Phrases = &["Is the {} {} the {}?", "Do you find the {} {} the {}?", "Does the {} stand {} the {}?"];
pub const SAME_COLOUR: Phrases = &[
    "Do they have the same color?",
    "Are both the same color?",
    "Are the two alike in color?",
    "Is the color of both the same?",
    "Do the two shapes share one color?",
];
pub const SAME_SHAPE: Phrases = &[
    "Do they have the same shape?",
    "Are both the same shape?",
    "Are the two alike in shape?",
    "Is the shape of both the same?",
    "Do the two share one shape?",
];
pub const BIGGER: Phrases = &[
    "The bigger one is what?",
    "Which one is bigger?",
    "Name the bigger one.",
    "What is the larger one?",
    "Which of the two is larger?",
];
pub const SMALLER: Phrases = &[
    "The smaller one is what?",
    "Which one is smaller?",
    "Name the smaller one.",
    "What is the little one?",
    "Which of the two is smaller?",
];
pub const COUNT_OF: Phrases = &[
    "How many {} are there?",
    "How many {} are in the picture?",
    "How many {} do you see?",
    "Count the {}.",
    "What is the number of {}?",
    "Say how many {} there are.",
    "Give the number of {}.",
    "Count all {} in the picture. What is the number?",
];
pub const COUNT_ALL: Phrases = &[
    "How many shapes are there?",
    "What is the number of shapes?",
    "How many shapes are there in all?",
    "Count everything.",
    "How many things do you see?",
    "Count the shapes. How many are there?",
    "What is the total number of figures?",
];
pub const COUNT_OF_COLOUR: Phrases = &[
    "How many are {}?",
    "How many shapes are {}?",
    "Count the {} ones.",
    "What is the number of {} shapes?",
    "How many {} things do you see?",
    "Say how many are {}.",
];
pub const COUNT_CHECK: Phrases = &["Are there {} {}?", "Do you count {} {}?", "Are {} {} shown?", "Can you see {} {}?"];
pub const SAME_NUMBER: Phrases =
    &["Is it the same number of {} and {}?", "Are there as many {} as {}?", "Do {} and {} come in equal number?"];
pub const MORE_COLOUR: Phrases = &[
    "The bigger group is what color?",
    "Which color has more shapes?",
    "More shapes have which color?",
    "Name the color of the larger group.",
];
pub const FEWER_COLOUR: Phrases = &[
    "The smaller group is what color?",
    "Which color has fewer shapes?",
    "Fewer shapes have which color?",
    "Name the color of the little group.",
];
pub const MORE_SHAPE: Phrases = &[
    "What are there more of?",
    "Of what do you see more?",
    "The bigger group is of what shape?",
    "Which shape comes more often?",
];
pub const FEWER_SHAPE: Phrases = &[
    "What are there fewer of?",
    "Of what do you see fewer?",
    "The smaller group is of what shape?",
    "Which shape comes less often?",
];
pub const ANY_COLOUR: Phrases = &[
    "Is there something {}?",
    "Is anything {}?",
    "Do you see anything {}?",
    "Does {} appear in the picture?",
    "Can you find something {}?",
];
pub const ANY_SHAPE: Phrases =
    &["Is there a {}?", "Is there any {}?", "Does a {} appear in the picture?", "Can you find a {}?", "Do you see any {}?"];
pub const SYMBOL: Phrases = &[
    "What {} is this?",
    "What {} do you see?",
    "Which {} is written here?",
    "Read the {}.",
    "Say which {} it is.",
    "Name the {}.",
];
pub const SYMBOL_AT: Phrases =
    &["What {} is at the {}?", "What {} is on the {} side?", "Which {} is written at the {}?", "Read the {} at the {}."];
pub const SYMBOL_CHECK: Phrases = &["Is it the {}?", "Is this the {}?", "Do you read the {}?", "Does it say {}?"];
pub const SYMBOL_KIND: Phrases =
    &["Is this a number or a letter?", "What is written here, a number or a letter?", "Say if it is a number or a letter."];
pub const BIGGER_NUMBER: Phrases =
    &["The bigger number is what?", "What is the bigger number?", "Which number is larger?", "Name the larger number."];
pub const POINTER: Phrases = &[
    "What way does the {} point?",
    "The {} points where?",
    "In which direction does the {} point?",
    "Where does the {} point?",
    "Say where the {} points to.",
];
pub const POINTER_CHECK: Phrases = &["Does it point {}?", "Is it pointing {}?", "Would you say it points {}?"];
pub const POINTER_KIND: Phrases = &["Is there a clock or an arrow?", "What is drawn, a clock or an arrow?"];

const OPENINGS: &[&str] = &[
    "Look at the picture. ",
    "Look closely. ",
    "See the image. ",
    "In this picture: ",
    "Please answer. ",
    "Tell me: ",
    "One question. ",
    "Here is a drawing. ",
];
const ENDINGS: &[&str] = &[" Answer in one word.", " Be brief.", " What do you think?", " Say it."];

/// Words that may stand for each other in a question.
const SYNONYMS: &[(&str, &[&str])] = &[
    ("picture", &["image", "drawing", "scene"]),
    ("shapes", &["figures", "objects", "things"]),
    ("figure", &["form", "object"]),
    ("see", &["find", "notice"]),
];

/// A question with an opening or an ending now and then, and some of its words changed.
pub fn vary(s: &mut Stream, question: String, fixed: &[&str]) -> String {
    let mut text = question;
    for (word, others) in SYNONYMS {
        if !fixed.contains(word) && s.chance(0.2) {
            text = swap(&text, word, s.pick::<&str>(others));
        }
    }
    if s.chance(0.2) {
        text = format!("{}{text}", s.pick::<&str>(OPENINGS));
    }
    if s.chance(0.1) {
        text.push_str(s.pick::<&str>(ENDINGS));
    }
    text
}

/// Replaces whole words.
fn swap(text: &str, word: &str, by: &str) -> String {
    let bare = |part: &str| part.trim_end_matches(['.', ',', '?', ':']).to_owned();
    let change = |part: &str| if bare(part) == word { part.replacen(word, by, 1) } else { part.to_owned() };
    text.split(' ').map(change).collect::<Vec<_>>().join(" ")
}
