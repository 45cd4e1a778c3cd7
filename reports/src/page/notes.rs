//! Warnings as numbered notes, and marks that point to them from the numbers they concern.

use std::collections::BTreeSet;

use crate::figures::svg::escape;
use crate::{Report, Warning};

/// A message longer than this is folded.
const LONG: usize = 220;

/// The notes that apply in a section.
#[derive(Debug)]
pub struct Notes<'a> {
    notes: Vec<(usize, &'a Warning)>,
}

impl<'a> Notes<'a> {
    /// Those of a report whose doubt is about this section's numbers.
    pub fn new(report: &'a Report, section: &str) -> Self {
        Self { notes: (1..).zip(&report.warnings).filter(|(_, warning)| applies(warning.kind, section)).collect() }
    }

    /// Marks of the notes that concern all of these groups.
    pub fn common(&self, groups: &[usize]) -> String {
        self.marks(|concerned| !groups.is_empty() && groups.iter().all(|group| concerned.contains(group)))
    }

    /// Marks of the notes that concern this group, but not all of the others.
    pub fn own(&self, group: usize, all: &[usize]) -> String {
        self.marks(|concerned| concerned.contains(&group) && !all.iter().all(|other| concerned.contains(other)))
    }

    fn marks(&self, which: impl Fn(&BTreeSet<usize>) -> bool) -> String {
        let concerns = |warning: &Warning| which(&warning.concerns.iter().copied().collect());
        let marked = self.notes.iter().filter(|(_, warning)| concerns(warning));
        let marks: Vec<String> = marked.map(|(n, warning)| mark(*n, warning)).collect();
        if marks.is_empty() { String::new() } else { format!("<sup>{}</sup>", marks.join(" ")) }
    }
}

/// Whether a doubt touches the numbers of a section.
fn applies(kind: &str, section: &str) -> bool {
    let counted = matches!(section, "Storage" | "Communication" | "Cost");
    match kind {
        "mixed-kernels" | "unequal-parameters" | "not-tuned-alike" | "tuned-at-edge" => !counted,
        "mixed-machines" => section == "Cost",
        "mixed-scoring" | "mixed-scoring-in-run" | "unparsed" | "repeated-examples" | "unpaired" => !counted,
        "few-seeds" | "skipped" | "limits" => section != "Storage",
        _ => true,
    }
}

fn mark(n: usize, warning: &Warning) -> String {
    let text = escape(&shortened(&warning.message, 90));
    format!("<a class=\"mark\" href=\"#w{n}\" title=\"{text}\" aria-label=\"warning {n}\">{n}</a>")
}

fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.into();
    }
    format!("{}…", text.chars().take(most).collect::<String>().trim_end())
}

/// All of them, to be pointed at.
pub fn list(report: &Report) -> String {
    let item = |(n, warning): (usize, &Warning)| format!("<li id=\"w{n}\">{}</li>\n", message(&warning.message));
    let items: String = (1..).zip(&report.warnings).map(item).collect();
    format!("<ol class=\"notes\">\n{items}</ol>\n")
}

/// What is said, then the names, folded where there are many.
fn message(message: &str) -> String {
    match message.split_once(": ") {
        Some((what, names)) if names.chars().count() > LONG => {
            let count = names.split(", ").count();
            format!("{}: <details><summary>{count} named</summary><p>{}</p></details>", escape(what), escape(names))
        }
        _ => escape(message),
    }
}
