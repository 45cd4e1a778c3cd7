//! A dataset card: where a dataset comes from, how its parquet columns become examples, and how an example becomes a prompt.
//!
//! A card is a TOML file. The loader reads Hub schemas through it (ScienceQA, ICON-QA, plain image + question + answer), so a new
//! dataset in one of these shapes needs a card and no code.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything the suite knows about a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// The name a user types.
    pub name: String,
    /// Its name as it is written out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// What it is and why it is asked, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where it comes from: an address, a Hub id, or the generator that made it.
    #[serde(default = "default_source")]
    pub source: String,
    /// The data's licence (SPDX where there is one).
    #[serde(default = "default_license")]
    pub license: String,
    /// The pinned revision: a commit, a date, a generator's version and seed.
    #[serde(default = "default_revision")]
    pub revision: String,
    /// The dataset on the Hub (`owner/name`) whose repository at `revision` holds the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<String>,
    /// The name of the folder that has its files, where that is not its own: another card's of the same rows. A card that is named by its
    /// path lies beside its files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// The task that its rows set (`fedbench list tasks`); without it, the one that takes such answers and has this metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The metric's name (`fedbench list metrics`).
    pub metric: String,
    /// How an example with choices is answered.
    pub scoring: Scoring,
    /// How the log-likelihood of an option of several tokens is normalised.
    #[serde(default)]
    pub option_score: OptionScore,
    /// Whether an option's log-likelihood counts the token that ends an answer. It does unless a card says otherwise: an option is then
    /// the whole answer, not the beginning of a longer one. lm-evaluation-harness leaves it out.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    #[schemars(extend("default" = true))]
    pub option_end: bool,
    /// What every row is asked, for a dataset of pictures and labels that has no column of questions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// What each column of the parquet files holds.
    pub columns: Columns,
    /// How the choices are written.
    pub choices: Choices,
    /// How the answer column names the answer.
    pub answer: AnswerForm,
    /// How boxes are written, with `answer = "box"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boxes: Option<BoxForm>,
    /// The prompt variants by name; `default` is taken unless an experiment asks for another.
    pub prompts: BTreeMap<String, Prompt>,
    /// Tags by which the score is broken down, beside `context` (`IMG`, `TXT`, `NO`: with a picture, a hint,
    /// neither) and `grade_band` (`grade1-6`, `grade7-12`, of the tag `grade`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub breakdowns: Vec<String>,
    /// Columns by which a partition may split (a subset of `columns.tags`, or `answer`).
    #[serde(default)]
    pub partition_keys: Vec<String>,
    /// What happens to a row that cannot be read.
    #[serde(default)]
    pub on_bad_row: BadRow,
    /// An image with more pixels than this is a bad row; at most 2^28.
    #[serde(default = "default_max_image_pixels")]
    pub max_image_pixels: u64,
    /// Where the pictures are, if not in the questions' files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pictures: Option<PictureFiles>,
    /// The splits by name: which files, and what is known of them.
    pub splits: BTreeMap<String, Split>,
    /// Of several datasets in one federation: their own cards, which say how each is read, asked and answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Card>,
}

impl Card {
    /// The name of the folder below the data's that has its files.
    pub fn folder_name(&self) -> &str {
        self.folder.as_deref().unwrap_or(&self.name)
    }

    /// The tag that names an example's dataset where several are in one federation.
    pub const DATASET: &str = "dataset";

    /// A card of one's own that says what is necessary and nothing else: no prompt and no split yet.
    pub fn bare(name: &str, metric: &str, scoring: Scoring, columns: Columns, choices: Choices, answer: AnswerForm) -> Self {
        Self {
            name: name.into(),
            title: String::new(),
            description: String::new(),
            source: default_source(),
            license: default_license(),
            revision: default_revision(),
            hub: None,
            folder: None,
            task: None,
            metric: metric.into(),
            scoring,
            option_score: OptionScore::default(),
            option_end: true,
            question: None,
            columns,
            choices,
            answer,
            boxes: None,
            prompts: BTreeMap::new(),
            breakdowns: Vec::new(),
            partition_keys: Vec::new(),
            on_bad_row: BadRow::default(),
            max_image_pixels: default_max_image_pixels(),
            pictures: None,
            splits: BTreeMap::new(),
            parts: Vec::new(),
        }
    }

    /// The cards that say how rows are asked: its parts' where there are some.
    pub fn each(&self) -> impl Iterator<Item = &Self> {
        let alone = self.parts.is_empty().then_some(self);
        self.parts.iter().chain(alone)
    }

    /// Whether its datasets are judged by several metrics, so that no one number is over all of them.
    pub fn is_mixed(&self) -> bool {
        self.parts.iter().any(|part| part.metric != self.parts[0].metric)
    }

