//! What files and splits are called.

use std::path::Path;

/// How names of pictures that are read end.
const PICTURES: [&str; 8] = ["png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff"];

/// Whether a name is a picture's.
pub(super) fn is_picture(name: &str) -> bool {
    let end = Path::new(name.trim()).extension().and_then(|end| end.to_str());
    end.is_some_and(|end| PICTURES.iter().any(|known| end.eq_ignore_ascii_case(known)))
}

/// The split that is called so; none of another word.
pub(super) fn split(word: &str) -> Option<&'static str> {
    match word.trim().to_lowercase().as_str() {
        "train" | "training" => Some("train"),
        "test" | "testing" => Some("test"),
        "validation" | "valid" | "val" | "dev" => Some("validation"),
        _ => None,
    }
}
