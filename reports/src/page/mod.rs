//! The report as one HTML file: tables that sort, pictures, doubts beside the numbers they concern, examples, and what made it all.
//!
//! Nothing that comes from data, file names or configurations can be executed. Every piece of it passes [`svg::escape`], none stands in
//! a tag's name, a script or a style, and a Content-Security-Policy allows one style and one script, by their hashes, and pictures
//! that the page holds itself. Without the script everything but sorting works.
//!
//! - [`table`]: cells, and what they sort by; [`notes`]: warnings and their marks; [`examples`]: questions with answers;
//!   [`thumbnail`]: their pictures; [`runs`]: configurations and provenance.

mod boxes;
pub mod examples;
pub mod notes;
pub mod runs;
pub mod table;
#[cfg(test)]
mod tests;
pub mod thumbnail;

use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use crate::blocks::Block;
use crate::figures::Figure;
use crate::figures::svg::{self, escape};
use crate::{Report, ReportError};

const SCRIPT: &str = include_str!("script.js");
const STYLE: &str = include_str!("style.css");

/// The report as one HTML file that asks for no other.
pub fn render(report: &Report, blocks: &[Block]) -> Result<String, ReportError> {
    let mut page = Page { report, body: String::new(), contents: Vec::new(), section: String::new(), heading: String::new() };
    for block in blocks {
        page.block(block);
    }
    page.examples();
    page.open_section("Configurations and runs");
    page.body.push_str(&runs::render(report)?);
    page.body.push_str("</section>\n");
    Ok(page.finish())
}

/// What is written so far.
struct Page<'a> {
    report: &'a Report,
    body: String,
    /// The sections' titles.
    contents: Vec<String>,
    /// The section that is open.
    section: String,
    /// The nearest heading.
    heading: String,
}

impl Page<'_> {
    fn block(&mut self, block: &Block) {
        match block {
            Block::Heading(1, text) => self.body.push_str(&format!("<header>\n<h1>{}</h1>\n", escape(text))),
            Block::Heading(2, text) => self.open_section(text),
            Block::Heading(_, text) => {
                self.heading = text.clone();
                self.body.push_str(&format!("<h3>{}</h3>\n", escape(text)));
            }
            Block::Text(text) => self.body.push_str(&format!("<p>{}</p>\n", escape(text))),
            // The warnings are numbered, so that marks can point to them.
            Block::List(_) if self.section == "Warnings" => self.body.push_str(&notes::list(self.report)),
            Block::List(items) => self.body.push_str(&list(items)),
            Block::Table(table) => {
                let notes = notes::Notes::new(self.report, &self.section);
                self.body.push_str(&table::render(table, &self.heading, &notes));
            }
            Block::Figure(figure) => self.figure(figure),
        }
    }

    fn open_section(&mut self, title: &str) {
        self.body.push_str(if self.contents.is_empty() { "</header>\n" } else { "</section>\n" });
        self.contents.push(title.into());
        let n = self.contents.len();
        (self.section, self.heading) = (title.into(), title.into());
        let title = escape(title);
        let _ = write!(self.body, "<section aria-labelledby=\"h{n}\">\n<h2 id=\"h{n}\">{title}</h2>\n");
    }

    fn figure(&mut self, figure: &Figure) {
        let marks = notes::Notes::new(self.report, &self.section).common(&figure.groups);
        let (title, caption) = (escape(&figure.title), escape(&figure.caption));
        let drawing = svg::inline(&figure.scene, &format!("{}. {}", figure.title, figure.caption));
        let _ = write!(
            self.body,
            "<figure>\n<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"{title}\">\n{drawing}</div>\n\
             <figcaption><b>{title}.</b> {caption}{marks}</figcaption>\n</figure>\n"
        );
    }

    fn examples(&mut self) {
        let material = &self.report.material;
        if material.samples.is_empty() {
            return;
        }
        self.open_section("Examples");
        self.body.push_str(&examples::render(&material.samples));
        if !material.missing.is_empty() {
            let missing: Vec<String> = material.missing.iter().map(|what| format!("Not shown: {what}.")).collect();
            self.body.push_str(&list(&missing));
        }
    }

    fn finish(self) -> String {
        let style = style();
        let title = self.title();
        let entries =
            self.contents.iter().zip(1..).map(|(title, n)| format!("<li><a href=\"#h{n}\">{}</a></li>\n", escape(title)));
        let contents: String = entries.collect();
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
             <meta name=\"referrer\" content=\"no-referrer\">\n<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n\
             <a class=\"skip\" href=\"#main\">Skip to the report</a>\n\
             <nav aria-label=\"Contents\">\n<details open>\n<summary>Contents</summary>\n<ol>\n{contents}</ol>\n</details>\n</nav>\n\
             <main id=\"main\">\n{}</main>\n<footer><p>Made by fedbench {}. Nothing in this page comes from elsewhere.</p></footer>\n\
             <script>{SCRIPT}</script>\n</body>\n</html>\n",
            policy(&style),
            self.body,
            env!("CARGO_PKG_VERSION"),
        )
    }

    /// What a browser's tab says.
    fn title(&self) -> String {
        let datasets: std::collections::BTreeSet<&str> = self.report.groups.iter().map(|group| group.dataset.as_str()).collect();
        let datasets: Vec<&str> = datasets.into_iter().collect();
        escape(&format!("fedbench report: {}", datasets.join(", ")))
    }
}

fn list(items: &[String]) -> String {
    let items: String = items.iter().map(|item| format!("<li>{}</li>\n", escape(item))).collect();
    format!("<ul>\n{items}</ul>\n")
}

/// The page's own style, and the pictures' colours on both grounds.
fn style() -> String {
    let (light, dark) = (svg::css(&svg::LIGHT, ".figure "), svg::css(&svg::DARK, ".figure "));
    format!("{STYLE}{light}@media screen and (prefers-color-scheme: dark) {{\n{dark}}}\n")
}

/// One style and one script, and no request to anywhere.
fn policy(style: &str) -> String {
    let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'",
        hash(style),
        hash(SCRIPT)
    )
}
