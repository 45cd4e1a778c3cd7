//! A few questions with their pictures and what the methods answered.

use super::thumbnail;
use crate::figures::svg::escape;
use crate::library::{Example, Sample, Samples};

/// One block per dataset.
pub fn render(all: &[Samples]) -> String {
    let intro = "<p>A few test examples that the most accurate method of each dataset got right, and a few that it got wrong, drawn \
                 by the hash of their ids; what each method said, in its first run.</p>\n";
    let datasets: String = all.iter().map(dataset).collect();
    format!("{intro}{datasets}")
}

fn dataset(samples: &Samples) -> String {
    let missing = samples.missing.as_ref().map_or(String::new(), |why| {
        format!("<p class=\"missing\">Questions and pictures are not shown: {}. Run folders hold ids only.</p>\n", escape(why))
    });
    let cards: String = samples.samples.iter().map(|sample| card(sample, &samples.reference)).collect();
    format!("<h3>{}</h3>\n{missing}<ul class=\"examples\">\n{cards}</ul>\n", escape(&samples.title))
}

fn card(sample: &Sample, reference: &str) -> String {
    let (class, word) = if sample.right { ("right", "✓ right") } else { ("wrong", "✗ wrong") };
    let said = sample.answers.iter().find(|(label, _)| label == reference).map_or("", |(_, given)| &given.prediction);
    format!(
        "<li class=\"{class}\">\n{}{}{}<p class=\"answer\"><b>{word}</b> {} said “{}”</p>\n{}<p class=\"id\">{}</p>\n</li>\n",
        pictures(&sample.example),
        question(&sample.example),
        choices(sample),
        escape(reference),
        escape(&shortened(said)),
        answers(sample),
        escape(&sample.example.id)
    )
}

fn pictures(example: &Example) -> String {
    let count = example.pictures.len();
    let picture = |(n, encoded): (usize, &std::sync::Arc<[u8]>)| match thumbnail::of(encoded) {
        Some(made) => format!(
            "<img src=\"{}\" width=\"{}\" height=\"{}\" alt=\"Picture {} of {count} of this question\">\n",
            made.uri,
            made.width,
            made.height,
            n + 1
        ),
        None => format!("<span class=\"missing\">picture {} cannot be shown</span>\n", n + 1),
    };
    let shown: String = example.pictures.iter().take(6).enumerate().map(picture).collect();
    if count == 0 { String::new() } else { format!("<div class=\"pictures\">\n{shown}</div>\n") }
}

fn question(example: &Example) -> String {
    match example.question.is_empty() {
        true => String::new(),
        false => format!("<p class=\"question\">{}</p>\n", escape(&shortened(&example.question))),
    }
}

/// The options, the right one marked; the right answer alone where there are none.
fn choices(sample: &Sample) -> String {
    if sample.example.choices.is_empty() {
        return format!("<p class=\"choices\">right answer: <b>{}</b></p>\n", escape(&shortened(&sample.gold)));
    }
    let option = |option: &String| match *option == sample.gold {
        true => format!("<li><b>{}</b> (right)</li>", escape(&shortened(option))),
        false => format!("<li>{}</li>", escape(&shortened(option))),
    };
    format!("<ul class=\"choices\">{}</ul>\n", sample.example.choices.iter().map(option).collect::<String>())
}

fn answers(sample: &Sample) -> String {
    let right = sample.answers.iter().filter(|(_, given)| given.correct).count();
    let answer = |(label, given): &(String, crate::columns::Given)| {
        let mark = if given.correct { "✓" } else { "✗" };
        format!("<li>{mark} {}: {}</li>", escape(label), escape(&shortened(&given.prediction)))
    };
    let all: String = sample.answers.iter().map(answer).collect();
    format!(
        "<details><summary>{right} of {} methods right</summary><ul class=\"answers\">{all}</ul></details>\n",
        sample.answers.len()
    )
}

/// Generated text may be long.
fn shortened(text: &str) -> String {
    let most = 400;
    if text.chars().count() <= most { text.into() } else { text.chars().take(most).chain(['…']).collect() }
}
