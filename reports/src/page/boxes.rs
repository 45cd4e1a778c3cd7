//! Boxes over a picture: the right one, and the one that was answered.

use std::fmt::Write;

/// Drawn over a picture, in hundredths of its sides; none where neither text is a box.
pub fn overlay(gold: &str, said: &str) -> Option<String> {
    let boxes: Vec<(&str, [f64; 4])> =
        [("gold", gold), ("said", said)].into_iter().filter_map(|(class, text)| Some((class, corners(text)?))).collect();
    let mut svg = String::from("<svg viewBox=\"0 0 100 100\" preserveAspectRatio=\"none\" aria-hidden=\"true\">");
    for (class, [left, top, right, bottom]) in boxes.iter() {
        let [x, y, width, height] = [left, top, &(right - left), &(bottom - top)].map(|share| 100.0 * share);
        let _ = write!(svg, "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>");
    }
    boxes.iter().any(|(class, _)| *class == "gold").then(|| svg + "</svg>\n")
}

/// `[0.10, 0.20, 0.50, 0.75]`: left, top, right and bottom as shares, as far as they lie within the picture.
fn corners(text: &str) -> Option<[f64; 4]> {
    let inside = text.split_once('[')?.1.split_once(']')?.0;
    let numbers: Option<Vec<f64>> = inside.split(',').map(|part| part.trim().parse().ok()).collect();
    let corners: [f64; 4] = numbers?.try_into().ok()?;
    let shares = corners.map(|share: f64| share.clamp(0.0, 1.0));
    (shares.iter().all(|share| share.is_finite()) && shares[0] < shares[2] && shares[1] < shares[3]).then_some(shares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_drawn_where_they_are() {
        let svg = overlay("[0.10, 0.20, 0.50, 0.75]", "at [0, 0, 2, 1]").unwrap_or_default();
        assert!(svg.contains("<rect class=\"gold\" x=\"10.0\" y=\"20.0\" width=\"40.0\" height=\"55.0\"/>"), "{svg}");
        assert!(svg.contains("<rect class=\"said\" x=\"0.0\" y=\"0.0\" width=\"100.0\" height=\"100.0\"/>"), "{svg}");
        let svg = overlay("[0.10, 0.20, 0.50, 0.75]", "[0.5, 0, 0.1, <b>]").unwrap_or_default();
        assert!(svg.contains("gold") && !svg.contains("said"), "{svg}");
        assert_eq!(overlay("red", "[0, 0, 1, 1]"), None);
        assert_eq!(overlay("[0, 0, NaN, 1]", "x"), None);
    }
}
