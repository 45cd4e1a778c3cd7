//! Progress for people: a bar with an ETA on a terminal, a line per round, nothing when quiet.

use std::path::Path;

use federation::link::Traffic;
use federation::{RoundReport, Watch};
use indicatif::{ProgressBar, ProgressStyle};

use crate::interrupt;
use crate::output::note;

/// Shows a run's progress on standard error.
pub struct Progress {
    bar: ProgressBar,
    quiet: bool,
}

impl Progress {
    /// Progress over `work` client rounds. The bar shows on a terminal only; the lines of rounds show unless `quiet`.
    pub fn new(work: usize, quiet: bool) -> Self {
        let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(work as u64) };
        if let Ok(style) = ProgressStyle::with_template("  {bar:30} {pos}/{len} client rounds, {elapsed} gone, about {eta} left")
        {
            bar.set_style(style);
        }
        Self { bar, quiet }
    }

    /// Rounds that another process has done already are no work.
    pub fn resume(&self, run: &Path, after: Option<u32>, rounds: usize, clients: usize) {
        interrupt::at(run, after.unwrap_or(0) as usize, rounds);
        if let Some(after) = after {
            self.bar.inc(u64::from(after) * clients as u64);
            self.bar.reset_eta();
            self.line(&format!("  goes on after round {after} of {rounds}"));
        }
    }

    /// A line among the progress.
    pub fn line(&self, line: &str) {
        if !self.quiet {
            self.bar.suspend(|| note(line));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        interrupt::over();
        self.bar.finish_and_clear();
    }
}

impl Watch for Progress {
    fn client_done(&self, _round: usize, _client: usize) {
        self.bar.inc(1);
    }

    fn round_done(&self, report: &RoundReport) {
        interrupt::after(report.round);
        let share = |value: Option<f64>| value.map_or_else(|| "-".into(), |value| format!("{:.1}%", 100.0 * value));
        let loss = report.loss.map_or_else(|| "-".into(), |loss| format!("{loss:.3}"));
        let [up, down] = [|traffic: Traffic| traffic.uplink, |traffic: Traffic| traffic.downlink]
            .map(|of| short(of(report.adapters).saturating_add(of(report.activations))));
        // 80 columns; reports part adapters from activations.
        self.line(&format!(
            "  round {:>3}  loss {loss}  accuracy {} (clients {})  ↑ {up} ↓ {down}",
            report.round,
            share(report.accuracy),
            share(report.client_accuracy),
        ));
    }
}

/// Bytes in at most eight characters.
fn short(n: u64) -> String {
    let long = bytes(n);
    match long.split_once('.') {
        Some((whole, rest)) if whole.len() > 2 => format!("{whole} {}", rest.split_once(' ').map_or("", |(_, unit)| unit)),
        _ => long,
    }
}

/// Bytes in binary units.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{n} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// Seconds as a person says them.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
