//! As much of TrueType as the embedded font needs: which glyph a character has, how wide it is, and its outline. Nothing else is
//! ever read by it; what is missing or odd has no outline.

/// A step of an outline, in the font's units, y up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// A contour begins.
    Move(f32, f32),
    /// A straight line.
    Line(f32, f32),
    /// A quadratic curve: its control point, its end.
    Quad(f32, f32, f32, f32),
    /// The contour is closed.
    Close,
}

/// Glyphs of glyphs of glyphs: the font has two floors.
const DEEPEST: usize = 4;

/// A point is on the curve; then its coordinates have a byte each, the flags repeat, and what sign a byte has, or that there is none.
const ON_CURVE: u8 = 1;
const X_SHORT: u8 = 2;
const Y_SHORT: u8 = 4;
const REPEAT: u8 = 8;
const X_SAME: u8 = 16;
const Y_SAME: u8 = 32;

/// A font's tables.
#[derive(Debug)]
pub struct Font {
    bytes: &'static [u8],
    cmap: usize,
    glyf: usize,
    loca: usize,
    hmtx: usize,
    long_offsets: bool,
    units: u16,
    advances: u16,
}

impl Font {
    /// A font with a character map of format 4; none where a table is missing.
    pub fn new(bytes: &'static [u8]) -> Option<Self> {
        let table = |name: &[u8; 4]| {
            let mut entries = (0..usize::from(u16_at(bytes, 4)?)).map(|i| 12 + 16 * i);
            let found = entries.find(|at| bytes.get(*at..at + 4).is_some_and(|tag| tag == name))?;
            Some(u32_at(bytes, found + 8)? as usize)
        };
        let (head, maps) = (table(b"head")?, table(b"cmap")?);
        let map = |i: usize| Some(maps + u32_at(bytes, maps + 8 + 8 * i)? as usize);
        let mut all = (0..usize::from(u16_at(bytes, maps + 2)?)).filter_map(map);
        Some(Self {
            bytes,
            cmap: all.find(|map| u16_at(bytes, *map) == Some(4))?,
            glyf: table(b"glyf")?,
            loca: table(b"loca")?,
            hmtx: table(b"hmtx")?,
            long_offsets: u16_at(bytes, head + 50)? != 0,
            units: u16_at(bytes, head + 18)?,
            advances: u16_at(bytes, table(b"hhea")? + 34)?,
        })
    }

    /// Its units in an em.
    pub fn units(&self) -> f64 {
        f64::from(self.units)
    }

    /// A character's glyph; the first one, of what is missing, where it has none.
    pub fn glyph(&self, character: char) -> u16 {
        u16::try_from(u32::from(character)).ok().and_then(|code| self.mapped(code)).unwrap_or(0)
    }

    /// By the segments of a character map: their ends, beginnings, what is added, and where glyphs are listed.
    fn mapped(&self, code: u16) -> Option<u16> {
        let twice = usize::from(self.u16(self.cmap + 6)?);
        let part = |n: usize, i: usize| self.cmap + 14 + n * twice + if n > 0 { 2 } else { 0 } + 2 * i;
        let i = (0..twice / 2).find(|i| self.u16(part(0, *i)).is_some_and(|end| end >= code))?;
        let (start, delta, listed) = (self.u16(part(1, i))?, self.u16(part(2, i))?, self.u16(part(3, i))?);
        match (code.checked_sub(start)?, listed) {
            (_, 0) => Some(code.wrapping_add(delta)),
            (place, _) => match self.u16(part(3, i) + usize::from(listed) + 2 * usize::from(place))? {
                0 => None,
                glyph => Some(glyph.wrapping_add(delta)),
            },
        }
    }

    /// How far the next letter stands off, in the font's units.
    pub fn advance(&self, glyph: u16) -> f64 {
        let row = usize::from(glyph.min(self.advances.saturating_sub(1)));
        f64::from(self.u16(self.hmtx + 4 * row).unwrap_or(0))
    }

    /// A glyph's outline, step by step.
    pub fn outline(&self, glyph: u16, step: &mut dyn FnMut(Step)) {
        // What ends in the middle stays as it is.
        let _ = self.draw(glyph, (0.0, 0.0), DEEPEST, step);
    }

    fn draw(&self, glyph: u16, shift: (f32, f32), depth: usize, step: &mut dyn FnMut(Step)) -> Option<()> {
        let place = |glyph: usize| match self.long_offsets {
            true => u32_at(self.bytes, self.loca + 4 * glyph).map(|place| place as usize),
            false => self.u16(self.loca + 2 * glyph).map(|place| 2 * usize::from(place)),
        };
        let (start, end) = (place(usize::from(glyph))?, place(usize::from(glyph) + 1)?);
        if start >= end || depth == 0 {
            return None;
        }
        let at = self.glyf + start;
        match usize::try_from(self.i16(at)?) {
            Ok(contours) => self.simple(at + 10, contours, shift, step),
            Err(_) => self.composite(at + 10, shift, depth, step),
        }
    }

    /// Glyphs beside and upon each other; none of the font's is turned or scaled.
    fn composite(&self, mut at: usize, shift: (f32, f32), depth: usize, step: &mut dyn FnMut(Step)) -> Option<()> {
        loop {
            let (flags, glyph) = (self.u16(at)?, self.u16(at + 2)?);
            let (words, offsets, more) = (flags & 1 != 0, flags & 2 != 0, flags & 0x20 != 0);
            let (x, y) = match words {
                true => (self.i16(at + 4)?, self.i16(at + 6)?),
                false => (self.i8(at + 4)?, self.i8(at + 5)?),
            };
            let (x, y) = if offsets { (f32::from(x), f32::from(y)) } else { (0.0, 0.0) };
            let _ = self.draw(glyph, (shift.0 + x, shift.1 + y), depth - 1, step);
            if !more {
                return Some(());
            }
            at += if words { 8 } else { 6 };
        }
    }

