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
];
pub const COLOUR_AT: Phrases = &[
    "What color is the {} one?",
    "What color is at the {}?",
    "Which color do you see at the {}?",
    "Name the color at the {}.",
    "The {} one has which color?",
];
pub const COLOUR_OF_ALL: Phrases = &[
    "What color are they?",
    "What is the color of the shapes?",
    "Which color do all of them have?",
    "Name the color of these.",
    "In which color are they drawn?",
];
pub const COLOUR_OF_MANY: Phrases = &[
    "What color are the {}?",
    "Which color do the {} have?",
    "Name the color of the {}.",
    "In which color are the {} drawn?",
    "The {} are of what color?",
];
pub const SHAPE: Phrases =
    &["What shape is this?", "What shape do you see?", "Which shape is drawn here?", "Name the shape.", "Name this figure."];
pub const SHAPE_OF_COLOUR: Phrases = &[
    "What shape is {}?",
    "What is the {} shape?",
    "Which shape is drawn in {}?",
    "Name the {} figure.",
    "Which of the shapes is {}?",
];
pub const SHAPE_AT: Phrases = &[
    "What shape is the {} one?",
    "What shape is at the {}?",
    "Which figure do you find at the {}?",
    "Name the shape at the {}.",
    "Look at the {}: what is there?",
];
pub const SHAPE_OF_ALL: Phrases = &[
    "What shape are they?",
    "What kind of shape is shown?",
    "Which shape do they all have?",
    "Name the figures.",
    "All of them have which form?",
];
pub const IS_COLOUR: Phrases =
    &["Is the shape {}?", "Is the color {}?", "Is it {}?", "Would you call it {}?", "Do you see something {}?"];
pub const IS_SHAPE: Phrases =
    &["Is it a {}?", "Is this shape a {}?", "Do you see a {}?", "Would you call this a {}?", "Is the figure a {}?"];
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
];
pub const COUNT_ALL: Phrases = &[
    "How many shapes are there?",
    "What is the number of shapes?",
    "How many shapes are there in all?",
    "Count everything.",
    "How many things do you see?",
];
pub const COUNT_OF_COLOUR: Phrases = &[
    "How many are {}?",
    "How many shapes are {}?",
    "Count the {} ones.",
    "What is the number of {} shapes?",
    "How many {} things do you see?",
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
pub const SYMBOL: Phrases =
    &["What {} is this?", "What {} do you see?", "Which {} is written here?", "Read the {}.", "Say which {} it is."];
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

pub const SYMBOL_KINDS: Phrases = &["Are these numbers or letters?", "What is written here, numbers or letters?"];
pub const SAME_SYMBOL: Phrases = &["Are both {}s the same?", "Do the two {}s agree?", "Is the same {} written twice?"];
pub const SAME_DIRECTION: Phrases =
    &["Do both arrows point the same way?", "Do the arrows agree?", "Is the direction of both the same?"];
pub const BESIDE: Phrases =
    &["What is {} the {}?", "Which shape is {} the {}?", "What do you see {} the {}?", "Name the shape {} the {}."];
pub const CORNER: Phrases = &[
    "Which corner is the {} in?",
    "Where is the {}?",
    "The {} is in what corner?",
    "Say which corner has the {}.",
    "Where do you see the {}?",
];
pub const HEIGHT: Phrases = &[
    "How high is the {} tower?",
    "How many blocks has the {} tower?",
    "Say how high the {} tower is.",
    "Count the blocks of the {} tower.",
];
pub const HIGHEST: Phrases =
    &["Which tower is highest?", "What color is the highest tower?", "Name the highest tower.", "The tall tower is what color?"];
pub const FLATTEST: Phrases =
    &["Which tower is lowest?", "What color is the lowest tower?", "Name the lowest tower.", "The short tower is what color?"];
pub const COUNT_TOWERS: Phrases = &["How many towers are there?", "Count the towers.", "What is the number of towers?"];
pub const LONGER: Phrases = &[
    "What color is the long line?",
    "Which line is longer than the rest?",
    "The long one is what color?",
    "Name the longest line.",
];
pub const SHORTER: Phrases = &[
    "What color is the short line?",
    "Which line is shorter than the rest?",
    "The short one is what color?",
    "Name the shortest line.",
];
pub const LENGTH: Phrases =
    &["Is the {} line short or long?", "How long is the {} line?", "Say if the {} line is short or long."];
pub const COUNT_LINES: Phrases = &["How many lines are there?", "Count the lines.", "What is the number of lines?"];
pub const LARGEST_PART: Phrases = &[
    "Which color takes most of the room?",
    "What color is the largest part?",
    "The biggest part is what color?",
    "Most of it is what color?",
];
pub const SMALLEST_PART: Phrases = &[
    "Which color takes least of the room?",
    "What color is the smallest part?",
    "The little part is what color?",
    "Least of it is what color?",
];
pub const COUNT_COLOURS: Phrases = &["How many colors are there?", "Count the colors.", "What is the number of colors?"];
pub const COUNT_PARTS: Phrases = &["How many parts are there?", "Count the parts.", "What is the number of parts?"];
pub const COUNT_BOXES: Phrases =
    &["How many boxes are there?", "Count the boxes.", "What is the number of boxes?", "How many boxes do you see in all?"];
pub const COUNT_FILLED: Phrases = &[
    "How many boxes are filled?",
    "Count the filled boxes.",
    "What is the number of filled boxes?",
    "How many of the boxes are full?",
];
pub const COLOUR_OF_FILLED: Phrases =
    &["What color are the filled boxes?", "Which color fills the boxes?", "The full boxes are what color?"];
pub const ALL_FILLED: Phrases = &["Are all boxes filled?", "Is every box full?", "Is there no empty box?"];
pub const LEVEL: Phrases = &[
    "How high is the {} water?",
    "Up to which line is the {} water?",
    "How many parts of the {} jar are full?",
    "Say how high the {} water is.",
];
pub const FULL_TO_THE_TOP: Phrases = &["Is the jar full?", "Is the jar filled to the top?", "Does the water reach the top?"];
pub const FULLER: Phrases = &["Which jar is fuller?", "What color is the higher water?", "What color is there more of?"];
pub const EMPTIER: Phrases = &["Which jar is emptier?", "What color is the lower water?", "What color is there less of?"];
pub const FULLER_SIDE: Phrases =
    &["Which side has the fuller jar?", "At which side is the water higher?", "Where is more water?"];
pub const EMPTIER_SIDE: Phrases =
    &["Which side has the emptier jar?", "At which side is the water lower?", "Where is less water?"];
pub const THING_AT: Phrases =
    &["What is at the {}?", "What do you see at the {}?", "Name the thing at the {}.", "What is drawn at the {}?"];
pub const SURFACE_AT: Phrases = &[
    "How is the patch at the {} drawn?",
    "What kind of patch is at the {}?",
    "Name the surface at the {}.",
    "What is the {} patch like?",
];
pub const SURFACE_OF: Phrases = &["How is the {} patch drawn?", "What kind of patch is {}?", "Name the surface of the {} patch."];

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
        if !fixed.contains(word) && s.chance(0.12) {
            text = swap(&text, word, s.pick::<&str>(others));
        }
    }
    if s.chance(0.12) {
        text = format!("{}{text}", s.pick::<&str>(OPENINGS));
    }
    if s.chance(0.06) {
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
