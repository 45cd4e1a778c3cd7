//! Boxes as right answers: four numbers of a cell become a part of the picture, whatever they are counted in.

use schema::card::{BoxCorners, BoxForm, BoxUnit};

use super::error::brief;
use super::example::{Answer, Corners, Rejection};

/// The numbers of a cell, as it holds them.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum BoxCell<'a> {
    Missing,
    Numbers(Vec<Option<f64>>),
    /// Such a list written as text: `[0.1, 0.2, 0.5, 0.75]`.
    Text(&'a str),
}

/// How far beyond the picture's edge a box may reach: a rounding, of which nothing is left.
const BEYOND_SHARE: f64 = 1e-3;
const BEYOND_PIXELS: f64 = 1.0;

/// The right box; `size` is the picture's in pixels, where that could be read.
pub(super) fn answer(
    cell: &BoxCell<'_>,
    form: &BoxForm,
    size: impl Fn() -> Result<(u32, u32), String>,
) -> Result<Answer, Rejection> {
    let numbers = numbers(cell)?;
    let shown = format!("{numbers:?}");
    let [a, b, c, d] = numbers;
    if let Some(number) = numbers.iter().find(|number| !number.is_finite()) {
        return Err(Rejection::bad(format!("the box {shown} holds {number}, which is no place in a picture")));
    }
    let (right, bottom) = match form.corners {
        BoxCorners::Both => (c, d),
        BoxCorners::First => (a + c, b + d),
    };
    if right <= a || bottom <= b {
        let form = match form.corners {
            BoxCorners::Both => {
                "its second corner is not to the right of and below its first (`[x1, y1, x2, y2]`; `corners = \"first\"` in the card reads `[x, y, width, height]`)"
            }
            BoxCorners::First => {
                "its width or height is not above 0 (`[x, y, width, height]`; `corners = \"both\"` in the card reads `[x1, y1, x2, y2]`)"
            }
        };
        return Err(Rejection::bad(format!("the box {shown} has no area: {form}")));
    }
    let (width, height, beyond) = match form.unit {
        BoxUnit::Share => (1.0, 1.0, BEYOND_SHARE),
        BoxUnit::Pixel => {
            size().map(|(width, height)| (f64::from(width), f64::from(height), BEYOND_PIXELS)).map_err(Rejection::bad)?
        }
    };
    let is_within = |low: f64, high: f64, most: f64| low >= -beyond && high <= most + beyond && low < most && high > 0.0;
    if !is_within(a, right, width) || !is_within(b, bottom, height) {
        let picture = match form.unit {
            BoxUnit::Share => "shares from 0 to 1 (`unit = \"pixel\"` in the card reads pixels)".to_owned(),
            BoxUnit::Pixel => format!("pixels of a picture of {width} x {height} (`unit = \"share\"` in the card reads shares)"),
        };
        return Err(Rejection::bad(format!("the box {shown} lies outside of its picture: expected {picture}")));
    }
    let share = |place: f64, most: f64| (place / most).clamp(0.0, 1.0);
    let corners = [share(a, width), share(b, height), share(right, width), share(bottom, height)];
    let numbers = corners.map(|number| format!("{number:.2}"));
    Ok(Answer::Box { text: format!("[{}]", numbers.join(", ")), corners: Corners(corners) })
}

