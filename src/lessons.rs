//! What `smol` is aligned on: pictures with captions and questions of training splits, and generated scenes.
//!
//! Each source has a share of the lessons; within a source, pictures come in a new order each time round. A question is asked as its
//! card asks it: always by the answer's text, now and then by letters, too.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use data::{Answer, Dataset, Example, Preprocess, Rows, prompt};
use data_scripts::generators::pretrain;
use models::pretrain::{Lessons, Turn};
use schema::card::Prompt;
use schema::{Card, InputFile};
use seed::{Seed, Stream};
use study::checksums::Checksums;

use crate::locate::locate;
use crate::located::load;
use crate::session::split_files;

/// The split that is learned from.
const SPLIT: &str = "train";

/// How a source is learned from.
#[derive(Clone, Copy)]
struct Plan {
    /// Its share of the lessons.
    share: usize,
    /// Its first so many rows alone.
    rows: Option<usize>,
    /// The column that holds captions.
    caption: Option<&'static str>,
    /// How often a caption is said.
    said: f64,
    /// How often a caption is looked for among others.
    found: f64,
    /// How often a question is asked by letters, too.
    letters: f64,
    /// Whether a mirrored picture is as good.
    mirrored: bool,
    /// Whether an answer says what is to be seen.
    words: bool,
}

/// The datasets. Captions of puzzles are long: what they teach costs as much as five questions.
const DATASETS: [(&str, Plan); 3] = [
    (
        "openclipart",
        Plan {
            share: 8,
            rows: None,
            caption: Some("caption"),
            said: 0.4,
            found: 0.25,
            letters: 0.3,
            mirrored: true,
            words: true,
        },
    ),
    (
        "puzzlevqa",
        Plan {
            share: 5,
            rows: None,
            caption: Some("caption"),
            said: 0.1,
            found: 0.0,
            letters: 0.3,
            mirrored: false,
            words: false,
        },
    ),
    (
        "easy-vqa",
        Plan { share: 1, rows: Some(1500), caption: None, said: 0.0, found: 0.0, letters: 0.1, mirrored: false, words: true },
    ),
];

/// Generated scenes.
const SCENES: Plan =
    Plan { share: 2, rows: None, caption: None, said: 0.5, found: 0.0, letters: 0.1, mirrored: false, words: false };

/// Questions of a picture in a lesson, besides its caption.
const QUESTIONS: usize = 4;

/// Options of a listed question: more of a closed set teach nothing more.
const LISTED: usize = 5;

/// A picture, and what is known of it.
struct Taught {
    png: Arc<[u8]>,
    mirrored: bool,
    max_pixels: u64,
    caption: Option<String>,
    examples: Vec<Example>,
    /// Whether an answer says what is to be seen.
    answers_are_words: bool,
}

/// Pictures of one source, a run of all.
struct Source {
    plan: Plan,
    first: usize,
    count: usize,
    /// What other captions stand beside the right one.
    names: Vec<String>,
}

/// All of it.
pub struct Taughts {
    seed: Seed,
    pictures: Vec<Taught>,
    sources: Vec<Source>,
    /// How questions of no card are asked: by text, and by letters.
    ways: [Prompt; 2],
    card: Arc<Card>,
    /// The files that were read.
    pub files: Vec<InputFile>,
}

impl Taughts {
    /// Reads the training splits, and draws so many scenes.
    pub fn read(seed: Seed, generated: usize, checksums: &mut Checksums) -> Result<Self> {
        let card = Arc::new(locate(DATASETS[0].0)?.card);
        let way = |name: &str| card.prompts.get(name).cloned().with_context(|| format!("{}: no prompt `{name}`", card.name));
        let ways = [way("default")?, way("letters")?];
        let mut all = Self { seed, pictures: Vec::new(), sources: Vec::new(), ways, card, files: Vec::new() };
        for (name, plan) in DATASETS {
            all.add_dataset(name, plan, checksums)?;
        }
        all.add_scenes(generated);
        ensure!(all.sources.iter().all(|source| source.count > 0), "a source of lessons holds no picture");
        Ok(all)
    }

