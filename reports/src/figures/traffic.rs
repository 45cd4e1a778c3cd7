//! Accuracy against all bytes that moved: who gets most for least.

use schema::metrics::Reported;

use super::figure::{Figure, PAGE};
use super::labels::{Label, place};
use super::panels::{Member, Panel};
use super::scale::{self, Bytes, Linear};
use super::scene::{Anchor, Dash, Ink, Point, SMALL, Scene, TEXT};
use super::{font, legend};
use crate::{Report, format};

/// More methods than this have a picture's whole width.
const CROWD: usize = 12;
/// A name wider than this.
const LONG: f64 = 130.0;
/// The place of those who send nothing, left of the logarithmic axis.
const SILENT: f64 = 26.0;

/// Two panels beside each other, or one where it is crowded; four to a figure.
pub fn figures(_: &Report, panels: &[Panel]) -> Vec<Figure> {
    let columns = if panels.len() == 1 || panels.iter().any(|panel| panel.members.len() > CROWD) { 1 } else { 2 };
    panels.chunks(2 * columns).map(|panels| figure(panels, columns)).collect()
}

fn figure(panels: &[Panel], columns: usize) -> Figure {
    let (width, height) = (PAGE / columns as f64, if columns == 1 { 400.0 } else { 330.0 });
    let rows = panels.len().div_ceil(columns);
    let mut scene = Scene::new(PAGE, height * rows as f64 + 22.0);
    for (i, panel) in panels.iter().enumerate() {
        let corner = (width * (i % columns) as f64, height * (i / columns) as f64);
        Plot::new(panel, corner, (width, height)).draw(&mut scene, panel);
    }
    let members = || panels.iter().flat_map(|panel| &panel.members);
    let below = scene.height - 6.0;
    legend::families(&mut scene, members(), (46.0, below));
    Figure {
        name: "accuracy-bytes".into(),
        title: "Accuracy against communication".into(),
        caption: "All bytes of all clients and rounds, adapters and activations, up and down (logarithmic; on the left, methods that \
                  send nothing). The line is the Pareto front: nothing beside it is both better and cheaper. Bars are ± sd over seeds. In a crowd, not every name has room; pointing says it."
            .into(),
        groups: members().map(|member| member.index).collect(),
        scene,
    }
}

/// The axes of one panel.
struct Plot {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    x: Bytes,
    y: Linear,
}

impl Plot {
    fn new(panel: &Panel, (x, y): Point, (width, height): Point) -> Self {
        let (left, right, top, bottom) = (x + 44.0, x + width - 12.0, y + 26.0, y + height - 46.0);
        let sent = panel.members.iter().map(bytes).filter(|bytes| *bytes > 0.0);
        let (low, high) = sent.fold((f64::INFINITY, 0.0f64), |(low, high), bytes| (low.min(bytes), high.max(bytes)));
        let range = if low <= high { (low, high) } else { (1.0, 1024.0) };
        let accuracies = panel.members.iter().map(|member| member.group.stat(Reported::Accuracy));
        let ends = accuracies.flat_map(|stat| stat.band());
        Self {
            left,
            right,
            top,
            bottom,
            x: Bytes::new(range, (left + 2.0 * SILENT, right)),
            y: Linear::new(scale::around(ends), (bottom, top)),
        }
    }

    fn place(&self, member: &Member) -> Point {
        let y = self.y.at(member.group.stat(Reported::Accuracy).mean);
        match bytes(member) {
            0.0 => (self.left + SILENT, y),
            bytes => (self.x.at(bytes), y),
        }
    }

    fn draw(&self, scene: &mut Scene, panel: &Panel) {
        scene.text_within((self.left, self.top - 11.0), &panel.title, self.right - self.left, TEXT, Ink::Text, Anchor::Start);
        self.axes(scene);
        let mut lines = self.front(scene, panel);
        for member in &panel.members {
            lines.push(self.point(scene, member));
        }
        let marks: Vec<Label> =
            panel.members.iter().map(|member| Label { at: self.place(member), text: member.label.clone() }).collect();
        // Those on the front are named first: they are what one looks for. In a crowd, long names of others stay unsaid.
        let front = pareto(panel);
        let named = |member: &usize| panel.members.len() <= CROWD || font::width(&marks[*member].text, SMALL) < LONG;
        let others = (0..panel.members.len()).filter(|member| !front.contains(member)).filter(named);
        place(scene, &marks, front.iter().copied().chain(others), &lines, [self.left, self.top, self.right, self.bottom]);
    }

