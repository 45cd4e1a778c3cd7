//! Draws a contact sheet of a generator: `cargo run --release -p data-scripts --example contact_sheet -- icongen /tmp/sheet.png`
//! (or `scigen`, or `pretrain`).
//!
//! 48 pictures, twice their size, from a row on (third argument); the questions are printed in the same order.

use data_scripts::generators::{icongen, pretrain, scigen};
use image::{RgbImage, imageops};
use seed::Seed;

const COLUMNS: u32 = 8;
const ROWS: u32 = 6;
const ZOOM: u32 = 2;

#[allow(clippy::print_stdout)]
fn main() {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "pretrain".into());
    let path = arguments.next().unwrap_or_else(|| "/tmp/contact_sheet.png".into());
    let first: usize = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut sheet = RgbImage::from_pixel(COLUMNS * (64 * ZOOM + 6), ROWS * (64 * ZOOM + 6), image::Rgb([255, 0, 255]));
    for i in 0..COLUMNS * ROWS {
        let (rgb, text) = picture(&name, first + i as usize);
        println!("{:>2} {text}", i);
        let small = RgbImage::from_raw(64, 64, rgb).expect("64x64 pixels");
        let large = imageops::resize(&small, 64 * ZOOM, 64 * ZOOM, imageops::FilterType::Nearest);
        let (x, y) = (i % COLUMNS * (64 * ZOOM + 6) + 3, i / COLUMNS * (64 * ZOOM + 6) + 3);
        imageops::replace(&mut sheet, &large, i64::from(x), i64::from(y));
    }
    sheet.save(&path).expect("the sheet can be written where it was asked for");
}

/// Pixels and text of one sample; a row without a picture is a gray field.
fn picture(name: &str, index: usize) -> (Vec<u8>, String) {
    let seed = Seed::new(0);
    match name {
        "icongen" => {
            let row = icongen::row(seed, "train", index);
            (
                pixels(Some(&row.query_image)),
                format!("{}: {} [{}] {}", row.skills, row.question, row.choices.join(", "), row.answer),
            )
        }
        "scigen" => {
            let row = scigen::row(seed, "train", index);
            let options = row.choices.join(", ");
            let text =
                format!("{}: {} | {} [{options}] {}", row.about.topic, row.hint, row.question, row.choices[row.answer as usize]);
            (pixels(row.image.as_ref()), text)
        }
        _ => {
            let sample = pretrain::sample(seed, index);
            let qa: Vec<String> = sample.qa.iter().map(|qa| format!("{} {}", qa.question, qa.answer)).collect();
            (sample.rgb, format!("{} | {}", sample.caption, qa.join(" | ")))
        }
    }
}

fn pixels(png: Option<&Vec<u8>>) -> Vec<u8> {
    let Some(png) = png else { return vec![128; 64 * 64 * 3] };
    image::load_from_memory(png).expect("a generated picture decodes").to_rgb8().into_raw()
}