    fn add_dataset(&mut self, name: &str, plan: Plan, checksums: &mut Checksums) -> Result<()> {
        let mut located = locate(name)?;
        let files = split_files(checksums, std::slice::from_ref(&located), SPLIT)?;
        self.files.extend(files.into_iter().map(|file| InputFile { path: format!("{name}/{}", file.path), ..file }));
        located.card.columns.tags.extend(plan.caption.map(str::to_owned));
        let dataset = load(std::slice::from_ref(&located), SPLIT, Rows::first(plan.rows))?;
        let taught = of_dataset(dataset, plan, located.card.max_image_pixels);
        let names =
            if plan.found > 0.0 { taught.iter().filter_map(|taught| taught.caption.clone()).collect() } else { Vec::new() };
        let also: Vec<Taught> = taught.iter().filter(|_| plan.mirrored).map(Taught::mirrored).collect();
        self.add(plan, taught.into_iter().chain(also).collect(), names);
        Ok(())
    }

    fn add_scenes(&mut self, count: usize) {
        let scene = |index: usize| {
            let sample = pretrain::sample(self.seed, index);
            let example = |qa: &pretrain::QuestionAnswer| self.example(&qa.question, &qa.choices, &qa.answer);
            Taught {
                png: sample.png().into(),
                mirrored: false,
                max_pixels: self.card.max_image_pixels,
                answers_are_words: false,
                examples: sample.qa.iter().filter_map(example).collect(),
                caption: Some(sample.caption),
            }
        };
        let scenes = (0..count).map(scene).collect();
        self.add(SCENES, scenes, Vec::new());
    }

    fn add(&mut self, plan: Plan, taught: Vec<Taught>, names: Vec<String>) {
        self.sources.push(Source { plan, first: self.pictures.len(), count: taught.len(), names });
        self.pictures.extend(taught);
    }

    /// A question of no dataset; none whose answer is not among its choices.
    fn example(&self, question: &str, choices: &[String], answer: &str) -> Option<Example> {
        let gold = choices.iter().position(|choice| choice == answer)?;
        Some(Example {
            id: String::new(),
            question: question.into(),
            hint: String::new(),
            choices: choices.to_vec(),
            answer: Answer::Choice(gold),
            images: Vec::new(),
            card: self.card.clone(),
            tags: Default::default(),
            row: 0,
            raw_bytes: 0,
        })
    }

    /// The source of a lesson, and the how manieth of that source it is.
    fn place(&self, index: usize) -> (&Source, usize, usize) {
        let all: usize = self.sources.iter().map(|source| source.plan.share).sum();
        let (round, mut slot) = (index / all, index % all);
        for (number, source) in self.sources.iter().enumerate() {
            if slot < source.plan.share {
                return (source, number, round * source.plan.share + slot);
            }
            slot -= source.plan.share;
        }
        unreachable!("a slot lies below the sum of the shares")
    }

    /// What is asked of a picture this time.
    fn turns(&self, taught: &Taught, Source { plan, names, .. }: &Source, stream: &mut Stream) -> Vec<Turn> {
        let mut turns = Vec::new();
        if let Some(caption) = &taught.caption {
            if stream.chance(plan.said) {
                turns.push(Turn { question: (*stream.pick(&DESCRIBE)).into(), answer: caption.clone() });
            }
            if stream.chance(plan.found) {
                let mut choices = vec![caption.clone()];
                for i in stream.sample(names.len(), names.len().min(12)) {
                    if choices.len() < 4 && !choices.contains(&names[i]) {
                        choices.push(names[i].clone());
                    }
                }
                let named = self.example(WHICH, &choices, caption);
                turns.extend(named.map(|example| self.asked(&example, usize::from(stream.chance(0.5)), stream)));
            }
        }
        for i in stream.sample(taught.examples.len(), taught.examples.len().min(QUESTIONS)) {
            turns.push(self.asked(&taught.examples[i], 0, stream));
            if stream.chance(plan.letters) {
                turns.push(self.asked(&taught.examples[i], 1, stream));
            }
        }
        turns
    }