    /// One card over several: their names, licences and so on side by side. What says how rows are read is the first one's and of
    /// no use; `parts` has each one's own. None of no card.
    pub fn joined(parts: &[Self]) -> Option<Self> {
        let first = parts.first()?;
        let side_by_side = |field: fn(&Self) -> &str, between: &str| {
            let mut values: Vec<&str> = Vec::new();
            for value in parts.iter().map(field) {
                if !values.contains(&value) {
                    values.push(value);
                }
            }
            values.join(between)
        };
        let everywhere = |key: &&String| parts.iter().all(|part| part.partition_keys.contains(key));
        let mut partition_keys: Vec<String> = first.partition_keys.iter().filter(everywhere).cloned().collect();
        partition_keys.push(Self::DATASET.into());
        Some(Self {
            name: side_by_side(|card| &card.name, "+"),
            title: side_by_side(|card| &card.title, " + "),
            description: format!("{} datasets in one federation.", parts.len()),
            source: side_by_side(|card| &card.source, "; "),
            license: side_by_side(|card| &card.license, " AND "),
            revision: side_by_side(|card| &card.revision, "; "),
            hub: None,
            metric: side_by_side(|card| &card.metric, " + "),
            task: None,
            folder: None,
            breakdowns: vec![Self::DATASET.into()],
            partition_keys,
            max_image_pixels: parts.iter().map(|card| card.max_image_pixels).max().unwrap_or_default(),
            parts: parts.to_vec(),
            ..first.clone()
        })
    }
}

/// Pictures in files of their own (a split's `pictures`), joined to the questions by a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PictureFiles {
    /// The questions' column that names a picture.
    pub key: String,
    /// The pictures' column that the key is found in.
    pub id: String,
    /// The pictures' column with the picture.
    pub image: String,
}

fn default_source() -> String {
    "files of one's own".into()
}

fn default_license() -> String {
    "not stated".into()
}

fn default_revision() -> String {
    "not stated".into()
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
fn is_yes(value: &bool) -> bool {
    *value
}

fn default_max_image_pixels() -> u64 {
    64_000_000
}

/// Which column holds what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// A unique id; without one an example is named `<split>-<row>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The question (string; with `answer = "box"` also a list of what its thing is called, of which the first is asked); none where the card's own `question` is asked of every row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// Image columns in the order the prompt shows them (`struct<bytes, path>`, binary, or a list of either; null means no image).
    /// A cell without bytes names a file by its path, from the parquet file's folder.
    #[serde(default)]
    pub images: Vec<String>,
    /// The choices column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choices: Option<String>,
    /// The answer column.
    pub answer: String,
    /// A column (bool) whose true rows are left out, counted and listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<String>,
    /// A context shown before the question (string, may be null or empty).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// String, integer, bool or `list<string>` columns kept for partitions and break-downs. A text is one value, commas and all; a
    /// list (or a text that is one: `['counting', 'geometry']`) has several.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// How the choices are written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Choices {
    /// The shape of the choices column.
    pub form: ChoiceForm,
    /// The closed answer set, for `form = "closed-set"`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// The split whose answers are the closed set, each text once and in the order of the alphabet, where `values` does not list them:
    /// `labels_of = "train"`. A row of another split with a label that this one has not is a bad row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels_of: Option<String>,
    /// What a row without choices means.
    #[serde(default)]
    pub missing: MissingChoices,
    /// What options that are pictures are called, by the number in their file name (`choice_1.png` is the second).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_options: Vec<String>,
}

/// The shape of the choices column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChoiceForm {
    /// `list<string>`, or such a list (or tuple) written as a string: `['red', 'green']`, or of numbers `[6, 3]`. Two at least; `[]` is a
    /// missing one. Also
    /// `struct<text: list<string>, label: list<string>>` (ARC), by whose labels `answer = "letter"` goes, whatever they are.
    List,
    /// One string, options separated by commas; an answer that contains commas is matched against joined pieces. The other options may
    /// not look cut (`1` and `000`, `(a` and `b)`), and where the answer is a place, the commas must leave no doubt at all. A string
    /// that is a list, as above, is read as one.
    Comma,
    /// No column: every example chooses among `values`, or the labels of a split.
    ClosedSet,
    /// No choices at all: free text.
    None,
}

/// What a row without choices means, in a dataset whose rows otherwise have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MissingChoices {
    /// Such a row is an error that names it.
    #[default]
    Error,
    /// Left out, counted and listed.
    Skip,
    /// Answered by generation; counted and reported apart.
    Generation,
}

