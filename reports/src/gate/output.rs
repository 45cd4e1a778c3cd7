//! The gate's findings as text, JSON, JUnit's XML and GitHub's annotations.

use std::fmt::Write;

use super::{Check, Gate, Verdict};
use crate::markdown::escape;
use crate::shown::{breaks, cell, sentence};

impl Gate {
    /// A Markdown table, then what it means; also what GitHub shows as a step's summary.
    pub fn text(&self) -> String {
        let mut text = format!(
            "Against the baseline; a fall of accuracy by more than {:.2} points, or a rise of the log-loss by more than {:.2} nats, \
             fails if it is significant at {} over all {} comparisons (one-sided, Holm).\n\n",
            100.0 * self.rule.margin,
            self.rule.loss_margin,
            self.rule.alpha,
            self.checks.len()
        );
        let header =
            ["dataset", "configuration", "quantity", "baseline", "now", "difference ± se", "p (Holm)", "detectable", "verdict"];
        let _ = writeln!(text, "| {} |\n|{}", header.join(" | "), " --- |".repeat(header.len()));
        for check in &self.checks {
            let _ = writeln!(text, "{}", row(check));
        }
        for error in &self.errors {
            let _ = writeln!(text, "\nerror: {}", escape(&sentence(error)));
        }
        for notice in &self.notices {
            let _ = writeln!(text, "\nnotice: {}", escape(&sentence(notice)));
        }
        let _ = writeln!(text, "\n{}", self.sentence());
        text
    }

    /// What the whole thing says, in a sentence or two.
    pub fn sentence(&self) -> String {
        let count = |verdict: Verdict| self.checks.iter().filter(|check| check.verdict == verdict).count();
        let (regressed, few) = (count(Verdict::Regressed), count(Verdict::TooFew));
        let mut sentence = match (self.errors.len(), regressed) {
            (0, 0) if !self.passes() => "The gate is shut.".to_owned(),
            (0, 0) => "The gate is open.".to_owned(),
            (0, n) => format!("The gate is shut: {n} of {} comparisons regressed.", self.checks.len()),
            (n, _) => format!("The gate is shut: {n} could not be compared, {regressed} regressed."),
        };
        if few > 0 {
            let _ = write!(
                sentence,
                " {few} of {} have too few rows or seeds to see a fall of {:.2} points or a rise of {:.2} nats: they prove little.",
                self.checks.len(),
                100.0 * self.rule.margin,
                self.rule.loss_margin
            );
        }
        sentence
    }

    /// Everything, for programs.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain data") + "\n"
    }

    /// One test case for each configuration, as CI servers read it.
    pub fn junit(&self) -> String {
        let failed = self.checks.iter().filter(|check| check.verdict == Verdict::Regressed).count();
        let mut xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"fedbench gate\" tests=\"{}\" failures=\"{failed}\" errors=\"{}\">\n",
            self.checks.len() + self.errors.len(),
            self.errors.len()
        );
        for check in &self.checks {
            let name = format!("{}, {}", check.label, check.quantity.words()[0]);
            let case = format!("  <testcase classname=\"{}\" name=\"{}\"", escaped(&check.dataset), escaped(&name));
            let _ = match check.verdict {
                Verdict::Regressed => {
                    writeln!(xml, "{case}>\n    <failure message=\"{}\"/>\n  </testcase>", escaped(&said(check)))
                }
                _ => writeln!(xml, "{case}/>"),
            };
        }
        for error in &self.errors {
            let message = escaped(error);
            let _ = writeln!(
                xml,
                "  <testcase classname=\"fedbench\" name=\"{message}\">\n    <error message=\"{message}\"/>\n  </testcase>"
            );
        }
        xml + "</testsuite>\n"
    }

    /// GitHub's workflow commands: an error for each regression and each thing that could not be compared, a notice for each
    /// configuration that proves little.
    pub fn github(&self) -> String {
        let mut lines = String::new();
        for check in &self.checks {
            let level = match check.verdict {
                Verdict::Passes => continue,
                Verdict::TooFew => "notice",
                Verdict::Regressed => "error",
            };
            let _ = writeln!(lines, "::{level} title=fedbench gate::{}", one_line(&said(check)));
        }
        for error in &self.errors {
            let _ = writeln!(lines, "::error title=fedbench gate::{}", one_line(error));
        }
        for notice in &self.notices {
            let _ = writeln!(lines, "::notice title=fedbench gate::{}", one_line(notice));
        }
        lines
    }
}

fn row(check: &Check) -> String {
    let number = |value: f64| check.quantity.number(value);
    let cells = [
        escape(&cell(&check.dataset)),
        escape(&cell(&check.label)),
        check.metric.clone().unwrap_or_else(|| check.quantity.name().into()),
        number(check.baseline),
        number(check.found),
        format!("{} ± {}", check.quantity.change(check.difference), number(check.standard_error)),
        format!("{:.3}", check.p_holm),
        number(check.detectable),
        word(check.verdict).into(),
    ];
    format!("| {} |", cells.join(" | "))
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passes => "passes",
        Verdict::TooFew => "too few to tell",
        Verdict::Regressed => "REGRESSED",
    }
}

fn said(check: &Check) -> String {
    let number = |value: f64| check.quantity.number(value);
    let harm = check.quantity.words()[1];
    format!(
        "{} on {}: {} {} against {}, {} ± {} over {} examples and {} against {} seeds (Holm p = {:.3}; a {harm} of {} would be \
         seen): {}",
        check.label,
        check.dataset,
        check.quantity.name(),
        number(check.found),
        number(check.baseline),
        check.quantity.change(check.difference),
        number(check.standard_error),
        check.examples,
        check.seeds[1],
        check.seeds[0],
        check.p_holm,
        number(check.detectable),
        word(check.verdict)
    )
}

/// Text as XML 1.0 has it in an attribute; what it cannot hold, and what would turn a line around, becomes a question mark.
fn escaped(text: &str) -> String {
    let one = |c: char| match c {
        '&' => "&amp;".into(),
        '<' => "&lt;".into(),
        '>' => "&gt;".into(),
        '"' => "&quot;".into(),
        c if breaks(c) || matches!(c, '\u{fffe}' | '\u{ffff}') => "?".into(),
        c => c.to_string(),
    };
    sentence(text).chars().map(one).collect()
}

/// Text as GitHub's workflow commands have it: one line, in which a percent sign is none of theirs.
fn one_line(text: &str) -> String {
    sentence(text).replace('%', "%25").replace(breaks, " ")
}
