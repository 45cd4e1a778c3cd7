//! Blocks as LaTeX: a document that compiles by itself (pdfLaTeX, XeLaTeX, tectonic), a booktabs table each, to be copied whole.

use crate::blocks::{Block, Table};
use crate::shown::{breaks, cell, sentence};

const HEAD: &str = "\\documentclass{article}\n\\usepackage[T1]{fontenc}\n\\usepackage[utf8]{inputenc}\n\\usepackage{booktabs}\n\
                    \\usepackage{graphicx}\n\\usepackage[margin=2cm,landscape]{geometry}\n\\setcounter{secnumdepth}{0}\n\\raggedbottom\n\
                    \\begin{document}\n";

/// The blocks as one document; pictures are left out.
pub fn render(blocks: &[Block]) -> String {
    let body: Vec<String> = blocks.iter().map(block).collect();
    format!("{HEAD}{}\\end{{document}}\n", body.join("\n"))
}

fn block(block: &Block) -> String {
    match block {
        Block::Heading(1, text) => format!("\\section{{{}}}\n", escape(text)),
        Block::Heading(2, text) => format!("\\subsection{{{}}}\n", escape(text)),
        Block::Heading(_, text) => format!("\\subsubsection{{{}}}\n", escape(text)),
        Block::Text(text) => format!("{}\n", escape(text)),
        Block::List(items) if items.is_empty() => String::new(),
        Block::List(items) => {
            let items: String = items.iter().map(|item| format!("\\item {{}}{}\n", escape(item))).collect();
            format!("\\begin{{itemize}}\n{items}\\end{{itemize}}\n")
        }
        Block::Table(table) => draw(table),
        // A picture is a file of its own, to be included where a paper wants it.
        Block::Figure(_) => String::new(),
    }
}

fn draw(table: &Table) -> String {
    let columns = table.header.len();
    let kinds: String = (0..columns).map(|column| if column < table.text_columns { 'l' } else { 'r' }).collect();
    // In braces, so that a cell that begins with a bracket is no argument of the line before.
    let row = |cells: &Vec<String>| {
        let cells: Vec<String> = cells.iter().map(|text| format!("{{{}}}", escape(&cell(text)))).collect();
        format!("{} \\\\\n", cells.join(" & "))
    };
    let rows: String = table.rows.iter().map(row).collect();
    let tabular = format!(
        "\\begin{{tabular}}{{{kinds}}}\n\\toprule\n{}\\midrule\n{rows}\\bottomrule\n\\end{{tabular}}",
        row(&table.header)
    );
    // Shrunk to the page's width where it is wider; never parted from the text before it.
    format!(
        "\\nopagebreak\n\\noindent\\resizebox{{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}}{{!}}{{%\n{tabular}}}\n"
    )
}

/// Text that LaTeX takes for nothing but text; a character that its usual fonts lack becomes its number.
fn escape(text: &str) -> String {
    sentence(text).chars().map(|c| if breaks(c) { " ".into() } else { character(c) }).collect()
}

fn character(c: char) -> String {
    match c {
        '\\' => "\\textbackslash{}".into(),
        '~' => "\\textasciitilde{}".into(),
        '^' => "\\textasciicircum{}".into(),
        '<' => "\\textless{}".into(),
        '>' => "\\textgreater{}".into(),
        '|' => "\\textbar{}".into(),
        '"' => "\\textquotedbl{}".into(),
        '`' => "\\textasciigrave{}".into(),
        '\'' => "\\textquotesingle{}".into(),
        // No ligature with a neighbour.
        '-' => "-{}".into(),
        '&' | '%' | '$' | '#' | '_' | '{' | '}' => format!("\\{c}"),
        '±' => "$\\pm$".into(),
        '↑' => "$\\uparrow$".into(),
        '↓' => "$\\downarrow$".into(),
        '≤' => "$\\leq$".into(),
        '–' => "\\textendash{}".into(),
        c if c.is_ascii() || ('À'..='ÿ').contains(&c) => c.into(),
        c => format!("\\texttt{{U+{:04X}}}", c as u32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_rules() {
        let header = vec!["method".into(), "accuracy (% ↑)".into()];
        let table =
            Table { text_columns: 1, header, rows: vec![vec!["fed_nano".into(), "71.2 ± 1.3".into()]], ..Table::default() };
        let expect = "\\nopagebreak\n\\noindent\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n\
                      \\begin{tabular}{lr}\n\\toprule\n{method} & {accuracy (\\% $\\uparrow$)} \\\\\n\\midrule\n\
                      {fed\\_nano} & {71.2 $\\pm$ 1.3} \\\\\n\\bottomrule\n\\end{tabular}}\n";
        assert_eq!(draw(&table), expect);
    }

    #[test]
    fn hostile_text_is_text() {
        let shown = escape("\\input{/etc/passwd}%\n$x^2$ 中 [b] --");
        assert_eq!(shown, "\\textbackslash{}input\\{/etc/passwd\\}\\% \\$x\\textasciicircum{}2\\$ \\texttt{U+4E2D} [b] -{}-{}");
    }
}
