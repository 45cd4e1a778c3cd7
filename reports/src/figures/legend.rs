//! The families of methods and their markers.

use std::collections::BTreeSet;

use super::font;
use super::panels::{FAMILIES, Member};
use super::scene::{Anchor, Ink, Point, SMALL, Scene};
use crate::aggregate::method_rank;

/// One entry for each family that is there, in one line.
pub fn families<'a>(scene: &mut Scene, members: impl Iterator<Item = &'a Member<'a>>, (mut x, y): Point) {
    let mut seen = BTreeSet::new();
    let mut entries = Vec::new();
    for member in members {
        if seen.insert(method_rank(&member.group.method)) {
            entries.push((method_rank(&member.group.method), member.family()));
        }
    }
    entries.sort_by_key(|(rank, _)| *rank);
    for (rank, (marker, ink)) in entries {
        let name = FAMILIES[usize::from(rank)];
        scene.mark((x + 4.0, y - 3.5), marker, 7.5, ink);
        scene.text((x + 12.0, y), name, SMALL, Ink::Muted, Anchor::Start);
        x += 26.0 + font::width(name, SMALL);
    }
}
