//! Lessons: pictures and what is said about them.

use candle_core::{Device, Tensor};

use crate::llava::Llava;
use crate::{Backbone, Result};

/// A picture and what is said about it.
#[derive(Debug, Clone)]
pub struct Lesson {
    /// 8-bit RGB, row by row, of the backbone's image size.
    pub rgb: Vec<u8>,
    /// What stands where.
    pub marks: Vec<Mark>,
    /// A sentence that describes it, said right behind it.
    pub caption: Option<String>,
    /// Now and then a sentence that has nothing to do with it: plain language.
    pub text: Option<String>,
    /// Questions with their answers and, for judging, the options.
    pub questions: Vec<Question>,
}

/// A thing in a picture.
#[derive(Debug, Clone)]
pub struct Mark {
    /// Its centre's column, in pixels.
    pub x: f32,
    /// Its centre's row, in pixels.
    pub y: f32,
    /// What it is, a word for each thing to know about it.
    pub words: Vec<&'static str>,
}

/// A question of a lesson.
#[derive(Debug, Clone)]
pub struct Question {
    /// The question.
    pub question: String,
    /// Its answer.
    pub answer: String,
    /// Options that contain the answer.
    pub choices: Vec<String>,
    /// What it asks about.
    pub topic: &'static str,
}

/// Their pictures as the backbone sees them, `[n, 3, s, s]`.
pub(super) fn pixels(model: &Llava, lessons: &[Lesson]) -> Result<Tensor> {
    let preprocess = model.preprocess();
    let (size, plane) = (preprocess.size, preprocess.size * preprocess.size);
    let mut values = vec![0f32; lessons.len() * 3 * plane];
    for (lesson, image) in lessons.iter().zip(values.chunks_exact_mut(3 * plane)) {
        for (i, &byte) in lesson.rgb.iter().enumerate() {
            let channel = i % 3;
            image[channel * plane + i / 3] = (f32::from(byte) / 255.0 - preprocess.mean[channel]) / preprocess.std[channel];
        }
    }
    Ok(Tensor::from_vec(values, (lessons.len(), 3, size, size), &Device::Cpu)?)
}
