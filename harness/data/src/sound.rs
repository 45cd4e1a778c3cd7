//! Whether pictures can be seen, before anyone looks.

use crate::decode;
use crate::error::DataError;
use crate::examples::Dataset;

impl Dataset {
    /// Decodes every picture, side by side, and lets it go; an error names the first that cannot be.
    pub fn check_pictures(&self) -> Result<(), DataError> {
        let encoded: Vec<&[u8]> = self.images.iter().map(|image| &**image).collect();
        let tried = decode::try_all(&encoded, self.card.max_image_pixels);
        match tried.into_iter().zip(&self.origins).find_map(|(tried, origin)| Some((tried.err()?, origin))) {
            Some((reason, origin)) => Err(DataError::Picture { origin: origin.to_string(), reason }),
            None => Ok(()),
        }
    }
}