/// How the answer column names the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerForm {
    /// An integer, 0-based, into the choices; of two choices also a bool (false is the first).
    Index,
    /// The same, counted from one.
    IndexFromOne,
    /// A letter: `A` is the first choice (`a`, `(A)`, `A.` and `A)`, too).
    Letter,
    /// The text (or file name) of the right choice. A bool is the choice `true` or `yes`, `false` or `no`.
    OptionText,
    /// Free text.
    Text,
    /// Several people's answers (`list<string>`, `list<struct<answer>>`, or such a list written as text); the most frequent one is
    /// trained on, all of them judge. At least three of them: they may not agree.
    People,
    /// A list of right answers, any of which is right (written like `people`'s); with choices, texts of these. The most frequent one is
    /// trained on, of equally frequent ones the first.
    AnyOf,
    /// Four numbers, a part of the row's first picture (`list<double>`, or such a list written as text); the card's `boxes` say what they
    /// mean. The model is to say left, top, right and bottom as shares of the picture to two decimals: `[0.10, 0.20, 0.50, 0.75]`.
    Box,
}

/// How boxes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BoxForm {
    /// What the four numbers are.
    #[serde(default)]
    pub corners: BoxCorners,
    /// What they are counted in.
    #[serde(default)]
    pub unit: BoxUnit,
}

/// What the four numbers of a box are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BoxCorners {
    /// Left, top, right and bottom.
    #[default]
    Both,
    /// Left, top, width and height (COCO).
    First,
}

/// What places in a picture are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BoxUnit {
    /// Shares of its width and height, from 0 to 1.
    #[default]
    Share,
    /// Pixels of the row's first picture as it is stored, upright.
    Pixel,
}

/// How an example with choices is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scoring {
    /// The option whose text the model finds likeliest.
    OptionLikelihood,
    /// Greedy decoding, then parsing.
    Generation,
    /// The answer that the largest class logit stands for: how a backbone that answers by class answers whatever a card says. No card
    /// may ask for it.
    #[schemars(skip)]
    Class,
}

impl Scoring {
    /// Its name on disk.
    pub fn name(self) -> &'static str {
        match self {
            Self::OptionLikelihood => "option-likelihood",
            Self::Generation => "generation",
            Self::Class => "class",
        }
    }

    /// The one of this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::OptionLikelihood, Self::Generation, Self::Class].into_iter().find(|scoring| scoring.name() == name)
    }
}

/// How the log-likelihood of an option of several tokens is normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OptionScore {
    /// The sum over tokens: the probability of the option.
    #[default]
    Sum,
    /// The mean over tokens, which does not favour short options.
    Mean,
    /// The sum over the bytes of the option's text (UTF-8), which does not depend on the tokenizer either; lm-evaluation-harness calls an
    /// accuracy by it `acc_norm`.
    Byte,
}

/// One way to ask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prompt {
    /// The text with `{hint}`, `{question}` (always) and `{options}`; a line whose placeholders are all empty is left out.
    pub template: String,
    /// One option of `{options}`, with `{letter}` and `{text}`; options are joined by line breaks.
    #[serde(default = "default_option_template")]
    pub option: String,
    /// What the model is to say.
    pub target: Target,
}

fn default_option_template() -> String {
    "{letter}. {text}".into()
}

/// What the model is to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The letter of the right option.
    Letter,
    /// The text of the right option, or the free-text answer.
    Text,
}

/// What happens to a row that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BadRow {
    /// The run stops and names it.
    #[default]
    Error,
    /// It is left out, counted and listed in the run folder.
    Skip,
}

/// One split: parquet files, relative to the dataset's folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// File names in row order, within the dataset's folder, each file once; a `*` matches any run of characters of a file's or a
    /// folder's name, `**` any number of folders (matches are sorted by folder and name; none that begins with `.` or `_`). Files whose names promise others (`-00000-of-00003`) are read together or not at
    /// all, and no two have the same content.
    pub files: Vec<String>,
    /// Files with the pictures, where the card has a section `pictures`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pictures: Vec<String>,
    /// The number of rows that must be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<usize>,
    /// The SHA-256 of the files' bytes, one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Which of these rows belong to the split; all of them without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold: Option<Fold>,
}

/// Every n-th row: how a dataset that was published in one piece is split here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fold {
    /// n: rows, counted from 0 over all files, are dealt to n folds in turn.
    pub of: usize,
    /// The folds that belong to the split, from 0.
    pub keep: Vec<usize>,
}

impl Fold {
    /// Whether a row belongs to the split.
    pub fn holds(&self, row: usize) -> bool {
        self.keep.contains(&(row % self.of.max(1)))
    }
}

impl Split {
    /// All patterns, those of the pictures included.
    pub fn patterns(&self) -> impl Iterator<Item = &String> {
        self.files.iter().chain(&self.pictures)
    }
}
