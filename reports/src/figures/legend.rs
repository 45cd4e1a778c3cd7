//! The families of methods and their markers.

use std::collections::BTreeSet;

use super::font;
use super::panels::Member;
use super::scene::{Anchor, Ink, Point, SMALL, Scene};

/// One entry for each family that is there, in one line.
pub fn families<'a>(scene: &mut Scene, members: impl Iterator<Item = &'a Member<'a>>, (mut x, y): Point) {
    let mut seen = BTreeSet::new();
    let mut entries = Vec::new();
    for member in members {
        if seen.insert(member.group.family) {
            entries.push((member.group.family, member.family()));
        }
    }
    entries.sort_by_key(|(family, _)| *family);
    for (family, (marker, ink)) in entries {
        let name = family.name();
        scene.mark((x + 4.0, y - 3.5), marker, 7.5, ink);
        scene.text((x + 12.0, y), name, SMALL, Ink::Muted, Anchor::Start);
        x += 26.0 + font::width(name, SMALL);
    }
}
