//! Scenes as SVG. Nothing in it can be executed: text is escaped, there is no script, no link and no style of a shape's own.

use std::fmt::Write;

use super::font;
use super::scene::{Anchor, Form, Ink, Scene, Shape};
use crate::shown::{breaks, sentence};

/// Colours on a ground: text, muted, grid, paper, then the series.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    /// Of [`Ink::Text`], [`Ink::Muted`], [`Ink::Grid`] and [`Ink::Paper`], as `#rrggbb`.
    pub plain: [&'static str; 4],
    /// Of each [`Ink::Series`].
    pub series: [&'static str; super::scene::SERIES],
}

/// For paper.
pub const LIGHT: Theme = Theme {
    plain: ["#1b1f24", "#6b7280", "#e3e6ea", "#ffffff"],
    series: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#4a4a4a"],
};

/// For dark screens: the same hues, lighter.
pub const DARK: Theme = Theme {
    plain: ["#e8eaed", "#9aa3ad", "#2c3238", "#15181c"],
    series: ["#4da6e0", "#ff8a4c", "#34c79a", "#e29ac6", "#f2b63c", "#8fd0f5", "#c0c4c9"],
};

/// The darkest of a heat map, and words on it, on either ground.
pub const HEAT: &str = "#005a8c";
/// Words on dark fields.
pub const ON_DARK: &str = "#ffffff";

/// An SVG file, on light ground.
pub fn file(scene: &Scene, title: &str, description: &str) -> String {
    let (width, height) = (number(scene.width), number(scene.height));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-labelledby=\"title description\">\n<title id=\"title\">{}</title>\n<desc id=\"description\">{}</desc>\n\
         <style>\n{}</style>\n<rect class=\"f-p\" width=\"{width}\" height=\"{height}\"/>\n",
        escape(title),
        escape(description),
        css(&LIGHT, "")
    );
    out.push_str(&body(scene));
    out.push_str("</svg>\n");
    out
}

/// The same inside a page, which brings the colours.
pub fn inline(scene: &Scene, title: &str) -> String {
    let (width, height) = (number(scene.width), number(scene.height));
    let label = escape(title);
    format!(
        "<svg class=\"figure\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{label}\">\n{}</svg>\n",
        body(scene)
    )
}

/// The style sheet of a theme's inks, each selector behind `scope`.
pub fn css(theme: &Theme, scope: &str) -> String {
    let names = ["t", "m", "g", "p"].iter().map(|name| name.to_string());
    let series = (0..theme.series.len()).map(|i| format!("s{i}"));
    let colours = theme.plain.iter().chain(&theme.series);
    let mut out = format!("{scope}text {{ font-family: {}; stroke: none; }}\n", font::FAMILY);
    for (name, colour) in names.chain(series).zip(colours) {
        let _ = writeln!(out, "{scope}.f-{name} {{ fill: {colour}; }} {scope}.k-{name} {{ stroke: {colour}; fill: none; }}");
    }
    let _ = writeln!(out, "{scope}.f-h {{ fill: {HEAT}; }} {scope}.f-o {{ fill: {ON_DARK}; }}");
    out
}

/// An ink's name in the style sheet.
fn name(ink: Ink) -> String {
    match ink {
        Ink::Text => "t".into(),
        Ink::Muted => "m".into(),
        Ink::Grid => "g".into(),
        Ink::Paper => "p".into(),
        Ink::Heat => "h".into(),
        Ink::OnDark => "o".into(),
        Ink::Series(i) => format!("s{}", i % super::scene::SERIES),
    }
}

fn body(scene: &Scene) -> String {
    scene.shapes.iter().filter(|shape| !is_empty(&shape.form)).map(shape).collect()
}

/// Whether nothing is left to be drawn.
fn is_empty(form: &Form) -> bool {
    match form {
        Form::Line { points, .. } | Form::Area { points, .. } => points.is_empty(),
        Form::Text { .. } => false,
    }
}

