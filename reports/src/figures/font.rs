//! How wide text is, and the outlines of its letters, from the one font that pictures are set in.
//!
//! Arimo has the widths of Arial, Helvetica's and Liberation Sans', so an SVG is laid out alike wherever one of them is, and a PNG
//! needs no font of the system.

use std::sync::LazyLock;

use skrifa::charmap::Charmap;
use skrifa::instance::{LocationRef, Size};
use skrifa::metrics::GlyphMetrics;
use skrifa::outline::pen::PathStyle;
use skrifa::outline::{DrawSettings, OutlineGlyphCollection, OutlinePen};
use skrifa::{FontRef, GlyphId, MetadataProvider};

/// A subset of Arimo (SIL Open Font License 1.1, `assets/README.md`).
static ARIMO: &[u8] = include_bytes!("../../assets/Arimo.ttf");

/// What SVG names, first what the layout was measured in.
pub const FAMILY: &str = "Arimo, Arial, 'Liberation Sans', Helvetica, sans-serif";

struct Font {
    glyphs: Charmap<'static>,
    metrics: GlyphMetrics<'static>,
    outlines: OutlineGlyphCollection<'static>,
    units: f64,
}

impl Font {
    /// A character's glyph; the first one, of what is missing, where it has none.
    fn glyph(&self, character: char) -> GlyphId {
        self.glyphs.map(character).unwrap_or(GlyphId::NOTDEF)
    }
}

static FONT: LazyLock<Font> = LazyLock::new(|| {
    let font = FontRef::new(ARIMO).expect("the embedded font is sound: a test opens it");
    let (size, location) = (Size::unscaled(), LocationRef::default());
    let units = f64::from(font.metrics(size, location).units_per_em);
    Font { glyphs: font.charmap(), metrics: font.glyph_metrics(size, location), outlines: font.outline_glyphs(), units }
});

/// Units of the font in an em.
pub fn units() -> f64 {
    FONT.units
}

/// How far the next letter stands off, in ems.
pub fn advance(c: char) -> f64 {
    f64::from(FONT.metrics.advance_width(FONT.glyph(c)).unwrap_or(0.0)) / FONT.units
}

/// A text's width where an em is `size` high, without kerning.
pub fn width(text: &str, size: f64) -> f64 {
    text.chars().map(advance).sum::<f64>() * size
}

/// The width of the widest of some texts; 0 of none.
pub fn widest<'a>(texts: impl IntoIterator<Item = &'a str>, size: f64) -> f64 {
    texts.into_iter().map(|text| width(text, size)).fold(0.0, f64::max)
}

/// The text, or as much of its beginning as fits, with an ellipsis.
pub fn cut(text: &str, size: f64, most: f64) -> String {
    if width(text, size) <= most {
        return text.into();
    }
    let mut left = most / size - advance('…');
    let fits = |c: &char| {
        left -= advance(*c);
        left >= 0.0
    };
    format!("{}…", text.chars().take_while(fits).collect::<String>().trim_end())
}

/// Draws a letter's outline, in units of the font, y up; nothing of a letter without one, such as a space.
pub fn outline(c: char, pen: &mut impl OutlinePen) {
    let Some(glyph) = FONT.outlines.get(FONT.glyph(c)) else { return };
    let settings = DrawSettings::unhinted(Size::unscaled(), LocationRef::default()).with_path_style(PathStyle::HarfBuzz);
    // What ends in the middle stays as it is.
    let _ = glyph.draw(settings, pen);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_arials() {
        // Arial's own advances: 1139 of 2048 for `0`, 569 for a space.
        assert!((width("0", 2048.0) - 1139.0).abs() < 1e-9 && (width(" ", 2048.0) - 569.0).abs() < 1e-9);
        assert!((width("00", 10.0) - 2.0 * width("0", 10.0)).abs() < 1e-12);
    }

    #[test]
    fn long_text_is_cut_within_its_room() {
        let cut = cut("centralized-lora", 10.0, 40.0);
        assert!(cut.ends_with('…') && width(&cut, 10.0) <= 40.0, "{cut}");
        assert_eq!(super::cut("local", 10.0, 40.0), "local");
    }
}
