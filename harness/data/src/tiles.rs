//! Pictures cut into squares, as Idefics3's processor cuts them: the whole picture may follow its parts.

use image::RgbImage;

/// How a picture is cut: so many rows and columns of squares with the whole behind them, or, without any, the whole alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tiles {
    /// Rows, from the top.
    pub rows: usize,
    /// Squares of a row, from the left.
    pub columns: usize,
}

impl Tiles {
    /// A picture that is not cut.
    pub const WHOLE: Self = Self { rows: 0, columns: 0 };

    /// Of a picture of this width and height, multiples of `side`: cut where it is larger than one square.
    pub fn of((width, height): (u32, u32), side: u32) -> Self {
        let (columns, rows) = ((width / side) as usize, (height / side) as usize);
        if rows.max(columns) > 1 { Self { rows, columns } } else { Self::WHOLE }
    }

    /// The same of a picture that is cut however small it is.
    pub fn grid((width, height): (u32, u32), side: u32) -> Self {
        Self { rows: (height / side) as usize, columns: (width / side) as usize }
    }

    /// Squares that a tower sees, the whole included.
    pub fn squares(self) -> usize {
        self.rows * self.columns + 1
    }
}

/// Width and height brought up to multiples of `side`: first the longer edge, then the other by the ratio that was.
pub fn to_multiples((width, height): (u32, u32), side: u32) -> (u32, u32) {
    let ratio = f64::from(width) / f64::from(height);
    let up = |edge: u32| edge.max(1).next_multiple_of(side);
    if width >= height {
        let width = up(width);
        (width, up((f64::from(width) / ratio) as u32))
    } else {
        let height = up(height);
        (up((f64::from(height) * ratio) as u32), height)
    }
}

/// Width and height with the shortest edge `shortest`, or with the longest edge `longest` where that would be longer; then both down to
/// multiples of `side`, and one of them at least. As `transformers` has it for ViLT, which fails where an edge is less than `side`.
pub fn within(shortest: u32, longest: u32, side: u32, (width, height): (u32, u32)) -> (u32, u32) {
    let (shortest, longest) = (f64::from(shortest), f64::from(longest));
    let scale = shortest / f64::from(width.min(height));
    let (mut w, mut h) = match height < width {
        true => (scale * f64::from(width), shortest),
        false => (shortest, scale * f64::from(height)),
    };
    if w.max(h) > longest {
        let scale = longest / w.max(h);
        (w, h) = (scale * w, scale * h);
    }
    let down = |edge: f64| (((edge + 0.5) as u32) / side).max(1) * side;
    (down(w), down(h))
}

/// The squares of a picture whose edges are multiples of `side`, row by row.
pub fn cut(picture: &RgbImage, tiles: Tiles, side: u32) -> Vec<RgbImage> {
    let places = (0..tiles.rows as u32).flat_map(|row| (0..tiles.columns as u32).map(move |column| (column * side, row * side)));
    places.map(|(left, top)| image::imageops::crop_imm(picture, left, top, side, side).to_image()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_become_multiples_and_the_picture_squares() {
        assert_eq!(to_multiples((2048, 1366), 512), (2048, 1536));
        assert_eq!(to_multiples((100, 2000), 512), (512, 2048));
        assert_eq!(to_multiples((3, 3), 512), (512, 512));
        assert_eq!(Tiles::of((2048, 1536), 512), Tiles { rows: 3, columns: 4 });
        assert_eq!(Tiles::of((2048, 1536), 512).squares(), 13);
        assert_eq!(Tiles::of((512, 1024), 512), Tiles { rows: 2, columns: 1 });
        assert_eq!(Tiles::of((512, 512), 512), Tiles::WHOLE);
        assert_eq!(Tiles::WHOLE.squares(), 1);
    }

    /// `get_resize_output_image_size` of transformers' ViLT processor: 640 x 480, tall, wide beyond the longest edge; and a strip, of
    /// which it makes nothing.
    #[test]
    fn edges_are_those_of_vilt() {
        let of = |dimensions| within(384, 639, 32, dimensions);
        assert_eq!(of((640, 480)), (512, 384));
        assert_eq!(of((40, 61)), (384, 576));
        assert_eq!(of((1000, 300)), (608, 192));
        assert_eq!(of((384, 384)), (384, 384));
        assert_eq!(of((5000, 10)), (608, 32));
        assert_eq!(Tiles::grid((608, 192), 32), Tiles { rows: 6, columns: 19 });
    }

    #[test]
    fn squares_come_row_by_row() {
        let picture = RgbImage::from_fn(4, 2, |x, y| image::Rgb([(10 * y + x) as u8, 0, 0]));
        let squares = cut(&picture, Tiles { rows: 1, columns: 2 }, 2);
        let first: Vec<u8> = squares.iter().map(|square| square.get_pixel(0, 1).0[0]).collect();
        assert_eq!(first, [10, 12]);
    }
}
