//! SciGen: school science with diagrams, maps and words, in the schema of `derek-thomas/ScienceQA`.
//!
//! Subjects and kinds of question follow ScienceQA (Lu et al. 2022, <https://scienceqa.github.io>). About a twelfth of the rows
//! have no picture, about half have a hint. Facts that a hint gives are needed together with the picture and never instead of it.

mod language;
mod nature;
mod society;

use seed::{Seed, Stream};

use super::item::Item;

/// A row, its columns as `derek-thomas/ScienceQA` names them.
#[derive(Debug, Clone, PartialEq)]
pub struct SciRow {
    /// The picture, as PNG; none of questions about words alone.
    pub image: Option<Vec<u8>>,
    /// The question, without the hint.
    pub question: String,
    /// The options, in random order.
    pub choices: Vec<String>,
    /// Which option is right, from 0.
    pub answer: i8,
    /// A context; may be empty.
    pub hint: String,
    /// The school grade it is made for.
    pub grade: String,
    /// What it is about.
    pub about: &'static About,
    /// Why the answer is right.
    pub solution: String,
}

/// What a question is about, and the function that draws one.
#[derive(Debug, PartialEq)]
pub struct About {
    /// `natural science`, `social science` or `language science`.
    pub subject: &'static str,
    /// The topic, by which cards break accuracy down.
    pub topic: &'static str,
    /// The wider field.
    pub category: &'static str,
    /// What the question trains.
    pub skill: &'static str,
    /// What a pupil should know.
    pub lecture: &'static str,
    grades: (usize, usize),
    make: MakeItem,
}

/// A function that draws one question.
#[derive(Debug)]
struct MakeItem(fn(&mut Stream) -> Item);

impl PartialEq for MakeItem {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::fn_addr_eq(self.0, other.0)
    }
}

const NATURAL: &str = "natural science";
const SOCIAL: &str = "social science";
const LANGUAGE: &str = "language science";

const fn about(
    subject: &'static str,
    [category, topic, skill]: [&'static str; 3],
    grades: (usize, usize),
    make: fn(&mut Stream) -> Item,
    lecture: &'static str,
) -> About {
    About { subject, topic, category, skill, lecture, grades, make: MakeItem(make) }
}

/// Questions about a picture.
#[rustfmt::skip]
pub const WITH_PICTURE: &[About] = &[
    about(NATURAL, ["Physics", "states-of-matter", "Identify states of matter"], (2, 4), nature::states, "Particles of a solid keep their places, those of a liquid stay close, those of a gas fly apart."),
    about(NATURAL, ["Physics", "magnets", "Predict whether magnets attract or repel"], (3, 5), nature::magnets, "Unlike poles attract, like poles repel."),
    about(NATURAL, ["Physics", "circuits", "Predict whether a circuit works"], (4, 6), nature::circuits, "Current flows only in a closed circuit."),
    about(NATURAL, ["Physics", "temperature", "Compare temperatures"], (2, 4), nature::temperature, "The higher the column, the higher the temperature."),
    about(NATURAL, ["Physics", "forces", "Predict motion from forces"], (3, 6), nature::forces, "A longer arrow is a stronger force; the stronger force wins."),
    about(NATURAL, ["Biology", "food-chains", "Interpret food chains"], (3, 6), nature::food_chain, "Arrows lead from what is eaten to what eats it."),
    about(NATURAL, ["Biology", "plants", "Identify parts of plants"], (1, 3), nature::plants, "A plant has roots, a stem, leaves and often a flower."),
    about(NATURAL, ["Earth science", "weather", "Read weather symbols"], (1, 3), nature::weather, "Symbols stand for sun, cloud, rain and snow."),
    about(NATURAL, ["Earth science", "moon-phases", "Tell the lit side of the moon from the dark one"], (4, 7), nature::moon, "The sun lights the side of the moon that faces it; how much of it we see changes over a month."),
    about(NATURAL, ["Earth science", "shadows", "Relate light and shadow"], (2, 4), nature::shadows, "A shadow lies opposite the light."),
    about(NATURAL, ["Chemistry", "materials", "Identify materials"], (2, 4), nature::materials, "Wood has grain, wool has stitches, glass has panes."),
    about(SOCIAL, ["Geography", "map-directions", "Find the way on a map"], (2, 5), society::directions, "On most maps north is above, east right, south below and west left."),
    about(SOCIAL, ["Geography", "map-grid", "Read a map grid"], (2, 5), society::grid, "A field is named by the letter of its column and the number of its row."),
    about(SOCIAL, ["Geography", "map-legend", "Read a map legend"], (3, 6), society::legend, "A legend tells what the colors on a map mean."),
    about(SOCIAL, ["Economics", "prices", "Compare prices"], (2, 5), society::prices, "A higher number is a higher price."),
];

/// Questions about words alone.
#[rustfmt::skip]
pub const WITHOUT_PICTURE: &[About] = &[
    about(LANGUAGE, ["Reference skills", "alphabetical-order", "Put words in alphabetical order"], (2, 5), language::alphabetical, "Compare the first letters."),
    about(LANGUAGE, ["Phonics", "rhymes", "Find rhymes"], (1, 3), language::rhymes, "Words that end alike rhyme."),
    about(LANGUAGE, ["Phonics", "word-length", "Compare words by length"], (1, 3), language::word_length, "Count the letters."),
    about(NATURAL, ["Physics", "mass", "Compare masses from a text"], (2, 5), language::masses, "More kilograms are more mass."),
];

/// The `index`-th row of a split, which depends on the seed, the split and the index alone.
pub fn row(seed: Seed, split: &str, index: usize) -> SciRow {
    let mut s = seed.index(&format!("scigen/{split}"), index);
    let topics = if s.chance(0.08) { WITHOUT_PICTURE } else { WITH_PICTURE };
    let about = &topics[s.below(topics.len())];
    let item = (about.make.0)(&mut s);
    let count = s.between(3, 5);
    let (choices, position) = item.options(&mut s, count);
    let hint = if item.hint.is_empty() && s.chance(0.2) { lesson_hint(&mut s, about) } else { item.hint };
    SciRow {
        image: item.page.map(|page| page.canvas.png()),
        question: item.question,
        choices,
        answer: i8::try_from(position).expect("there are at most five options"),
        hint,
        grade: format!("grade{}", s.between(about.grades.0, about.grades.1)),
        about,
        solution: format!("{} The answer is {}.", about.lecture, item.answer),
    }
}

/// A context that says nothing about the answer.
fn lesson_hint(s: &mut Stream, about: &About) -> String {
    let category = about.category.to_lowercase();
    let templates = ["This is from a lesson on {}.", "A class on {} asks this question.", "The teacher of {} gives this task."];
    s.pick(&templates).replace("{}", &category)
}
