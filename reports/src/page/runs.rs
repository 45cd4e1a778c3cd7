//! What was run: every group's configuration, its runs and where they come from; every card once.

use std::collections::BTreeMap;

use schema::run_dir;

use super::escape;
use crate::{Group, Report, ReportError, Run, provenance};

/// A fold for each group, then one for each card.
pub fn render(report: &Report) -> Result<String, ReportError> {
    let mut out = String::from("<p>One fold for each configuration, then one for each dataset's card.</p>\n");
    for group in &report.groups {
        out.push_str(&fold(report, group)?);
    }
    for (name, text) in cards(report)? {
        out.push_str(&format!(
            "<details class=\"run\"><summary>card of {}</summary>\n<pre tabindex=\"0\">{}</pre>\n</details>\n",
            escape(&name),
            preformatted(&text)
        ));
    }
    Ok(out)
}

fn fold(report: &Report, group: &Group) -> Result<String, ReportError> {
    let runs: Vec<&Run> = group.runs.iter().map(|&run| &report.runs[run]).collect();
    let config = runs[0].source.text(run_dir::EXPERIMENT)?;
    let facts: String = provenance::lines_of(&runs).iter().map(|line| format!("<li>{}</li>", escape(line))).collect();
    Ok(format!(
        "<details class=\"run\"><summary>{} <span>on {}</span></summary>\n{}<p>experiment.toml of seed {}; the others differ in \
         the seed.</p>\n<pre tabindex=\"0\">{}</pre>\n<ul class=\"facts\">{facts}</ul>\n</details>\n",
        escape(&group.label()),
        escape(&group.dataset),
        table(&runs),
        runs[0].summary.seed,
        preformatted(&config)
    ))
}

fn table(runs: &[&Run]) -> String {
    let row = |run: &&Run| {
        let build = if run.environment.dirty { "uncommitted changes" } else { "clean" };
        let accuracy = format!("{:.2}", 100.0 * run.summary.accuracy);
        let seed = run.summary.seed.to_string();
        let cells = [&seed, &accuracy, &run.environment.started, build, &run.summary.run]
            .map(|cell| format!("<td>{}</td>", escape(cell)));
        format!("<tr>{}</tr>\n", cells.concat())
    };
    let rows: String = runs.iter().map(row).collect();
    let summary = runs.first().map(|run| &run.summary);
    let title = summary.and_then(|summary| summary.metric_title()).unwrap_or("accuracy");
    let header = format!("{title} ({})", summary.map_or("%", |summary| summary.sign()));
    let header: String =
        ["seed", &*header, "started", "build", "run folder"].map(|name| format!("<th scope=\"col\">{name}</th>")).concat();
    format!(
        "<div class=\"scroll\"><table class=\"plain\"><thead><tr>{header}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n"
    )
}

/// Each card's text, once, by dataset and hash.
fn cards(report: &Report) -> Result<Vec<(String, String)>, ReportError> {
    let mut first: BTreeMap<(&str, &str), &Run> = BTreeMap::new();
    for run in &report.runs {
        if let Some(hash) = &run.card {
            first.entry((&run.summary.dataset, hash)).or_insert(run);
        }
    }
    let card = |((name, hash), run): ((&str, &str), &Run)| {
        let short: String = hash.chars().take(12).collect();
        Ok((format!("{name} (sha256 {short})"), run.source.text(run_dir::CARD)?))
    };
    first.into_iter().map(card).collect()
}

/// Escaped line by line: line breaks stay.
fn preformatted(text: &str) -> String {
    text.lines().map(|line| escape(line) + "\n").collect()
}
