//! Names and values that would break out of a format: each format of each thing that is written, over one table of them.

#![allow(clippy::unwrap_used)]

use guard::text::is_treacherous;
use tempfile::TempDir;

use crate::blocks::Block;
use crate::compare::Compare;
use crate::fixture::Fixture;
use crate::gate::{Gate, Rule};
use crate::{Format, Report};

const RULE: Rule = Rule { margin: 0.01, loss_margin: 0.1, alpha: 0.05, allow_dirty: true, strict: false };

/// What a file may call a thing.
const NASTY: [&str; 36] = [
    "a|b||c",
    "a\nb\r\nc",
    "a\n::error::owned",
    "%0A::error::owned%0D%25",
    "::error file=x::owned",
    "##[error]owned",
    "<img src=x onerror=alert(1)>",
    "</td></tr></table><h1>",
    "-->]]><!--",
    "`code` **bold** _em_ ~~s~~",
    "[x](javascript:alert(1)) ![y](z)",
    "# heading",
    "- item",
    "1. item",
    "    code",
    "&amp;&lt;&#60;",
    "\u{1b}[31mred\u{7}",
    "\u{9b}31m",
    "a\u{202e}b\u{2028}c\u{85}d",
    "\u{0}nul",
    "\u{fffe}\u{ffff}",
    "\\input{/etc/passwd}%$^&_#{}~",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "@SUM(A1)",
    "-2+3",
    "\tx",
    "\r=1",
    "$x$ $$y$$",
    "\"quoted\" 'single'",
    "a=b,c",
    "é中🙂",
    "NaN",
    "-",
    " ",
    "\\|",
];

