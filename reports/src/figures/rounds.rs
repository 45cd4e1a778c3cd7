//! Accuracy by round, with a band of one deviation over seeds.

use super::figure::{Figure, PAGE};
use super::font;
use super::panels::{Member, Panel};
use super::scale::{self, Linear};
use super::scene::{Anchor, Dash, Ink, Marker, Point, SERIES, SMALL, Scene, TEXT};
use crate::{Report, Stat, format};

/// A figure for every panel in which some method was judged more than once.
pub fn figures(_: &Report, panels: &[Panel]) -> Vec<Figure> {
    panels
        .iter()
        .filter(|panel| panel.members.iter().any(|member| member.group.accuracy_by_round.len() > 1))
        .map(figure)
        .collect()
}

fn figure(panel: &Panel) -> Figure {
    let lines = panel.members.iter().filter(|member| member.group.accuracy_by_round.len() > 1).count();
    let (scene, how) =
        if lines <= SERIES { (together(panel), "") } else { (apart(panel), " Each method in front of all others.") };
    Figure {
        name: "rounds".into(),
        title: format!("Accuracy by round: {}", panel.title),
        caption: format!("Mean over seeds; the band is ± sd.{how} Methods judged once are a dotted line."),
        groups: panel.members.iter().map(|member| member.index).collect(),
        scene,
    }
}

/// The axes that all lines share.
#[derive(Clone, Copy)]
struct Axes {
    x: Linear,
    y: Linear,
}

impl Axes {
    fn new(panel: &Panel, x: Point, y: Point) -> Self {
        let stats = || panel.members.iter().flat_map(|member| &member.group.accuracy_by_round);
        let last = stats().map(|(round, _)| f64::from(*round)).fold(1.0, f64::max);
        let first = stats().map(|(round, _)| f64::from(*round)).fold(last, f64::min);
        let ends = stats().flat_map(|(_, stat)| stat.band());
        Self { x: Linear::new((first, last), x), y: Linear::new(scale::around(ends), y) }
    }

    fn line(&self, member: &Member) -> Vec<Point> {
        shown(member).iter().map(|(round, stat)| (self.x.at(f64::from(*round)), self.y.at(stat.mean))).collect()
    }

    fn band(&self, member: &Member) -> Vec<Point> {
        let rounds = shown(member);
        let edge = |sign: f64| {
            move |(round, stat): &(u32, Stat)| {
                (self.x.at(f64::from(*round)), self.y.at(stat.mean + sign * stat.sd.unwrap_or(0.0)))
            }
        };
        rounds.iter().map(edge(1.0)).chain(rounds.iter().rev().map(edge(-1.0))).collect()
    }
}

/// A line has at most so many points, more than a picture has columns of pixels.
const MOST_POINTS: usize = 2_000;

/// The judged rounds that a line goes through: all of them, or evenly spaced ones from the first to the last.
fn shown(member: &Member) -> Vec<(u32, Stat)> {
    let rounds: Vec<(u32, Stat)> = member.group.accuracy_by_round.iter().map(|(round, stat)| (*round, *stat)).collect();
    if rounds.len() <= MOST_POINTS {
        return rounds;
    }
    (0..MOST_POINTS).map(|i| rounds[i * (rounds.len() - 1) / (MOST_POINTS - 1)]).collect()
}

/// All lines in one plot, named at their ends.
fn together(panel: &Panel) -> Scene {
    let names = panel.members.iter().map(|member| member.label.as_str());
    let right = PAGE - (font::widest(names, SMALL) + 18.0).min(250.0);
    let (top, bottom) = (26.0, 300.0);
    let mut scene = Scene::new(PAGE, bottom + 40.0);
    let axes = Axes::new(panel, (48.0, right), (bottom, top));
    scene.text_within((48.0, 14.0), &panel.title, PAGE - 60.0, TEXT, Ink::Text, Anchor::Start);
    grid(&mut scene, &axes, (48.0, right), bottom, (8, 6));
    scene.text(((48.0 + right) / 2.0, bottom + 30.0), "round", SMALL, Ink::Muted, Anchor::Middle);
    scene.text((14.0, 14.0), "%", SMALL, Ink::Muted, Anchor::Start);
    let mut ends = Vec::new();
    let mut series = 0;
    for member in &panel.members {
        let line = axes.line(member);
        let ink = if line.len() > 1 { Ink::Series(series) } else { Ink::Muted };
        ends.extend(line.last().map(|&(_, y)| (y, member.label.clone(), ink)));
        match line[..] {
            [] => {}
            [(_, y)] => drop(scene.line(vec![(48.0, y), (right, y)], Ink::Muted, 1.2, Dash::Dotted)),
            _ => {
                series_line(&mut scene, &axes, member, series);
                series += 1;
            }
        }
    }
    name_ends(&mut scene, ends, right + 8.0, bottom);
    scene
}

