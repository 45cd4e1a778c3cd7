//! The first picture of a GIF, as Pillow shows it: what it leaves free of the screen is transparent, or of the first colour where
//! nothing is transparent.

use std::io::Cursor;
use std::num::NonZeroU64;

use gif::{ColorOutput, DecodeOptions, MemoryLimit};
use image::{DynamicImage, Rgba, RgbaImage};

use super::head::Head;

/// Its pixels. The error is a reason.
pub fn first(encoded: &[u8], head: &Head) -> Result<DynamicImage, String> {
    let error = |error: gif::DecodingError| guard::text::line(&error.to_string(), 200);
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options.allow_unknown_blocks(true);
    // The picture lies within the screen, a byte a pixel.
    options.set_memory_limit(NonZeroU64::new(head.pixels()).map_or(MemoryLimit::Unlimited, MemoryLimit::Bytes));
    let mut decoder = options.read_info(Cursor::new(encoded)).map_err(error)?;
    let global = decoder.global_palette().map(<[u8]>::to_vec);
    let frame = decoder.read_next_frame().map_err(error)?.ok_or("it holds no picture")?;
    let palette = frame.palette.as_ref().or(global.as_ref());
    let colour = |index: u8| {
        let known = palette.and_then(|palette| palette.get(3 * usize::from(index)..)?.get(..3));
        let [red, green, blue] = known.map_or([index; 3], |known| [known[0], known[1], known[2]]);
        Rgba([red, green, blue, if frame.transparent == Some(index) { 0 } else { 255 }])
    };
    let mut screen = RgbaImage::from_pixel(head.width, head.height, colour(frame.transparent.unwrap_or(0)));
    let rows = frame.buffer.chunks_exact(usize::from(frame.width).max(1));
    for (y, row) in rows.enumerate() {
        for (x, index) in row.iter().enumerate() {
            let (x, y) = (u32::from(frame.left) + x as u32, u32::from(frame.top) + y as u32);
            if let Some(pixel) = screen.get_pixel_mut_checked(x, y) {
                *pixel = colour(*index);
            }
        }
    }
    Ok(DynamicImage::ImageRgba8(screen))
}
