//! A dataset's split with what a frozen backbone makes of its images.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::Tensor;
use data::{Dataset, Example, Tiles};
use machine::clock::Stopwatch;
use machine::memory::available_bytes;
use models::adapter::AdapterSpec;
use models::{Backbone, Batch, Embeddings, Shown};

use crate::blind::mean_square;
use crate::features::Features;
use crate::table::Tasks;
use crate::{Error, Result};

/// A dataset's split with its images' frozen features, shared by all experiments that use it with one backbone. The frozen tower
/// never changes, so each image that an experiment wants is computed once.
pub struct Split {
    /// The examples.
    pub dataset: Dataset,
    /// The tasks that they may set.
    pub tasks: Tasks,
    /// Where each of the dataset's images is among the features.
    shown: Vec<Shown>,
    /// What leaves the connector.
    features: Features,
    /// What enters the connector, for adapters that lie there.
    seen: Features,
    seconds: Mutex<f64>,
    /// The square that is shown instead of every picture's, `[1, 3, size, size]`.
    blind: Option<Tensor>,
}

impl Split {
    /// A loaded split, no image of it computed yet. Of what is free now, a quarter may be taken by its images' features.
    pub fn new(dataset: Dataset, backbone: &dyn Backbone) -> Result<Self> {
        let shown = shown(backbone, &dataset)?;
        let squares = || shown.iter().map(|shown| shown.tiles.squares());
        let room = available_bytes().map_or(u64::MAX, |free| free / 8);
        let [features, seen] = [(); 2].map(|()| Features::new(squares(), room));
        Ok(Self { dataset, tasks: Tasks::default(), shown, features, seen, seconds: Mutex::new(0.0), blind: None })
    }

    /// An error where no row has a picture: there is nothing to judge without.
    pub fn check_pictures(&self) -> Result<()> {
        match self.dataset.examples.iter().all(|example| example.images.is_empty()) {
            true => Err(Error::Usage(format!(
                "split `{}` of dataset `{}` has no pictures, so there is nothing to judge without them",
                self.dataset.split, self.dataset.card.name
            ))),
            false => Ok(()),
        }
    }

    /// The same rows without their pictures: every square of every picture is the split's mean square ([`crate::blind`]). What is left
    /// to see is how many pictures and squares there are.
    pub fn blind(&self, backbone: &dyn Backbone) -> Result<Self> {
        self.check_pictures()?;
        let mean = mean_square(&self.dataset, backbone.preprocess())?;
        let size = backbone.preprocess().size;
        let mean = Tensor::from_vec(mean, (1, 3, size, size), backbone.device())?.to_dtype(backbone.dtype())?;
        let [features, seen] = [(); 2].map(|()| Features::new([1], u64::MAX));
        let (dataset, tasks, shown) = (self.dataset.clone(), self.tasks.clone(), self.shown.clone());
        Ok(Self { dataset, tasks, shown, features, seen, seconds: Mutex::new(0.0), blind: Some(mean) })
    }

    /// The same with other tasks than the suite's own alone.
    pub fn with_tasks(self, tasks: Tasks) -> Self {
        Self { tasks, ..self }
    }

    /// Seconds that its images took.
    pub fn features_seconds(&self) -> f64 {
        *self.seconds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers of its images' features in memory.
    pub fn features_in_memory(&self) -> usize {
        self.features.numbers_in_memory() + self.seen.numbers_in_memory()
    }

    /// An example's pictures among the features.
    pub(crate) fn pictures(&self, example: &Example) -> Vec<Shown> {
        example.images.iter().map(|&image| self.shown[image]).collect()
    }

    /// Computes the features of some examples' images, unless they are there.
    pub fn prepare<'e>(
        &self,
        examples: impl IntoIterator<Item = &'e Example>,
        backbone: &dyn Backbone,
        adapter: &AdapterSpec,
    ) -> Result<()> {
        let clock = Stopwatch::start();
        let wanted = examples.into_iter().flat_map(|example| &example.images);
        let wanted = wanted.map(|&image| if self.blind.is_some() { 0 } else { image });
        match adapter.reaches_connector() {
            true => self.seen.prepare(wanted, |images| Ok(backbone.see(&self.pixels(images, backbone)?)?))?,
            false => self.features.prepare(wanted, |images| Ok(backbone.encode(&self.pixels(images, backbone)?)?))?,
        }
        *self.seconds.lock().unwrap_or_else(PoisonError::into_inner) += clock.seconds();
        Ok(())
    }

    /// Images as the tower sees them, `[squares, 3, size, size]`.
    fn pixels(&self, images: &[usize], backbone: &dyn Backbone) -> Result<Tensor> {
        if let Some(mean) = &self.blind {
            return Ok(mean.clone());
        }
        let preprocess = backbone.preprocess();
        let size = preprocess.size;
        let mut pixels = Vec::with_capacity(images.len() * 3 * size * size);
        for &image in images {
            pixels.extend(self.dataset.pixels(image, preprocess)?);
        }
        let squares = pixels.len() / (3 * size * size);
        let pixels = Tensor::from_vec(pixels, (squares, 3, size, size), backbone.device())?;
        Ok(pixels.to_dtype(backbone.dtype())?)
    }

    /// A batch of this split's sequences as the decoder will see it.
    pub fn embed(&self, batch: &Batch, backbone: &dyn Backbone, adapter: &AdapterSpec) -> Result<Embeddings> {
        let (mut images, device) = (batch.images.to_vec1()?, batch.images.device());
        let pictures = self.cut(&images);
        if self.blind.is_some() {
            images.fill(0);
        }
        let in_order = Batch { images: Tensor::arange(0, images.len() as u32, device)?, ..batch.clone() };
        let (spec, dtype) = (backbone.spec(), backbone.dtype());
        let none = || Tensor::zeros((0, spec.image_tokens, spec.d_model), dtype, device);
        match adapter.reaches_connector() {
            true => Ok(backbone.embed_unconnected(&in_order, &self.seen.of(&images, none)?)?),
            false => Ok(backbone.embed_cut(&in_order, &self.features.of(&images, none)?, &pictures)?),
        }
    }

    /// How the pictures are cut that have these rows, in order.
    fn cut(&self, rows: &[u32]) -> Vec<Tiles> {
        let (mut pictures, mut rest) = (Vec::new(), rows);
        while let Some(&first) = rest.first() {
            let picture = self.shown.partition_point(|shown| shown.first <= first as usize) - 1;
            let tiles = self.shown[picture].tiles;
            pictures.push(tiles);
            rest = &rest[tiles.squares().min(rest.len())..];
        }
        pictures
    }
}

/// Where the squares of a dataset's images will be, one image after the other.
fn shown(backbone: &dyn Backbone, dataset: &Dataset) -> Result<Vec<Shown>> {
    let mut squares = 0;
    let place = |image: &Arc<[u8]>| {
        let shown = Shown { first: squares, tiles: backbone.preprocess().tiles(image)? };
        squares += shown.tiles.squares();
        Ok(shown)
    };
    dataset.images.iter().map(place).collect()
}
