//! How wide text is, and the outlines of its letters, from the one font that pictures are set in.
//!
//! Arimo has the widths of Arial, Helvetica's and Liberation Sans', so an SVG is laid out alike wherever one of them is, and a PNG
//! needs no font of the system.

use std::sync::LazyLock;

use super::truetype::{Font, Step};

/// A subset of Arimo (SIL Open Font License 1.1, `assets/README.md`).
static ARIMO: &[u8] = include_bytes!("../../assets/Arimo.ttf");

/// What SVG names, first what the layout was measured in.
pub const FAMILY: &str = "Arimo, Arial, 'Liberation Sans', Helvetica, sans-serif";

static FONT: LazyLock<Font> = LazyLock::new(|| Font::new(ARIMO).expect("the embedded font is sound: a test opens it"));

fn advance(c: char) -> f64 {
    FONT.advance(FONT.glyph(c)) / FONT.units()
}

/// A text's width at a size.
pub fn width(text: &str, size: f64) -> f64 {
    text.chars().map(advance).sum::<f64>() * size
}

/// The widest of some texts.
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

/// A text's outlines, step by step: the origin of a step's letter in ems, the first one's at 0, and the step in units of the font, of
/// which an em has so many.
pub fn outline(text: &str, mut draw: impl FnMut(f64, f64, Step)) {
    let mut x = 0.0;
    for c in text.chars() {
        FONT.outline(FONT.glyph(c), &mut |step| draw(x, FONT.units(), step));
        x += advance(c);
    }
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
