//! What a page must never do, and what it must say.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::fixture::Fixture;
use crate::library::{Example, Examples, Library, Part};
use crate::{Report, Run, Trust};

const HOSTILE: &str =
    "</script></style></title><img src=x onerror=\"document.title='owned'\">]]>'\"\u{202e}<svg onload=alert(1)>&lt;";

fn read(root: &Path) -> Report {
    Report::read(&[root.into()]).unwrap()
}

/// Every text that it gives is hostile, its picture is none.
struct Hostile;

impl Library for Hostile {
    fn examples(&mut self, _: &Run, part: Part) -> Result<Examples, String> {
        let name = if part == Part::Train { "t" } else { "e" };
        let example = |i: u32| Example {
            id: format!("{name}{i}"),
            question: HOSTILE.into(),
            choices: vec![HOSTILE.into(), "a".into()],
            label: HOSTILE.into(),
            pictures: vec![Arc::from(HOSTILE.as_bytes())],
        };
        Ok(Examples { key: HOSTILE.into(), examples: (0..10).map(example).collect() })
    }
}

fn hostile_page() -> String {
    let root = TempDir::new().unwrap();
    let name = format!("name = {}\n", serde_json::to_string(HOSTILE).unwrap());
    for seed in 1..=2 {
        let base = Fixture::new(HOSTILE, "x", seed, 0.5);
        let dir = Fixture { answer: HOSTILE, card: HOSTILE, dirty: true, ..base }.write(&root.path().join("r"));
        // The method's name would be a folder's; it is made hostile afterwards.
        let toml = std::fs::read_to_string(dir.join("experiment.toml")).unwrap();
        std::fs::write(dir.join("experiment.toml"), format!("# {HOSTILE}\n{name}{toml}")).unwrap();
        let summary = std::fs::read_to_string(dir.join("summary.json")).unwrap();
        let mut summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
        (summary["method"], summary["run"], summary["backbone"]) = (HOSTILE.into(), HOSTILE.into(), HOSTILE.into());
        std::fs::write(dir.join("summary.json"), summary.to_string()).unwrap();
    }
    // As they are, since nothing in them agrees any more.
    let mut report = Report::read_with(&[root.path().into()], Trust::AsTheyAre).unwrap();
    report.illustrate(&mut Hostile).unwrap();
    report.html().unwrap()
}

/// Each tag's name and its attributes' names, and the text between tags, as a browser takes them apart.
fn tags(html: &str) -> Vec<(String, Vec<String>)> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        let mut quoted = false;
        let end = rest.find(|c| {
            quoted ^= c == '"';
            c == '>' && !quoted
        });
        let (tag, after) = rest.split_at(end.unwrap());
        let name = tag.split([' ', '\n', '/']).find(|part| !part.is_empty()).unwrap_or("").to_string();
        let outside: String = tag.split('"').step_by(2).collect::<Vec<_>>().join(" ");
        let attributes = outside.split_whitespace().skip(1).map(|text| text.trim_end_matches('=').into()).collect();
        rest = after;
        if !tag.starts_with('/') && (name == "script" || name == "style") {
            rest = &rest[rest.find(&format!("</{name}")).unwrap()..];
        }
        tags.push((name, attributes));
    }
    tags
}

#[test]
fn nothing_hostile_becomes_markup() {
    let page = hostile_page();
    let names = "!DOCTYPE html head meta title style body a nav details summary ol li main header h1 h2 h3 p section ul sup figure div svg \
                 path text figcaption b table caption thead tbody tr th td pre span footer script";
    let names: Vec<&str> = names.split(' ').collect();
    let attributes = "html lang charset http-equiv content name class href id aria-label aria-labelledby role tabindex scope title open \
                      viewBox width height d stroke-width stroke-linejoin stroke-dasharray fill-opacity x y font-size text-anchor data-v";
    let attributes: Vec<&str> = attributes.split(' ').collect();
    let tags = tags(&page);
    assert!(tags.len() > 300, "the scanner sees the page: {}", tags.len());
    for (name, found) in &tags {
        assert!(names.contains(&name.as_str()), "<{name}>");
        assert!(found.iter().all(|attribute| attributes.contains(&attribute.as_str())), "<{name} {found:?}>");
    }
    assert_eq!(tags.iter().filter(|(name, _)| name == "script").count(), 2, "one, opened and closed");
    assert!(page.matches("&lt;img src=x onerror=").count() > 10, "what is hostile is shown as text");
    assert!(!page.contains('\u{202e}') && !page.contains("]]>"));
    assert_eq!(page.matches("picture 1 cannot be shown").count(), 6);
}

