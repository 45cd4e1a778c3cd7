//! Tables: scrolled in a box of their own, sorted by a value that each cell carries.

use super::notes::Notes;
use crate::blocks::Table;
use crate::figures::svg::escape;
use crate::format::NOTHING;

/// Longer text has a wide column, so that its row stays low.
const LONG: usize = 40;

/// A table under a caption, with marks beside the cells that a warning concerns.
pub fn render(table: &Table, caption: &str, notes: &Notes) -> String {
    let table = &table.bounded();
    let all: Vec<usize> = table.subjects.iter().map(|(_, _, group)| *group).collect();
    let header: String = table.header.iter().enumerate().map(|(column, name)| head(table, column, name)).collect();
    let rows: String = (0..table.rows.len()).map(|row| draw(table, row, notes, &all)).collect();
    let caption = escape(caption);
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"Table: {caption}\">\n<table class=\"sortable\">\n\
         <caption>{caption}{}</caption>\n<thead><tr>{header}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n",
        notes.common(&all)
    )
}

fn head(table: &Table, column: usize, name: &str) -> String {
    let class = if column < table.text_columns { " class=\"text\"" } else { "" };
    format!("<th scope=\"col\"{class}>{}</th>", escape(name))
}

fn draw(table: &Table, row: usize, notes: &Notes, all: &[usize]) -> String {
    // The last of the first two names is the method, or the only name.
    let named = table.text_columns.clamp(1, 2) - 1;
    let cell = |(column, text): (usize, &String)| {
        let subject = table.subjects.iter().find(|(r, c, _)| (*r, *c) == (row, column));
        let marks = subject.map_or(String::new(), |(_, _, group)| notes.own(*group, all));
        let text = format!("{}{marks}", escape(text));
        match column == named {
            true => format!("<th scope=\"row\"{}>{text}</th>", attributes(table, row, column)),
            false => format!("<td{}>{text}</td>", attributes(table, row, column)),
        }
    };
    let cells: String = table.rows[row].iter().enumerate().map(cell).collect();
    format!("<tr>{cells}</tr>\n")
}

/// What it sorts by; text sorts by itself.
fn attributes(table: &Table, row: usize, column: usize) -> String {
    if column < table.text_columns {
        let long = table.rows[row][column].chars().count() > LONG;
        return if long { " class=\"text long\"".into() } else { " class=\"text\"".into() };
    }
    sort_key(&table.rows[row][column]).map_or(String::new(), |key| format!(" data-v=\"{key}\""))
}

/// The number that a cell begins with, in its unit: `71.2 ± 1.3`, `1.5 MiB`, `304.56M`, `<1e-300`, `≤ 10`; nothing for `–` and words.
pub fn sort_key(cell: &str) -> Option<f64> {
    let cell = cell.trim_start_matches(['<', '+', '≤', ' ']);
    if cell == NOTHING {
        return None;
    }
    let end = (0..=cell.len()).rev().filter(|&end| cell.is_char_boundary(end)).find(|&end| {
        let text = &cell[..end];
        text.ends_with(|c: char| c.is_ascii_digit()) && text.parse::<f64>().is_ok_and(f64::is_finite)
    })?;
    Some(cell[..end].parse::<f64>().ok()? * unit(&cell[end..]))
}

/// What a number's unit multiplies it by.
fn unit(rest: &str) -> f64 {
    const UNITS: [(&str, f64); 11] = [
        ("K", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
        (" KiB", 1024.0),
        (" MiB", 1_048_576.0),
        (" GiB", 1_073_741_824.0),
        (" TiB", 1_099_511_627_776.0),
        (" PiB", 1_125_899_906_842_624.0),
    ];
    UNITS.iter().find(|(name, _)| rest.starts_with(name)).map_or(1.0, |(_, factor)| *factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_sort_by_their_number() {
        let check = |cell: &str, expect: Option<f64>| assert_eq!(sort_key(cell), expect, "{cell}");
        check("71.2 ± 1.3", Some(71.2));
        check("71.2 ±n/a (1)", Some(71.2));
        check("-2.4 ± 2.5", Some(-2.4));
        check("+1.2 ± 0.3", Some(1.2));
        check("1.5 MiB", Some(1.5 * 1048576.0));
        check("90.5 KiB ± 1 B", Some(90.5 * 1024.0));
        check("12 B", Some(12.0));
        check("304.56M", Some(304.56e6));
        check("1.20T", Some(1.2e12));
        check("2.00E", Some(2e18));
        check("3.1e-7", Some(3.1e-7));
        check("≤ 10", Some(10.0));
        check("≤ 1.5 MiB", Some(1.5 * 1048576.0));
        check("<1e-300", Some(1e-300));
        check("29.6 to 30.1", Some(29.6));
        check("3 (fewer than 3)", Some(3.0));
        check("–", None);
        check("no difference", None);
        check("infinity", None);
        check("é", None);
    }
}
