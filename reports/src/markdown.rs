//! Blocks as Markdown (GitHub's), safe against whatever a name holds.

use crate::tables::{Block, Table};

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
        Block::Heading(level, text) => format!("{} {}\n", "#".repeat(*level), escape(text)),
        Block::Text(text) => format!("{}\n", escape(text)),
        Block::List(items) => items.iter().map(|item| format!("- {}\n", escape(item))).collect(),
        Block::Table(table) => draw(table),
        Block::Figure(figure) => format!(
            "![{}]({}/{}.{pictures})\n\n{}\n",
            escape(&figure.title),
            crate::figures::FOLDER,
            figure.name,
            escape(&figure.caption)
        ),
    }
}

fn draw(table: &Table) -> String {
    let header: Vec<String> = table.header.iter().map(|cell| escape(cell)).collect();
    let rows: Vec<Vec<String>> = table.rows.iter().map(|row| row.iter().map(|cell| escape(cell)).collect()).collect();
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
    let padded = cells.iter().zip(widths).enumerate().map(|(column, (cell, &width))| match column < text_columns {
        true => format!("{cell:<width$}"),
        false => format!("{cell:>width$}"),
    });
    padded.collect()
}

/// Text that Markdown shows as it is: no cell ends early, no line breaks, no tag, link, code or emphasis opens.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '|' | '\\' | '`' | '*' | '[' | ']' | '~' => out.extend(['\\', c]),
            c if breaks(c) => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Control characters, line and paragraph separators, and marks that reverse the reading direction.
pub(crate) fn breaks(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_harmless() {
        assert_eq!(escape("a|b\n<script>`x`[y](z)\\"), "a\\|b &lt;script&gt;\\`x\\`\\[y\\](z)\\\\");
        assert_eq!(escape("\u{1b}[31mred\u{202e}"), " \\[31mred ");
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
