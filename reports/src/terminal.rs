//! Blocks as plain text; control characters never reach the terminal.

use crate::blocks::{Block, Table};
use crate::markdown::{pad, widths};
use crate::shown::{breaks, cell, sentence};

/// The blocks as plain text.
pub fn render(blocks: &[Block]) -> String {
    blocks.iter().map(block).collect::<Vec<_>>().join("\n")
}

/// Columns of a terminal: what is wider wraps, and is read by nobody.
const WIDE: usize = 80;

fn block(block: &Block) -> String {
    match block {
        Block::Heading(1, text) => format!("{}\n", clean(text).to_uppercase()),
        Block::Heading(_, text) => format!("{}\n", clean(text)),
        Block::Text(text) => wrapped(&clean(text), "", ""),
        Block::List(items) => items.iter().map(|item| wrapped(&clean(item), "  - ", "    ")).collect(),
        Block::Table(table) => draw(table),
        Block::Figure(figure) => wrapped(&format!("picture: {}", clean(&figure.title)), "", ""),
    }
}

/// Lines of at most [`WIDE`] columns, broken at spaces.
fn wrapped(text: &str, first: &str, others: &str) -> String {
    let mut lines = vec![first.to_owned()];
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let last = lines.last_mut().expect("there is one");
        let begins = last == first || last == others;
        if !begins && last.chars().count() + 1 + word.chars().count() > WIDE {
            lines.push(format!("{others}{word}"));
            continue;
        }
        if !begins {
            last.push(' ');
        }
        last.push_str(word);
    }
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// A table, cut between columns where it is too wide: its first ones, which name the rows, stand in every piece.
fn draw(table: &Table) -> String {
    let shown = |cells: &Vec<String>| cells.iter().map(|text| clean(&cell(text))).collect::<Vec<String>>();
    let (header, rows) = (shown(&table.header), table.rows.iter().map(shown).collect::<Vec<_>>());
    let broken: Vec<Vec<String>> = header.iter().enumerate().map(|(at, text)| broken(text, &rows, at)).collect();
    let wide = |at: usize| {
        let body = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
        broken[at].iter().map(|line| line.chars().count()).chain(body).max().unwrap_or(0)
    };
    let named = table.text_columns.min(header.len());
    let mut pieces: Vec<Vec<usize>> = vec![(0..named).collect()];
    for at in named..header.len() {
        let piece = pieces.last_mut().expect("there is one");
        let taken: usize = piece.iter().map(|&column| wide(column) + 2).sum();
        match piece.len() > named && taken + 2 + wide(at) > WIDE {
            true => pieces.push((0..named).chain([at]).collect()),
            false => piece.push(at),
        }
    }
    pieces.iter().map(|piece| drawn(piece, &broken, &rows, named)).collect::<Vec<_>>().join("\n")
}

/// A header over several lines, no wider than its column or its longest word.
fn broken(text: &str, rows: &[Vec<String>], at: usize) -> Vec<String> {
    let body = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let room = text.split(' ').map(|word| word.chars().count()).chain([body]).max().unwrap_or(0);
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last_mut().expect("there is one");
        match last.is_empty() || last.chars().count() + 1 + word.chars().count() <= room {
            true => last.push_str(&format!("{}{word}", if last.is_empty() { "" } else { " " })),
            false => lines.push(word.into()),
        }
    }
    lines
}

/// Some of a table's columns.
fn drawn(piece: &[usize], broken: &[Vec<String>], rows: &[Vec<String>], named: usize) -> String {
    let high = piece.iter().map(|&at| broken[at].len()).max().unwrap_or(0);
    // Names of columns stand on the line, however many lines others take.
    let line = |number: usize| {
        let of =
            |&at: &usize| (number + broken[at].len()).checked_sub(high).map_or(String::new(), |line| broken[at][line].clone());
        piece.iter().map(of).collect::<Vec<String>>()
    };
    let header: Vec<Vec<String>> = (0..high).map(line).collect();
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| piece.iter().map(|&at| row.get(at).cloned().unwrap_or_default()).collect()).collect();
    let widths = widths(header.iter().chain(&rows), 0);
    let rule: Vec<String> = widths.iter().map(|&width| "─".repeat(width)).collect();
    let lines = header.iter().chain([&rule]).chain(&rows);
    lines.map(|cells| format!("  {}\n", pad(cells, &widths, named).join("  ").trim_end())).collect()
}

fn clean(text: &str) -> String {
    sentence(text).chars().map(|c| if breaks(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        let columns =
            ["dataset", "method", "mean over clients (% up)", "worst client (% up)", "spread over clients (points)", "rows"];
        let row = ["icongen", "centralized-lora", "59.1 ± 1.9", "45.5 ± 2.4", "9.2 ± 1.3 of all that there are", "58.0 ± 1.3"];
        let table = Table {
            header: columns.map(String::from).to_vec(),
            rows: vec![row.map(String::from).to_vec(); 2],
            text_columns: 2,
            ..Table::default()
        };
        let text = render(&[Block::Text("word ".repeat(40)), Block::List(vec!["item ".repeat(40)]), Block::Table(table)]);
        assert!(text.lines().all(|line| line.chars().count() <= WIDE), "{text}");
        let pieces = text.lines().filter(|line| line.contains("dataset")).count();
        assert_eq!((pieces, text.matches("centralized-lora").count()), (2, 4), "{text}");
        assert!(text.contains("    item item") && text.matches("9.2 ± 1.3 of all that there are").count() == 2, "{text}");
    }
}