    fn simple(&self, at: usize, contours: usize, shift: (f32, f32), step: &mut dyn FnMut(Step)) -> Option<()> {
        let ends: Vec<usize> = (0..contours).map(|i| self.u16(at + 2 * i).map(usize::from)).collect::<Option<_>>()?;
        let count = ends.last()? + 1;
        let mut at = at + 2 * contours;
        // Behind the instructions, of which there are none.
        at += 2 + usize::from(self.u16(at)?);
        let mut flags = Vec::with_capacity(count);
        while flags.len() < count {
            let flag = *self.bytes.get(at)?;
            let repeats = if flag & REPEAT != 0 { usize::from(*self.bytes.get(at + 1)?) } else { 0 };
            flags.extend(std::iter::repeat_n(flag, 1 + repeats));
            at += if flag & REPEAT != 0 { 2 } else { 1 };
        }
        let xs = self.coordinates(&mut at, &flags[..count], X_SHORT, X_SAME)?;
        let ys = self.coordinates(&mut at, &flags[..count], Y_SHORT, Y_SAME)?;
        let points = xs.iter().zip(&ys).zip(&flags).map(|((x, y), flag)| (x + shift.0, y + shift.1, flag & ON_CURVE != 0));
        let points: Vec<(f32, f32, bool)> = points.collect();
        let mut first = 0;
        for end in ends {
            contour(points.get(first..=end)?, step);
            first = end + 1;
        }
        Some(())
    }

    /// Of all points, each told by its distance from the one before.
    fn coordinates(&self, at: &mut usize, flags: &[u8], short: u8, same: u8) -> Option<Vec<f32>> {
        let mut value = 0i16;
        let mut next = |flag: &u8| {
            let (step, length) = match (flag & short != 0, flag & same != 0) {
                (true, positive) => {
                    let length = i16::from(*self.bytes.get(*at)?);
                    (if positive { length } else { -length }, 1)
                }
                (false, true) => (0, 0),
                (false, false) => (self.i16(*at)?, 2),
            };
            *at += length;
            value = value.wrapping_add(step);
            Some(f32::from(value))
        };
        flags.iter().map(&mut next).collect()
    }

    fn u16(&self, at: usize) -> Option<u16> {
        u16_at(self.bytes, at)
    }

    fn i16(&self, at: usize) -> Option<i16> {
        self.u16(at).map(|value| value as i16)
    }

    fn i8(&self, at: usize) -> Option<i16> {
        self.bytes.get(at).map(|value| i16::from(*value as i8))
    }
}

/// A closed curve: between two points off it, a point in their middle is on it.
fn contour(points: &[(f32, f32, bool)], step: &mut dyn FnMut(Step)) {
    let middle = |a: (f32, f32), b: (f32, f32)| (a.0 + 0.5 * (b.0 - a.0), a.1 + 0.5 * (b.1 - a.1));
    let [mut start, mut off_at_start, mut off]: [Option<(f32, f32)>; 3] = [None; 3];
    for &(x, y, on) in points {
        let point = (x, y);
        if start.is_none() {
            match (on, off_at_start) {
                (true, _) => start = Some(point),
                (false, None) => off_at_start = Some(point),
                (false, Some(before)) => (start, off) = (Some(middle(before, point)), Some(point)),
            }
            start.iter().for_each(|&(x, y)| step(Step::Move(x, y)));
            continue;
        }
        match (off, on) {
            (Some(control), true) => {
                step(Step::Quad(control.0, control.1, x, y));
                off = None;
            }
            (Some(control), false) => {
                let end = middle(control, point);
                step(Step::Quad(control.0, control.1, end.0, end.1));
                off = Some(point);
            }
            (None, true) => step(Step::Line(x, y)),
            (None, false) => off = Some(point),
        }
    }
    let Some(start) = start else { return };
    if let (Some(first), Some(last)) = (off_at_start, off) {
        let end = middle(last, first);
        step(Step::Quad(last.0, last.1, end.0, end.1));
    }
    match off_at_start.or(off) {
        Some(control) => step(Step::Quad(control.0, control.1, start.0, start.1)),
        None => step(Step::Line(start.0, start.1)),
    }
    step(Step::Close);
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    static ARIMO: &[u8] = include_bytes!("../../assets/Arimo.ttf");

    /// Glyph, advance and outline of every character.
    fn listed() -> String {
        let font = Font::new(ARIMO).expect("the embedded font");
        let of = |c: char| {
            let glyph = font.glyph(c);
            let mut steps = Vec::new();
            font.outline(glyph, &mut |step| steps.push(step));
            format!("{} {glyph} {} {steps:?}\n", u32::from(c), font.advance(glyph))
        };
        (0..0x1_0000).filter_map(char::from_u32).chain(['🙂']).map(of).collect()
    }

    /// The outlines of the crate ttf-parser 0.25.1, in whose place this is.
    #[test]
    fn every_letter_has_the_same_outline() {
        let digest = format!("{:x}", Sha256::digest(listed()));
        assert_eq!(digest, "a3a3e143f62e0fe65d514711e4082fe77b67ea824eed16eddb8222ddbb1d3743");
    }
}
