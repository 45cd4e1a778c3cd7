//! Pictures of a report: one file per kind, each from groups (and runs) to [`Figure`]s.
//!
//! - [`overview`]: accuracy of every method; [`rounds`]: by round; [`traffic`]: against bytes, with the Pareto front;
//!   [`clients`]: client by client; [`stack`]: storage and communication by component; [`partition`]: who has what;
//!   [`ablation`]: grids of two settings;
//! - `illustrate`: which picture stands where; [`panels`]: which groups may share a picture, and what they are called there;
//! - [`scene`]: shapes in roles of colour, which [`svg`] writes and [`raster`] paints; [`font`]: the one font; [`scale`]: axes;
//!   [`cells`], [`heat`], [`labels`], [`legend`]: what kinds share.
//!
//! The same report gives the same bytes: nothing is drawn at random, no order comes from a hash map, no system font is read.

pub mod ablation;
pub mod cells;
pub mod clients;
mod figure;
pub mod font;
pub mod heat;
mod illustrate;
pub mod labels;
pub mod legend;
pub mod overview;
pub mod panels;
pub mod partition;
pub mod raster;
pub mod rounds;
pub mod scale;
pub mod scene;
pub mod stack;
pub mod svg;
#[cfg(test)]
mod tests;
pub mod traffic;

pub use figure::{FOLDER, Figure, PAGE};
pub use illustrate::illustrate;
