//! IconGen: abstract diagrams with short questions, in the schema of `lmms-lab/ICON-QA`.
//!
//! The skills follow IconQA (Lu et al. 2021, <https://iconqa.github.io>). About 74% of the rows choose among texts, 6% between
//! two pictures and 20% are to be filled in.

pub(crate) mod drawings;
mod pictures;
mod topics;

use seed::{Seed, Stream};

use super::item::Item;
use pictures::PictureChoice;

/// A row, its columns as `lmms-lab/ICON-QA` names them.
#[derive(Debug, Clone, PartialEq)]
pub struct IconRow {
    /// `<ques_type>-<split>-<index>`: unique within the dataset.
    pub question_id: String,
    /// What is asked about the picture.
    pub question: String,
    /// Options (file names for pictures); empty where the blank is to be filled in.
    pub choices: Vec<String>,
    /// The text or file name of the right option, or what belongs in the blank.
    pub answer: String,
    /// The picture, as PNG.
    pub query_image: Vec<u8>,
    /// Both options as PNG, where pictures are chosen.
    pub choice_images: Option<[Vec<u8>; 2]>,
    /// `choose_txt`, `choose_img` or `fill_in_blank`.
    pub ques_type: &'static str,
    /// `T`, `P` or `F`, as answers are texts, pictures or filled in, and the number of the topic in its table.
    pub label: String,
    /// The school grade it is made for, `prek` to `grade3`.
    pub grade: &'static str,
    /// The topic, by which cards break accuracy down.
    pub skills: &'static str,
}

/// A topic: its skill, grade, and the function that draws one question.
struct Topic<T> {
    skill: &'static str,
    grade: &'static str,
    make: fn(&mut Stream) -> T,
}

const fn topic<T>(skill: &'static str, grade: &'static str, make: fn(&mut Stream) -> T) -> Topic<T> {
    Topic { skill, grade, make }
}

/// Questions answered by choosing a text.
const CHOOSE_TEXT: &[Topic<Item>] = &[
    topic("counting", "prek", topics::counting),
    topic("comparing", "prek", topics::comparing),
    topic("spatial", "prek", topics::spatial),
    topic("sorting", "prek", topics::sorting),
    topic("geometry", "kindergarten", topics::geometry),
    topic("pattern", "kindergarten", topics::pattern),
    topic("measurement", "grade1", topics::measurement),
    topic("time", "grade1", topics::time),
    topic("algebra", "grade1", topics::algebra),
    topic("estimation", "grade1", topics::estimation),
    topic("fraction", "grade2", topics::fraction),
    topic("chart", "grade2", topics::chart),
    topic("probability", "grade3", topics::probability),
];

/// Questions answered by a number from a small closed set.
const FILL_IN: &[Topic<Item>] = &[
    topic("counting", "prek", topics::counting),
    topic("geometry", "kindergarten", topics::sides),
    topic("measurement", "grade1", topics::cubes),
    topic("time", "grade1", topics::time),
    topic("algebra", "grade1", topics::algebra),
    topic("chart", "grade2", topics::bar_value),
];

/// Questions answered by choosing a picture.
const CHOOSE_PICTURE: &[Topic<PictureChoice>] = &[
    topic("counting", "prek", pictures::same_number),
    topic("sorting", "prek", pictures::same_colour),
    topic("geometry", "kindergarten", pictures::same_shape),
    topic("spatial", "kindergarten", pictures::same_direction),
    topic("pattern", "grade1", pictures::next_in_pattern),
];

/// The `index`-th row of a split, which depends on the seed, the split and the index alone.
pub fn row(seed: Seed, split: &str, index: usize) -> IconRow {
    let mut s = seed.index(&format!("icongen/{split}"), index);
    let mut row = match s.uniform() {
        ..0.74 => choose_text(&mut s),
        ..0.80 => choose_picture(&mut s),
        _ => fill_in(&mut s),
    };
    row.question_id = format!("{}-{split}-{index}", row.ques_type);
    row
}

fn choose_text(s: &mut Stream) -> IconRow {
    let (number, topic) = pick(s, CHOOSE_TEXT);
    let item = (topic.make)(s);
    let count = *s.pick(&[2, 3, 4, 4]);
    let (choices, _) = item.options(s, count);
    from_item(topic, item, choices, "choose_txt", format!("T{number}"))
}

fn fill_in(s: &mut Stream) -> IconRow {
    let (number, topic) = pick(s, FILL_IN);
    let item = (topic.make)(s);
    from_item(topic, item, Vec::new(), "fill_in_blank", format!("F{number}"))
}

fn choose_picture(s: &mut Stream) -> IconRow {
    let (number, topic) = pick(s, CHOOSE_PICTURE);
    let choice = (topic.make)(s);
    let position = s.below(2);
    let (right, wrong) = (choice.right.canvas.png(), choice.wrong.canvas.png());
    IconRow {
        question_id: String::new(),
        question: choice.question,
        choices: vec!["choice_0.png".into(), "choice_1.png".into()],
        answer: format!("choice_{position}.png"),
        query_image: choice.page.canvas.png(),
        choice_images: Some(if position == 0 { [right, wrong] } else { [wrong, right] }),
        ques_type: "choose_img",
        label: format!("P{number}"),
        grade: topic.grade,
        skills: topic.skill,
    }
}

fn pick<'a, T>(s: &mut Stream, topics: &'a [Topic<T>]) -> (usize, &'a Topic<T>) {
    let number = s.below(topics.len());
    (number, &topics[number])
}

fn from_item(topic: &Topic<Item>, item: Item, choices: Vec<String>, ques_type: &'static str, label: String) -> IconRow {
    IconRow {
        question_id: String::new(),
        question: item.question,
        choices,
        answer: item.answer,
        query_image: item.page.expect("every IconGen topic draws a picture").canvas.png(),
        choice_images: None,
        ques_type,
        label,
        grade: topic.grade,
        skills: topic.skill,
    }
}
