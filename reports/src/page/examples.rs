//! A few questions with their pictures and what the methods answered.

use super::{boxes, thumbnail};
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
    let cards: String = samples.samples.iter().map(|sample| card(sample, samples)).collect();
    format!("<h3>{}</h3>\n{missing}<ul class=\"examples\">\n{cards}</ul>\n", escape(&samples.title))
}

/// `CIDEr-D 34.2`, where answers are worth more than right or wrong.
fn worth(given: Option<&crate::columns::Given>, metric: Option<&str>) -> Option<String> {
    Some(format!("{} {:.1}", metric?, 100.0 * given?.score?))
}

fn card(sample: &Sample, samples: &Samples) -> String {
    let reference = &samples.reference;
    let given = sample.answers.iter().find(|(label, _)| label == reference).map(|(_, given)| given);
    let (class, word) = if sample.right { ("right", "✓ right") } else { ("wrong", "✗ wrong") };
    let word = worth(given, samples.metric).unwrap_or_else(|| word.into());
    let said = given.map_or("", |given| &given.prediction);
    format!(
        "<li class=\"{class}\">\n{}{}{}<p class=\"answer\"><b>{}</b> {} said “{}”</p>\n{}<p class=\"id\">{}</p>\n</li>\n",
        pictures(&sample.example, boxes::overlay(&sample.gold, said)),
        question(&sample.example),
        choices(sample),
        escape(&word),
        escape(reference),
        escape(&shortened(said)),
        answers(sample, samples.metric),
        escape(&sample.example.id)
    )
}

/// A question's pictures; boxes are drawn over the first.
fn pictures(example: &Example, overlay: Option<String>) -> String {
    let count = example.pictures.len();
    let picture = |(n, encoded): (usize, &std::sync::Arc<[u8]>)| match thumbnail::of(encoded) {
        Some(made) => format!(
            "<span class=\"boxed\"><img src=\"{}\" width=\"{}\" height=\"{}\" alt=\"Picture {} of {count} of this question\">{}</span>\n",
            made.uri,
            made.width,
            made.height,
            n + 1,
            overlay.as_deref().filter(|_| n == 0).unwrap_or_default()
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

fn answers(sample: &Sample, metric: Option<&str>) -> String {
    let right = sample.answers.iter().filter(|(_, given)| given.correct).count();
    let answer = |(label, given): &(String, crate::columns::Given)| {
        let mark = if given.correct { "✓" } else { "✗" };
        let mark = worth(Some(given), metric).unwrap_or_else(|| mark.into());
        format!("<li>{} {}: {}</li>", escape(&mark), escape(label), escape(&shortened(&given.prediction)))
    };
    let all: String = sample.answers.iter().map(answer).collect();
    let summary = match metric {
        Some(_) => format!("{} methods", sample.answers.len()),
        None => format!("{right} of {} methods right", sample.answers.len()),
    };
    format!("<details><summary>{summary}</summary><ul class=\"answers\">{all}</ul></details>\n")
}

/// Generated text may be long.
fn shortened(text: &str) -> String {
    let most = 400;
    if text.chars().count() <= most { text.into() } else { text.chars().take(most).chain(['…']).collect() }
}