fn report(names: &[&'static str], right: bool) -> (TempDir, Report) {
    let root = TempDir::new().unwrap();
    for (i, name) in names.iter().enumerate() {
        let accuracy = if right { 1.0 } else { 0.0 };
        let records = vec![(2, None, "accuracy/skill==x|<b>", 0.5)];
        let fixture = Fixture { correct: vec![right; 10], records, ..Fixture::new(name, "fednano", 1, accuracy) };
        fixture.write(&root.path().join(i.to_string()));
    }
    let report = Report::read(&[root.path().into()]).unwrap();
    (root, report)
}

fn nasty(right: bool) -> (TempDir, Report) {
    report(&NASTY, right)
}

/// No control character but line breaks, nothing that turns lines around.
fn is_clean(text: &str) {
    let found = text.lines().find(|line| line.contains(is_treacherous));
    assert!(found.is_none(), "{found:?}");
}

/// Cells of a Markdown row: pipes that no backslash escapes.
fn cells(row: &str) -> usize {
    row.replace("\\\\", "").replace("\\|", "").matches('|').count()
}

/// In every table all rows have as many cells as its header, and no tag opens.
fn is_markdown(text: &str) {
    is_clean(text);
    assert!(!text.contains('<'), "{}", text.lines().find(|line| line.contains('<')).unwrap());
    let mut header = None;
    for line in text.lines() {
        header = line.starts_with('|').then(|| header.unwrap_or(cells(line)));
        assert!(header.is_none_or(|count| count == cells(line)), "{line}");
    }
}

/// Characters of XML 1.0, every `<` ours, every `&` a known entity.
fn is_xml(text: &str, tags: &[&str]) {
    let is_character = |c: char| matches!(c, '\n' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    assert!(text.chars().all(is_character), "{:?}", text.chars().find(|c| !is_character(*c)));
    for (at, _) in text.match_indices('<') {
        assert!(tags.iter().any(|tag| text[at + 1..].trim_start_matches('/').starts_with(tag)), "{:.40}", &text[at..]);
    }
    for (at, _) in text.match_indices('&') {
        let entities = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
        assert!(entities.iter().any(|entity| text[at..].starts_with(entity)), "{:.20}", &text[at..]);
    }
}

#[test]
fn a_gate_keeps_its_formats() {
    let ((_a, baseline), (_b, runs)) = (nasty(true), nasty(false));
    // Regressed, and not to be compared.
    for (runs, level) in
        [(&runs, "::error title=fedbench gate::"), (&report(&["other"], true).1, "::error title=fedbench gate::")]
    {
        let gate = Gate::new(&baseline, runs, RULE);
        assert!(!gate.passes() && gate.checks.len() + gate.errors.len() == NASTY.len());
        is_markdown(&gate.text());
        is_xml(&gate.junit(), &["?xml", "testsuite", "testcase", "failure", "error"]);
        assert_eq!(gate.junit().matches("<testcase ").count(), NASTY.len());
        let commands = gate.github();
        is_clean(&commands);
        assert_eq!(commands.lines().count(), NASTY.len());
        assert!(commands.lines().all(|line| line.starts_with(level)), "{commands}");
        assert!(!commands.replace("%25", "").contains('%'), "{commands}");
        serde_json::from_str::<serde_json::Value>(&gate.json()).unwrap();
    }
}

#[test]
fn a_report_keeps_its_formats() {
    let (root, report) = nasty(true);
    is_markdown(&report.markdown());
    is_clean(&report.terminal());
    is_clean(&report.latex());
    let compare = Compare::new(&report, &report);
    is_markdown(&compare.markdown());
    is_clean(&compare.terminal());
    for block in report.illustrated() {
        if let Block::Figure(figure) = block {
            is_xml(&figure.svg(), &["svg", "title", "desc", "style", "rect", "path", "text"]);
        }
    }
    let page = report.html().unwrap();
    let ours = page.split("<script>").next().unwrap();
    assert!(!ours.contains("<img") && !ours.contains(|c: char| c != '\n' && is_treacherous(c)));
    for path in report.write(&root.path().join("out"), &[Format::Csv]).unwrap() {
        let text = std::fs::read(&path).unwrap();
        let mut rows = csv::Reader::from_reader(text.as_slice());
        let mut count = 0;
        for row in rows.records() {
            let row = row.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let formula = |cell: &&str| cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<f64>().is_err();
            assert_eq!(row.iter().find(formula), None, "{}", path.display());
            count += 1;
        }
        assert!(count >= NASTY.len() || path.ends_with("targets.csv"), "{}: {count} rows", path.display());
    }
}

#[test]
fn a_name_of_a_million_characters_is_cut() {
    let (root, report) = report(&[Box::leak("n".repeat(1_000_000).into_boxed_str())], true);
    for text in [report.markdown(), report.terminal(), report.latex(), report.html().unwrap()] {
        assert!(text.contains("characters ...") && text.len() < 1_500_000, "{}", text.len());
    }
    assert!(report.write(&root.path().join("out"), Format::ALL).unwrap().len() > 5);
    let gate = Gate::new(&report, &report, RULE);
    assert!(gate.text().len() + gate.junit().len() + gate.github().len() < 100_000);
}

/// Values that are none are said to be none, beside what they would have been; an accuracy that is none is no run's.
#[test]
fn values_that_are_not_finite_are_doubts() {
    let root = TempDir::new().unwrap();
    for (seed, value) in [(1, f64::NAN), (2, f64::INFINITY), (3, f64::NEG_INFINITY), (4, 1e308), (5, -1e308)] {
        let records = vec![(2, Some(0), "uplink_bytes", value), (2, Some(0), "downlink_bytes", value)];
        Fixture { records, ..Fixture::new("icongen", "fednano", seed, 0.5) }.write(root.path());
    }
    let report = Report::read(&[root.path().into()]).unwrap();
    let said = report.warnings.iter().find(|warning| warning.kind == "not-finite").unwrap();
    assert!(said.message.starts_with("values in records.parquet that are not finite numbers: "), "{}", said.message);
    assert_eq!((said.message.matches(" (2)").count(), &said.concerns), (3, &vec![0]), "{}", said.message);
    // Where lines break is the terminal's.
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat(&report.terminal()).contains(&flat(&said.message)), "{}", report.terminal());
    serde_json::from_str::<serde_json::Value>(&report.json()).unwrap();
    assert!(report.write(&root.path().join("out"), Format::ALL).unwrap().len() > 5);

    let root = TempDir::new().unwrap();
    let records = vec![(1, Some(0), "client_accuracy", f64::NAN)];
    Fixture { records, ..Fixture::new("icongen", "fednano", 1, 0.5) }.write(root.path());
    let error = Report::read(&[root.path().into()]).unwrap_err().to_string();
    assert!(error.contains("records.parquet: client_accuracy = NaN"), "{error}");
}

/// A line of more rounds than a picture has pixels is drawn by some of them; tables and JSON are as ever.
#[test]
fn a_run_of_many_rounds_has_a_small_picture() {
    let root = TempDir::new().unwrap();
    let records = (1..=100_000).map(|round| (round, None, "accuracy", 1e-6 * f64::from(round))).collect();
    Fixture { records, rounds: 100_000, ..Fixture::new("icongen", "fednano", 1, 0.5) }.write(root.path());
    let report = Report::read(&[root.path().into()]).unwrap();
    let page = report.html().unwrap();
    assert!(page.len() < 500_000, "{}", page.len());
    assert!(report.markdown().contains("\n| 100000 |"), "{}", report.markdown());
    assert!(report.json().contains("\"99999\": {"));
}