    /// A question by its text (0) or by letters (1), its options in another order.
    fn asked(&self, example: &Example, way: usize, stream: &mut Stream) -> Turn {
        let example = shuffled(example, stream);
        let name = ["default", "letters"][way];
        let rendered = prompt::render(&example, example.card.prompts.get(name).unwrap_or(&self.ways[way]));
        Turn { question: rendered.text, answer: rendered.gold_text }
    }
}

/// What captions answer.
const DESCRIBE: [&str; 3] = ["Describe the picture.", "What does the picture show?", "Give the picture a title."];

/// What a caption among others answers.
const WHICH: &str = "Which of these does the picture show?";

/// Words that go with any picture, or none.
const PLAIN: [&str; 22] = [
    "a", "an", "and", "are", "arranged", "first", "for", "has", "image", "in", "is", "it", "no", "of", "on", "second", "the",
    "there", "third", "to", "with", "yes",
];

/// The same with its options in another order, and few of them.
fn shuffled(example: &Example, stream: &mut Stream) -> Example {
    let Answer::Choice(gold) = example.answer else { return example.clone() };
    let mut order: Vec<usize> = (0..example.choices.len()).filter(|&i| i != gold).collect();
    stream.shuffle(&mut order);
    order.truncate(LISTED - 1);
    order.insert(stream.below(order.len() + 1), gold);
    let at = order.iter().position(|&i| i == gold).unwrap_or_default();
    let choices = order.iter().map(|&i| example.choices[i].clone()).collect();
    Example { choices, answer: Answer::Choice(at), ..example.clone() }
}

impl Taught {
    fn mirrored(&self) -> Self {
        Self {
            png: self.png.clone(),
            mirrored: true,
            max_pixels: self.max_pixels,
            caption: self.caption.clone(),
            examples: self.examples.clone(),
            answers_are_words: self.answers_are_words,
        }
    }
}

/// A dataset's pictures with their questions, equal pictures as one.
fn of_dataset(dataset: Dataset, Plan { caption, words, .. }: Plan, max_pixels: u64) -> Vec<Taught> {
    let mut taught: Vec<Taught> = Vec::new();
    let mut places = std::collections::BTreeMap::<Arc<[u8]>, usize>::new();
    for example in dataset.examples {
        let [image] = example.images.as_slice() else { continue };
        let png = dataset.images[*image].clone();
        let place = *places.entry(png.clone()).or_insert_with(|| {
            let caption = caption.and_then(|column| example.tags.get(column).cloned()).filter(|caption| !caption.is_empty());
            taught.push(Taught { png, mirrored: false, max_pixels, caption, examples: Vec::new(), answers_are_words: words });
            taught.len() - 1
        });
        taught[place].examples.push(example);
    }
    taught
}

impl Lessons for Taughts {
    fn pictures(&self) -> usize {
        self.pictures.len()
    }

    fn pixels(&self, picture: usize, preprocess: &Preprocess) -> Result<Vec<f32>, String> {
        let taught = &self.pictures[picture];
        let mut pixels = preprocess.pixels(&taught.png, taught.max_pixels).map_err(|error| error.to_string())?;
        if taught.mirrored {
            pixels.chunks_exact_mut(preprocess.size).for_each(<[f32]>::reverse);
        }
        Ok(pixels)
    }

    fn words(&self, picture: usize) -> Vec<String> {
        let taught = &self.pictures[picture];
        let answers = taught.examples.iter().filter(|_| taught.answers_are_words).map(|example| example.answer_text());
        let mut words: Vec<String> = Vec::new();
        for text in answers.chain(taught.caption.as_deref()) {
            for word in text.to_lowercase().split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
                if !PLAIN.contains(&word) && !words.iter().any(|other| other == word) {
                    words.push(word.to_owned());
                }
            }
        }
        words
    }

    fn lesson(&self, index: usize) -> (usize, Vec<Turn>) {
        let (source, number, nth) = self.place(index);
        let (round, place) = (nth / source.count, nth % source.count);
        let mut order: Vec<usize> = (0..source.count).collect();
        self.seed.round(&format!("order of source {number}"), round).shuffle(&mut order);
        let picture = source.first + order[place];
        let turns = self.turns(&self.pictures[picture], source, &mut self.seed.index("turns", index));
        (picture, turns)
    }
}
