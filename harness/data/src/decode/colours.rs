//! What was decoded becomes red, green and blue of 8 bits each, on white where it is transparent.

use image::{DynamicImage, RgbImage};

/// Colours of 16 bits lose their low byte, as in Pillow. The error is a reason.
pub fn on_white(decoded: DynamicImage) -> Result<RgbImage, String> {
    let (width, height) = (decoded.width(), decoded.height());
    let high = |value: u16| (value >> 8) as u8;
    let bytes: Vec<u8> = match decoded {
        DynamicImage::ImageLuma8(_) | DynamicImage::ImageRgb8(_) => return Ok(decoded.into_rgb8()),
        DynamicImage::ImageLumaA8(gray) => gray.pixels().flat_map(|pixel| [over_white(pixel.0[0], pixel.0[1]); 3]).collect(),
        DynamicImage::ImageRgba8(rgba) => rgba.pixels().flat_map(|pixel| coloured(pixel.0)).collect(),
        DynamicImage::ImageLumaA16(gray) => {
            gray.pixels().flat_map(|pixel| [over_white(high(pixel.0[0]), high(pixel.0[1])); 3]).collect()
        }
        DynamicImage::ImageRgb16(rgb) => rgb.as_raw().iter().map(|value| high(*value)).collect(),
        DynamicImage::ImageRgba16(rgba) => rgba.pixels().flat_map(|pixel| coloured(pixel.0.map(high))).collect(),
        _ => return Err("its pixels are neither gray nor RGB of 8 or 16 bits, with or without alpha".into()),
    };
    Ok(RgbImage::from_raw(width, height, bytes).expect("three bytes for every pixel"))
}

fn coloured([red, green, blue, alpha]: [u8; 4]) -> [u8; 3] {
    [red, green, blue].map(|value| over_white(value, alpha))
}

/// A value over white, rounded as Pillow's `alpha_composite` rounds.
fn over_white(value: u8, alpha: u8) -> u8 {
    /// Pillow's binary digits behind the point.
    const DIGITS: u32 = 7;
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    let sum = ((value * alpha + 255 * (255 - alpha)) << DIGITS) + (0x80 << DIGITS);
    ((((sum >> 8) + sum) >> 8) >> DIGITS) as u8
}

#[cfg(test)]
mod tests {
    use super::over_white;

    /// Pillow 13's for all 65,536 pairs: `alpha_composite` on white, by the sum of `value * 256 + alpha + 1` times what comes out.
    #[test]
    fn rounding_is_pillows() {
        let values = (0..=255u8).flat_map(|value| (0..=255u8).map(move |alpha| (value, alpha)));
        let sum: u64 = values
            .map(|(value, alpha)| (u64::from(value) * 256 + u64::from(alpha) + 1) * u64::from(over_white(value, alpha)))
            .sum();
        assert_eq!(sum, PILLOWS);
    }

    const PILLOWS: u64 = 456_345_845_760;
}
