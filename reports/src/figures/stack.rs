//! What a client stores and what moves, by component: stacked bars, a row per method.

use schema::metrics::Reported;

use super::figure::{Figure, PAGE};
use super::font;
use super::panels::Panel;
use super::scale::Linear;
use super::scene::{Anchor, Ink, Point, SMALL, Scene, TEXT};
use crate::{Group, Report, format};

const ROW: f64 = 17.0;
const TOP: f64 = 62.0;

/// A part of a stack: its name, ink, opacity, and size for a group.
type Part = (&'static str, Ink, f64, fn(&Group) -> f64);

/// Stacks on one axis, with a heading and how its numbers read.
struct Chart {
    heading: &'static str,
    parts: &'static [Part],
    show: fn(f64) -> String,
}

const STORAGE: [Chart; 1] = [Chart {
    heading: "parameters of a client, and of the whole model",
    parts: &[
        ("paper ledger", Ink::Series(0), 1.0, |g| g.stat(Reported::ClientParametersPaper).mean),
        ("more in a deployment", Ink::Series(0), 0.5, |g| {
            (g.stat(Reported::ClientParametersDeployed).mean - g.stat(Reported::ClientParametersPaper).mean).max(0.0)
        }),
        ("stays at the server", Ink::Muted, 0.25, |g| {
            (g.stat(Reported::ModelParameters).mean - g.stat(Reported::ClientParametersDeployed).mean).max(0.0)
        }),
    ],
    show: format::count,
}];

const COMMUNICATION: [Chart; 2] = [
    Chart {
        heading: "adapters",
        parts: &[
            ("up", Ink::Series(1), 1.0, |g| g.stat(Reported::UplinkBytes).mean),
            ("down", Ink::Series(1), 0.5, |g| g.stat(Reported::DownlinkBytes).mean),
        ],
        show: format::bytes,
    },
    Chart {
        heading: "activations, labels, raw data",
        parts: &[
            ("up", Ink::Series(0), 1.0, |g| g.stat(Reported::ActivationUplinkBytes).mean),
            ("down", Ink::Series(0), 0.5, |g| g.stat(Reported::ActivationDownlinkBytes).mean),
        ],
        show: format::bytes,
    },
];

/// What a client stores; one figure where all datasets say the same.
pub fn storage(_: &Report, panels: &[Panel]) -> Vec<Figure> {
    let caption =
        "Dark: what FedNano's ledger counts; half dark: what a deployment must hold besides; grey: the rest of the model.";
    distinct(panels, &STORAGE)
        .into_iter()
        .map(|panel| figure("storage", "What a client stores", caption, panel, &STORAGE))
        .collect()
}

/// What moves, over all clients and rounds.
pub fn communication(_: &Report, panels: &[Panel]) -> Vec<Figure> {
    let caption =
        "All clients and rounds, mean over seeds. The two axes differ: activations are often a hundred times the adapters.";
    let title = "Bytes moved, by component";
    distinct(panels, &COMMUNICATION)
        .into_iter()
        .map(|panel| figure("communication", title, caption, panel, &COMMUNICATION))
        .collect()
}

/// Panels without those that repeat an earlier one's numbers to the second digit.
fn distinct<'a, 'b>(panels: &'b [Panel<'a>], charts: &[Chart]) -> Vec<&'b Panel<'a>> {
    let mut seen: Vec<Vec<String>> = Vec::new();
    let rows = |panel: &Panel| -> Vec<String> {
        let parts =
            |group: &Group| charts.iter().flat_map(|chart| chart.parts).map(|part| format!("{:.1e} ", part.3(group))).collect();
        let row = |member: &super::panels::Member| {
            let parts: String = parts(member.group);
            format!("{} {parts}", member.label)
        };
        panel.members.iter().map(row).collect()
    };
    let mut kept = Vec::new();
    for panel in panels {
        let rows = rows(panel);
        if !seen.contains(&rows) {
            seen.push(rows);
            kept.push(panel);
        }
    }
    kept
}

fn figure(name: &str, title: &str, caption: &str, panel: &Panel, charts: &[Chart]) -> Figure {
    let left = font::widest(panel.members.iter().map(|member| member.label.as_str()), TEXT).min(250.0) + 12.0;
    let mut scene = Scene::new(PAGE, TOP + ROW * panel.members.len() as f64 + 12.0);
    scene.text_within((0.0, 14.0), &panel.title, PAGE, TEXT, Ink::Text, Anchor::Start);
    for (row, member) in panel.members.iter().enumerate() {
        let y = TOP + ROW * row as f64;
        if row % 2 == 0 {
            scene.rect((0.0, y), (PAGE, ROW), Ink::Grid, 0.35);
        }
        scene.text_within((left - 8.0, y + 12.5), &member.label, left - 10.0, TEXT, Ink::Text, Anchor::End);
    }
    let width = (PAGE - left) / charts.len() as f64;
    for (column, chart) in charts.iter().enumerate() {
        draw(&mut scene, panel, chart, (left + width * column as f64, width - 10.0));
    }
    let groups = panel.members.iter().map(|member| member.index).collect();
    Figure { name: name.into(), title: format!("{title}: {}", panel.title), caption: caption.into(), groups, scene }
}

fn draw(scene: &mut Scene, panel: &Panel, chart: &Chart, (left, width): Point) {
    let total = |group: &Group| chart.parts.iter().map(|part| part.3(group)).sum::<f64>();
    let most = panel.members.iter().map(|member| total(member.group)).fold(0.0, f64::max);
    // The total stands behind the bar, inside the column.
    let room = font::widest(
        panel.members.iter().map(|member| (chart.show)(total(member.group))).collect::<Vec<_>>().iter().map(String::as_str),
        SMALL,
    );
    let axis = Linear::new((0.0, most.max(1.0)), (left, left + width - room - 8.0));
    scene.text((left, 32.0), chart.heading, SMALL, Ink::Text, Anchor::Start);
    key(scene, chart, left);
    for (row, member) in panel.members.iter().enumerate() {
        let y = TOP + ROW * row as f64;
        let mut sum = 0.0;
        for (name, ink, opacity, size) in chart.parts {
            let size = size(member.group);
            let from = axis.at(sum);
            sum += size;
            if size > 0.0 {
                let tip = format!("{}, {name}: {}", member.label, (chart.show)(size));
                scene.rect((from, y + 3.0), ((axis.at(sum) - from).max(0.6), ROW - 6.0), *ink, *opacity).says(tip);
            }
        }
        scene.text((axis.at(sum) + 5.0, y + 12.0), (chart.show)(total(member.group)), SMALL, Ink::Muted, Anchor::Start);
    }
}

fn key(scene: &mut Scene, chart: &Chart, mut x: f64) {
    for (name, ink, opacity, _) in chart.parts {
        scene.rect((x, 40.0), (10.0, 10.0), *ink, *opacity);
        scene.text((x + 14.0, 49.0), *name, SMALL, Ink::Muted, Anchor::Start);
        x += 28.0 + font::width(name, SMALL);
    }
}
