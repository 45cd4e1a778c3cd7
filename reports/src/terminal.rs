//! Blocks as plain text; control characters never reach the terminal.

use crate::blocks::{Block, Table};
use crate::markdown::{pad, widths};
use crate::shown::{breaks, cell, sentence};

/// The blocks as plain text.
pub fn render(blocks: &[Block]) -> String {
    blocks.iter().map(block).collect::<Vec<_>>().join("\n")
}

fn block(block: &Block) -> String {
    match block {
        Block::Heading(1, text) => format!("{}\n", clean(text).to_uppercase()),
        Block::Heading(_, text) => format!("{}\n", clean(text)),
        Block::Text(text) => format!("{}\n", clean(text)),
        Block::List(items) => items.iter().map(|item| format!("  - {}\n", clean(item))).collect(),
        Block::Table(table) => draw(table),
        Block::Figure(figure) => format!("picture: {}\n", clean(&figure.title)),
    }
}

fn draw(table: &Table) -> String {
    let shown = |cells: &Vec<String>| cells.iter().map(|text| clean(&cell(text))).collect::<Vec<String>>();
    let (header, rows) = (shown(&table.header), table.rows.iter().map(shown).collect::<Vec<_>>());
    let widths = widths(std::iter::once(&header).chain(&rows), 0);
    let rule: Vec<String> = widths.iter().map(|&width| "─".repeat(width)).collect();
    let lines = [&header, &rule].into_iter().chain(&rows);
    lines.map(|cells| format!("  {}\n", pad(cells, &widths, table.text_columns).join("  ").trim_end())).collect()
}

fn clean(text: &str) -> String {
    sentence(text).chars().map(|c| if breaks(c) { ' ' } else { c }).collect()
}
