//! A report in each of its formats.

use crate::blocks::Block;
use crate::{Report, ReportError, data, figures, latex, markdown, page, tables, terminal};

impl Report {
    /// The tables with their pictures.
    pub fn illustrated(&self) -> Vec<Block> {
        figures::illustrate(self, tables::blocks(self))
    }

    /// The report as Markdown, without pictures.
    pub fn markdown(&self) -> String {
        markdown::render(&tables::blocks(self))
    }

    /// The report as LaTeX: a document, a table each.
    pub fn latex(&self) -> String {
        latex::render(&tables::blocks(self))
    }

    /// The report as one page that needs nothing else.
    pub fn html(&self) -> Result<String, ReportError> {
        page::render(self, &self.illustrated())
    }

    /// The report as plain text, without pictures and control characters.
    pub fn terminal(&self) -> String {
        terminal::render(&tables::blocks(self))
    }

    /// One row per dataset, backbone, method (and setting) and metric.
    pub fn csv(&self) -> String {
        data::tidy(self).csv()
    }

    /// The same rows as a parquet file.
    pub fn parquet(&self) -> Vec<u8> {
        data::tidy(self).parquet()
    }

    /// One row per run: the summaries as they are.
    pub fn runs_csv(&self) -> String {
        data::runs_csv(self)
    }

    /// One row per group, units in the header.
    pub fn configurations_csv(&self) -> String {
        data::configurations(self).csv()
    }

    /// One row per group and target accuracy: rounds and bytes until it was reached.
    pub fn targets_csv(&self) -> String {
        data::targets(self).csv()
    }

    /// One row per group and kind of example.
    pub fn breakdowns_csv(&self) -> String {
        data::breakdowns(self).csv()
    }

    /// Everything, with the values of every seed.
    pub fn json(&self) -> String {
        data::json(self)
    }
}
