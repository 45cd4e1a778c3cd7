//! Blocks as Markdown (GitHub's), safe against whatever a name holds.

use crate::blocks::{Block, Table};
use crate::figures::FOLDER;
use crate::shown::{breaks, cell, sentence};

/// The blocks as Markdown.
pub fn render(blocks: &[Block]) -> String {
    render_linked(blocks, "svg")
}

/// The same with links to pictures whose files have this ending.
pub fn render_linked(blocks: &[Block], pictures: &str) -> String {
    blocks.iter().map(|part| block(part, pictures)).collect::<Vec<_>>().join("\n")
}

fn block(block: &Block, pictures: &str) -> String {
    match block {
        Block::Heading(level, text) => format!("{} {}\n", "#".repeat(*level), escape(&sentence(text))),
        Block::Text(text) => format!("{}\n", paragraph(text)),
        Block::List(items) => items.iter().map(|item| format!("- {}\n", paragraph(item))).collect(),
        Block::Table(table) => draw(table),
        Block::Figure(figure) => format!(
            "![{}]({}/{}.{pictures})\n\n{}\n",
            escape(&sentence(&figure.title)),
            FOLDER,
            figure.name,
            paragraph(&figure.caption)
        ),
    }
}

fn draw(table: &Table) -> String {
    let shown = |cells: &Vec<String>| cells.iter().map(|text| escape(&cell(text))).collect::<Vec<String>>();
    let (header, rows) = (shown(&table.header), table.rows.iter().map(shown).collect::<Vec<_>>());
    let widths = widths(std::iter::once(&header).chain(&rows), 3);
    let rule: Vec<String> = widths.iter().enumerate().map(|(column, &width)| rule(width, column < table.text_columns)).collect();
    let lines = [&header, &rule].into_iter().chain(&rows);
    lines.map(|cells| format!("| {} |\n", pad(cells, &widths, table.text_columns).join(" | "))).collect()
}

fn rule(width: usize, text: bool) -> String {
    if text { "-".repeat(width) } else { format!("{}:", "-".repeat(width - 1)) }
}

/// The width of each column, in characters.
pub(crate) fn widths<'a>(rows: impl Iterator<Item = &'a Vec<String>>, least: usize) -> Vec<usize> {
    let mut widths = Vec::new();
    for row in rows {
        widths.resize(row.len().max(widths.len()), least);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    widths
}

/// Cells padded to their column's width: text to the left, numbers to the right.
pub(crate) fn pad(cells: &[String], widths: &[usize], text_columns: usize) -> Vec<String> {
    let padded = cells.iter().zip(widths).enumerate().map(|(column, (cell, &width))| {
        // A width of `format!` ends at 65,535.
        let room = " ".repeat(width.saturating_sub(cell.chars().count()));
        if column < text_columns { format!("{cell}{room}") } else { format!("{room}{cell}") }
    });
    padded.collect()
}

/// Text that Markdown shows as it is: no cell ends early, no line breaks, no tag, link, code, formula or emphasis opens.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    let mut before = ' ';
    while let Some(c) = letters.next() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // Within a word it is a letter.
            '_' if before.is_alphanumeric() && letters.peek().is_some_and(|after| after.is_alphanumeric()) => out.push('_'),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '~' | '$' => out.extend(['\\', c]),
            c if breaks(c) => out.push(' '),
            c => out.push(c),
        }
        before = c;
    }
    out
}

/// Text that stands by itself: neither a heading, a list, a rule nor code begins with it.
fn paragraph(text: &str) -> String {
    let escaped = escape(&sentence(text));
    let text = escaped.trim_start();
    let number = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_item = number.len() < text.len() && [". ", ") "].iter().any(|end| number.starts_with(end));
    match text.chars().next() {
        Some('#' | '+' | '-' | '=') => format!("\\{text}"),
        _ if is_item => format!("{}\\{number}", &text[..text.len() - number.len()]),
        _ => text.into(),
    }
}

/// A name in a code span, or as text where it would end the span.
pub fn code(name: &str) -> String {
    if name.contains(|c: char| c == '`' || c == '|' || breaks(c)) { escape(&cell(name)) } else { format!("`{}`", cell(name)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_harmless() {
        assert_eq!(escape("a|b\n<script>`x`[y](z)\\"), "a\\|b &lt;script&gt;\\`x\\`\\[y\\](z)\\\\");
        assert_eq!(escape("\u{1b}[31mred\u{202e}"), " \\[31mred ");
        assert_eq!(escape("local_steps _x_ $y$"), "local_steps \\_x\\_ \\$y\\$");
        assert_eq!(
            ["# a", "- a", "1. a", "12) a", "3 runs", "0.5 or", "    a"].map(paragraph),
            ["\\# a", "\\- a", "1\\. a", "12\\) a", "3 runs", "0.5 or", "a"]
        );
        assert_eq!((code("a_b"), code("a`<b>")), ("`a_b`".into(), "a\\`&lt;b&gt;".into()));
    }

    #[test]
    fn a_cell_of_a_million_characters_is_cut() {
        let table = Table {
            text_columns: 1,
            header: vec!["m".repeat(1_000_000), "x".into()],
            rows: vec![vec!["local".into(), "1".repeat(70_000)]],
            ..Table::default()
        };
        for text in [render(&[Block::Table(table.clone())]), crate::terminal::render(&[Block::Table(table.clone())])] {
            assert!(text.len() < 4_000 && text.contains("999700 characters"), "{text}");
        }
        let latex = crate::latex::render(&[Block::Table(table), Block::Text("t".repeat(1_000_000))]);
        assert!(latex.len() < 30_000, "{}", latex.len());
    }

    #[test]
    fn tables_are_aligned() {
        let table = Table {
            text_columns: 1,
            header: vec!["m".into(), "x (% ↑)".into()],
            rows: vec![vec!["local".into(), "1.0".into()]],
            ..Table::default()
        };
        assert_eq!(render(&[Block::Table(table)]), "| m     | x (% ↑) |\n| ----- | ------: |\n| local |     1.0 |\n");
    }
}
