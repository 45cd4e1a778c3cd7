//! Saying what a picture shows, judged against what people said.

use schema::metrics::{Row, Score};

use crate::bleu::{bleu, rouge_l};
use crate::cider::Corpus;
use crate::task::{Aggregate, Answered, Answering, Best, Given, Gold, Loss, Measure, Reading, Target, TaskRow};
use crate::words::words;

/// One reference text (`answer = "text"`) or several (`answer = "people"`, of which the most frequent one, the first of equals, is trained
/// on). References without a word are left out; an example that has no other is refused.
pub const CAPTIONING: TaskRow = TaskRow {
    name: "captioning",
    sentence: "A picture that one or several people described; the model generates a text, which is compared with theirs.",
    source: "COCO caption evaluation (pycocoevalcap): PTB-like words, CIDEr-D, BLEU-1 to 4, ROUGE-L",
    target: Target::Texts,
    loss: Loss::AnswerTokens,
    answering: Answering::Text,
    read: |text, _| if words(text).is_empty() { Reading::Nothing } else { Reading::Text },
    scores: &[
        Measure { is_graded: true, of: cider, reach: Some(BEST_CIDER), ..of_each(Score::Cider) },
        of_all(Score::Bleu1, |answers| corpus_bleu(answers)[0]),
        of_all(Score::Bleu2, |answers| corpus_bleu(answers)[1]),
        of_all(Score::Bleu3, |answers| corpus_bleu(answers)[2]),
        of_all(Score::Bleu4, |answers| corpus_bleu(answers)[3]),
        Measure { is_graded: true, of: |given, gold| rouge_l(given.text, references(gold)), ..of_each(Score::RougeL) },
    ],
};

const BEST_CIDER: Best = Best {
    of: |gold| {
        references(gold)
            .map(|reference| gold.corpus.map_or(0.0, |corpus| corpus.cider(reference, references(gold))))
            .fold(0.0, f64::max)
    },
    people: 0,
    fewest: 0,
    if_nothing: "what every test row's references say weighs nothing, and in {rows} test rows nothing else is said",
};

const fn of_each(score: Score) -> Measure {
    let row: &'static Row = score.row().expect("a score is in the table");
    Measure { row, is_graded: false, of: says_the_same, aggregate: Aggregate::Mean, reach: None }
}

/// A number of the whole corpus, which single texts have none of: of them it is only told whether they are a reference.
const fn of_all(score: Score, together: fn(&[Answered]) -> f64) -> Measure {
    Measure { aggregate: Aggregate::Whole(together), ..of_each(score) }
}

/// What people said.
fn references<'a>(gold: &Gold<'a>) -> impl Iterator<Item = &'a str> + Clone {
    let alone = gold.people.is_empty().then_some(gold.text);
    gold.people.iter().map(String::as_str).chain(alone).filter(|reference| !words(reference).is_empty())
}

fn says_the_same(given: &Given, gold: &Gold) -> f64 {
    let said = words(given.text);
    f64::from(u8::from(references(gold).any(|reference| words(reference) == said)))
}

fn cider(given: &Given, gold: &Gold) -> f64 {
    gold.corpus.map_or(0.0, |corpus| corpus.cider(given.text, references(gold)))
}

fn corpus_bleu(answers: &[Answered]) -> [f64; 4] {
    bleu(answers.iter().map(|answered| (answered.text, references(&answered.gold).collect())))
}

/// What all test rows' references say together; the error names an example without a word, or says why no word would weigh anything.
pub(crate) fn corpus<'a>(golds: impl Iterator<Item = (&'a str, Gold<'a>)> + Clone) -> Result<Corpus, String> {
    if let Some((id, _)) = golds.clone().find(|(_, gold)| references(gold).next().is_none()) {
        return Err(format!("example `{}`: none of its references holds a word", guard::text::line(id, 80)));
    }
    Ok(Corpus::new(golds.map(|(_, gold)| references(&gold).collect::<Vec<_>>())))
}