fn shape(shape: &Shape) -> String {
    let ink = name(shape.ink);
    let tip = if shape.tip.is_empty() { String::new() } else { format!("<title>{}</title>", escape(&shape.tip)) };
    match &shape.form {
        Form::Line { points, width, dash } => {
            let dashes: Vec<String> = dash.lengths().iter().map(f32::to_string).collect();
            let dash = if dashes.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{}\"", dashes.join(" ")) };
            let (path, width) = (path(points), number(*width));
            format!(
                "<path class=\"k-{ink}\" d=\"{path}\" stroke-width=\"{width}\" stroke-linejoin=\"round\"{dash}>{tip}</path>\n"
            )
        }
        Form::Area { points, opacity } => {
            let opacity = if *opacity < 1.0 { format!(" fill-opacity=\"{}\"", number(*opacity)) } else { String::new() };
            format!("<path class=\"f-{ink}\" d=\"{}Z\"{opacity}>{tip}</path>\n", path(points))
        }
        Form::Text { at: (x, y), text, size, anchor } => {
            let anchor = match anchor {
                Anchor::Start => "",
                Anchor::Middle => " text-anchor=\"middle\"",
                Anchor::End => " text-anchor=\"end\"",
            };
            let (x, y, size, text) = (number(*x), number(*y), number(*size), escape(text));
            format!("<text class=\"f-{ink}\" x=\"{x}\" y=\"{y}\" font-size=\"{size}\"{anchor}>{text}{tip}</text>\n")
        }
    }
}

fn path(points: &[(f64, f64)]) -> String {
    let step = |(i, (x, y)): (usize, &(f64, f64))| format!("{}{} {}", if i == 0 { "M" } else { "L" }, number(*x), number(*y));
    points.iter().enumerate().map(step).collect()
}

/// At most two decimals, and no more than are needed.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

/// Text that XML and HTML show as it is, in an element or an attribute; what would turn the reading direction becomes a space, and a
/// text that nobody would read to its end loses its middle.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in sentence(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if breaks(c) || matches!(c, '\u{fffe}' | '\u{ffff}' | '\u{200e}' | '\u{200f}' | '\u{61c}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Anchor, Dash};
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!([number(1.0), number(0.126), number(-0.001), number(10.5)], ["1", "0.13", "0", "10.5"].map(String::from));
    }

    #[test]
    fn a_scene_is_a_file() {
        let mut scene = Scene::new(20.0, 10.0);
        scene.line(vec![(0.0, 1.0), (2.5, 3.0)], Ink::Series(0), 1.5, Dash::Dotted).says("a<b");
        scene.text((1.0, 9.0), "x\u{202e}\"</text><script>", 10.0, Ink::Text, Anchor::End);
        let svg = file(&scene, "t", "d");
        let line = "<path class=\"k-s0\" d=\"M0 1L2.5 3\" stroke-width=\"1.5\" stroke-linejoin=\"round\" stroke-dasharray=\"1.5 2.5\"><title>a&lt;b</title></path>";
        let text =
            "<text class=\"f-t\" x=\"1\" y=\"9\" font-size=\"10\" text-anchor=\"end\">x &quot;&lt;/text&gt;&lt;script&gt;</text>";
        assert!(svg.contains(line) && svg.contains(text), "{svg}");
    }

    /// What has no place is left out, and breaks nothing.
    #[test]
    fn numbers_that_are_none_are_not_drawn() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
            let mut scene = Scene::new(20.0, 10.0);
            scene.line(vec![(value, 1.0), (1.0, value)], Ink::Muted, 1.0, Dash::Solid);
            scene.rect((0.0, value), (2.0, 2.0), Ink::Grid, value);
            scene.text((value, 1.0), "t", 10.0, Ink::Text, Anchor::Start);
            scene.rect((0.0, 0.0), (2.0, 2.0), Ink::Heat, f64::NAN);
            let svg = file(&scene, "t", "d");
            let last = "<path class=\"f-h\" d=\"M0 0L2 0L2 2L0 2Z\" fill-opacity=\"0\"></path>\n</svg>\n";
            assert!(svg.ends_with(last) && !svg.contains("NaN") && !svg.contains("inf") && svg.len() < 3_000, "{svg}");
            assert!(super::super::raster::png(&scene).is_ok());
        }
    }
}