fn numbers(cell: &BoxCell<'_>) -> Result<[f64; 4], Rejection> {
    let found: Vec<f64> = match cell {
        BoxCell::Missing => return Err(Rejection::bad("the box is null")),
        BoxCell::Numbers(numbers) => {
            let whole: Option<Vec<f64>> = numbers.iter().copied().collect();
            whole.ok_or_else(|| Rejection::bad("a number of the box is null"))?
        }
        BoxCell::Text(text) => {
            let bare = super::list_text::bare(text);
            let inside =
                [('[', ']'), ('(', ')')].into_iter().find_map(|(open, close)| bare.strip_prefix(open)?.strip_suffix(close));
            let parts: Option<Vec<f64>> =
                inside.and_then(|inside| inside.split(',').map(|part| part.trim().parse().ok()).collect());
            parts.ok_or_else(|| Rejection::bad(format!("the box `{}` is no list of numbers", brief(text))))?
        }
    };
    let count = found.len();
    found.try_into().map_err(|_| Rejection::bad(format!("the box has {count} numbers; expected four")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(numbers: &[f64], corners: BoxCorners, unit: BoxUnit) -> Result<(String, [f64; 4]), String> {
        let cell = BoxCell::Numbers(numbers.iter().map(|number| Some(*number)).collect());
        match answer(&cell, &BoxForm { corners, unit }, || Ok((200, 100))) {
            Ok(Answer::Box { text, corners }) => Ok((text, corners.0)),
            Err(Rejection::Bad(reason)) => Err(reason),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn boxes_are_shares_of_their_picture() {
        let expect = ("[0.10, 0.20, 0.50, 0.75]".to_owned(), [0.1, 0.2, 0.5, 0.75]);
        assert_eq!(read(&[0.1, 0.2, 0.5, 0.75], BoxCorners::Both, BoxUnit::Share), Ok(expect.clone()));
        assert_eq!(read(&[20.0, 20.0, 100.0, 75.0], BoxCorners::Both, BoxUnit::Pixel), Ok(expect.clone()));
        assert_eq!(read(&[20.0, 20.0, 80.0, 55.0], BoxCorners::First, BoxUnit::Pixel), Ok(expect));
        assert_eq!(
            read(&[-0.5, 0.0, 200.4, 100.0], BoxCorners::Both, BoxUnit::Pixel).map(|found| found.1),
            Ok([0.0, 0.0, 1.0, 1.0])
        );
        let text = answer(&BoxCell::Text(" (0, 0, .5, 1) "), &BoxForm::default(), || Err("not asked".into()));
        assert!(matches!(text, Ok(Answer::Box { corners: Corners([0.0, 0.0, 0.5, 1.0]), .. })), "{text:?}");
    }

    #[test]
    fn what_is_no_box_is_said_to_be_none() {
        for (numbers, corners, unit, part) in [
            (&[0.5, 0.2, 0.1, 0.75][..], BoxCorners::Both, BoxUnit::Share, "[0.5, 0.2, 0.1, 0.75] has no area"),
            (&[0.1, 0.2, 0.1, 0.75], BoxCorners::Both, BoxUnit::Share, "`corners = \"first\"`"),
            (&[0.1, 0.2, 0.0, 0.3], BoxCorners::First, BoxUnit::Share, "width or height is not above 0"),
            (&[0.1, f64::NAN, 0.5, 0.75], BoxCorners::Both, BoxUnit::Share, "holds NaN"),
            (&[0.1, 0.2, f64::INFINITY, 0.75], BoxCorners::Both, BoxUnit::Share, "holds inf"),
            (&[20.0, 20.0, 100.0, 75.0], BoxCorners::Both, BoxUnit::Share, "`unit = \"pixel\"`"),
            (&[20.0, 20.0, 100.0, 175.0], BoxCorners::Both, BoxUnit::Pixel, "a picture of 200 x 100"),
            (&[-0.2, 0.2, 0.5, 0.75], BoxCorners::Both, BoxUnit::Share, "outside of its picture"),
            (&[0.1, 0.2, 0.5], BoxCorners::Both, BoxUnit::Share, "3 numbers; expected four"),
            (&[], BoxCorners::Both, BoxUnit::Share, "0 numbers; expected four"),
        ] {
            let reason = read(numbers, corners, unit).expect_err(part);
            assert!(reason.contains(part), "{reason}");
        }
        for (cell, part) in [
            (BoxCell::Missing, "the box is null"),
            (BoxCell::Numbers(vec![Some(0.1), None, Some(0.2), Some(0.3)]), "a number of the box is null"),
            (BoxCell::Text("left"), "`left` is no list of numbers"),
            (BoxCell::Text("[0.1, nothing, 0.2, 0.3]"), "is no list of numbers"),
        ] {
            let Err(Rejection::Bad(reason)) = answer(&cell, &BoxForm::default(), || Err("none".into())) else { panic!("{part}") };
            assert!(reason.contains(part), "{reason}");
        }
    }
}