#[test]
fn pictures_of_hostile_names_are_safe_files() {
    let root = TempDir::new().unwrap();
    Fixture::new(HOSTILE, "fednano", 1, 0.5).write(root.path());
    for block in read(root.path()).illustrated() {
        if let crate::blocks::Block::Figure(figure) = block {
            assert!(figure.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{}", figure.name);
            let svg = figure.svg();
            assert!(!svg.contains("<img") && !svg.contains("onload=alert(1)>") && !svg.contains('\u{202e}'));
        }
    }
}

#[test]
fn the_policy_allows_this_style_and_this_script_alone() {
    let page = hostile_page();
    for name in ["style", "script"] {
        let start = page.find(&format!("<{name}>")).unwrap() + name.len() + 2;
        let text = &page[start..start + page[start..].find(&format!("</{name}>")).unwrap()];
        let hash = BASE64_STANDARD.encode(Sha256::digest(text.as_bytes()));
        assert!(page.contains(&format!("{name}-src 'sha256-{hash}'")), "{name}");
    }
    assert!(page.contains("default-src 'none'") && !page.contains("unsafe"));
    for outside in ["http:", "https:", "src=\"//", "url(", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn the_same_runs_give_the_same_page() {
    assert_eq!(hostile_page().replace("/tmp", ""), hostile_page().replace("/tmp", ""));
}

#[test]
fn a_doubt_stands_beside_its_number() {
    let root = TempDir::new().unwrap();
    for seed in 1..=3 {
        Fixture::new("icongen", "fednano", seed, 0.5).write(root.path());
    }
    Fixture::new("icongen", "local", 1, 0.4).write(root.path());
    let page = read(root.path()).html().unwrap();
    let mark = "<a class=\"mark\" href=\"#w1\" title=\"fewer than 3 seeds: local on icongen (1)\" aria-label=\"warning 1\">1</a>";
    assert!(page.contains(&format!("<td data-v=\"40\">40.0 ±n/a (1)<sup>{mark}</sup></td>")), "the cell is marked");
    assert!(page.contains("<td data-v=\"50\">50.0 ± 0.0 [50.0, 50.0] (3)</td>"), "others are not");
    assert!(page.contains("<li id=\"w1\">fewer than 3 seeds: local on icongen (1)</li>"));
}

#[test]
fn a_doubt_about_all_stands_in_the_caption() {
    let root = TempDir::new().unwrap();
    Fixture { dirty: true, ..Fixture::new("icongen", "fednano", 1, 0.5) }.write(root.path());
    let page = read(root.path()).html().unwrap();
    assert!(page.contains("<caption>Accuracy<sup><a class=\"mark\" href=\"#w1\""), "{page}");
    assert!(page.contains("<td data-v=\"50\">50.0 ±n/a (1)</td>"));
}

#[test]
fn runs_show_what_made_them() {
    let root = TempDir::new().unwrap();
    Fixture::new("icongen", "fednano", 7, 0.5).write(root.path());
    let page = read(root.path()).html().unwrap();
    for text in ["seed = 7\n[data]", "<li>commit: abc1234</li>", "<td>fednano-7-s7-r2</td>", "card of icongen"] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn examples_say_why_they_have_no_pictures() {
    let root = TempDir::new().unwrap();
    Fixture::new("icongen", "fednano", 1, 0.5).write(root.path());
    let mut report = read(root.path());
    report.illustrate(&mut crate::NoLibrary).unwrap();
    let page = report.html().unwrap();
    assert!(page.contains("Questions and pictures are not shown: the report was made without the data."), "{page}");
    assert_eq!((page.matches("<li class=\"right\">").count(), page.matches("<li class=\"wrong\">").count()), (3, 3));
}
