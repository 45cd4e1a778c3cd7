//! Each client's accuracy on its own test shard, a small plot of bars for every method.
//!
//! A client without a label is drawn anew by every seed, so a mean over "client 0" would say nothing: such clients are ranked
//! within their run, and the bars are means over the worst, the second, ... the best.

use super::cells::Cells;
use super::figure::{Figure, PAGE};
use super::font;
use super::panels::{Member, Panel};
use super::scale::Linear;
use super::scene::{Anchor, Dash, Ink, SMALL, Scene, TEXT};
use crate::{Report, Stat, format};

/// More clients than this are too thin for bars.
const MOST: usize = 60;

/// A figure for every panel with several clients.
pub fn figures(report: &Report, panels: &[Panel]) -> Vec<Figure> {
    panels.iter().filter_map(|panel| figure(report, panel)).collect()
}

fn figure(report: &Report, panel: &Panel) -> Option<Figure> {
    let members: Vec<(&Member, Vec<Bar>)> = panel.members.iter().map(|member| (member, bars(report, member))).collect();
    let shown: Vec<_> = members.into_iter().filter(|(_, bars)| (2..=MOST).contains(&bars.len())).collect();
    let first = shown.first()?;
    let labelled = first.1.iter().any(|bar| !bar.name.is_empty());
    let cells = Cells::new(shown.len(), 5, 96.0, 26.0);
    let key = if labelled { legend_height(&first.1) } else { 0.0 };
    let mut scene = Scene::new(PAGE, cells.height + key);
    scene.text_within((26.0, 14.0), &format!("{} ({})", panel.title, panel.unit()), PAGE - 40.0, TEXT, Ink::Text, Anchor::Start);
    for (i, (member, bars)) in shown.iter().enumerate() {
        draw(&mut scene, member, bars, cells.cell(i));
    }
    if labelled {
        legend(&mut scene, &first.1, cells.height);
    }
    let order = if labelled { "numbered as below" } else { "from each run's worst to its best" };
    Some(Figure {
        name: "clients".into(),
        title: format!("Accuracy of each client: {}", panel.title),
        caption: format!(
            "On its own test shard; clients {order}, mean ± sd over seeds. The dashed line is the mean over clients."
        ),
        groups: shown.iter().map(|(member, _)| member.index).collect(),
        scene,
    })
}

/// A client's or a rank's accuracy.
struct Bar {
    name: String,
    stat: Stat,
}

fn bars(report: &Report, member: &Member) -> Vec<Bar> {
    let group = member.group;
    if !group.client_labels.is_empty() {
        let labels = group.client_labels.iter().zip(0u32..);
        return labels
            .filter_map(|(name, client)| Some(Bar { name: name.clone(), stat: *group.by_client.get(&client)? }))
            .collect();
    }
    let ranked: Vec<Vec<f64>> = group.runs.iter().map(|&run| sorted(report.runs[run].recorded.by_client.values())).collect();
    let ranks = ranked.iter().map(Vec::len).min().unwrap_or(0);
    let of_rank = |rank: usize| ranked.iter().map(|run| run[rank]).collect::<Vec<f64>>();
    (0..ranks).filter_map(|rank| Some(Bar { name: String::new(), stat: Stat::of(&of_rank(rank))? })).collect()
}

fn sorted<'a>(values: impl Iterator<Item = &'a f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.copied().collect();
    values.sort_by(f64::total_cmp);
    values
}

fn draw(scene: &mut Scene, member: &Member, bars: &[Bar], (x, y, width, height): (f64, f64, f64, f64)) {
    let axis = Linear::new((0.0, 1.0), (y + height, y + 18.0));
    scene.text_within((x, y + 10.0), &member.label, width, SMALL, Ink::Text, Anchor::Start);
    for tick in [0.0, 0.5, 1.0] {
        scene.rule((x, axis.at(tick)), (x + width, axis.at(tick)), Ink::Grid);
        scene.text((x - 4.0, axis.at(tick) + 3.5), format!("{:.0}", 100.0 * tick), SMALL, Ink::Muted, Anchor::End);
    }
    let (ink, step) = (member.family().1, width / bars.len() as f64);
    for (i, bar) in bars.iter().enumerate() {
        let (left, top) = (x + step * i as f64 + 0.12 * step, axis.at(bar.stat.mean));
        let name = if bar.name.is_empty() { format!("rank {}", i + 1) } else { bar.name.clone() };
        let tip = format!("{}, {name}: {} {}", member.label, format::percent(bar.stat), member.group.unit);
        scene.rect((left, top), (0.76 * step, axis.at(0.0) - top), ink, 0.75).says(tip);
        if let Some(sd) = bar.stat.sd {
            let middle = left + 0.38 * step;
            let ends = [bar.stat.mean - sd, bar.stat.mean + sd].map(|end| (middle, axis.at(end.clamp(0.0, 1.0))));
            scene.line(ends.to_vec(), Ink::Text, 1.2, Dash::Solid);
        }
        if !bar.name.is_empty() && bars.len() <= 20 {
            scene.text((left + 0.38 * step, y + height + 11.0), (i + 1).to_string(), SMALL, Ink::Muted, Anchor::Middle);
        }
    }
    let mean = axis.at(bars.iter().map(|bar| bar.stat.mean).sum::<f64>() / bars.len() as f64);
    scene.line(vec![(x, mean), (x + width, mean)], Ink::Text, 1.0, Dash::Dashed);
}

/// `1 counting   2 color ...` in columns.
fn legend(scene: &mut Scene, bars: &[Bar], top: f64) {
    let columns = legend_columns(bars);
    let width = (PAGE - 26.0) / columns as f64;
    for (i, bar) in bars.iter().enumerate() {
        let at = (26.0 + width * (i % columns) as f64, top + 10.0 + 14.0 * (i / columns) as f64);
        scene.text_within(at, &format!("{} {}", i + 1, bar.name), width - 8.0, SMALL, Ink::Muted, Anchor::Start);
    }
}

fn legend_columns(bars: &[Bar]) -> usize {
    let widest = font::widest(bars.iter().map(|bar| bar.name.as_str()), SMALL) + 28.0;
    (((PAGE - 26.0) / widest) as usize).clamp(1, 6)
}

fn legend_height(bars: &[Bar]) -> f64 {
    14.0 * bars.len().div_ceil(legend_columns(bars)) as f64 + 8.0
}