fn series_line(scene: &mut Scene, axes: &Axes, member: &Member, series: usize) {
    let ink = Ink::Series(series);
    scene.area(axes.band(member), ink, 0.12).says(format!("{} ± sd", member.label));
    scene.line(axes.line(member), ink, 2.0, Dash::of(series)).says(member.label.clone());
    let rounds = shown(member);
    let every = rounds.len().div_ceil(12);
    for (i, (point, (round, stat))) in axes.line(member).into_iter().zip(&rounds).enumerate() {
        if i % every == 0 || i + 1 == rounds.len() {
            let tip = format!("{}, round {round}: {} {}", member.label, format::percent(*stat), member.group.unit);
            scene.mark(point, Marker::of(series), 6.5, ink).says(tip);
        }
    }
}

/// Names at the height of their lines' ends, pushed apart where they would touch.
fn name_ends(scene: &mut Scene, mut ends: Vec<(f64, String, Ink)>, x: f64, bottom: f64) {
    ends.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
    let mut next = f64::NEG_INFINITY;
    for end in &mut ends {
        end.0 = end.0.max(next);
        next = end.0 + 13.0;
    }
    let mut most = bottom;
    for end in ends.iter_mut().rev() {
        end.0 = end.0.min(most);
        most = end.0 - 13.0;
    }
    for (y, name, ink) in ends {
        scene.text_within((x, y + 3.5), &name, scene.width - x - 2.0, SMALL, ink, Anchor::Start);
    }
}

fn grid(scene: &mut Scene, axes: &Axes, (left, right): Point, bottom: f64, (across, down): (usize, usize)) {
    for tick in axes.y.ticks(down) {
        scene.rule((left, axes.y.at(tick)), (right, axes.y.at(tick)), Ink::Grid);
        scene.text((left - 6.0, axes.y.at(tick) + 3.5), format!("{:.0}", 100.0 * tick), SMALL, Ink::Muted, Anchor::End);
    }
    scene.rule((left, bottom), (right, bottom), Ink::Muted);
    for tick in axes.x.ticks(across).into_iter().filter(|tick| tick.fract() == 0.0) {
        scene.rule((axes.x.at(tick), bottom), (axes.x.at(tick), bottom + 4.0), Ink::Muted);
        scene.text((axes.x.at(tick), bottom + 15.0), format!("{tick:.0}"), SMALL, Ink::Muted, Anchor::Middle);
    }
}

/// A small plot for each method, all others behind it in grey.
fn apart(panel: &Panel) -> Scene {
    let shown: Vec<&Member> = panel.members.iter().filter(|member| member.group.accuracy_by_round.len() > 1).collect();
    let cells = super::cells::Cells::new(shown.len(), 5, 118.0, 24.0);
    let mut scene = Scene::new(PAGE, cells.height + 16.0);
    scene.text_within(
        (30.0, 14.0),
        &format!("{} ({}, by round)", panel.title, panel.unit()),
        PAGE - 40.0,
        TEXT,
        Ink::Text,
        Anchor::Start,
    );
    for (i, member) in shown.iter().enumerate() {
        let (x, y, width, height) = cells.cell(i);
        let axes = Axes::new(panel, (x, x + width), (y + height, y + 16.0));
        let (marker, ink) = member.family();
        scene.text_within((x, y + 10.0), &member.label, width, SMALL, Ink::Text, Anchor::Start);
        grid(&mut scene, &axes, (x, x + width), y + height, (3, 3));
        for other in &shown {
            scene.line(axes.line(other), Ink::Grid, 1.0, Dash::Solid);
        }
        scene.area(axes.band(member), ink, 0.25);
        scene.line(axes.line(member), ink, 2.0, Dash::Solid).says(member.label.clone());
        if let Some(&last) = axes.line(member).last() {
            scene.mark(last, marker, 6.0, ink);
        }
    }
    scene
}