    fn axes(&self, scene: &mut Scene) {
        for tick in self.y.ticks(6) {
            scene.rule((self.left, self.y.at(tick)), (self.right, self.y.at(tick)), Ink::Grid);
            scene.text((self.left - 6.0, self.y.at(tick) + 3.5), format!("{:.0}", 100.0 * tick), SMALL, Ink::Muted, Anchor::End);
        }
        let mut x_label = |x: f64, text: String| {
            scene.rule((x, self.bottom), (x, self.bottom + 4.0), Ink::Muted);
            scene.text((x, self.bottom + 15.0), text, SMALL, Ink::Muted, Anchor::Middle);
        };
        x_label(self.left + SILENT, "none".into());
        for tick in self.x.ticks(((self.right - self.left) / 75.0) as usize) {
            x_label(self.x.at(tick), format::bytes(tick).replace(".0", ""));
        }
        let start = self.left + 2.0 * SILENT;
        scene.rule((start, self.bottom), (self.right, self.bottom), Ink::Muted);
        scene.rule((self.left, self.bottom), (start - 6.0, self.bottom), Ink::Muted);
        scene.text(((self.left + self.right) / 2.0, self.bottom + 30.0), "bytes moved in all", SMALL, Ink::Muted, Anchor::Middle);
        scene.text((self.left - 32.0, self.top - 11.0), "%", SMALL, Ink::Muted, Anchor::Start);
    }

    /// Steps from each point of the front to the next; returns them.
    fn front(&self, scene: &mut Scene, panel: &Panel) -> Vec<[Point; 2]> {
        let mut points: Vec<Point> = Vec::new();
        for member in pareto(panel) {
            let (x, y) = self.place(&panel.members[member]);
            points.extend(points.last().map(|&(_, last)| (x, last)));
            points.push((x, y));
        }
        points.extend(points.last().map(|&(_, last)| (self.right, last)));
        let steps = points.windows(2).map(|pair| [pair[0], pair[1]]).collect();
        if points.len() > 1 {
            scene.line(points, Ink::Muted, 1.4, Dash::Solid).says("Pareto front");
        }
        steps
    }

    /// A mark on its bar; returns the bar.
    fn point(&self, scene: &mut Scene, member: &Member) -> [Point; 2] {
        let (marker, ink) = member.family();
        let (x, y) = self.place(member);
        let stat = member.group.stat(Reported::Accuracy);
        let sd = stat.sd.unwrap_or(0.0);
        let bar = [(x, self.y.at(stat.mean - sd)), (x, self.y.at(stat.mean + sd))];
        scene.line(bar.to_vec(), ink, 1.2, Dash::Solid);
        let tip = format!("{}: {} {}, {}", member.label, format::percent(stat), member.group.unit, format::bytes(bytes(member)));
        scene.mark((x, y), marker, 8.0, ink).says(tip);
        bar
    }
}

fn bytes(member: &Member) -> f64 {
    member.group.stat(Reported::TotalBytes).mean
}

/// The members that no other one beats in both, cheapest first.
fn pareto(panel: &Panel) -> Vec<usize> {
    let accuracy = |member: usize| panel.members[member].group.stat(Reported::Accuracy).mean;
    let cost = |member: usize| bytes(&panel.members[member]);
    let mut order: Vec<usize> = (0..panel.members.len()).collect();
    order.sort_by(|&a, &b| cost(a).total_cmp(&cost(b)).then(accuracy(b).total_cmp(&accuracy(a))));
    let mut best = f64::NEG_INFINITY;
    order.retain(|&member| {
        let better = accuracy(member) > best;
        best = best.max(accuracy(member));
        better
    });
    order
}
